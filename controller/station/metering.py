"""Polls one energy meter; tells silent, garbled and backwards apart; nobody else talks to the meter."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from controller.clock import Clock
from controller.core.metering import Judgement, RegisterJudge, Verdict
from controller.station.waiting import event_or_time
from hal.errors import HalTransientError, MeterSilent
from hal.ports import Meter
from hal.types import MeterReading

_log = logging.getLogger(__name__)

FAST_S = 1.0
"""While a car is being authorized or charged."""
SLOW_S = 15.0
"""Otherwise."""
FAILURES = 3
"""This many polls in a row must fail before the meter is called lost."""
WARM_UP_S = 10.0
"""A meter that has never answered may still be starting, as this computer just did."""
SECOND_NS = 1_000_000_000


class MeterEvents(Protocol):
    """Who wants to know what the meter does."""

    def meter_read(self, reading: MeterReading) -> None:
        """A believed reading."""
        ...

    def meter_fault(self, name: str, detail: str) -> None:
        """`name` is a fault of the catalogue, raised once."""
        ...

    def meter_fine(self, name: str) -> None:
        """That fault is over."""
        ...


class _Nobody:
    """Until the owner is known."""

    def meter_read(self, reading: MeterReading) -> None:
        """Nobody listens."""

    def meter_fault(self, name: str, detail: str) -> None:
        """Nobody listens."""

    def meter_fine(self, name: str) -> None:
        """Nobody listens."""


class MeterPoller:
    """One poll at a time; callers that need a newer value than the last share the next poll."""

    def __init__(self, evse: int, meter: Meter, clock: Clock, max_power_w: float) -> None:
        self._evse = evse
        self._meter = meter
        self._clock = clock
        self.events: MeterEvents = _Nobody()
        self._judge = RegisterJudge(max_power_w)
        self._wake = asyncio.Event()
        self._waiters: list[tuple[int, asyncio.Future[MeterReading]]] = []
        self._due_ns = clock.monotonic_ns()
        self._failures = 0
        self._silent_until_ns: int | None = None
        self._fault = ""
        self._lost_ns = 0
        self.latest: MeterReading | None = None
        """The newest believed reading."""
        self.in_transaction: Callable[[], bool] = lambda: False
        self.interval_s = SLOW_S

    def expect(self, energy_wh: float, unseen_s: float) -> None:
        """An open transaction: the register `unseen_s` ago; anything lower is not believed."""
        unseen_ns = int(unseen_s * SECOND_NS)
        self._judge.expect(energy_wh, self._clock.monotonic_ns() - unseen_ns)

    @property
    def trusted(self) -> MeterReading | None:
        """The newest believed reading; None = none yet, or the meter is lost."""
        return None if self._fault else self.latest

    def set_pace(self, interval_s: float) -> None:
        """How often to poll from now on."""
        if interval_s < self.interval_s:
            now = self._clock.monotonic_ns()
            self._due(min(self._due_ns, now + int(interval_s * SECOND_NS)))
        self.interval_s = interval_s

    def poll_soon(self) -> None:
        """Start a poll now."""
        self._due(self._clock.monotonic_ns())

    def poll_at(self, at_ns: int) -> None:
        """Start a poll then at the latest."""
        self._due(at_ns)

    def newest(self, max_age_s: float) -> MeterReading | None:
        """The newest believed reading unless it is older than that, or the meter is lost."""
        reading = self.latest
        if reading is None or self._fault:
            return None
        age = self._clock.monotonic_ns() - reading.taken_at_ns
        return reading if age <= max_age_s * SECOND_NS else None

    def after(self, at_ns: int) -> asyncio.Future[MeterReading]:
        """The first believed reading whose poll starts at `at_ns` or later. Cancel it to give up."""
        future: asyncio.Future[MeterReading] = asyncio.get_running_loop().create_future()
        if self.latest is not None and self.latest.taken_at_ns >= at_ns:
            future.set_result(self.latest)
            return future
        self._waiters.append((at_ns, future))
        self._due(max(at_ns, self._clock.monotonic_ns()))
        return future

    async def run(self) -> None:
        """Poll for ever."""
        while True:
            wait_ns = self._due_ns - self._clock.monotonic_ns()
            self._wake.clear()
            if wait_ns > 0 and await event_or_time(self._wake, self._clock, wait_ns / 1e9):
                continue
            await self._poll()

    def _due(self, at_ns: int) -> None:
        if at_ns < self._due_ns:
            self._due_ns = at_ns
            self._wake.set()

    async def _poll(self) -> None:
        started = self._clock.monotonic_ns()
        self._due_ns = started + int(self.interval_s * SECOND_NS)
        try:
            reading = await self._meter.read()
        except HalTransientError as error:
            self._failed(error)
            return
        self._failures = 0
        judgement = self._judge.judge(reading, in_transaction=self.in_transaction())
        if judgement.verdict in (Verdict.BACKWARDS, Verdict.JUMPED):
            self._raise("meter_backwards", _words(judgement))
            self._again_soon()
            return
        if judgement.verdict is Verdict.METER_CHANGED:
            _log.warning("evse=%d meter changed: %s", self._evse, judgement.detail)
        self._fine()
        self.latest = reading
        self._answer(reading)
        self.events.meter_read(reading)

    def _answer(self, reading: MeterReading) -> None:
        waiting, self._waiters = self._waiters, []
        for at_ns, future in waiting:
            if future.done():
                continue
            if reading.taken_at_ns >= at_ns:
                future.set_result(reading)
            else:
                self._waiters.append((at_ns, future))
                self._due(max(at_ns, self._clock.monotonic_ns()))

    def _failed(self, error: HalTransientError) -> None:
        self._failures += 1
        silent = isinstance(error, MeterSilent)
        if silent and self._warming_up():
            self._failures = min(self._failures, FAILURES - 1)
        if self._failures >= FAILURES:
            self._raise("meter_silent" if silent else "meter_garbage", str(error))
        self._again_soon()

    def _warming_up(self) -> bool:
        now_ns = self._clock.monotonic_ns()
        if self._silent_until_ns is None:
            self._silent_until_ns = now_ns + int(WARM_UP_S * SECOND_NS)
        return self.latest is None and not self._fault and now_ns < self._silent_until_ns

    def _again_soon(self) -> None:
        """While somebody waits or the meter is suspicious, the next poll follows within a second."""
        self._waiters = [w for w in self._waiters if not w[1].done()]
        if self._waiters or self._failures < FAILURES:
            self._due(self._clock.monotonic_ns() + SECOND_NS // 4)

    def _raise(self, name: str, detail: str) -> None:
        if self._fault == name:
            return
        if self._fault:
            self.events.meter_fine(self._fault)
        else:
            self._lost_ns = self._clock.monotonic_ns()
        self._fault = name
        _log.warning("evse=%d meter lost: %s (%s)", self._evse, name, detail)
        self.events.meter_fault(name, detail)

    def _fine(self) -> None:
        if not self._fault:
            return
        lost_s = (self._clock.monotonic_ns() - self._lost_ns) / SECOND_NS
        _log.warning("evse=%d meter back after %.0f s", self._evse, lost_s)
        self.events.meter_fine(self._fault)
        self._fault = ""


def _words(judgement: Judgement) -> str:
    return f"register {judgement.verdict.value}: {judgement.detail}"
