"""Charging profiles in a station: what is offered, when it changes, what survives (R16-SC-1 to R16-SC-11)."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.core.charging_profile import (
    ChargingProfile,
    ProfileKind,
    Purpose,
    RateUnit,
    Recurrency,
)
from controller.core.charging_profile_book import ProfileFilter
from controller.core.model import ChargingState, IdToken, RequestStatus, SessionPhase
from tests.unit.core.test_charging_profile import profile, schedule
from tests.unit.station.fakes import START, FakeGuard
from tests.unit.station.fakes import World as AnyWorld

ACCEPTED, REJECTED = RequestStatus.ACCEPTED, RequestStatus.REJECTED


class World(AnyWorld):
    """The vehicles draw 6 A, so that no limit is exceeded."""

    async def start(self) -> None:
        for meter in self.meters.values():
            meter.watts = 1380.0
        await super().start()


def offered(world: World, evse: int = 1) -> float:
    return world.guard.evses[evse].offered_amps


def tx(number: int = 1, **more: Any) -> ChargingProfile:
    return profile(number, purpose=Purpose.TX, **more)


async def install(world: World, evse: int, new: ChargingProfile) -> RequestStatus:
    status = await world.profiles.install(evse, new)
    await world.settle()
    return status


async def test_r16_sc_7_a_default_during_a_transaction_counts_at_once(tmp_path: Path) -> None:
    """TC_082; deleting it lets the transaction go on without a limit."""
    async with World(tmp_path) as world:
        await world.charge(30)
        assert offered(world) == 16.0
        assert await install(world, 0, profile(schedule=schedule((0, 8.0)))) is ACCEPTED
        assert offered(world) == 8.0
        assert "operator limits the current" in world.view().why
        assert await world.profiles.clear(ProfileFilter(profile_id=1)) == 1
        await world.advance(20)
        assert offered(world) == 16.0


async def test_the_offer_is_the_composite_schedule_second_by_second(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        steps = schedule((0, 14.0), (40, 10.0), (70, 0.0), (100, 7.5), (160, 6.0), duration_s=220)
        daily = {"kind": ProfileKind.RECURRING, "recurrency": Recurrency.DAILY}
        start = replace(steps, start=START - timedelta(days=31))
        await install(world, 0, profile(schedule=start, **daily))
        await world.charge(3)
        composite = await world.profiles.composite(1, 300, RateUnit.AMPS)
        assert composite is not None
        at = (world.clock.utc() - composite.start).total_seconds()
        assert at == 0
        told = [(p.start_s, p.limit) for p in composite.periods]
        assert told == [(0, 14.0), (37, 10.0), (67, 0.0), (97, 7.5), (157, 6.0), (217, 16.0)]
        wrong = 0
        for second in range(300):
            limit = [a for s, a in told if s <= second][-1]
            lately = [s for s, _ in told if 0 <= second - s <= 12]
            # An increase may come late (the guard waits 5 s, a pause lasts 10 s); more is never offered.
            assert offered(world) <= limit, second
            if offered(world) != limit:
                assert lately, (second, offered(world), limit)
                wrong += 1
            await world.advance(1)
        assert wrong < 40


async def test_zero_pauses_and_more_resumes_the_same_transaction(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.charge(30)
        transaction = world.view().transaction_id
        await install(world, 1, tx(schedule=schedule((0, 0.0))))
        await world.advance(5)
        view = world.view()
        assert (offered(world), view.contactor_closed) == (0.0, False)
        assert (view.charging_state, view.phase) == (ChargingState.SUSPENDED_EVSE, SessionPhase.TRANSACTION)  # fmt: skip
        assert "paused by the operator" in view.why
        await install(world, 1, tx(schedule=schedule((0, 5.9))))
        await world.advance(20)
        assert offered(world) == 0.0
        await install(world, 1, tx(schedule=schedule((0, 10.0))))
        await world.advance(20)
        view = world.view()
        assert (offered(world), view.transaction_id) == (10.0, transaction)
        assert view.charging_state is ChargingState.CHARGING


async def test_r16_sc_1_a_tx_profile_needs_its_transaction(tmp_path: Path) -> None:
    """TC_058: none running, or another one."""
    async with World(tmp_path, evses=2) as world:
        assert await install(world, 1, tx()) is REJECTED
        await world.charge(10)
        running = world.view().transaction_id
        assert await install(world, 1, tx(transaction_id="another")) is REJECTED
        assert await install(world, 2, tx()) is REJECTED
        assert await install(world, 0, tx()) is REJECTED
        assert await world.store.charging_profiles.load() == []
        assert await install(world, 1, tx(transaction_id=running)) is ACCEPTED
        assert world.profiles.transaction(1) == running


async def test_r16_sc_7_a_tx_profile_ends_with_its_transaction(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.charge(10)
        await install(world, 1, tx(schedule=schedule((0, 8.0))))
        await install(world, 1, profile(2, schedule=schedule((0, 9.0))))
        assert offered(world) == 8.0
        await world.tap()
        await world.advance(2)
        kept = await world.store.charging_profiles.load()
        assert [i.profile.id for i in kept] == [2]
        await world.unplug()
        await world.charge(20)
        assert offered(world) == 9.0


async def test_r16_sc_7_profiles_survive_a_restart(tmp_path: Path) -> None:
    """E16 3.37; also that of a transaction which goes on."""
    async with World(tmp_path) as world:
        await world.charge(10)
        daily = {"kind": ProfileKind.RECURRING, "recurrency": Recurrency.DAILY}
        await install(world, 0, profile(2, stack_level=3, schedule=schedule((0, 9.0)), **daily))
        await install(world, 1, tx(1, schedule=schedule((0, 7.0), min_charging_rate=6.5)))
        before = await world.store.charging_profiles.load()
        await world.restart()
        await world.advance(20)
        assert await world.store.charging_profiles.load() == before
        assert offered(world) == 7.0
        await world.profiles.clear(ProfileFilter(profile_id=1))
        await world.advance(20)
        assert offered(world) == 9.0


async def test_a_tx_profile_does_not_survive_a_transaction_that_a_power_loss_ended(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        await world.charge(150)
        await install(world, 1, tx())
        await world.restart(FakeGuard(world.clock, 1, guard_id="g2"))
        await world.advance(3)
        assert world.view().transaction_id is None
        assert await world.store.charging_profiles.load() == []


async def test_r16_auth_7_a_remote_start_brings_its_profile(tmp_path: Path) -> None:
    """TC_059; stored with the transaction's id, so that it survives."""
    async with World(tmp_path) as world:
        await world.plug()
        given = tx(5, kind=ProfileKind.RELATIVE, schedule=schedule((0, 8.0), (60, 10.0)))
        status = await world.station.control.remote_start(IdToken("A"), 1, charging_profile=given)
        assert status is ACCEPTED
        await world.advance(20)
        assert offered(world) == 8.0
        (kept,) = await world.store.charging_profiles.load()
        assert kept.profile.transaction_id == world.view().transaction_id
        await world.restart()
        await world.advance(60)
        assert offered(world) == 10.0
        replaced = tx(6, schedule=schedule((0, 6.0)))
        await install(world, 1, replaced)
        assert offered(world) == 6.0
        kept_ids = [i.profile.id for i in await world.store.charging_profiles.load()]
        assert kept_ids == [6]


