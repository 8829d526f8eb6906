"""What profiles allow at one moment and over time: vectors made by hand (R16-SC-3 to R16-SC-8)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.core.charging_profile import (
    ChargingSchedule,
    ProfileKind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from controller.core.charging_profile_book import ProfileBook
from controller.core.composite import (
    MOST_STEPS,
    CompositeSchedule,
    CompositeWalk,
    EvseSupply,
    SiteSupply,
    evse_limit,
    station_limit,
)
from tests.unit.core.test_charging_profile import NOW, installed, profile, schedule

START = NOW.replace(microsecond=0)
HOUR = 3600
DAY = 24 * HOUR


def site(*, phases: int = 1, running: bool = True, evses: int = 1, **more: Any) -> SiteSupply:
    supply = EvseSupply(max_amps=16.0, phases=phases)
    if running:
        supply = EvseSupply(
            max_amps=16.0, phases=phases, transaction_id="tx", started_at=START - timedelta(seconds=60)
        )  # fmt: skip
    return SiteSupply(evses=dict.fromkeys(range(1, evses + 1), supply), **more)


def composite(
    book: ProfileBook,
    duration_s: int = DAY,
    *,
    evse: int = 1,
    unit: RateUnit = RateUnit.AMPS,
    supply: SiteSupply | None = None,
    **more: Any,
) -> CompositeSchedule:
    walk = CompositeWalk(
        book=book,
        site=supply or site(),
        evse=evse,
        start=NOW,
        duration_s=duration_s,
        rate_unit=unit,
        **more,
    )
    while not walk.advance(100):
        pass
    return walk.result()


def periods(schedule: CompositeSchedule) -> list[tuple[int, float]]:
    return [(p.start_s, p.limit) for p in schedule.periods]


def test_without_profiles_the_hardware_is_the_limit() -> None:
    empty = composite(ProfileBook())
    assert (empty.start, empty.duration_s) == (START, DAY)
    assert periods(empty) == [(0, 16.0)]
    assert periods(composite(ProfileBook(), unit=RateUnit.WATTS)) == [(0, 3680.0)]
    three = composite(ProfileBook(), unit=RateUnit.WATTS, supply=site(phases=3))
    assert [(p.limit, p.number_phases) for p in three.periods] == [(11_040.0, 3)]
    assert periods(composite(ProfileBook(), supply=site(max_amps=10.0))) == [(0, 10.0)]


def test_r16_sc_8_duration_zero_tells_the_present_value() -> None:
    book = installed(ProfileBook(), 0, profile())
    now = composite(book, 0)
    assert (now.duration_s, periods(now)) == (0, [(0, 10.0)])


def test_the_example_of_the_specification() -> None:
    """1.6 §3.13.7: 11 kW, between 08:00 and 20:00 6 kW, each day."""
    daily = profile(
        100,
        kind=ProfileKind.RECURRING,
        recurrency=Recurrency.DAILY,
        schedule=ChargingSchedule(
            rate_unit=RateUnit.WATTS,
            start=datetime(2013, 1, 1, tzinfo=UTC),
            duration_s=DAY,
            periods=tuple(
                SchedulePeriod(start_s=s, limit=w, number_phases=3)
                for s, w in ((0, 11_000.0), (8 * HOUR, 6000.0), (20 * HOUR, 11_000.0))
            ),
        ),
    )
    book = installed(ProfileBook(), 0, daily)
    watts = composite(book, unit=RateUnit.WATTS, supply=site(phases=3))
    assert periods(watts) == [(0, 6000.0), (8 * HOUR, 11_000.0), (20 * HOUR, 6000.0)]
    amps = composite(book, supply=site(phases=3))
    assert periods(amps) == [(0, 8.6), (8 * HOUR, 15.9), (20 * HOUR, 8.6)]


def test_r16_sc_5_when_the_duration_is_over_the_next_level_counts_and_then_nothing() -> None:
    book = installed(ProfileBook(), 0, profile(1, schedule=schedule(duration_s=200)))
    high = profile(2, stack_level=5, schedule=schedule((0, 6.0), (50, 8.0), duration_s=100))
    book = installed(book, 0, high)
    assert periods(composite(book, 1000)) == [(0, 6.0), (50, 8.0), (100, 10.0), (200, 16.0)]


def test_r16_sc_5_the_last_period_lasts_and_the_highest_level_never_falls_back() -> None:
    book = installed(ProfileBook(), 0, profile(1, schedule=schedule((0, 7.0))))
    book = installed(book, 0, profile(2, stack_level=1, schedule=schedule((0, 6.0), (50, 8.0))))
    assert periods(composite(book, 40 * DAY)) == [(0, 6.0), (50, 8.0)]


def test_r16_sc_3_valid_from_and_to() -> None:
    valid = {"valid_from": START + timedelta(seconds=10), "valid_to": START + timedelta(seconds=20)}
    book = installed(ProfileBook(), 0, profile(1, schedule=schedule((0, 6.0)), **valid))
    assert periods(composite(book, 60)) == [(0, 16.0), (10, 6.0), (20, 16.0)]


def test_r16_sc_3_a_tx_profile_beats_higher_defaults_and_the_station_is_the_minimum() -> None:
    book = installed(ProfileBook(), 0, profile(1, stack_level=9, schedule=schedule((0, 7.0))))
    ends = schedule((0, 12.0), duration_s=100)
    book = installed(book, 1, profile(2, purpose=Purpose.TX, transaction_id="tx", schedule=ends))
    assert periods(composite(book, 1000)) == [(0, 12.0), (100, 7.0)]
    assert periods(composite(book, 1000, supply=site(running=False))) == [(0, 7.0)]
    whole = profile(3, purpose=Purpose.STATION_MAX, schedule=schedule((0, 32.0), (50, 9.0)))
    book = installed(book, 0, whole)
    assert periods(composite(book, 1000)) == [(0, 12.0), (50, 9.0), (100, 7.0)]
    assert station_limit(book, site(), NOW).amps == 32.0
    assert evse_limit(book, site(), 1, NOW).amps == 12.0


@pytest.mark.parametrize(
    ("recurrency", "round_s"), [(Recurrency.DAILY, DAY), (Recurrency.WEEKLY, 7 * DAY)]
)
def test_r16_sc_4_recurring_repeats_at_the_time_of_its_start(
    recurrency: Recurrency, round_s: int
) -> None:
    """Not at midnight; 24 h and 7 d whatever the local clocks do, over the change of 2026-10-25."""
    start = datetime.fromisoformat("2026-10-18T03:30:00+02:00")
    again = profile(
        kind=ProfileKind.RECURRING,
        recurrency=recurrency,
        schedule=schedule((0, 6.0), (HOUR, 8.0), start=start, duration_s=2 * HOUR),
    )
    book = installed(ProfileBook(), 0, again)
    for n in range(30):
        at = start + n * timedelta(seconds=round_s)
        seen = [
            evse_limit(book, site(), 1, at + timedelta(seconds=s)).amps
            for s in (-1, 0, HOUR - 1, HOUR, 2 * HOUR - 1, 2 * HOUR)
        ]
        assert seen == [None, 6.0, 6.0, 8.0, 8.0, None]
    assert evse_limit(book, site(), 1, start - timedelta(seconds=1)).amps is None


def test_r16_sc_4_what_is_longer_than_a_round_is_cut() -> None:
    """E16 3.44: periods and duration beyond the recurrence are not executed."""
    again = profile(
        kind=ProfileKind.RECURRING,
        recurrency=Recurrency.DAILY,
        schedule=schedule(
            (0, 6.0), (HOUR, 8.0), (25 * HOUR, 10.0), start=START, duration_s=30 * HOUR
        ),
    )
    book = installed(ProfileBook(), 0, again)
    expected = [(0, 6.0), (HOUR, 8.0), (DAY, 6.0), (DAY + HOUR, 8.0)]
    assert periods(composite(book, 2 * DAY)) == expected


def test_r16_sc_4_relative_counts_from_the_transaction() -> None:
    relative = profile(kind=ProfileKind.RELATIVE, schedule=schedule((0, 6.0), (100, 8.0)))
    book = installed(ProfileBook(), 0, relative)
    assert periods(composite(book, 1000)) == [(0, 6.0), (40, 8.0)]
    assert periods(composite(book, 1000, supply=site(running=False))) == [(0, 6.0), (100, 8.0)]


def test_r16_sc_12_a_relative_station_profile_counts_from_its_installation() -> None:
    relative = schedule((0, 6.0), (100, 8.0))
    whole = profile(purpose=Purpose.STATION_MAX, kind=ProfileKind.RELATIVE, schedule=relative)
    book = installed(ProfileBook(), 0, whole)
    assert station_limit(book, site(), NOW + timedelta(seconds=99)).amps == 6.0
    assert station_limit(book, site(), NOW + timedelta(seconds=100)).amps == 8.0


@pytest.mark.parametrize(
    ("phases", "told", "watts", "amps"),
    [
        (1, 1, 2300.0, 10.0),
        (1, None, 6900.0, 10.0),
        (3, None, 6900.0, 10.0),
        (3, 3, 4140.0, 6.0),
        (1, 3, 6900.0, 10.0),
        (3, 1, 6900.0, 10.0),
        (3, 3, 4139.9, 0.0),
        (3, 3, 9999.0, 14.4),
    ],
)
def test_r16_sc_6_watts_become_amps_per_phase(
    phases: int, told: int | None, watts: float, amps: float
) -> None:
    """Nominal voltage; absent = 3; the total is kept when nothing can switch the other phases off."""
    period = SchedulePeriod(start_s=0, limit=watts, number_phases=told)
    book = installed(
        ProfileBook(),
        0,
        profile(schedule=ChargingSchedule(rate_unit=RateUnit.WATTS, periods=(period,))),
    )
    supply = site(phases=phases)
    assert periods(composite(book, supply=supply)) == [(0, amps)]
    told_back = composite(book, supply=supply, unit=RateUnit.WATTS).periods[0]
    assert told_back.limit == (watts if amps else 0.0)
    assert int(told_back.limit / (230 * (told_back.number_phases or 3)) * 10 + 1e-6) / 10 == amps


def test_r16_sc_6_amps_stay_as_they_are_however_many_phases_are_told() -> None:
    period = SchedulePeriod(start_s=0, limit=8.0, number_phases=3)
    alone = ChargingSchedule(rate_unit=RateUnit.AMPS, periods=(period,))
    book = installed(ProfileBook(), 0, profile(schedule=alone))
    assert periods(composite(book)) == [(0, 8.0)]
    in_watts = composite(book, unit=RateUnit.WATTS).periods[0]
    assert (in_watts.limit, in_watts.number_phases) == (1840.0, 1)


@pytest.mark.parametrize(("limit", "least", "told"), [(5.9, None, 0), (6.0, None, 6.0), (7.9, 8.0, 0), (8.0, 8.0, 8.0)])  # fmt: skip
def test_r16_sc_6_less_than_the_least_is_a_pause(
    limit: float, least: float | None, told: float
) -> None:
    book = installed(
        ProfileBook(), 0, profile(schedule=schedule((0, limit), min_charging_rate=least))
    )
    assert periods(composite(book)) == [(0, told)]
    seen = evse_limit(book, site(), 1, NOW)
    assert (seen.amps, seen.least_amps) == (limit, max(least or 6.0, 6.0))


def test_r16_sc_8_the_whole_station_expects_the_sum_below_its_own_limit() -> None:
    book = installed(ProfileBook(), 1, profile(1, schedule=schedule((0, 10.0), (60, 4.0))))
    supply = site(evses=2)
    assert periods(composite(book, 100, evse=0, supply=supply)) == [(0, 26.0), (60, 16.0)]
    watts = composite(book, 100, evse=0, supply=supply, unit=RateUnit.WATTS)
    assert periods(watts) == [(0, 5980.0), (60, 3680.0)]
    whole = profile(2, purpose=Purpose.STATION_MAX, schedule=schedule((0, 20.0)))
    book = installed(book, 0, whole)
    assert periods(composite(book, 100, evse=0, supply=supply)) == [(0, 20.0), (60, 16.0)]
    tight = site(evses=2, max_amps=18.0)
    assert periods(composite(book, 100, evse=0, supply=tight)) == [(0, 18.0), (60, 16.0)]


def test_a_composite_ends_early_rather_than_being_endless() -> None:
    minutes = tuple((60 * n, 6.0 + n % 2) for n in range(1440))
    again = profile(
        kind=ProfileKind.RECURRING,
        recurrency=Recurrency.DAILY,
        schedule=schedule(*minutes, start=START),
    )
    book = installed(ProfileBook(), 0, again)
    long = composite(book, 400 * DAY)
    assert (len(long.periods), long.duration_s) == (1440, DAY)
    quiet = profile(2, purpose=Purpose.STATION_MAX, schedule=schedule((0, 0.0)))
    looked = composite(installed(book, 0, quiet), 400 * DAY)
    assert (periods(looked), looked.duration_s) == ([(0, 0.0)], MOST_STEPS * 60)


def test_numbers_beyond_all_times_harm_nothing() -> None:
    far = schedule((0, 8.0), (10**15, 6.0), duration_s=10**30)
    book = installed(ProfileBook(), 0, profile(schedule=far))
    assert evse_limit(book, site(), 1, NOW).until is None
    assert periods(composite(book, 10**20)) == [(0, 8.0), (10**15, 6.0)]
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    book = installed(
        ProfileBook(), 0, profile(valid_to=last, valid_from=datetime.min.replace(tzinfo=UTC))
    )
    assert evse_limit(book, site(), 1, NOW).until is None
