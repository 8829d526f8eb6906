"""When meter values are taken, and what goes into them (R16-MV-1, R16-MV-2, R16-MV-4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controller.core.hindsight import Hindsight
from controller.core.metering import REGISTER, sampled_values
from controller.core.model import (
    MeterSample,
    MeterValuesTaken,
    ReadingContext,
    Report,
    SampledValue,
    SignedMeterValue,
    Transaction,
)
from controller.core.settings import Settings
from controller.station.signed_metering import SigningPolicy
from hal.types import MeterReading

Take = Callable[[MeterReading, SignedMeterValue | None], None]

LATE_S = 30.0
"""A clock-aligned moment older than this (a stopped process, a stepped clock) is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleDue:
    """A sample to be taken now; `take` gets the reading and, where `signs`, what the meter signed."""

    transaction_id: str | None
    take: Take
    signs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """What was offered. `offered_amps` is asked at the time of the sample."""

    offered_amps: Callable[[], float]
    volts: float
    phases: int


class Sampler:
    """Of one EVSE. `queue` takes reports that may be lost with the process; `online` is asked."""

    def __init__(
        self,
        *,
        evse: int,
        settings: Settings,
        supply: Supply,
        queue: Callable[[Report], None],
        online: Callable[[], bool],
    ) -> None:
        self._evse = evse
        self._settings = settings
        self._supply = supply
        self._queue = queue
        self._online = online
        self._next_sample_s: float | None = None
        self._next_clock: datetime | None = None
        self._next_clock_s: float | None = None
        self._clock_interval_s = 0
        self._collected: list[MeterSample] = []
        self.latest: Callable[[], MeterReading | None] = lambda: None
        """The newest believed reading."""
        self.signing: SigningPolicy | None = None
        """None = the meter does not sign."""

    @property
    def due_s(self) -> float | None:
        """Monotonic time of the next sample."""
        times = [t for t in (self._next_sample_s, self._next_clock_s) if t is not None]
        return min(times, default=None)

    def begin(self, transaction: Transaction, now_s: float) -> None:
        """A transaction starts now."""
        self._collected = []
        interval = self._settings.integer("MeterValueSampleInterval")
        self._next_sample_s = now_s + interval if interval > 0 else None
        if self.signing is not None and (members := self.signing.start_members):
            self._tell_start(transaction, self.signing, members)

    def _tell_start(
        self, transaction: Transaction, signing: SigningPolicy, members: list[str]
    ) -> None:
        """Right after the start report: StartTxnSampledData (SMV §3.3.4)."""
        reading = self.latest()
        values = self.values(members, reading) if reading is not None else ()
        signed = transaction.signed_begin if signing.started else None
        if signed is not None:
            signed = replace(signed, public_key=signing.key(only_here=True))
        register = SampledValue(value=transaction.meter_start_wh, signed=signed)
        told = [value for value in values if value.measurand != REGISTER]
        if REGISTER in members:
            told.insert(0, register)
        if told:
            self._tell(transaction, ReadingContext.BEGIN, transaction.started_at, tuple(told))

    def interruption(
        self, running: Transaction, context: ReadingContext, at: datetime, energy_wh: float
    ) -> None:
        """One end of a time without meter values."""
        self._tell(running, context, at, (SampledValue(value=energy_wh),))

    def _tell(
        self,
        running: Transaction,
        context: ReadingContext,
        at: datetime,
        values: tuple[SampledValue, ...],
    ) -> None:
        self._queue(
            MeterValuesTaken(
                evse=self._evse,
                sample=MeterSample(at=at, context=context, values=values),
                transaction_id=running.id,
                offline=not self._online(),
            )
        )

    def correct(self, hindsight: Hindsight) -> None:
        """The clock was wrong until now."""
        self._collected = [hindsight.sample(sample) for sample in self._collected]

    def end(
        self, transaction: Transaction, at: datetime, energy_wh: float
    ) -> tuple[MeterSample, ...]:
        """What goes into the end report: begin, what was collected, end; or nothing at all."""
        collected, self._collected = self._collected, []
        self._next_sample_s = None
        signed = transaction.signed_begin is not None or transaction.signed_end is not None
        wanted = self._members("StopTxnSampledData") or self._members("StopTxnAlignedData")
        if not wanted and not signed:
            return ()
        begin, last_signed = transaction.signed_begin, transaction.signed_end
        if last_signed is not None and last_signed.covers_begin:
            begin = None  # both values are in the one container (SMV §3.1.4)
        first = _register(
            ReadingContext.BEGIN, transaction.started_at, transaction.meter_start_wh, begin
        )
        last = _register(ReadingContext.END, at, energy_wh, last_signed)
        room = max(self._limit() - 2, 0)
        return (first, *_thinned(collected, room), last)

    def due(self, running: Transaction | None, now_s: float, utc: datetime) -> list[SampleDue]:
        """What is to be taken now; keeps the schedule up to date."""
        found: list[SampleDue] = []
        if running is None:
            self._next_sample_s = None
        elif self._sample_passed(now_s):
            found.append(self._make(running.id, ReadingContext.PERIODIC, utc))
        moment = self._clock_passed(now_s, utc)
        if moment is not None:
            transaction_id = running.id if running is not None else None
            found.append(self._make(transaction_id, ReadingContext.CLOCK, moment))
        return found

    def values(self, measurands: Sequence[str], reading: MeterReading) -> tuple[SampledValue, ...]:
        """Of one reading."""
        s = self._supply
        return sampled_values(measurands, reading, s.offered_amps(), s.volts, s.phases)

    def _sample_passed(self, now_s: float) -> bool:
        interval = self._settings.integer("MeterValueSampleInterval")
        if interval <= 0:
            self._next_sample_s = None
            return False
        if self._next_sample_s is None or self._next_sample_s > now_s + interval:
            self._next_sample_s = now_s + interval
        if now_s < self._next_sample_s:
            return False
        missed = int((now_s - self._next_sample_s) // interval)
        self._next_sample_s += (missed + 1) * interval
        return True

    def _clock_passed(self, now_s: float, utc: datetime) -> datetime | None:
        """The aligned moment that has just passed. Multiples of the interval since midnight UTC."""
        interval = self._settings.integer("ClockAlignedDataInterval")
        if interval <= 0:
            self._next_clock = self._next_clock_s = None
            return None
        moment = self._next_clock
        if moment is None or interval != self._clock_interval_s:
            self._clock_interval_s, moment = interval, None
        elif utc < moment and (moment - utc).total_seconds() <= interval:
            self._next_clock_s = now_s + (moment - utc).total_seconds()
            return None
        self._next_clock = _next_aligned(utc, interval)
        self._next_clock_s = now_s + (self._next_clock - utc).total_seconds()
        if moment is None or not 0 <= (utc - moment).total_seconds() <= LATE_S:
            return None
        return moment

    def _make(self, transaction_id: str | None, context: ReadingContext, at: datetime) -> SampleDue:
        clock = context is ReadingContext.CLOCK
        name = "MeterValuesAlignedData" if clock else "MeterValuesSampledData"
        stop_name = "StopTxnAlignedData" if clock else "StopTxnSampledData"

        def take(reading: MeterReading, signed: SignedMeterValue | None = None) -> None:
            values = self.values(self._members(name), reading)
            if values:
                sample = MeterSample(at=at, context=context, values=_with_signed(values, signed))
                self._queue(
                    MeterValuesTaken(
                        evse=self._evse,
                        sample=sample,
                        transaction_id=transaction_id,
                        offline=not self._online(),
                    )
                )
            kept = self.values(self._members(stop_name), reading) if transaction_id else ()
            if kept:
                self._collected.append(MeterSample(at=at, context=context, values=kept))
                self._collected = _thinned(self._collected, self._limit())

        signs = (
            self.signing is not None
            and transaction_id is not None
            and self.signing.updated(aligned=clock)
            and REGISTER in self._members(name)
        )
        return SampleDue(transaction_id=transaction_id, take=take, signs=signs)

    def _members(self, name: str) -> list[str]:
        return self._settings.members(name)

    def _limit(self) -> int:
        try:
            return self._settings.integer("StopTransactionMaxMeterValues")
        except KeyError:
            return 500


def _next_aligned(utc: datetime, interval_s: int) -> datetime:
    midnight = utc.replace(hour=0, minute=0, second=0, microsecond=0)
    passed = int((utc - midnight).total_seconds() // interval_s)
    following = midnight + timedelta(seconds=(passed + 1) * interval_s)
    return min(following, midnight + timedelta(days=1))


def _thinned(samples: list[MeterSample], most: int) -> list[MeterSample]:
    """Every second intermediate value leaves until they fit (R16-TX-3)."""
    while len(samples) > most:
        samples = samples[1::2] if most else []
    return samples


def _register(
    context: ReadingContext, at: datetime, energy_wh: float, signed: SignedMeterValue | None
) -> MeterSample:
    value = SampledValue(value=energy_wh, signed=signed)
    return MeterSample(at=at, context=context, values=(value,))


def _with_signed(
    values: tuple[SampledValue, ...], signed: SignedMeterValue | None
) -> tuple[SampledValue, ...]:
    """The signature belongs to the register."""
    if signed is None:
        return values
    return tuple(replace(v, signed=signed) if v.measurand == REGISTER else v for v in values)
