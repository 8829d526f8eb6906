"""What the vehicle's side of the pilot shows: level, diode, and the faults that can be seen there."""

from __future__ import annotations

from controller.core.fault_book import FaultBook
from controller.core.guard_values import EvseGuardSettings
from controller.core.pilot_window import CONNECTED, DiodeCheck, Level, PilotFilter, classify
from hal.types import CpState, PilotReading

_S = 1_000_000_000
NOISE_NS = 3 * _S
BOARD_STALE_NS = 5 * _S
SWAP_NS = 1 * _S
"""Nobody pulls a plug and puts it into another vehicle faster than that."""


class PilotSide:
    """Debounced `level` of one EVSE (None = not known) and its diode check."""

    def __init__(self, settings: EvseGuardSettings, faults: FaultBook, now_ns: int) -> None:
        self.filter = PilotFilter(settings.ventilated)
        self.diode = DiodeCheck()
        self.unwatched = False
        """The last window shows a vehicle, but before it the cable was out of sight for `SWAP_NS`."""
        self._cut = False
        """a board says that it sees nothing now: its relay keeps the vehicle away from it"""
        self._seen_ns = now_ns
        self._settings = settings
        self._faults = faults
        self._lost_since_ns = now_ns

    @property
    def level(self) -> Level | None:
        """The level that counts."""
        return self.filter.level

    def resume(self, now_ns: int) -> None:
        """State F is over: what was counted before it says nothing."""
        self.filter.restart()
        self.filter.settling = True
        self._lost_since_ns = now_ns

    def glimpse(self, now_ns: int) -> None:
        """State F pauses: the level is to be found anew."""
        self.filter.level = None
        self.resume(now_ns)

    def take(self, reading: PilotReading | None, pwm: bool, now_ns: int) -> bool:
        """Take one window; True when the level changed. `pwm`: it was signalled during the window."""
        changed = self._take(reading, pwm, now_ns)
        if changed and self.filter.level is None:
            self._lost_since_ns = now_ns
        self._watch(changed, now_ns)
        return changed

    def _watch(self, changed: bool, now_ns: int) -> None:
        """Levels A to D tell whether the cable stays with its vehicle; a short or noise does not."""
        level, self.unwatched = self.filter.level, False
        if self.filter.settling or level is None or level is Level.E:
            return
        began_ns = self.filter.began_ns if changed else now_ns
        self.unwatched = level in CONNECTED and began_ns - self._seen_ns > SWAP_NS
        self._seen_ns = now_ns

    def _take(self, reading: PilotReading | None, pwm: bool, now_ns: int) -> bool:
        if reading is None:
            return self.filter.feed(None, now_ns)
        if reading.state is not None:
            stale = now_ns - reading.taken_at_ns > BOARD_STALE_NS
            self._faults.set("pilot_board_lost", stale, "no news from the board", now_ns)
            letter = reading.state.value[0]
            known = not stale and letter in Level.__members__
            self._cut = not stale and reading.state is CpState.UNKNOWN
            if known and self._settings.abilities.checks_diode:
                self.diode.seen = True  # the board's own check: it reports no state without a diode
            return self.filter.adopt(Level[letter] if known else None, now_ns)
        seen = None if reading.mixed else classify(reading.volts_high)
        missing = self.diode.feed(pwm, seen, reading.volts_low, now_ns)
        if missing and self._settings.abilities.checks_diode:
            self._faults.raise_("diode", f"low level {reading.volts_low:.1f} V", now_ns)
        return self.filter.feed(seen, now_ns)

    def check_faults(self, now_ns: int) -> None:
        """Noise, short and ventilation, by level (hardware.md §3.2)."""
        level, faults = self.filter.level, self._faults
        if level is None:
            if self._cut:
                self._lost_since_ns = now_ns
            if now_ns - self._lost_since_ns >= NOISE_NS:
                faults.raise_("cp_noise", "no valid pilot level for 3 s", now_ns)
            return
        faults.settle("cp_noise", now_ns)
        if level is Level.E:
            faults.raise_("cp_short", "pilot shorted to protective conductor", now_ns)
        elif level is Level.A or level is Level.B:
            faults.settle("cp_short", now_ns)
        ventilation = level is Level.D and not self._settings.ventilated
        faults.set("ventilation", ventilation, "state D", now_ns)
