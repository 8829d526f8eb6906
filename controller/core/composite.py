"""What the installed profiles allow: at one moment, and as a composite schedule over time.

Per purpose the highest stack level that has something to say at that moment prevails; where it has a gap the
next lower one does. A TxProfile beats the TxDefaultProfiles; the result is the minimum of that, the
ChargingStationMaxProfile and the hardware (R16-SC-3). Inside, times are whole POSIX seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import floor

from controller.core.charging_profile import (
    ProfileKind,
    Purpose,
    RateUnit,
    SchedulePeriod,
)
from controller.core.charging_profile_book import InstalledProfile, ProfileBook
from controller.core.duty import MIN_AMPS, floor_tenths

ASSUMED_PHASES = 3
"""numberPhases of a period that does not tell (1.6 §7.12)."""
LAST_S = 253_000_000_000
"""What changes after this (in the year 9987) never changes; times end soon after."""
MOST_STEPS = 20_000
"""After so many looks a composite schedule ends early: the rest is for the next request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileLimit:
    """What the profiles allow at one moment. `amps` per phase, in steps of 0.1; None = no limit.

    `phases` None = the profile does not say. Below `least_amps` charging pauses: it is 6, or more when a
    profile tells the least rate of the vehicle. `until` (aware UTC): when this may change; None = when
    somebody changes the profiles. `profile_id`: the profile that limits.
    """

    amps: float | None = None
    phases: int | None = None
    least_amps: float = MIN_AMPS
    until: datetime | None = None
    profile_id: int | None = None
    purpose: Purpose | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeSchedule:
    """What will be offered from `start` on (aware UTC, whole seconds), first period at 0 s (R16-SC-8)."""

    evse: int
    start: datetime
    duration_s: int
    rate_unit: RateUnit
    periods: tuple[SchedulePeriod, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseSupply:
    """What the hardware gives one EVSE, and what runs there (`started_at`: aware UTC)."""

    max_amps: float
    phases: int
    transaction_id: str | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSupply:
    """What profiles are evaluated against. `voltage_v` nominal, never measured; `max_amps` None = no limit."""

    evses: Mapping[int, EvseSupply]
    voltage_v: float = 230.0
    max_amps: float | None = None
    least_amps: float = MIN_AMPS

    @property
    def phases(self) -> int:
        """The most phases that any EVSE uses."""
        return max((evse.phases for evse in self.evses.values()), default=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bound:
    """One upper bound. `rate`, `unit`: as it was given; `amps`: exact; `phases`: what `rate` in W counts."""

    amps: float
    rate: float
    unit: RateUnit
    phases: int
    least_amps: float = MIN_AMPS
    source: InstalledProfile | None = None
    told_phases: int | None = None

    def watts(self, volts: float) -> float:
        return self.rate if self.unit is RateUnit.WATTS else self.amps * volts * self.phases


_Found = tuple[_Bound | None, int | None]
"""A bound or none, and until when that is sure (None = for ever)."""


# --- at one moment --------------------------------------------------------------------------------


def evse_limit(book: ProfileBook, site: SiteSupply, evse: int, now: datetime) -> ProfileLimit:
    """TxProfile, else TxDefaultProfile, of one EVSE."""
    return _as_limit(_Stacks.of(book, site, evse).charging(site, posix(now)))


def station_limit(book: ProfileBook, site: SiteSupply, now: datetime) -> ProfileLimit:
    """ChargingStationMaxProfile."""
    stack = book.stack(Purpose.STATION_MAX, 0)
    return _as_limit(_prevailing(stack, posix(now), None, site.phases, site.voltage_v))


def _as_limit(found: _Found) -> ProfileLimit:
    bound, until = found
    ends = None
    if until is not None and until < LAST_S:
        ends = datetime.fromtimestamp(until, UTC)
    if bound is None or bound.source is None:
        return ProfileLimit(until=ends)
    return ProfileLimit(
        amps=floor_tenths(bound.amps),
        phases=bound.told_phases,
        least_amps=bound.least_amps,
        until=ends,
        profile_id=bound.source.profile.id,
        purpose=bound.source.profile.purpose,
    )


def posix(at: datetime) -> int:
    """Whole seconds."""
    return floor(at.timestamp())


# --- one profile, one stack -------------------------------------------------------------------------


def period_at(
    installed: InstalledProfile, at: int, origin: int | None
) -> tuple[SchedulePeriod | None, int | None]:
    """The period that applies and until when that is sure. `origin`: of Relative ones, None = installation."""
    profile, schedule = installed.profile, installed.profile.schedule
    if profile.valid_from is not None and at < posix(profile.valid_from):
        return None, posix(profile.valid_from)
    ends = None if profile.valid_to is None else posix(profile.valid_to)
    if ends is not None and at >= ends:
        return None, None
    if profile.kind is ProfileKind.RELATIVE or schedule.start is None:
        begin = posix(installed.installed_at) if origin is None else origin
    else:
        begin = posix(schedule.start)
    if at < begin:
        return None, begin
    length, following = schedule.duration_s, None
    if profile.kind is ProfileKind.RECURRING and profile.recurrency is not None:
        around = profile.recurrency.seconds
        begin += (at - begin) // around * around
        length, following = min(around if length is None else length, around), begin + around
    if length is not None:
        if at - begin >= length:
            return None, _earlier(following, ends)
        ends = _earlier(ends, begin + length)
    place = bisect_right(schedule.periods, at - begin, key=lambda period: period.start_s)
    if place < len(schedule.periods):
        ends = _earlier(ends, begin + schedule.periods[place].start_s)
    return schedule.periods[place - 1], ends


def _prevailing(
    stack: Sequence[InstalledProfile], at: int, origin: int | None, phases: int, volts: float
) -> _Found:
    until: int | None = None
    for installed in stack:
        period, change = period_at(installed, at, origin)
        until = _earlier(until, change)
        if period is not None:
            return _bound(installed, period, phases, volts), until
    return None, until


def _bound(
    installed: InstalledProfile, period: SchedulePeriod, phases: int, volts: float
) -> _Bound:
    """A rate per phase (R16-SC-6).

    Watts are for all phases together, so they are divided by numberPhases (absent = 3), and by the phases
    in use if these are more, because nothing switches a phase off. Amps are taken as they are.
    """
    schedule, told = installed.profile.schedule, period.number_phases or ASSUMED_PHASES
    watts = schedule.rate_unit is RateUnit.WATTS
    counted = max(told, phases) if watts else min(told, phases)
    per_amp = volts * counted if watts else 1.0
    least = (schedule.min_charging_rate or 0.0) / per_amp
    return _Bound(
        amps=period.limit / per_amp,
        rate=period.limit,
        unit=schedule.rate_unit,
        phases=counted,
        least_amps=max(MIN_AMPS, least),
        source=installed,
        told_phases=period.number_phases,
    )


def _earlier(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


# --- over time ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stacks:
    """The profiles of one EVSE. `origin`: of its Relative ones; None = as if a transaction started now."""

    evse: int
    supply: EvseSupply
    tx: tuple[InstalledProfile, ...]
    tx_default: tuple[InstalledProfile, ...]
    origin: int | None

    @classmethod
    def of(cls, book: ProfileBook, site: SiteSupply, evse: int) -> _Stacks:
        supply = site.evses[evse]
        running, started = supply.transaction_id, supply.started_at
        return cls(
            evse=evse,
            supply=supply,
            tx=book.stack(Purpose.TX, evse, running) if running is not None else (),
            tx_default=book.stack(Purpose.TX_DEFAULT, evse),
            origin=posix(started) if running is not None and started is not None else None,
        )

    def charging(self, site: SiteSupply, at: int) -> _Found:
        """TxProfile, else TxDefaultProfile."""
        origin, phases = at if self.origin is None else self.origin, self.supply.phases
        bound, until = _prevailing(self.tx, at, origin, phases, site.voltage_v)
        if bound is not None:
            return bound, until
        bound, later = _prevailing(self.tx_default, at, origin, phases, site.voltage_v)
        return bound, _earlier(until, later)

    def assuming_start(self, at: int) -> _Stacks:
        """If nothing runs: as if a transaction started at that moment."""
        return replace(self, origin=at) if self.origin is None else self


_Value = tuple[float, int]
"""A rate in the wanted unit and its number of phases."""


@dataclass(slots=True, kw_only=True)
class CompositeWalk:
    """Makes a composite schedule step by step, so that a long one can be made in slices."""

    book: ProfileBook
    site: SiteSupply
    evse: int
    start: datetime
    duration_s: int
    rate_unit: RateUnit
    most_periods: int = 1440
    _stacks: list[_Stacks] = field(init=False)
    _station: tuple[InstalledProfile, ...] = field(init=False)
    _begin: int = field(init=False)
    _at: int | None = field(init=False)
    _ends: int = field(init=False)
    _steps: int = field(init=False, default=0)
    _periods: list[SchedulePeriod] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._begin = self._at = posix(self.start)
        self._ends = self._begin + self.duration_s
        self._station = self.book.stack(Purpose.STATION_MAX, 0)
        evses = self.site.evses if self.evse == 0 else (self.evse,)
        self._stacks = [
            _Stacks.of(self.book, self.site, evse).assuming_start(self._begin) for evse in evses
        ]

    def advance(self, steps: int) -> bool:
        """Look at so many moments; True = ready."""
        for _ in range(steps):
            at = self._at
            if at is None or (at >= self._ends and self._periods):
                return True
            (rate, phases), until = self._value(at)
            last = self._periods[-1] if self._periods else None
            if last is None or (last.limit, last.number_phases) != (rate, phases):
                if len(self._periods) >= self.most_periods:
                    self._ends, self._at = at, None
                    return True
                self._periods.append(
                    SchedulePeriod(start_s=at - self._begin, limit=rate, number_phases=phases)
                )
            self._at, self._steps = until, self._steps + 1
            if self._steps >= MOST_STEPS and until is not None:
                self._ends, self._at = min(self._ends, until), None
        return self._at is None

    def result(self) -> CompositeSchedule:
        """The schedule; it ends early if it would have more periods than may be told."""
        return CompositeSchedule(
            evse=self.evse,
            start=datetime.fromtimestamp(self._begin, UTC),
            duration_s=self._ends - self._begin,
            rate_unit=self.rate_unit,
            periods=tuple(self._periods),
        )

    def _value(self, at: int) -> tuple[_Value, int | None]:
        site = self.site
        station, until = _prevailing(self._station, at, None, site.phases, site.voltage_v)
        values: list[tuple[float, _Value]] = []
        for stacks in self._stacks:
            bound, change = stacks.charging(site, at)
            until = _earlier(until, change)
            above = [self._hardware(stacks.supply), *([station] if self.evse and station else [])]
            values.append(self._least([bound, *above], stacks.supply.phases))
        if self.evse:
            return values[0][1], until
        amps = sum(a for a, _ in values)
        rate, phases = sum(v[0] for _, v in values), max((v[1] for _, v in values), default=1)
        total = (amps, (round(rate, 1), phases))
        if site.max_amps is not None and site.max_amps < amps:
            total = self._least([self._amps(site.max_amps, site.phases)], site.phases)
        if station is not None and floor_tenths(station.amps) <= total[0]:
            total = self._least([station], site.phases)
        return total[1], until

    def _least(self, bounds: Sequence[_Bound | None], phases: int) -> tuple[float, _Value]:
        """The lowest bound as (amps, (rate in the wanted unit, phases)); below the least rate nothing."""
        known = [bound for bound in bounds if bound is not None]
        lowest = min(known, key=lambda bound: bound.amps)
        amps = floor_tenths(lowest.amps)
        if amps < max(bound.least_amps for bound in known):
            return 0.0, (0.0, lowest.phases)
        if self.rate_unit is RateUnit.AMPS:
            return amps, (amps, min(lowest.phases, phases))
        return amps, (floor_tenths(lowest.watts(self.site.voltage_v)), lowest.phases)

    def _hardware(self, supply: EvseSupply) -> _Bound:
        most = self.site.max_amps
        amps = supply.max_amps if most is None else min(supply.max_amps, most)
        return self._amps(amps, supply.phases)

    def _amps(self, amps: float, phases: int) -> _Bound:
        return _Bound(amps=amps, rate=amps, unit=RateUnit.AMPS, phases=phases)
