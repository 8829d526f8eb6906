"""The merge of charging profiles against a slow model, over random sets (R16-SC-1 to R16-SC-6, R16-SC-8)."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest

from controller.core.charging_profile import (
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    ProfileRules,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from controller.core.charging_profile_book import Change, ProfileBook
from controller.core.composite import (
    CompositeSchedule,
    CompositeWalk,
    EvseSupply,
    SiteSupply,
    evse_limit,
    station_limit,
)
from tests.property.profile_reference import (
    charging_rate,
    offered,
    station_rate,
    tenths_down,
)

SETS = 1040
DAY_S = 86_400
MOMENTS = (
    datetime(2026, 6, 17, 12, 0, tzinfo=UTC),
    datetime(2026, 3, 29, 1, 0, tzinfo=UTC),  # summer time begins in Europe
    datetime(2026, 10, 25, 1, 0, tzinfo=UTC),  # and ends
    datetime(2026, 11, 1, 6, 0, tzinfo=UTC),  # ends in America
    datetime(2026, 1, 31, 23, 59, 30, tzinfo=UTC),
    datetime(2026, 2, 28, 23, 0, tzinfo=UTC),
    datetime(2028, 2, 29, 0, 0, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
)
ZONES = (
    UTC,
    timezone(timedelta(hours=1)),
    timezone(timedelta(hours=2)),
    timezone(-timedelta(hours=5)),
)


class Chance(random.Random):
    """Draws profiles whose edges lie near one moment, so that they meet."""

    def span(self, scale: int) -> int:
        return self.choice((0, 1, scale, scale * self.randint(0, 5), self.randint(0, 6 * scale)))

    def maybe(self, value: object, odds: float = 0.5) -> object:
        return value if self.random() < odds else None

    def near(self, moment: datetime, scale: int, days: int = 0) -> datetime:
        shift = timedelta(seconds=self.choice((-1, 1)) * self.span(scale), days=-days)
        return (moment + shift).astimezone(self.choice(ZONES))

    def schedule(self, moment: datetime, kind: ProfileKind, scale: int) -> ChargingSchedule:
        unit = self.choice((RateUnit.AMPS, RateUnit.AMPS, RateUnit.WATTS))
        starts = sorted({0, *(self.span(scale) for _ in range(self.randint(0, 5)))})
        if self.random() < 0.1:
            starts.append(self.choice((DAY_S - scale, DAY_S, DAY_S + scale, 8 * DAY_S)))
        back = 0
        if kind is ProfileKind.RECURRING:
            back = self.choice((0, 1, 6, 7, 8, 35))
        rates = (0.0, 5.9, 6.0, 6.1, 8.5, 10.0, 13.3, 15.9, 16.0, 20.0, 32.0, 48.0)
        return ChargingSchedule(
            rate_unit=unit,
            start=self.near(moment, scale, back) if kind is not ProfileKind.RELATIVE else None,
            duration_s=self.choice((None, scale, self.span(scale) or 1, DAY_S, 2 * DAY_S, 7 * DAY_S)),
            min_charging_rate=(7.5 if unit is RateUnit.AMPS else 3000.0) if self.random() < 0.1 else None,
            periods=tuple(
                SchedulePeriod(
                    start_s=start,
                    limit=self.choice(rates) * (1 if unit is RateUnit.AMPS else 690),
                    number_phases=self.choice((None, None, 1, 2, 3)),
                )
                for start in dict.fromkeys(starts)
            ),
        )  # fmt: skip

    def profile(self, number: int, moment: datetime, scale: int) -> tuple[int, ChargingProfile]:
        purpose = self.choice(
            (Purpose.TX_DEFAULT, Purpose.TX_DEFAULT, Purpose.TX, Purpose.STATION_MAX)
        )
        kind = self.choice(tuple(ProfileKind))
        evse = {Purpose.STATION_MAX: 0, Purpose.TX: self.randint(1, 2)}.get(
            purpose, self.randint(0, 2)
        )
        lasts = timedelta(seconds=1 + self.span(scale))
        begins = self.near(moment, scale) if self.random() < 0.3 else None
        ends = (begins or self.near(moment, scale)) + lasts if self.random() < 0.3 else None
        return evse, ChargingProfile(
            id=number,
            stack_level=self.randint(0, 3),
            purpose=purpose,
            kind=kind,
            recurrency=self.choice(tuple(Recurrency)) if kind is ProfileKind.RECURRING else None,
            valid_from=begins,
            valid_to=ends,
            transaction_id=f"tx-{evse}" if purpose is Purpose.TX else None,
            schedule=self.schedule(moment, kind, scale),
        )

    def world(self, seed: int) -> tuple[ProfileBook, SiteSupply, datetime, int]:
        moment, scale = self.choice(MOMENTS), self.choice((3, 20, 900, 3600))
        now = moment + timedelta(seconds=self.choice((0, 0.4, 1, scale / 2)))
        book = ProfileBook()
        for number in range(self.randint(1, 8)):
            installed_at = now - timedelta(seconds=self.span(scale))
            change = book.install(
                *self.profile(number, moment, scale), installed_at, ProfileRules()
            )
            assert isinstance(change, Change), change
            book = change.book
        evses = {
            evse: EvseSupply(max_amps=self.choice((16.0, 32.0)), phases=phases)
            for evse, phases in ((1, self.choice((1, 3))), (2, 3))
        }
        for evse in (1, 2):
            if self.random() < 0.7:
                started = now - timedelta(seconds=self.span(scale), microseconds=1)
                evses[evse] = replace(
                    evses[evse], transaction_id=f"tx-{evse}", started_at=started
                )  # fmt: skip
        site = SiteSupply(evses=evses, max_amps=self.choice((None, 25.0)))
        return book, site, now, scale


def composite(
    book: ProfileBook, site: SiteSupply, evse: int, now: datetime, duration_s: int, unit: RateUnit
) -> CompositeSchedule:
    walk = CompositeWalk(
        book=book, site=site, evse=evse, start=now, duration_s=duration_s, rate_unit=unit
    )  # fmt: skip
    while not walk.advance(7):
        pass
    return walk.result()


def moments_of(
    book: ProfileBook, schedule: CompositeSchedule, window_s: int, chance: Chance
) -> list[int]:
    """Every second of a short window; of a long one all edges of anything and their neighbours, and more."""
    if window_s <= 120:
        return list(range(window_s))
    edges = {0, window_s - 1, *(period.start_s for period in schedule.periods)}
    for installed in book.installed:
        profile = installed.profile
        times = [
            profile.valid_from,
            profile.valid_to,
            profile.schedule.start,
            installed.installed_at,
        ]
        for at in times:
            if at is not None:
                edges.add(int((at - schedule.start).total_seconds()) % DAY_S)
                edges.add(int((at - schedule.start).total_seconds()))
        edges |= {p.start_s for p in profile.schedule.periods}
    near = {edge + d for edge in edges for d in (-1, 0, 1)}
    near |= {chance.randrange(window_s) for _ in range(20)}
    inside = sorted(second for second in near if 0 <= second < window_s)
    return chance.sample(inside, min(len(inside), 40))


def at_second(schedule: CompositeSchedule, second: int) -> Fraction:
    last = [period for period in schedule.periods if period.start_s <= second][-1]
    return Fraction(str(last.limit))


@pytest.mark.parametrize("block", range(8))
def test_composites_and_limits_equal_the_slow_model(block: int) -> None:
    """At every second looked at: composite in A and W, and what is granted at that moment, are the model's."""
    looked = 0
    for seed in range(block * SETS // 8, (block + 1) * SETS // 8):
        chance = Chance(seed)
        book, site, now, scale = chance.world(seed)
        window_s = {3: 40, 20: 120, 900: DAY_S + 3600, 3600: 8 * DAY_S + 7}[scale]
        evse, unit = chance.randint(1, 2), chance.choice(tuple(RateUnit))
        schedule = composite(book, site, evse, now, window_s, unit)
        start = now.replace(microsecond=0)
        assert (schedule.start, schedule.duration_s) == (start, window_s)
        assert schedule.periods[0].start_s == 0
        for second in moments_of(book, schedule, window_s, chance):
            at = start + timedelta(seconds=second)
            expected = offered(book.installed, site, evse, at, start, unit.value)
            assert at_second(schedule, second) == expected, (seed, second)
            looked += 1
            if site.evses[evse].transaction_id is not None:
                own = charging_rate(book.installed, site, evse, at, start)
                limit = evse_limit(book, site, evse, at + timedelta(milliseconds=999))
                granted = None if limit.amps is None else Fraction(str(limit.amps))
                assert granted == (None if own is None else tenths_down(own.amps)), (seed, second)
                assert limit.until is None or limit.until > at
        assert all(
            a.start_s < b.start_s
            for a, b in zip(schedule.periods, schedule.periods[1:], strict=False)
        )
    assert looked > SETS / 8 * 25


def test_a_limit_is_sure_until_it_says() -> None:
    """Between now and `until` no second has another limit."""
    for number in range(150):
        chance = Chance(99_000 + number)
        book, site, now, scale = chance.world(number)
        if scale > 20:
            continue
        running = {
            n: replace(e, transaction_id=f"tx-{n}", started_at=now) for n, e in site.evses.items()
        }
        site = replace(site, evses=running)
        of_evse, of_station = evse_limit(book, site, 1, now), station_limit(book, site, now)
        for second in range(300):
            at = now.replace(microsecond=0) + timedelta(seconds=second)
            for limit, said in (
                (of_evse, charging_rate(book.installed, site, 1, at, now)),
                (of_station, station_rate(book.installed, site, at)),
            ):
                if limit.until is None or at < limit.until:
                    amps = None if said is None else tenths_down(said.amps)
                    assert (None if limit.amps is None else Fraction(str(limit.amps))) == amps
