"""A slow model of charging profiles, written another way than the product: times are walked, not calculated.

It knows one second at a time, in exact fractions. `offered` is what the pilot may say at that second.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from controller.core.charging_profile import ChargingProfile
from controller.core.charging_profile_book import InstalledProfile
from controller.core.composite import SiteSupply

VOLTS = 230


@dataclass
class Rate:
    """A limit of a schedule: `number` of "A" per phase or "W" in all, for `phases`."""

    number: Fraction
    unit: str
    phases: int
    least: Fraction = Fraction(6)

    @property
    def amps(self) -> Fraction:
        return self.number if self.unit == "A" else self.number / (VOLTS * self.phases)

    @property
    def watts(self) -> Fraction:
        return self.number if self.unit == "W" else self.number * VOLTS * self.phases


def rounds(profile: ChargingProfile, first: datetime, at: datetime) -> Iterable[datetime]:
    """All starts of the schedule up to `at`, one after the other."""
    start = first
    while start <= at:
        yield start
        if profile.kind != "Recurring":
            return
        start += timedelta(hours=24) if profile.recurrency == "Daily" else timedelta(days=7)


def says(
    installed: InstalledProfile, at: datetime, relative_to: datetime, phases: int
) -> Rate | None:
    """What one profile says at this second; None = nothing."""
    profile, schedule = installed.profile, installed.profile.schedule
    if profile.valid_from is not None and at < profile.valid_from:
        return None
    if profile.valid_to is not None and not at < profile.valid_to:
        return None
    first = relative_to if profile.kind == "Relative" else schedule.start
    assert first is not None
    said = None
    for start in rounds(profile, first.astimezone(UTC), at):
        said = None  # a new round: nothing is left of the last one
        if schedule.duration_s is not None and at >= start + timedelta(seconds=schedule.duration_s):
            continue
        for period in schedule.periods:
            if start + timedelta(seconds=period.start_s) <= at:
                said = period
    if said is None:
        return None
    number = Fraction(str(said.limit))
    told = said.number_phases if said.number_phases is not None else 3
    rate = Rate(
        number,
        schedule.rate_unit,
        max(told, phases) if schedule.rate_unit == "W" else min(told, phases),
    )
    if schedule.min_charging_rate is not None:
        least = Rate(Fraction(str(schedule.min_charging_rate)), rate.unit, rate.phases)
        rate.least = max(Fraction(6), least.amps)
    return rate


def loudest(
    profiles: Iterable[InstalledProfile], at: datetime, relative_to: datetime | None, phases: int
) -> Rate | None:
    """The highest level that says something."""
    best, level = None, -1
    for installed in profiles:
        heard = says(installed, at, relative_to or installed.installed_at, phases)
        if heard is not None and installed.profile.stack_level > level:
            best, level = heard, installed.profile.stack_level
    return best


def charging_rate(
    book: Iterable[InstalledProfile], site: SiteSupply, evse: int, at: datetime, now: datetime
) -> Rate | None:
    """TxProfile before TxDefaultProfile; what is for this EVSE before what is for all."""
    supply, book = site.evses[evse], list(book)
    running = supply.transaction_id is not None
    began = supply.started_at.replace(microsecond=0) if running and supply.started_at else now
    mine = [
        i for i in book
        if i.profile.purpose == "TxProfile" and i.evse == evse
        and running and i.profile.transaction_id == supply.transaction_id
    ]  # fmt: skip
    found = loudest(mine, at, began, supply.phases)
    if found is not None:
        return found
    defaults: dict[int, InstalledProfile] = {}
    for place in (0, evse):
        for i in book:
            if i.profile.purpose == "TxDefaultProfile" and i.evse == place:
                defaults[i.profile.stack_level] = i
    return loudest(defaults.values(), at, began, supply.phases)


def station_rate(book: Iterable[InstalledProfile], site: SiteSupply, at: datetime) -> Rate | None:
    """ChargingStationMaxProfile."""
    whole = [i for i in book if i.profile.purpose == "ChargingStationMaxProfile"]
    return loudest(whole, at, None, max(e.phases for e in site.evses.values()))


def tenths_down(number: Fraction) -> Fraction:
    return Fraction(number * 10 // 1, 10)


def offered(
    book: Iterable[InstalledProfile],
    site: SiteSupply,
    evse: int,
    at: datetime,
    now: datetime,
    unit: str,
) -> Fraction:
    """The composite limit of an EVSE at this second, in the wanted unit; 0 = paused."""
    book = list(book)
    supply = site.evses[evse]
    hardware = Rate(Fraction(str(supply.max_amps)), "A", supply.phases)
    bounds = [charging_rate(book, site, evse, at, now), hardware]
    if site.max_amps is not None:
        bounds.append(Rate(Fraction(str(site.max_amps)), "A", supply.phases))
    bounds.append(station_rate(book, site, at))
    known = [bound for bound in bounds if bound is not None]
    lowest = known[0]
    for bound in known[1:]:
        if bound.amps < lowest.amps:
            lowest = bound
    amps = tenths_down(lowest.amps)
    if amps < max(bound.least for bound in known):
        return Fraction(0)
    return amps if unit == "A" else tenths_down(lowest.watts)
