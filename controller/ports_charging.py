"""Ports of smart charging: what a backend does with charging profiles, and what they mean for the supply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from controller.core.charging_profile import ChargingProfile, RateUnit
from controller.core.charging_profile_book import InstalledProfile, ProfileFilter
from controller.core.composite import CompositeSchedule, ProfileLimit
from controller.core.model import RequestStatus, Transaction

__all__ = [
    "ChargingProfiles",
    "CompositeSchedule",
    "ProfileFilter",
    "ProfileLimit",
    "ProfileLimits",
    "ProfileStore",
    "TransactionProfiles",
]


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


class ChargingProfiles(Protocol):
    """What a backend may do with charging profiles. What was accepted is durable."""

    def evses(self) -> tuple[int, ...]:
        """All EVSE ids, 1-based."""
        ...

    def transaction(self, evse: int) -> str | None:
        """Our id of the transaction that runs there."""
        ...

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


class ProfileStore(Protocol):
    """Installed profiles on disk."""

    async def load(self) -> list[InstalledProfile]:
        """All of them."""
        ...

    def change(self, removed: Sequence[int], added: InstalledProfile | None) -> Awaitable[None]:
        """Remove and add in one commit."""
        ...


class TransactionProfiles(ProfileLimits, Protocol):
    """What the station tells whoever keeps the profiles."""

    async def load(self, running: Callable[[int], Transaction | None]) -> None:
        """Read them. `running`: what runs on an EVSE, asked again and again."""
        ...

    def problem(self, profile: ChargingProfile) -> str | None:
        """Why this profile could not be installed anywhere; None = nothing is wrong with it."""
        ...

    async def begin(self, transaction: Transaction, profile: ChargingProfile) -> bool:
        """The transaction about to start has this TxProfile; False = it cannot have it (R16-AUTH-7)."""
        ...

    def transaction_changed(self) -> None:
        """A transaction began or ended somewhere."""
        ...

    async def run(self) -> None:
        """Tell when limits change with time; for ever."""
        ...