async def test_r16_auth_7_a_remote_start_with_authorization_keeps_its_profile(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        world.settings.change("AuthorizeRemoteTxRequests", "true")
        given = tx(5, schedule=schedule((0, 8.0)))
        await world.station.control.remote_start(IdToken("A"), 1, charging_profile=given)
        await world.settle()
        await world.plug()
        await world.advance(20)
        assert world.backend.asked == ["A"]
        assert offered(world) == 8.0


async def test_r16_auth_7_a_remote_start_with_an_impossible_profile_is_rejected(
    tmp_path: Path,
) -> None:
    """TC_060."""
    async with World(tmp_path) as world:
        await world.plug()
        given = tx(5, stack_level=21)
        status = await world.station.control.remote_start(IdToken("A"), 1, charging_profile=given)
        assert status is REJECTED
        await world.advance(5)
        assert world.view().phase is SessionPhase.PREPARING


async def test_a_remote_start_whose_profile_cannot_be_stored_does_not_start(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.plug()
        await _full(world)
        given = tx(5, schedule=schedule((0, 8.0)))
        await world.station.control.remote_start(IdToken("A"), 1, charging_profile=given)
        await world.advance(5)
        assert world.guard.offers() == []
        assert await world.reports() == []


async def test_what_cannot_be_stored_changes_nothing(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.charge(10)
        await install(world, 0, profile(1, schedule=schedule((0, 9.0))))
        await _full(world)
        with pytest.raises(sqlite3.IntegrityError):
            await world.profiles.install(0, profile(2, schedule=schedule((0, 7.0))))
        await world.settle()
        assert offered(world) == 9.0
        assert [i.profile.id for i in await world.store.charging_profiles.load()] == [1]


async def _full(world: World) -> None:
    await world.store.database.write(
        lambda c: c.execute(
            "CREATE TRIGGER full BEFORE INSERT ON charging_profiles "
            "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    )


async def test_r16_sc_3_the_station_profile_is_for_all_together(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        whole = profile(3, purpose=Purpose.STATION_MAX, schedule=schedule((0, 20.0)))
        await install(world, 0, whole)
        await world.plug(1)
        await world.tap(evses=(1,))
        await world.plug(2)
        await world.tap("0B", evses=(2,))
        await world.advance(60)
        assert offered(world, 1) + offered(world, 2) <= 20.0
        assert min(offered(world, 1), offered(world, 2)) >= 6.0
        await install(world, 0, replace(whole, schedule=schedule((0, 0.0))))
        await world.advance(5)
        assert (offered(world, 1), offered(world, 2)) == (0.0, 0.0)
        assert "whole station" in world.view(1).why


@pytest.mark.parametrize("purpose", [Purpose.TX, Purpose.STATION_MAX])
async def test_small_steps_are_followed_to_the_tenth(tmp_path: Path, purpose: Purpose) -> None:
    async with World(tmp_path) as world:
        await world.charge(30)
        for amps in (10.0, 10.3, 10.4, 9.9, 10.1, 15.8, 15.9):
            given = profile(purpose=purpose, schedule=schedule((0, amps)))
            await install(world, 0 if purpose is Purpose.STATION_MAX else 1, given)
            await world.advance(7)
            assert offered(world) == amps


async def test_next_change_and_listeners(tmp_path: Path) -> None:
    """Nobody is woken while nothing runs; then exactly when a limit changes."""
    async with World(tmp_path) as world:
        heard: list[float] = []
        start = world.clock.now_ns
        end = world.profiles.on_change(lambda: heard.append((world.clock.now_ns - start) / 1e9))
        await install(world, 0, profile(schedule=schedule((0, 8.0), (100, 9.0))))
        assert (heard, world.profiles.next_change_at) == ([0.0], None)
        await world.charge(10)
        assert world.profiles.next_change_at == START + timedelta(seconds=100)
        await world.advance(85)
        assert heard == [0.0]
        await world.advance(30)
        assert len(heard) == 2 and 100 <= heard[1] < 100.1
        assert world.profiles.next_change_at is None
        end()
        await install(world, 0, profile())
        assert len(heard) == 2


async def test_a_clock_that_is_set_is_noticed(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await install(world, 0, profile(schedule=schedule((0, 8.0), (3600, 6.0))))
        await world.charge(10)
        assert offered(world) == 8.0
        true_utc = world.clock.utc
        world.clock.utc = lambda: true_utc() + timedelta(hours=1)  # type: ignore[method-assign]
        await world.advance(16)
        assert offered(world) == 6.0


async def test_a_clock_that_is_set_moves_a_relative_profile_along(tmp_path: Path) -> None:
    """A station without a clock of its own starts in some past year; the backend tells the time later."""
    async with World(tmp_path) as world:
        relative = schedule((0, 8.0), (90, 6.0))
        await install(world, 0, profile(kind=ProfileKind.RELATIVE, schedule=relative))
        await world.charge(10)
        true_utc = world.clock.utc
        world.clock.utc = lambda: true_utc() + timedelta(days=700)  # type: ignore[method-assign]
        await world.advance(30)
        assert offered(world) == 8.0
        await world.advance(60)
        assert offered(world) == 6.0


async def test_the_snapshot_tells_the_limit_and_its_reason(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        assert world.station.snapshots.snapshot()["evses"][0]["limit"] is None
        await world.charge(10)
        (evse,) = world.station.snapshots.snapshot()["evses"]
        assert evse["limit"] == {"amps": 16.0, "by": "evse"}
        await install(world, 0, profile(4, schedule=schedule((0, 8.0), (60, 9.0))))
        (evse,) = world.station.snapshots.snapshot()["evses"]
        assert evse["limit"] == {
            "amps": 8.0,
            "by": "profile",
            "profile": {
                "id": 4,
                "purpose": "TxDefaultProfile",
                "amps": 8.0,
                "until": (START + timedelta(seconds=70)).isoformat(),
            },
        }


async def test_r16_sc_8_composites_of_what_exists(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        assert await world.profiles.composite(3, 60, None) is None
        assert await world.profiles.composite(-1, 60, None) is None
        assert await world.profiles.composite(1, -1, None) is None
        whole = await world.profiles.composite(0, 60, None)
        assert whole is not None and whole.periods[0].limit == 32.0
        assert whole.rate_unit is RateUnit.AMPS


async def test_a_cable_for_less_limits_the_composite_as_well(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.plug()
        world.guard.change(1, cable_amps=13.0)
        await world.tap()
        await world.advance(10)
        told = await world.profiles.composite(1, 60, None)
        assert told is not None
        assert told.periods[0].limit == offered(world) == 13.0


async def test_what_cannot_be_read_from_the_store_is_left_out(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await install(world, 0, profile(1))
        await world.store.database.write(
            lambda c: c.execute(
                "INSERT INTO charging_profiles VALUES (2, 0, '2026-11-22T12:00:00+00:00', '{}')"
            )
        )
        await world.restart()
        assert [i.profile.id for i in await world.store.charging_profiles.load()] == [1]
