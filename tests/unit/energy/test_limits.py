"""The service that shares the supply: what it reads from guard, meters, profiles and settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.core.composite import ProfileLimit
from controller.core.guard_messages import Snapshot
from controller.core.installation import Installation, Site
from controller.core.settings_list import settings_for
from controller.core.sharing_values import LimitedBy
from controller.energy.limits import Limits
from hal.types import MeterReading
from tests.unit.station.fakes import FakeClock, FakeGuard, installation


class Guard(FakeGuard):
    """A guard that may not have told anything yet."""

    silent = False

    @property
    def snapshot(self) -> Snapshot:
        return None if self.silent else super().snapshot  # type: ignore[return-value]


class Profiles:
    """ProfileLimits by hand."""

    def __init__(self) -> None:
        self.own: dict[int, ProfileLimit] = {}
        self.whole = ProfileLimit()
        self.next_change_at = None
        self.asked = 0
        self.changed: Any = None

    def limit(self, evse: int) -> ProfileLimit:
        self.asked += 1
        return self.own.get(evse, ProfileLimit())

    def station_limit(self) -> ProfileLimit:
        self.asked += 1
        return self.whole

    def on_change(self, changed: Any) -> Any:
        self.changed = changed
        return lambda: None


class Bench:
    """Two EVSEs of 32 A unless told otherwise."""

    def __init__(
        self, tmp_path: Path, *, site: float | None = 32.0, phases: tuple[int, ...] = (1, 1),
        rotation: str = "", by_backend: str = "",
    ) -> None:  # fmt: skip
        made = installation(tmp_path, len(phases))
        evses = tuple(
            replace(evse, max_amps=32.0, phases=n)
            for evse, n in zip(made.evses, phases, strict=True)
        )
        self.installation: Installation = replace(
            made, evses=evses, site=Site(max_amps=site),
            first_boot_16={"ConnectorPhaseRotation": rotation} if rotation else {},
        )  # fmt: skip
        changed = {"ConnectorPhaseRotation": by_backend} if by_backend else {}
        self.settings = settings_for(self.installation, changed)
        self.clock = FakeClock()
        self.guard = Guard(self.clock, len(phases))
        self.profiles = Profiles()
        self.readings: dict[int, MeterReading] = {}
        self.changes: list[int] = []
        self.limits = Limits(
            installation=self.installation, settings=self.settings, guard=self.guard,
            clock=self.clock, profiles=self.profiles,
        )  # fmt: skip
        self.limits.bind(self.readings.get, self.changes.append)

    def start(self, *evses: int) -> None:
        for evse in evses:
            self.guard.plug(evse)
            self.limits.wants(evse, True)
            self.follow()

    def follow(self) -> None:
        """The guard does as the limits say, and vehicles draw all of it."""
        for n, seen in self.guard.evses.items():
            amps = self.limits.grant(n).amps if seen.plugged else 0.0
            self.guard.change(n, offered_amps=amps, permitted_amps=amps, contactor_closed=amps > 0)
            self.readings[n] = reading(self.clock, amps)

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.now_ns += 1_000_000_000
            self.follow()
            self.limits.look()

    def amps(self) -> list[float]:
        return [self.limits.grant(n).amps for n in self.guard.evses]


def reading(clock: FakeClock, amps: float) -> MeterReading:
    return MeterReading(
        energy_wh=0.0, taken_at_ns=clock.now_ns, power_w=amps * 230, amps=(amps, None, None),
        volts=(230.0, None, None), refresh_ms=0,
    )  # fmt: skip


def test_the_first_gets_its_offer_in_the_same_moment(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.start(1)
    assert bench.amps() == [32.0, 0.0]
    assert bench.changes == [1]


def test_two_share_and_whoever_changes_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.start(1, 2)
    assert bench.amps() == [16.0, 0.0]
    bench.run(5)
    assert bench.amps() == [16.0, 16.0]
    bench.changes.clear()
    bench.limits.wants(2, False)
    assert bench.amps() == [16.0, 0.0]
    assert bench.changes == [2]
    bench.guard.unplug(2)
    bench.run(6)
    assert bench.amps() == [32.0, 0.0]


def test_without_a_word_of_the_guard_nobody_gets_anything(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.guard.silent = True
    bench.limits.wants(1, True)
    assert bench.amps() == [0.0, 0.0]
    bench.guard.silent = False
    bench.limits.look()
    assert bench.amps() == [32.0, 0.0]


def test_profiles_of_evse_and_station(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.profiles.own[1] = ProfileLimit(amps=10.0)
    bench.start(1)
    assert bench.limits.grant(1).amps == 10.0
    assert bench.limits.grant(1).by is LimitedBy.PROFILE
    bench.profiles.whole = ProfileLimit(amps=7.0)
    bench.profiles.changed()
    assert bench.limits.grant(1).amps == 7.0
    assert bench.limits.grant(1).by is LimitedBy.STATION_PROFILE


def test_less_than_the_least_of_a_profile_pauses(tmp_path: Path) -> None:
    """R16-SC: minChargingRate."""
    bench = Bench(tmp_path)
    bench.profiles.own[1] = ProfileLimit(amps=8.0, least_amps=9.0)
    bench.start(1)
    assert bench.amps() == [0.0, 0.0]
    bench.profiles.own[1] = ProfileLimit(amps=9.0, least_amps=9.0)
    bench.profiles.changed()
    assert bench.amps() == [9.0, 0.0]
    bench.profiles.whole = ProfileLimit(amps=10.0, least_amps=11.0)
    bench.profiles.changed()
    assert bench.amps() == [0.0, 0.0]


def test_nobody_wants_anything_so_nothing_is_computed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.run(10)
    assert bench.profiles.asked == 0


def test_a_thin_cable_leaves_the_rest_to_others(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.guard.change(1, cable_amps=13.0)
    bench.start(1, 2)
    bench.run(8)
    assert bench.amps() == [13.0, 19.0]


def test_the_installer_says_how_the_phases_are_wired(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rotation="1.RST,2.STR")
    bench.start(1, 2)
    assert bench.amps() == [32.0, 32.0], "one is on L1, the other on L2"


def test_a_backend_cannot_move_the_wires(tmp_path: Path) -> None:
    """DESIGN 1.7: what it writes is told back, but the supply is shared as it is wired."""
    stored = Bench(tmp_path, rotation="1.RST,2.RST", by_backend="1.RST,2.STR")
    assert stored.settings.text("ConnectorPhaseRotation") == "1.RST,2.STR"
    untold = Bench(tmp_path)
    untold.settings.change("ConnectorPhaseRotation", "1.RST,2.STR")
    for bench in (stored, untold):
        bench.start(1, 2)
        bench.run(8)
        bench.settings.change("ConnectorPhaseRotation", "1.STR,2.TRS")
        bench.run(30)
        assert bench.amps() == [16.0, 16.0]


@pytest.mark.parametrize("rotation", ["1.STR", "1.STR,2.Unknown", "1.STR,2.TRS,2.RST"])
def test_an_outlet_of_which_nobody_knows_the_phase_counts_on_all(
    tmp_path: Path, rotation: str
) -> None:
    bench = Bench(tmp_path, rotation=rotation)
    bench.start(1, 2)
    bench.run(8)
    assert bench.amps() == [16.0, 16.0]


def test_three_phases_need_room_on_each(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phases=(3, 1), rotation="1.RST,2.TRS")
    bench.start(1, 2)
    bench.run(8)
    assert bench.amps() == [16.0, 16.0]


def test_the_phase_that_draws_most_is_what_a_vehicle_draws(tmp_path: Path) -> None:
    bench = Bench(tmp_path, phases=(3, 3), rotation="1.RST,2.RST")
    bench.start(1, 2)
    for _ in range(30):
        bench.clock.now_ns += 1_000_000_000
        bench.follow()
        bench.readings[1] = replace(bench.readings[1], amps=(6.0, 20.0, None))
        bench.limits.look()
    assert bench.amps() == [16.0, 12.0], "it ignores the pilot"


@pytest.mark.parametrize(("commanded", "second_amps"), [(True, 0.0), (False, 16.0)])
def test_a_contactor_that_is_about_to_close_is_as_good_as_closed(
    tmp_path: Path, commanded: bool, second_amps: float
) -> None:
    bench = Bench(tmp_path)
    bench.start(1, 2)
    bench.guard.change(1, contactor_closed=False, contactor_commanded=commanded)
    bench.readings[1] = reading(bench.clock, 32.0)
    bench.clock.now_ns += 1_000_000_000
    bench.limits.look()
    assert bench.amps() == [16.0, second_amps]


def test_no_site_limit(tmp_path: Path) -> None:
    bench = Bench(tmp_path, site=None)
    bench.start(1, 2)
    assert bench.amps() == [32.0, 32.0]
    assert bench.limits.grant(1).by is LimitedBy.EVSE
