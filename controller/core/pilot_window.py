"""From windows of pilot volts to a debounced pilot level (hardware.md §1.1, §1.3, DESIGN §2).

Opening is quick (3 equal windows), closing is slow (500 ms), a short disturbance changes nothing.
"""

from __future__ import annotations

from enum import Enum

WINDOWS_TO_OPEN = 3
SPAN_TO_OPEN_NS = 18_000_000
"""Three windows must also lie this far apart: late ticks may crowd, and a 20 ms burst must not count."""
STABLE_TO_CLOSE_NS = 500_000_000
BAD_WINDOWS_KEPT = 3
SPAN_BAD_KEPT_NS = 28_000_000
DIODE_MAX_LOW_VOLTS = -10.5
"""With a diode the low level is -12 V; without one it mirrors the high level, at worst -9 V."""


class Level(Enum):
    """Plateau of the high phase: what the vehicle side does, without regard to PWM."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"
    E = "E"


ASKING = (Level.C, Level.D)
CONNECTED = (Level.B, Level.C, Level.D)


def classify(volts_high: float) -> Level | None:
    """The level whose ±1 V window holds `volts_high`; None = in no window (also NaN)."""
    if volts_high >= 7.5:
        if 8.0 <= volts_high <= 10.0:
            return Level.B
        return Level.A if 11.0 <= volts_high <= 13.0 else None
    if volts_high >= 4.5:
        return Level.C if 5.0 <= volts_high <= 7.0 else None
    if 2.0 <= volts_high <= 4.0:
        return Level.D
    return Level.E if -1.0 <= volts_high <= 1.0 else None


def diode_present(volts_low: float) -> bool:
    """Whether the low level of a PWM window proves the vehicle's diode."""
    return volts_low <= DIODE_MAX_LOW_VOLTS


class PilotFilter:
    """Debounces levels. `level` None = none known: at the start, or out of every window for too long."""

    __slots__ = ("_bad", "_bad_since", "_candidate", "_count", "_other", "_other_since", "_since",
                 "_ventilated", "began_ns", "level", "settling")  # fmt: skip

    def __init__(self, ventilated: bool) -> None:
        self.level: Level | None = None
        self.settling = True
        """The last window did not confirm `level`."""
        self.began_ns = 0
        """first window of the run that made `level` count"""
        self._ventilated = ventilated
        self.restart()

    def restart(self) -> None:
        """Forget what was counted, not the level: readings were interrupted (state F)."""
        self._candidate: Level | None = None
        self._count = 0
        self._since = 0
        self._bad = 0
        self._bad_since = 0
        self._other = 0
        self._other_since = 0

    def feed(self, seen: Level | None, at_ns: int) -> bool:
        """Take one window; True when `level` changed."""
        if seen is self.level and seen is not None:
            if self.settling:
                self.restart()
                self.settling = False
            return False
        self.settling = True
        if self._other == 0:
            self._other_since = at_ns
        self._other += 1
        if seen is None:
            return self._feed_bad(at_ns)
        self._bad = 0
        if seen is self._candidate:
            self._count += 1
        else:
            self._candidate, self._count, self._since = seen, 1, at_ns
        if self._counts(seen, at_ns - self._since):
            return self._accept(seen)
        return self._lose_power_state(at_ns)

    def _counts(self, seen: Level, span_ns: int) -> bool:
        if self._count < WINDOWS_TO_OPEN:
            return False
        leaves_power = self.level is Level.C or (self.level is Level.D and self._ventilated)
        if seen in ASKING and not leaves_power:
            return span_ns >= STABLE_TO_CLOSE_NS
        return span_ns >= SPAN_TO_OPEN_NS

    def _feed_bad(self, at_ns: int) -> bool:
        if self._bad == 0:
            self._bad_since = at_ns
        self._bad += 1
        if self._bad > BAD_WINDOWS_KEPT and at_ns - self._bad_since >= SPAN_BAD_KEPT_NS:
            self._candidate = None
            if self.level is not None:
                return self._accept(None)
            return False
        return self._lose_power_state(at_ns)

    def _lose_power_state(self, at_ns: int) -> bool:
        """A mixture of other levels for more than 3 windows is no reason to stay in C or D."""
        if (
            self.level in ASKING
            and (self.level is Level.C or self._ventilated)
            and self._other > BAD_WINDOWS_KEPT
            and at_ns - self._other_since >= SPAN_BAD_KEPT_NS
        ):
            self.level = None  # the candidate keeps its count
            return True
        return False

    def _accept(self, level: Level | None) -> bool:
        self.level = level
        self.began_ns = self._since
        self.restart()
        self.settling = level is None
        return True

    def adopt(self, level: Level | None, at_ns: int) -> bool:
        """Take the word of a board that classifies and debounces itself; True when it changed."""
        changed = level is not self.level
        if changed:
            self.began_ns = at_ns
        self.level = level
        self.settling = level is None
        return changed


class DiodeCheck:
    """Table A.4: -12 V in the low phase proves the diode; needed once before closing, watched all the time."""

    __slots__ = ("_bad", "_bad_since_ns", "_windows", "seen")

    def __init__(self) -> None:
        self.seen = False
        """proven since PWM began"""
        self.forget()

    def forget(self) -> None:
        """PWM ended, or another vehicle."""
        self.seen = False
        self._windows = 0
        self._bad = 0
        self._bad_since_ns = 0

    def feed(self, pwm: bool, seen: Level | None, volts_low: float, at_ns: int) -> bool:
        """Take one window; True when three equal ones show that there is no diode."""
        if not pwm:
            self._windows = 0
            return False
        self._windows += 1
        if self._windows < 2 or seen not in CONNECTED:
            return False  # the first window may hold edges of the time without PWM
        if diode_present(volts_low):
            self.seen = True
            self._bad = 0
            return False
        if self._bad == 0:
            self._bad_since_ns = at_ns
        self._bad += 1
        if self._bad < WINDOWS_TO_OPEN or at_ns - self._bad_since_ns < SPAN_TO_OPEN_NS:
            return False
        self._bad = 0
        self.seen = False
        return True
