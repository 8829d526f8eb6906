"""Charging profiles in OCPP 2.x words: what a backend may install, and what makes one invalid.

All times are whole seconds, aware UTC: fractions are cut when a profile is made (`whole`), so that a
composite schedule, which counts in whole seconds, says exactly what happens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

DAY_S = 86_400
_IDS = 2**63
"""What the store can keep as a number."""


class Purpose(StrEnum):
    """ChargingProfilePurposeEnumType (1.6 says ChargePointMaxProfile for the first)."""

    STATION_MAX = "ChargingStationMaxProfile"
    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"


class ProfileKind(StrEnum):
    """ChargingProfileKindEnumType: what the periods are counted from."""

    ABSOLUTE = "Absolute"
    RECURRING = "Recurring"
    RELATIVE = "Relative"


class Recurrency(StrEnum):
    """RecurrencyKindEnumType: every 24 hours or 7 days, counted in UTC (1.6 errata 3.79)."""

    DAILY = "Daily"
    WEEKLY = "Weekly"

    @property
    def seconds(self) -> int:
        """How long one round is; a local day that daylight saving makes longer or shorter is no other round."""
        return DAY_S if self is Recurrency.DAILY else 7 * DAY_S


class RateUnit(StrEnum):
    """ChargingRateUnitEnumType: amps per phase, or watts in total."""

    AMPS = "A"
    WATTS = "W"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePeriod:
    """From `start_s` (seconds since the start of the schedule) at most `limit` (unit of the schedule)."""

    start_s: int
    limit: float
    number_phases: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingSchedule:
    """Limits over time. `start` None = counted from something else; `duration_s` None = no end."""

    rate_unit: RateUnit
    periods: tuple[SchedulePeriod, ...]
    start: datetime | None = None
    duration_s: int | None = None
    min_charging_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingProfile:
    """One profile as the backend sent it. `transaction_id`: ours, of a TxProfile."""

    id: int
    stack_level: int
    purpose: Purpose
    kind: ProfileKind
    schedule: ChargingSchedule
    recurrency: Recurrency | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    transaction_id: str | None = None

    def whole(self) -> ChargingProfile:
        """The same with all times cut to whole seconds."""
        return replace(
            self,
            valid_from=whole_second(self.valid_from),
            valid_to=whole_second(self.valid_to),
            schedule=replace(self.schedule, start=whole_second(self.schedule.start)),
        )


def whole_second(at: datetime | None) -> datetime | None:
    """Without the fraction."""
    return None if at is None else at.replace(microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRules:
    """What this station takes (R16-SC-2), and whether a start may be missing (R16-SC-4)."""

    max_stack_level: int = 20
    max_periods: int = 1440
    max_installed: int = 100
    rate_units: frozenset[RateUnit] = frozenset(RateUnit)
    start_may_be_missing: bool = True


def problem_of(profile: ChargingProfile, rules: ProfileRules) -> str | None:
    """Why this profile cannot be installed anywhere, in a few words; None = nothing is wrong with it."""
    schedule = profile.schedule
    if abs(profile.id) >= _IDS:
        return "chargingProfileId is too large"
    if not 0 <= profile.stack_level <= rules.max_stack_level:
        return f"stackLevel must be 0 to {rules.max_stack_level}"
    if schedule.rate_unit not in rules.rate_units:
        return f"chargingRateUnit {schedule.rate_unit} is not supported"
    if profile.kind is ProfileKind.RECURRING and profile.recurrency is None:
        return "a Recurring profile needs recurrencyKind"
    anchored = profile.kind is ProfileKind.RELATIVE or schedule.start is not None
    if not anchored and not rules.start_may_be_missing:
        return f"{profile.kind} needs startSchedule"
    if profile.valid_from and profile.valid_to and profile.valid_to <= profile.valid_from:
        return "validTo must be after validFrom"
    if profile.transaction_id is not None and profile.purpose is not Purpose.TX:
        return "transactionId is for a TxProfile only"
    return _problem_of_schedule(schedule, rules)


def _problem_of_schedule(schedule: ChargingSchedule, rules: ProfileRules) -> str | None:
    periods, least = schedule.periods, schedule.min_charging_rate
    if not 1 <= len(periods) <= rules.max_periods:
        return f"chargingSchedulePeriod must have 1 to {rules.max_periods} members"
    if periods[0].start_s != 0:
        return "the first startPeriod must be 0"
    if any(b.start_s <= a.start_s for a, b in pairwise(periods)):
        return "startPeriod must rise from period to period"
    if schedule.duration_s is not None and schedule.duration_s <= 0:
        return "duration must be more than 0"
    if any(not (math.isfinite(p.limit) and p.limit >= 0) for p in periods):
        return "limit must be 0 or more"
    if any(p.number_phases not in (None, 1, 2, 3) for p in periods):
        return "numberPhases must be 1 to 3"
    if least is not None and not (math.isfinite(least) and least >= 0):
        return "minChargingRate must be 0 or more"
    return None
