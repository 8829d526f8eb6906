"""A whole station on one supply: offers, sentences and states of several EVSEs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from controller.core.installation import Site
from controller.core.model import ChargingState, SessionPhase
from tests.unit.station.fakes import World

ALICE, BOB = "04A2B3C4", "04FFEE11"


def on(state_dir: Path, amps: float, evses: int = 2) -> World:
    """EVSEs of 16 A each on a supply of `amps`."""
    world = World(state_dir, evses=evses)
    world.installation = replace(world.installation, site=Site(max_amps=amps))
    for meter in world.meters.values():
        meter.watts = 1150.0  # 5 A
    return world


async def both(world: World) -> None:
    """Alice charges at 1, then Bob comes to 2."""
    await world.plug(1)
    await world.tap(ALICE)
    await world.advance(10)
    await world.plug(2)
    await world.tap(BOB)


def offered(world: World) -> list[float]:
    """What the guard was told last, per EVSE."""
    told = {entry[1]: entry[3] for entry in world.guard.sent if entry[0] == "offer"}
    return [told.get(evse, 0.0) for evse in world.guard.evses]


async def test_the_second_one_is_offered_its_share_when_the_first_has_given_it_up(
    tmp_path: Path,
) -> None:
    async with on(tmp_path, 16.0) as world:
        await both(world)
        assert offered(world) == [8.0, 0.0]
        assert "giving up its part of the supply" in world.view(2).why
        await world.advance(5)
        assert offered(world) == [8.0, 8.0]
        assert world.view(1).why == (
            "Charging: 8 A are offered. The supply is shared with other vehicles."
        )
        await world.unplug(1)
        await world.advance(10)
        assert offered(world)[1] == 16.0


async def test_who_waits_for_its_turn_is_suspended_by_the_station(tmp_path: Path) -> None:
    async with on(tmp_path, 10.0) as world:
        await both(world)
        await world.advance(5)
        assert offered(world) == [10.0, 0.0]
        assert world.view(2).phase is SessionPhase.TRANSACTION
        assert world.view(2).charging_state is ChargingState.SUSPENDED_EVSE
        assert "waits for its turn" in world.view(2).why
        await world.advance(900)
        assert offered(world) == [0.0, 10.0]
        assert world.view(1).charging_state is ChargingState.SUSPENDED_EVSE
        assert world.view(2).charging_state is ChargingState.CHARGING


async def test_a_station_that_restarts_goes_on_with_what_is_offered(tmp_path: Path) -> None:
    async with on(tmp_path, 16.0) as world:
        await both(world)
        await world.advance(5)
        world.guard.sent.clear()
        await world.restart()
        assert all(amps >= 6 for _, amps in world.guard.offers()), "nobody is switched off"
        assert offered(world) == [8.0, 8.0]


async def test_an_ended_transaction_wants_nothing(tmp_path: Path) -> None:
    async with on(tmp_path, 10.0) as world:
        await both(world)
        await world.advance(5)
        await world.tap(ALICE)
        await world.advance(5)
        assert world.view(1).phase is SessionPhase.FINISHING
        assert offered(world)[1] == 10.0


async def test_another_guard_starts_from_nothing(tmp_path: Path) -> None:
    """What the dead guard was told does not count for the new one."""
    async with on(tmp_path, 10.0) as world:
        await both(world)
        await world.advance(5)
        world.guard.guard_id = "g2"
        for evse in (1, 2):
            world.guard.change(evse, plugged=False, offered_amps=0.0, contactor_closed=False,
                               contactor_commanded=False, state="A1")  # fmt: skip
        world.guard.tell()
        await world.advance(40)
        assert [world.view(n).phase for n in (1, 2)] == [SessionPhase.IDLE] * 2
        await world.plug(2)
        await world.tap(BOB)
        assert offered(world)[1] == 10.0
