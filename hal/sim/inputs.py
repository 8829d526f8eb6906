"""The digital parts besides the contactor: RCD, emergency stop and lock. All inputs have a pull-up,
so a cut wire reads as the fault (docs/wiring.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hal.sim.timers import Handle, Timers

RCD_TEST_TRIP_NS = 20_000_000
LOCK_MOVE_NS = 150_000_000

Drive = Callable[[int, bool], None]
"""Pin number and level that the world puts on an input."""


class Rcd:
    """A fault output, high = tripped unless wired otherwise; the test input makes it trip shortly after."""

    def __init__(self, timers: Timers, table: Mapping[str, Any], drive: Drive) -> None:
        self._timers = timers
        self._pin = int(table.get("trip_pin", 23))
        self._tripped_level = table.get("healthy", "low") == "low"
        self._drive = drive
        self._testing = False
        self._test_timer: Handle | None = None
        self.tripped = False
        self.test_broken = False
        self._show()

    def set_tripped(self, tripped: bool) -> None:
        """A residual current flows, or no longer."""
        self.tripped = tripped
        self._show()

    def test(self, level: bool, at_ns: int) -> None:
        """The test input got this level."""
        if self._test_timer is not None:
            self._test_timer.cancel()
            self._test_timer = None
        if level and not self.test_broken:
            self._test_timer = self._timers.at(at_ns + RCD_TEST_TRIP_NS, self._test_trip)
        elif not level:
            self._testing = False
            self._show()

    def _test_trip(self) -> None:
        self._test_timer = None
        self._testing = True
        self._show()

    def _show(self) -> None:
        self._drive(self._pin, (self.tripped or self._testing) == self._tripped_level)


class Lock:
    """A motor lock with a position switch, low = locked unless wired otherwise."""

    def __init__(
        self,
        timers: Timers,
        table: Mapping[str, Any],
        drive: Drive,
        changed: Callable[[str, int], None],
    ) -> None:
        self._timers = timers
        self.lock_pin = int(table.get("lock_pin", 5))
        self.unlock_pin = int(table.get("unlock_pin", 6))
        self._feedback_pin = int(table.get("feedback_pin", 13))
        self._locked_level = table.get("feedback_locked", "low") != "low"
        self._drive = drive
        self._changed = changed
        self._timer: Handle | None = None
        self.locked = False
        self.jams_open = False
        self.jams_locked = False
        self._drive(self._feedback_pin, not self._locked_level)

    def motor(self, pin: int, level: bool, at_ns: int) -> None:
        """One of the two motor outputs changed; the bolt needs the pulse for its whole way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not level:
            return
        locking = pin == self.lock_pin
        then_ns = at_ns + LOCK_MOVE_NS
        self._timer = self._timers.at(then_ns, lambda: self._arrive(locking, then_ns))

    def _arrive(self, locked: bool, at_ns: int) -> None:
        self._timer = None
        if locked == self.locked or (self.jams_open if locked else self.jams_locked):
            return
        self.locked = locked
        self._drive(self._feedback_pin, locked == self._locked_level)
        self._changed("locked" if locked else "unlocked", at_ns)
