"""Supervision: contactor by its mirror contact, residual current device by its self-test, temperature."""

from __future__ import annotations

from math import floor

from controller.core.duty import MIN_AMPS
from controller.core.fault_book import FaultBook
from controller.core.interlock import SelfTestState

_MS = 1_000_000
WELD_NS = 200 * _MS
CLOSE_NS = 300 * _MS
BOARD_OPENS_NS = 1000 * _MS
"""A board that drives its contactor itself has opened it by then (IEC 61851-1 A.6 2.2: 100 ms)."""
REST_NS = 1000 * _MS
CLOSE_TRIES = 3
DERATE_FROM_C = 60.0
DERATE_TO_C = 70.0
STOP_C = 75.0
RESUME_C = 60.0
TEST_TRIP_NS = 700 * _MS
TEST_RELEASE_NS = 2000 * _MS


class ContactorWatch:
    """Compares what was commanded with the mirror contact. `closed`: confirmed, or commanded without one."""

    __slots__ = ("_differs", "_opens_ns", "_rest_until_ns", "_since_ns", "closed", "failed", "tries",
                 "welded")  # fmt: skip

    def __init__(self, opens_ns: int = 0) -> None:
        """`opens_ns`: without a mirror contact it may be closed that long after the command to open."""
        self._opens_ns = opens_ns
        self.closed = False
        self.welded = False
        self.failed = False
        """did not close in 3 tries; stays until `new_tries`"""
        self.tries = 0
        self._differs = False
        self._since_ns = 0
        self._rest_until_ns = 0

    def resting(self, now_ns: int) -> bool:
        """A try to close failed just now."""
        return now_ns < self._rest_until_ns

    def new_tries(self) -> None:
        """A new plug-in, or a person cleared the fault."""
        self.tries = 0
        self.failed = False
        self._rest_until_ns = 0

    def tick(self, commanded: bool, mirror: bool | None, now_ns: int) -> None:
        """`commanded`: the coil's level since the last tick."""
        if mirror is None:
            if commanded:
                self._since_ns = now_ns
            self.closed = commanded or (self.closed and now_ns - self._since_ns < self._opens_ns)
            return
        self.closed = mirror
        if mirror == commanded:
            self._differs = False
            self.welded = False
            return
        if not self._differs:
            self._differs = True
            self._since_ns = now_ns
        waited_ns = now_ns - self._since_ns
        if not commanded:
            self.welded |= waited_ns >= WELD_NS
        elif waited_ns >= CLOSE_NS and not self.resting(now_ns):
            self.tries += 1
            self.failed = self.tries >= CLOSE_TRIES
            self._rest_until_ns = now_ns + REST_NS
            self._differs = False


class SelfTest:
    """Residual current device: its test output must make it trip, and the trip must go away again."""

    __slots__ = ("_releasing", "_since_ns", "line", "state")

    def __init__(self) -> None:
        self.state = SelfTestState.PENDING
        self.line = False
        """level of the test output"""
        self._releasing = False
        self._since_ns = 0

    @property
    def running(self) -> bool:
        """A trip seen now belongs to the test."""
        return self.state is SelfTestState.RUNNING

    def forget(self) -> None:
        """The next plug-in needs its own."""
        self.state = SelfTestState.PENDING
        self.line = False
        self._releasing = False

    def start(self, now_ns: int) -> None:
        """Begin; the contactor must be open."""
        self.state = SelfTestState.RUNNING
        self.line = True
        self._releasing = False
        self._since_ns = now_ns

    def tick(self, tripped: bool, absent: bool, now_ns: int) -> None:
        """`absent`: the device has no test output, so there is nothing to pass."""
        if self.state is not SelfTestState.RUNNING:
            return
        waited_ns = now_ns - self._since_ns
        if absent:
            self._end(SelfTestState.PASSED)
        elif not self._releasing:
            if tripped:
                self.line = False
                self._releasing = True
                self._since_ns = now_ns
            elif waited_ns >= TEST_TRIP_NS:
                self._end(SelfTestState.FAILED)
        elif not tripped:
            self._end(SelfTestState.PASSED)
        elif waited_ns >= TEST_RELEASE_NS:
            self._end(SelfTestState.FAILED)

    def _end(self, state: SelfTestState) -> None:
        self.state = state
        self.line = False


def derated_amps(max_amps: float, celsius: float) -> float:
    """All of `max_amps` up to 60 degrees, falling to 6 A at 70, in whole amps."""
    if celsius <= DERATE_FROM_C:
        return max_amps
    share = min(1.0, (celsius - DERATE_FROM_C) / (DERATE_TO_C - DERATE_FROM_C))
    return float(floor(max_amps - share * max(0.0, max_amps - MIN_AMPS)))


def watch_temperature(
    celsius: float | None, max_amps: float, faults: FaultBook, now_ns: int
) -> float:
    """Raise and settle the temperature faults; returns the amps that the temperature allows."""
    faults.set("temperature_sensor", celsius is None, "no reading", now_ns)
    if celsius is None:
        return max_amps
    detail = f"{celsius:.0f} degrees Celsius"
    if celsius >= STOP_C:
        faults.raise_("over_temperature", detail, now_ns)
    elif celsius <= RESUME_C:
        faults.settle("over_temperature", now_ns)
    allowed_amps = derated_amps(max_amps, celsius)
    faults.set("temperature_derate", allowed_amps < max_amps, detail, now_ns)
    return allowed_amps
