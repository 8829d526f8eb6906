"""The charging profiles that are installed: what replaces what, what a filter clears, which apply where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from controller.core.charging_profile import (
    ChargingProfile,
    ProfileKind,
    ProfileRules,
    Purpose,
    problem_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledProfile:
    """A profile and where it applies. `evse` 0 = the station, or (TxDefaultProfile) all EVSEs.

    `installed_at` (aware UTC, whole seconds): the origin of what has no other.
    """

    evse: int
    profile: ChargingProfile
    installed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileFilter:
    """Which profiles to clear: all fields that are given must match; `profile_id` alone decides (R16-SC-9)."""

    profile_id: int | None = None
    evse: int | None = None
    purpose: Purpose | None = None
    stack_level: int | None = None

    def matches(self, installed: InstalledProfile) -> bool:
        """This one is meant."""
        profile = installed.profile
        if self.profile_id is not None:
            return profile.id == self.profile_id
        return (
            self.evse in (None, installed.evse)
            and self.purpose in (None, profile.purpose)
            and self.stack_level in (None, profile.stack_level)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The book after a request, and what differs: ids that went, and what came."""

    book: ProfileBook
    removed: tuple[int, ...] = ()
    added: InstalledProfile | None = None


@dataclass(frozen=True, slots=True)
class ProfileBook:
    """All installed profiles; a change makes a new book."""

    installed: tuple[InstalledProfile, ...] = ()

    def install(
        self, evse: int, profile: ChargingProfile, now: datetime, rules: ProfileRules
    ) -> Change | str:
        """Add or replace (R16-SC-1, R16-SC-2); a text = why not, and nothing changes."""
        problem = problem_of(profile, rules) or _misplaced(evse, profile.purpose)
        if problem is not None:
            return problem
        new = _anchored(evse, profile.whole(), now.replace(microsecond=0))
        kept = tuple(old for old in self.installed if not _replaces(new, old))
        if len(kept) >= rules.max_installed:
            return f"there are {len(kept)} profiles already, and no more than that may be installed"
        stack = [i for i in kept if (i.evse, i.profile.purpose) == (evse, profile.purpose)]
        if len(stack) >= max(rules.max_stack_level, 1):
            return f"there are {len(stack)} profiles of this purpose already"
        return Change(book=ProfileBook((*kept, new)), removed=self._gone(kept), added=new)

    def clear(self, which: ProfileFilter) -> Change:
        """Remove all that match."""
        return self._only(i for i in self.installed if not which.matches(i))

    def keep_transactions(self, running: Iterable[str]) -> Change:
        """Remove the TxProfiles of all other transactions (R16-SC-7)."""
        ids = set(running)
        return self._only(
            i
            for i in self.installed
            if i.profile.purpose is not Purpose.TX or i.profile.transaction_id in ids
        )

    def stack(
        self, purpose: Purpose, evse: int, transaction_id: str | None = None
    ) -> tuple[InstalledProfile, ...]:
        """What applies there, the highest level first.

        A TxDefaultProfile of one EVSE stands there in the place of the general one of the same level.
        """
        found = [
            i
            for i in self.installed
            if i.profile.purpose is purpose
            and (purpose is not Purpose.TX or i.profile.transaction_id == transaction_id)
        ]
        own = [i for i in found if i.evse == evse]
        if purpose is Purpose.TX_DEFAULT and evse != 0:
            levels = {i.profile.stack_level for i in own}
            own += [i for i in found if i.evse == 0 and i.profile.stack_level not in levels]
        return tuple(sorted(own, key=lambda i: -i.profile.stack_level))

    def _only(self, kept: Iterable[InstalledProfile]) -> Change:
        remaining = tuple(kept)
        return Change(book=ProfileBook(remaining), removed=self._gone(remaining))

    def _gone(self, kept: tuple[InstalledProfile, ...]) -> tuple[int, ...]:
        ids = {i.profile.id for i in kept}
        return tuple(i.profile.id for i in self.installed if i.profile.id not in ids)


def _misplaced(evse: int, purpose: Purpose) -> str | None:
    if purpose is Purpose.STATION_MAX and evse != 0:
        return f"a {purpose} belongs to the whole station (0)"
    if purpose is Purpose.TX and evse == 0:
        return f"a {purpose} belongs to one EVSE, not to 0"
    return None


def _anchored(evse: int, profile: ChargingProfile, now: datetime) -> InstalledProfile:
    """A missing start is the moment of the installation (R16-SC-4)."""
    if profile.kind is not ProfileKind.RELATIVE and profile.schedule.start is None:
        profile = replace(profile, schedule=replace(profile.schedule, start=now))
    return InstalledProfile(evse=evse, profile=profile, installed_at=now)


def _replaces(new: InstalledProfile, old: InstalledProfile) -> bool:
    a, b = new.profile, old.profile
    if a.id == b.id:
        return True
    same_place = (new.evse, a.purpose, a.stack_level) == (old.evse, b.purpose, b.stack_level)
    return same_place and a.transaction_id == b.transaction_id
