"""Coil, coil gate, main contacts and mirror contact of one EVSE."""

from __future__ import annotations

from collections.abc import Callable

from hal.sim.timers import Handle, Timers

PULL_IN_NS = 12_000_000
RELEASE_NS = 3_000_000
MIRROR_NS = 1_000_000
GATE_NS = 150_000_000
"""How long the monostable of the coil gate holds after a toggle of the heartbeat pin."""
GATE_LOOK_NS = 20_000_000


class Contactor:
    """Moves its contacts at computed instants: delay after the pin change, not after its arrival.

    `contacts_moved` and `mirror_moved` get the new position and its instant.
    """

    def __init__(
        self,
        timers: Timers,
        contacts_moved: Callable[[bool, int], None],
        mirror_moved: Callable[[bool, int], None],
        heartbeat_ns: Callable[[], int],
    ) -> None:
        self._timers = timers
        self._contacts_moved = contacts_moved
        self._mirror_moved = mirror_moved
        self._heartbeat_ns = heartbeat_ns
        self.coil_gate = False
        self.commanded = False
        self.commanded_at_ns = 0
        self.closed = False
        self.mirror = False
        self.changed_at_ns = 0
        self.welded = False
        self.fails_to_close = False
        self._coil = False
        self._moving: Handle | None = None
        self._gate_timer: Handle | None = None

    def command(self, level: bool, at_ns: int) -> None:
        """The coil's pin got this level."""
        self.commanded = level
        self.commanded_at_ns = at_ns
        self._stop_gate_timer()
        if not level:
            self._drive(False, at_ns)
        elif self.coil_gate:
            self._look_at_gate()
        else:
            self._drive(True, at_ns)

    def set_welded(self, welded: bool, at_ns: int) -> None:
        """Main contacts stuck closed, whatever the coil does; afterwards they follow it again."""
        self.welded = welded
        if welded:
            self._stop_moving()
            self._move(True, at_ns)
        elif not self._coil:
            self._move_later(False, at_ns)

    def set_fails_to_close(self, fails: bool, at_ns: int) -> None:
        """The coil no longer closes the contacts; closed ones stay closed."""
        self.fails_to_close = fails
        if not fails and self._coil:
            self._move_later(True, at_ns)

    def _look_at_gate(self) -> None:
        """The pin is high and a gate is fitted: follow the heartbeat."""
        now = self._timers.now_ns()
        last = self._heartbeat_ns()
        ends = last + GATE_NS
        if last and now < ends:
            self._drive(True, now)
            look = ends
        else:
            self._drive(False, ends if last else now)
            look = now + GATE_LOOK_NS
        self._gate_timer = self._timers.at(look, self._look_at_gate)

    def _drive(self, coil: bool, at_ns: int) -> None:
        if coil == self._coil:
            return
        self._coil = coil
        self._move_later(coil, at_ns)

    def _move_later(self, closed: bool, at_ns: int) -> None:
        self._stop_moving()
        then_ns = at_ns + (PULL_IN_NS if closed else RELEASE_NS)
        self._moving = self._timers.at(then_ns, lambda: self._arrive(closed, then_ns))

    def _arrive(self, closed: bool, at_ns: int) -> None:
        self._moving = None
        if (closed and self.fails_to_close) or (not closed and self.welded):
            return
        self._move(closed, at_ns)

    def _move(self, closed: bool, at_ns: int) -> None:
        if closed == self.closed:
            return
        self.closed = closed
        self.changed_at_ns = at_ns
        self._contacts_moved(closed, at_ns)
        mirror_ns = at_ns + MIRROR_NS
        self._timers.at(mirror_ns, lambda: self._mirror(closed, mirror_ns))

    def _mirror(self, closed: bool, at_ns: int) -> None:
        if closed == self.mirror or closed != self.closed:
            return
        self.mirror = closed
        self._mirror_moved(closed, at_ns)

    def _stop_moving(self) -> None:
        if self._moving is not None:
            self._moving.cancel()
            self._moving = None

    def _stop_gate_timer(self) -> None:
        if self._gate_timer is not None:
            self._gate_timer.cancel()
            self._gate_timer = None
