"""Ports of smart charging: what a backend does with charging profiles, and what they mean for the supply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from controller.core.charging_profile import ChargingProfile, Purpose, RateUnit, SchedulePeriod
from controller.core.model import RequestStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileLimit:
    """What the profiles allow at one moment. `amps` per phase, in steps of 0.1; None = no limit.

    `phases` None = the profile does not say. Below `least_amps` charging pauses: it is 6, or more when a
    profile tells the least rate of the vehicle. `until` (aware UTC): when this may change; None = when
    somebody changes the profiles. `profile_id`: the profile that limits.
    """

    amps: float | None = None
    phases: int | None = None
    least_amps: float = 6.0
    until: datetime | None = None
    profile_id: int | None = None
    purpose: Purpose | None = None


class ProfileLimits(Protocol):
    """What the installed profiles allow now; evaluated at each call, so it is never stale."""

    def limit(self, evse: int) -> ProfileLimit:
        """TxProfile, else TxDefaultProfile of this EVSE, without the station's profile."""
        ...

    def station_limit(self) -> ProfileLimit:
        """ChargingStationMaxProfile: for the sum of all EVSEs, per phase."""
        ...

    def on_change(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` in the event loop whenever a limit may have changed; returns what ends it."""
        ...

    @property
    def next_change_at(self) -> datetime | None:
        """When the next limit changes by time alone (aware UTC); `changed` is called then."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileFilter:
    """Which profiles to clear: all fields that are given must match; `profile_id` alone decides (R16-SC-9)."""

    profile_id: int | None = None
    evse: int | None = None
    purpose: Purpose | None = None
    stack_level: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeSchedule:
    """What will be offered from `start` on (aware UTC, whole seconds), first period at 0 s (R16-SC-8)."""

    evse: int
    start: datetime
    duration_s: int
    rate_unit: RateUnit
    periods: tuple[SchedulePeriod, ...]


class ChargingProfiles(Protocol):
    """What a backend may do with charging profiles. What was accepted is durable."""

    async def install(self, evse: int, profile: ChargingProfile) -> RequestStatus:
        """Add or replace. A TxProfile without `transaction_id` belongs to the transaction that runs there."""
        ...

    async def clear(self, which: ProfileFilter) -> int:
        """Remove those that match; returns how many."""
        ...

    def problem(self, profile: ChargingProfile) -> str | None:
        """Why this profile could not be installed anywhere; None = nothing is wrong with it."""
        ...

    async def composite(
        self, evse: int, duration_s: int, rate_unit: RateUnit | None
    ) -> CompositeSchedule | None:
        """From now on. EVSE 0 = the whole station; None = there is no such EVSE."""
        ...
