"""Which charging profiles are refused, what replaces what, and what a filter clears (R16-SC-1, 2, 5, 9)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

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
    problem_of,
)
from controller.core.charging_profile_book import Change, ProfileBook, ProfileFilter

NOW = datetime(2026, 11, 22, 12, 0, 0, 400_000, tzinfo=UTC)
RULES = ProfileRules()


def schedule(*periods: tuple[int, float], **more: Any) -> ChargingSchedule:
    values = {"rate_unit": RateUnit.AMPS, **more}
    return ChargingSchedule(
        periods=tuple(SchedulePeriod(start_s=s, limit=x) for s, x in periods or ((0, 10.0),)),
        **values,
    )


def profile(number: int = 1, **more: Any) -> ChargingProfile:
    values: dict[str, Any] = {
        "stack_level": 0,
        "purpose": Purpose.TX_DEFAULT,
        "kind": ProfileKind.ABSOLUTE,
        "schedule": schedule(),
        **more,
    }
    return ChargingProfile(id=number, **values)


def installed(book: ProfileBook, evse: int, new: ChargingProfile) -> ProfileBook:
    change = book.install(evse, new, NOW, RULES)
    assert isinstance(change, Change), change
    return change.book


def ids(book: ProfileBook) -> list[int]:
    return [i.profile.id for i in book.installed]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"stack_level": 21}, "stackLevel"),
        ({"stack_level": -1}, "stackLevel"),
        ({"kind": ProfileKind.RECURRING}, "recurrencyKind"),
        ({"valid_from": NOW, "valid_to": NOW}, "validTo"),
        ({"transaction_id": "tx"}, "transactionId"),
        ({"schedule": schedule((1, 10.0))}, "first startPeriod"),
        ({"schedule": schedule((0, 10.0), (60, 8.0), (30, 6.0))}, "rise"),
        ({"schedule": schedule((0, 10.0), (60, 8.0), (60, 6.0))}, "rise"),
        ({"schedule": schedule((0, -0.1))}, "limit"),
        ({"schedule": schedule((0, float("nan")))}, "limit"),
        ({"schedule": schedule((0, float("inf")))}, "limit"),
        ({"schedule": schedule(duration_s=0)}, "duration"),
        ({"schedule": schedule(min_charging_rate=-1.0)}, "minChargingRate"),
        ({"schedule": ChargingSchedule(rate_unit=RateUnit.AMPS, periods=())}, "1 to 1440"),
        ({"schedule": schedule(*((n, 6.0) for n in range(1441)))}, "1 to 1440"),
    ],
)
def test_r16_sc_5_what_cannot_be_followed_is_refused(changed: dict[str, Any], problem: str) -> None:
    found = problem_of(profile(**changed), RULES)
    assert found is not None and problem in found
    answer = ProfileBook().install(0, profile(**changed), NOW, RULES)
    assert answer == found


def test_what_the_limits_just_allow_is_taken() -> None:
    most = profile(stack_level=20, schedule=schedule(*((n, 6.0) for n in range(1440))))
    assert problem_of(most, RULES) is None
    assert (
        problem_of(profile(kind=ProfileKind.RECURRING, recurrency=Recurrency.DAILY), RULES) is None
    )


def test_an_id_must_fit_into_the_store() -> None:
    assert problem_of(profile(2**63 - 1), RULES) is None
    assert "chargingProfileId" in str(problem_of(profile(2**63), RULES))


def test_numbers_of_phases_and_units() -> None:
    period = SchedulePeriod(start_s=0, limit=6.0, number_phases=4)
    bad = profile(schedule=ChargingSchedule(rate_unit=RateUnit.AMPS, periods=(period,)))
    assert "numberPhases" in str(problem_of(bad, RULES))
    only_amps = ProfileRules(rate_units=frozenset({RateUnit.AMPS}))
    watts = profile(schedule=schedule(rate_unit=RateUnit.WATTS))
    assert problem_of(watts, only_amps) == "chargingRateUnit W is not supported"


def test_r16_sc_4_a_missing_start_is_now_or_refused() -> None:
    book = installed(ProfileBook(), 0, profile())
    assert book.installed[0].profile.schedule.start == NOW.replace(microsecond=0)
    strict = replace(RULES, start_may_be_missing=False)
    assert "startSchedule" in str(ProfileBook().install(0, profile(), NOW, strict))
    relative = profile(kind=ProfileKind.RELATIVE)
    assert isinstance(ProfileBook().install(0, relative, NOW, strict), Change)


def test_fractions_of_seconds_are_cut() -> None:
    book = installed(ProfileBook(), 0, profile(valid_from=NOW, valid_to=NOW + timedelta(seconds=1)))
    kept = book.installed[0]
    assert kept.installed_at.microsecond == 0
    assert kept.profile.valid_from == NOW.replace(microsecond=0)


def test_r16_sc_1_each_purpose_has_its_place() -> None:
    book = ProfileBook()
    station = profile(purpose=Purpose.STATION_MAX)
    tx = profile(purpose=Purpose.TX, transaction_id="tx")
    assert "whole station" in str(book.install(1, station, NOW, RULES))
    assert "one EVSE" in str(book.install(0, tx, NOW, RULES))
    for evse, fine in ((0, station), (1, tx), (0, profile()), (1, profile())):
        assert isinstance(book.install(evse, fine, NOW, RULES), Change)


def test_r16_sc_2_same_id_replaces_wherever_it_is() -> None:
    book = installed(ProfileBook(), 0, profile(1, stack_level=3))
    change = book.install(2, profile(1, stack_level=5), NOW, RULES)
    assert isinstance(change, Change)
    assert (ids(change.book), change.removed) == ([1], (1,))
    assert change.book.installed[0].evse == 2


def test_r16_sc_2_same_purpose_level_and_place_replaces() -> None:
    book = installed(ProfileBook(), 1, profile(1, stack_level=3))
    change = book.install(1, profile(2, stack_level=3), NOW, RULES)
    assert isinstance(change, Change)
    assert (ids(change.book), change.removed) == ([2], (1,))
    for evse, level, purpose in (
        (1, 4, Purpose.TX_DEFAULT),
        (2, 3, Purpose.TX_DEFAULT),
        (0, 3, Purpose.TX_DEFAULT),
        (0, 3, Purpose.STATION_MAX),
    ):
        other = profile(2, stack_level=level, purpose=purpose)
        assert ids(installed(book, evse, other)) == [1, 2]


def test_r16_sc_2_no_more_than_may_be_installed() -> None:
    rules = replace(RULES, max_installed=2)
    book = installed(installed(ProfileBook(), 0, profile(1)), 1, profile(2))
    assert "2 profiles" in str(book.install(2, profile(3), NOW, rules))
    replacing = book.install(1, profile(3), NOW, rules)
    assert isinstance(replacing, Change) and ids(replacing.book) == [1, 3]


def test_r16_sc_2_no_more_of_one_purpose_than_levels() -> None:
    rules = replace(RULES, max_stack_level=2)
    book = installed(installed(ProfileBook(), 1, profile(1)), 1, profile(2, stack_level=1))
    assert "of this purpose" in str(book.install(1, profile(3, stack_level=2), NOW, rules))
    assert isinstance(book.install(2, profile(3, stack_level=2), NOW, rules), Change)


def test_r16_sc_1_a_default_of_one_evse_stands_in_for_the_general_one_of_its_level() -> None:
    book = installed(ProfileBook(), 0, profile(1, stack_level=1))
    book = installed(book, 0, profile(2, stack_level=2))
    book = installed(book, 1, profile(3, stack_level=1))
    stack = {n: [i.profile.id for i in book.stack(Purpose.TX_DEFAULT, n)] for n in (0, 1, 2)}
    assert stack == {0: [2, 1], 1: [2, 3], 2: [2, 1]}


def _three() -> ProfileBook:
    book = installed(ProfileBook(), 0, profile(1, stack_level=1))
    book = installed(book, 1, profile(2, stack_level=1))
    return installed(book, 0, profile(3, stack_level=2, purpose=Purpose.STATION_MAX))


@pytest.mark.parametrize(
    ("which", "left"),
    [
        (ProfileFilter(), []),
        (ProfileFilter(profile_id=2), [1, 3]),
        (ProfileFilter(profile_id=2, evse=0, stack_level=9), [1, 3]),
        (ProfileFilter(profile_id=9), [1, 2, 3]),
        (ProfileFilter(evse=0), [2]),
        (ProfileFilter(stack_level=1), [3]),
        (ProfileFilter(purpose=Purpose.TX_DEFAULT), [3]),
        (ProfileFilter(purpose=Purpose.TX_DEFAULT, evse=1), [1, 3]),
        (ProfileFilter(purpose=Purpose.TX_DEFAULT, stack_level=2), [1, 2, 3]),
    ],
)
def test_r16_sc_9_what_a_filter_clears(which: ProfileFilter, left: list[int]) -> None:
    change = _three().clear(which)
    assert ids(change.book) == left
    assert sorted((*left, *change.removed)) == [1, 2, 3]


def test_r16_sc_7_profiles_of_transactions_go_with_them() -> None:
    book = installed(_three(), 1, profile(4, purpose=Purpose.TX, transaction_id="a"))
    book = installed(book, 2, profile(5, purpose=Purpose.TX, transaction_id="b"))
    change = book.keep_transactions(["b"])
    assert (ids(change.book), change.removed) == ([1, 2, 3, 5], (4,))
    assert book.stack(Purpose.TX, 1, "b") == ()
