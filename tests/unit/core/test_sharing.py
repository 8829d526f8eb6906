"""Sharing of the supply among EVSEs (DESIGN §1.7), on values alone."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest

from controller.core.fair_shares import Wish, fair_shares
from controller.core.sharing import Sharing
from controller.core.sharing_values import (
    NO_LIMIT,
    Asking,
    Grant,
    LimitedBy,
    Measured,
    Phases,
    Seen,
    lines_of,
)


@dataclass(slots=True, kw_only=True)
class Car:
    """A vehicle behind an obedient guard: follows its offer after a second."""

    takes_amps: float = 32.0
    lines: tuple[int, ...] = (0,)
    max_amps: float = 32.0
    profile_amps: float | None = None
    least_amps: float = 6.0
    here: bool = True
    asks_power: bool = True
    has_meter: bool = True
    obeys: bool = True
    offered_amps: float = 0.0
    draws_amps: float = 0.0
    since_s: float = 0.0
    on_s: float = 0.0
    offs: int = 0


@dataclass(slots=True)
class Site:
    """Cars by EVSE; a step a second. `sum_of_offers` is checked at each."""

    limit_amps: float
    cars: dict[int, Car]
    profile: Phases = NO_LIMIT
    now_s: float = 1000.0
    sharing: Sharing = field(default_factory=Sharing)
    grants: dict[int, Grant] = field(default_factory=dict)
    guard_at_s: float | None = None
    followed_s: float = 0.0
    """since when the vehicles have had time to follow the limit"""

    def limit(self, amps: float) -> None:
        self.limit_amps, self.followed_s = amps, self.now_s + 3.0

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.step()

    def step(self) -> None:
        self.now_s += 1.0
        for car in self.cars.values():
            if self.now_s - car.since_s >= 1.0 and (car.obeys or car.draws_amps == 0):
                power = car.asks_power and car.here
                car.draws_amps = min(car.takes_amps, car.offered_amps) if power else 0.0
                car.on_s += car.draws_amps > 0
        self.look()

    def look(self) -> None:
        site = (self.limit_amps, self.limit_amps, self.limit_amps)
        self.grants = self.sharing.step(
            [self._asking(evse, car) for evse, car in self.cars.items()],
            self.now_s,
            site=site,
            profile=self.profile,
        )
        for evse, car in self.cars.items():
            amps = self.grants[evse].amps if car.here else 0.0
            assert amps == 0 or amps >= 6
            if amps != car.offered_amps:
                car.offs += amps == 0
                car.offered_amps, car.since_s = amps, self.now_s
        for line in range(3):
            offers = sum(c.offered_amps for c in self.cars.values() if line in c.lines)
            drawn = sum(c.draws_amps for c in self.cars.values() if line in c.lines)
            assert offers <= min(self.limit_amps, self.profile[line]) + 1e-6
            if self.now_s >= self.followed_s and all(c.obeys for c in self.cars.values()):
                assert drawn <= self.limit_amps + 1e-6

    def _asking(self, evse: int, car: Car) -> Asking:
        at_s = self.now_s if self.guard_at_s is None else self.guard_at_s
        return Asking(
            evse=evse,
            lines=car.lines,
            max_amps=car.max_amps,
            profile_amps=car.profile_amps,
            least_amps=car.least_amps,
            wants=car.here,
            seen=Seen(
                at_s=at_s,
                offered_amps=car.offered_amps,
                permitted_amps=car.offered_amps,
                contactor_closed=car.draws_amps > 0,
            ),
            measured=Measured(at_s=self.now_s, amps=car.draws_amps) if car.has_meter else None,
        )

    def amps(self) -> list[float]:
        return [grant.amps for grant in self.grants.values()]

    def by(self, evse: int) -> LimitedBy:
        return self.grants[evse].by


def cars(count: int, **values: object) -> dict[int, Car]:
    return {n: Car(**values) for n in range(1, count + 1)}  # type: ignore[arg-type]


def test_without_a_limit_everybody_gets_its_own() -> None:
    site = Site(float("inf"), {1: Car(max_amps=16.0), 2: Car()})
    site.look()
    assert site.amps() == [16.0, 32.0]
    assert site.by(1) is LimitedBy.EVSE


def test_one_evse_gets_all_of_the_supply_at_once() -> None:
    site = Site(16.0, cars(1))
    site.look()
    assert site.amps() == [16.0]
    assert site.by(1) is LimitedBy.SUPPLY


def test_equal_shares() -> None:
    site = Site(20.0, cars(3))
    site.run(30)
    assert site.amps() == [6.6, 6.6, 6.6]
    assert site.by(1) is LimitedBy.SHARE


def test_what_one_cannot_use_the_others_get() -> None:
    site = Site(32.0, {1: Car(max_amps=10.0), 2: Car(profile_amps=7.0), 3: Car()})
    site.run(30)
    assert site.amps() == [10.0, 7.0, 15.0]
    assert [site.by(n) for n in (1, 2, 3)] == [
        LimitedBy.EVSE,
        LimitedBy.PROFILE,
        LimitedBy.SHARE,
    ]


def test_the_newcomer_waits_until_the_current_has_fallen() -> None:
    """DESIGN §1.7: what one car gives up is granted only after its current has fallen."""
    site = Site(16.0, {1: Car(), 2: Car(here=False)})
    site.run(20)
    site.cars[2].here = True
    site.look()
    assert site.amps() == [8.0, 0.0]
    assert site.by(2) is LimitedBy.HANDOVER
    while site.cars[1].draws_amps > 8.0:
        assert site.amps()[1] == 0.0
        site.step()
    site.run(3)
    assert site.amps() == [8.0, 8.0]


def test_a_vehicle_that_ignores_the_pilot_keeps_what_it_draws() -> None:
    site = Site(16.0, {1: Car(), 2: Car(here=False)})
    site.run(20)
    site.cars[1].obeys = False
    site.cars[2].here = True
    site.run(60)
    assert site.amps() == [8.0, 0.0]
    site.cars[1].draws_amps = 8.3
    site.run(3)
    assert site.amps() == [8.0, 8.0]


def test_without_a_meter_a_vehicle_gets_six_seconds_to_follow() -> None:
    site = Site(16.0, {1: Car(has_meter=False), 2: Car(here=False)})
    site.run(20)
    site.cars[2].here = True
    site.look()
    site.run(6)
    assert site.amps() == [8.0, 0.0]
    site.run(2)
    assert site.amps() == [8.0, 8.0]


def test_each_further_decrease_gives_a_vehicle_without_meter_its_time_again() -> None:
    site = Site(32.0, {1: Car(has_meter=False), 2: Car(here=False)})
    site.run(20)
    site.cars[1].profile_amps = 8.0
    site.run(5)
    site.cars[1].profile_amps = 6.0
    site.cars[2].here = True
    site.run(5)
    assert site.amps() == [6.0, 0.0]
    site.run(4)
    assert site.amps() == [6.0, 26.0]


def test_an_open_contactor_gives_all_up_at_once_and_a_closed_one_not() -> None:
    site = Site(16.0, {1: Car(), 2: Car(here=False)})
    site.run(20)
    site.cars[1].obeys = False  # draws on in the 6 s of the normal end
    site.cars[1].here = False
    site.cars[2].here = True
    site.run(3)
    assert site.amps() == [0.0, 0.0]
    site.cars[1].draws_amps = 0.0
    site.step()
    assert site.amps() == [0.0, 16.0]


def test_a_guard_that_is_silent_freezes_what_would_rise_not_what_falls() -> None:
    site = Site(32.0, cars(2))
    site.run(20)
    site.guard_at_s = site.now_s
    site.cars[1].here = False
    site.run(20)
    assert site.amps() == [0.0, 16.0]
    site.cars[2].profile_amps = 8.0
    site.step()
    assert site.amps() == [0.0, 8.0]
    site.guard_at_s = None
    site.cars[2].profile_amps = None
    site.run(10)
    assert site.amps() == [0.0, 32.0]


def test_an_offer_on_its_way_is_claimed_until_the_guard_has_told_something_newer() -> None:
    sharing = Sharing()
    old = Seen(at_s=9.9, offered_amps=6.0, permitted_amps=6.0, contactor_closed=False)
    first = Asking(evse=1, max_amps=16.0, wants=True, seen=old)
    other = Asking(evse=2, max_amps=16.0, seen=Seen(at_s=9.9))
    limit = (16.0, 16.0, 16.0)
    assert sharing.step([first, other], 10.0, site=limit)[1].amps == 16.0
    other = Asking(evse=2, max_amps=16.0, wants=True, seen=Seen(at_s=9.9))
    grants = sharing.step([first, other], 10.0, site=limit)
    assert [grants[1].amps, grants[2].amps] == [8.0, 0.0]
    at_once = Seen(at_s=10.04, offered_amps=6.0, permitted_amps=6.0)
    first = Asking(evse=1, max_amps=16.0, wants=True, seen=at_once)
    assert sharing.step([first, other], 10.04, site=limit)[2].amps == 0.0
    later = Seen(at_s=10.1, offered_amps=6.0, permitted_amps=8.0)
    first = Asking(evse=1, max_amps=16.0, wants=True, seen=later)
    assert sharing.step([first, other], 10.1, site=limit)[2].amps == 8.0


def test_a_new_station_goes_on_with_what_the_guard_holds_and_counts_it() -> None:
    """DESIGN §1.2, §1.7: fail-safe included."""
    held = Seen(at_s=10.0, offered_amps=6.0, permitted_amps=6.0, contactor_closed=True)
    limit = (11.0, 11.0, 11.0)
    sharing = Sharing()
    grants = sharing.step(
        [
            Asking(evse=1, max_amps=16.0, wants=True, seen=Seen(at_s=10.0)),
            Asking(evse=2, max_amps=16.0, seen=held),
        ],
        10.0,
        site=limit,
    )
    assert grants[1] == Grant(amps=0.0, by=LimitedBy.TURN)
    grants = sharing.step(
        [
            Asking(evse=1, max_amps=16.0, wants=True, seen=Seen(at_s=10.0)),
            Asking(evse=2, max_amps=16.0, wants=True, seen=held),
        ],
        10.0,
        site=limit,
    )
    assert grants[2].amps == 11.0, "who is charging goes on; who is not waits for its turn"
    assert grants[1].amps == 0.0


def test_a_new_station_gives_nobody_more_before_it_knows_what_is_drawn() -> None:
    """An offer of the earlier life has just run out: the vehicle is still on its way down."""
    sharing = Sharing()
    limit = (16.0, 16.0, 16.0)

    def step(now_s: float, drawn: float | None) -> float:
        held = Seen(at_s=now_s, offered_amps=6.0, permitted_amps=6.0, contactor_closed=True)
        measured = None if drawn is None else Measured(at_s=now_s, amps=drawn)
        asked = [
            Asking(evse=1, max_amps=16.0, wants=True, seen=Seen(at_s=now_s)),
            Asking(evse=2, max_amps=6.0, wants=True, seen=held, measured=measured),
        ]
        return sharing.step(asked, now_s, site=limit)[1].amps

    assert step(10.0, None) == 0.0
    assert step(10.5, 16.0) == 0.0, "a poll that is too young says nothing"
    assert step(11.5, 16.0) == 0.0
    assert step(12.5, 16.0) == 0.0
    assert step(14.5, 6.0) == 10.0


def test_an_unknown_evse_gives_nobody_more() -> None:
    asked = [Asking(evse=1, max_amps=16.0, wants=True, seen=Seen(at_s=10.0)),
             Asking(evse=2, max_amps=16.0)]  # fmt: skip
    assert Sharing().step(asked, 10.0, site=(16.0, 16.0, 16.0))[1].amps == 0.0


def test_nobody_takes_anything_of_a_supply_without_a_limit() -> None:
    """A station with two EVSEs and no [site] starts again while one of them charges."""
    held = Seen(at_s=10.0, offered_amps=6.0, permitted_amps=6.0, contactor_closed=True)
    asked = [
        Asking(evse=1, max_amps=16.0, wants=True, seen=Seen(at_s=10.0)),
        Asking(evse=2, max_amps=6.0, wants=True, seen=held),
    ]
    assert Sharing().step(asked, 10.0, site=NO_LIMIT)[1].amps == 16.0


def test_increases_come_in_steps_of_five_seconds_and_not_for_crumbs() -> None:
    site = Site(32.0, cars(2))
    site.run(20)
    changes = []
    for amps in (20.0, 20.3, 24.0, 32.0):
        site.limit(amps)
        for _ in range(3):
            before = site.amps()[0]
            site.step()
            if site.amps()[0] > before:
                changes.append((amps, site.now_s))
    assert all(later - earlier >= 5 for (_, earlier), (_, later) in itertools.pairwise(changes))
    assert all(amps != 20.3 for amps, _ in changes)


def test_the_profile_of_the_station_is_a_limit_of_the_sum() -> None:
    site = Site(32.0, cars(2), profile=(14.0, 14.0, 14.0))
    site.run(20)
    assert site.amps() == [7.0, 7.0]
    site.profile = (0.0, 0.0, 0.0)
    site.step()
    assert site.amps() == [0.0, 0.0]
    assert site.by(1) is LimitedBy.STATION_PROFILE


def test_a_profile_below_its_least_pauses_and_leaves_all_to_the_other() -> None:
    site = Site(16.0, {1: Car(profile_amps=8.0, least_amps=9.0), 2: Car()})
    site.run(20)
    assert site.amps() == [0.0, 16.0]
    assert site.by(1) is LimitedBy.PROFILE


def test_a_paused_profile_resumes_without_a_rest() -> None:
    site = Site(16.0, cars(1))
    site.run(20)
    site.cars[1].profile_amps = 0.0
    site.step()
    assert site.amps() == [0.0]
    site.cars[1].profile_amps = 16.0
    site.run(2)
    assert site.amps() == [16.0]


def test_phases_are_counted_apart() -> None:
    site = Site(20.0, {1: Car(lines=(0,)), 2: Car(lines=(1,)), 3: Car(lines=(0, 1, 2))})
    site.run(20)
    assert site.amps() == [10.0, 10.0, 10.0]
    site.cars[3].here = False
    site.run(20)
    assert site.amps() == [20.0, 20.0, 0.0]


def test_what_a_vehicle_still_draws_of_more_is_no_claim_to_get_it_again() -> None:
    """DESIGN 1.7: the supply got smaller, nobody has followed yet, and one shall give up even more."""
    site = Site(40.0, cars(2))
    site.run(30)
    assert site.amps() == [20.0, 20.0]
    for car in site.cars.values():
        car.obeys = False
    site.limit(20.0)
    site.run(2)
    assert site.amps() == [10.0, 10.0]
    site.cars[2].profile_amps = 6.0
    site.run(8)
    assert site.amps() == [10.0, 6.0], "the other one still draws 20 A"
    for car in site.cars.values():
        car.obeys = True
    site.run(10)
    assert site.amps() == [14.0, 6.0]


@pytest.mark.parametrize(
    ("phases", "rotation", "expected"),
    [
        (1, "", (0, 1, 2)),
        (1, "RST", (0,)),
        (1, "STR", (1,)),
        (1, "TRS", (2,)),
        (1, "Unknown", (0, 1, 2)),
        (1, "NotApplicable", (0, 1, 2)),
        (2, "", (0, 1, 2)),
        (3, "STR", (1, 2, 0)),
    ],
)
def test_rotation(phases: int, rotation: str, expected: tuple[int, ...]) -> None:
    assert lines_of(phases, rotation) == expected


# --- lending ----------------------------------------------------------------------------------------


def test_an_unused_share_is_lent_after_a_minute_and_comes_back_quickly() -> None:
    site = Site(32.0, {1: Car(takes_amps=7.0), 2: Car()})
    site.run(55)
    assert site.amps() == [16.0, 16.0]
    site.run(20)
    assert site.amps() == [9.0, 23.0]
    site.cars[1].takes_amps = 32.0
    site.run(12)
    assert site.amps() == [16.0, 16.0]


def test_nobody_wants_it_so_it_is_not_taken_away() -> None:
    site = Site(16.0, cars(1, takes_amps=6.0))
    site.run(300)
    assert site.amps() == [16.0]


def test_a_full_vehicle_keeps_six_amps_to_ask_again() -> None:
    site = Site(32.0, cars(2))
    site.run(20)
    site.cars[1].asks_power = False
    site.run(75)
    assert site.amps() == [6.0, 26.0]
    site.cars[1].asks_power = True
    site.run(15)
    assert site.amps() == [16.0, 16.0]


# --- turns ------------------------------------------------------------------------------------------


def test_too_little_for_all_the_newest_waits() -> None:
    site = Site(13.0, {1: Car(), 2: Car(here=False), 3: Car(here=False)})
    site.run(10)
    site.cars[2].here = True
    site.run(30)
    site.cars[3].here = True
    site.run(30)
    assert site.amps() == [6.5, 6.5, 0.0]
    assert site.by(3) is LimitedBy.TURN


def test_turns_reach_everybody_equally() -> None:
    """Four cars on a supply for one: a quarter of the time each."""
    site = Site(10.0, cars(4))
    site.run(8 * 900 + 100)
    for car in site.cars.values():
        assert 1500 <= car.on_s <= 1900
        assert car.offs <= 2, "nobody is switched more often than its turns"


def test_who_is_off_for_want_of_supply_rests() -> None:
    site = Site(12.0, cars(2))
    site.run(20)
    site.limit(11.0)
    site.run(2)
    assert site.amps() == [11.0, 0.0]
    site.limit(32.0)
    site.run(7)
    assert min(site.amps()) == 0.0
    site.run(8)
    assert site.amps() == [16.0, 16.0]


def test_a_full_vehicle_does_not_hold_up_the_queue() -> None:
    site = Site(7.0, cars(2))
    site.run(100)
    first = 1 if site.amps()[0] else 2
    site.cars[first].asks_power = False
    site.run(75)
    assert site.grants[3 - first].amps == 7.0
    site.run(600)
    assert site.grants[3 - first].amps == 7.0, "nothing to ask for so soon"


def test_a_three_phase_vehicle_is_not_starved_by_single_phase_ones() -> None:
    site = Site(6.0, {
        1: Car(lines=(0,)), 2: Car(lines=(1,)), 3: Car(lines=(0,), here=False), 4: Car(lines=(0, 1, 2), here=False),
    })  # fmt: skip
    site.run(400)
    site.cars[4].here = True
    site.run(1)
    site.cars[3].here = True
    site.run(3 * 900)
    assert site.cars[4].on_s >= 800


def test_no_supply_at_all() -> None:
    site = Site(5.0, cars(2))
    site.run(10)
    assert site.amps() == [0.0, 0.0]
    assert site.by(1) is LimitedBy.SUPPLY


# --- the arithmetic ---------------------------------------------------------------------------------


def test_fair_shares_leave_the_rest_to_those_who_want_more() -> None:
    def wish(lent_to: float, most: float, lines: tuple[int, ...] = (0,)) -> Wish:
        return Wish(lines=lines, least_amps=6.0, lent_to_amps=lent_to, most_amps=most)

    free = (32.0, 32.0, 32.0)
    assert fair_shares({1: wish(6, 32), 2: wish(32, 32)}, free) == {1: 6.0, 2: 26.0}
    assert fair_shares({1: wish(6, 32), 2: wish(10, 10)}, free) == {1: 22.0, 2: 10.0}
    assert fair_shares({1: wish(32, 32), 2: wish(32, 32), 3: wish(32, 32)}, free)[1] == 10.6
    assert fair_shares({}, free) == {}
