"""A standard vehicle: asks by S2 when PWM is offered, draws what it may, stops when the offer ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hal.sim.pilot_circuit import Load
from hal.sim.timers import Handle, Timers

FOLLOW_NS = 1_000_000_000
OVER_CURRENT_FACTOR = 1.5
NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleSettings:
    """How a vehicle behaves; times in seconds, `current` in amps per phase."""

    current: float = 32.0
    phases: int = 1
    ready_after: float = 1.0
    stop_after: float = 0.5
    ignores_end_of_offer: bool = False


class Vehicle:
    """One parking place: a vehicle is plugged in or not.

    `changed` is called with the instant after every change of load or current.
    """

    def __init__(self, timers: Timers, changed: Callable[[int], None]) -> None:
        self._timers = timers
        self._changed = changed
        self._settings = VehicleSettings()
        self.plugged = False
        self.wants = False
        self.ventilation = False
        self.over_current = False
        self._asks = False
        self._offer = 0.0
        self._followed = 0.0
        self._powered = False
        self._s2_timer: Handle | None = None
        self._follow_timer: Handle | None = None

    @property
    def load(self) -> Load:
        """What the vehicle puts on CP."""
        if not self.plugged:
            return Load.OPEN
        if not self._asks:
            return Load.READY_NOT
        return Load.READY_VENTILATED if self.ventilation else Load.READY

    @property
    def amps(self) -> float:
        """Current drawn per phase now."""
        if not (self.plugged and self._asks and self._powered):
            return 0.0
        if self.over_current and self._followed:
            return self._followed * OVER_CURRENT_FACTOR
        return min(self._settings.current, self._followed)

    @property
    def phases(self) -> int:
        """Phases that the onboard charger uses."""
        return self._settings.phases

    def plug(self, settings: VehicleSettings, at_ns: int) -> None:
        """Cable in: state B, S2 open."""
        self._settings = settings
        self.plugged = self.wants = True
        self._asks = False
        self._changed(at_ns)
        if self._offer:
            self._close_s2_later(at_ns)

    def unplug(self, at_ns: int) -> None:
        """Cable out, in any state."""
        self._cancel()
        self.plugged = self.wants = self._asks = False
        self._followed = 0.0
        self._changed(at_ns)

    def pause(self, at_ns: int) -> None:
        """Open S2 and stop drawing."""
        self._cancel()
        self.wants = False
        self._asks = False
        self._changed(at_ns)

    def resume(self, current: float | None, phases: int | None, at_ns: int) -> None:
        """Ask again: S2 closes at once if PWM is there, else with the next PWM."""
        old = self._settings
        self._settings = VehicleSettings(
            current=old.current if current is None else current,
            phases=old.phases if phases is None else phases,
            ready_after=old.ready_after,
            stop_after=old.stop_after,
            ignores_end_of_offer=old.ignores_end_of_offer,
        )
        self.wants = True
        if self._offer and not self._asks:
            self._cancel()
            self._ask(at_ns)
        else:
            self._changed(at_ns)

    def offered(self, amps: float, at_ns: int) -> None:
        """The pilot offers this much from now on; 0 = no PWM or no charging."""
        if amps == self._offer:
            return
        before, self._offer = self._offer, amps
        if not self.plugged:
            return
        if amps == 0.0:
            self._stop_timer("_s2_timer")
            self._stop_timer("_follow_timer")
            if self._asks and not self._settings.ignores_end_of_offer:
                stop_ns = at_ns + int(self._settings.stop_after * NS)
                self._s2_timer = self._timers.at(stop_ns, lambda: self._leave(stop_ns))
            return
        if self._asks:
            if before == 0.0:
                self._stop_timer("_s2_timer")
            self._follow_later(at_ns)
        elif before == 0.0 and self.wants:
            self._close_s2_later(at_ns)

    def powered(self, closed: bool, at_ns: int) -> None:
        """The main contacts opened or closed."""
        self._powered = closed
        if closed and self._offer:
            self._stop_timer("_follow_timer")
            self._followed = self._offer
        self._changed(at_ns)

    def refresh(self, at_ns: int) -> None:
        """A fault flag changed."""
        self._changed(at_ns)

    def _close_s2_later(self, at_ns: int) -> None:
        self._stop_timer("_s2_timer")
        ready_ns = at_ns + int(self._settings.ready_after * NS)
        if ready_ns <= at_ns:
            self._ask(at_ns)
            return
        self._s2_timer = self._timers.at(ready_ns, lambda: self._ask(self._timers.now_ns()))

    def _ask(self, at_ns: int) -> None:
        self._s2_timer = None
        self._asks = True
        self._followed = self._offer
        self._changed(at_ns)

    def _leave(self, at_ns: int) -> None:
        self._s2_timer = None
        self._asks = False
        self._changed(self._timers.now_ns())

    def _follow_later(self, at_ns: int) -> None:
        self._stop_timer("_follow_timer")
        then_ns = at_ns + FOLLOW_NS
        self._follow_timer = self._timers.at(then_ns, lambda: self._follow(then_ns))

    def _follow(self, at_ns: int) -> None:
        self._follow_timer = None
        self._followed = self._offer
        self._changed(at_ns)

    def _cancel(self) -> None:
        self._stop_timer("_s2_timer")
        self._stop_timer("_follow_timer")

    def _stop_timer(self, name: str) -> None:
        handle: Handle | None = getattr(self, name)
        if handle is not None:
            handle.cancel()
            setattr(self, name, None)
