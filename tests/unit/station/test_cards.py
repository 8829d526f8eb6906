"""One reader for several EVSEs: which one is meant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from controller.core.model import SessionPhase
from tests.unit.station.fakes import World

ALICE, BOB = "04A2B3C4", "04FFEE11"


def mixed(state_dir: Path, *modes: str) -> World:
    """Each EVSE with its own way to decide."""
    world = World(state_dir, evses=len(modes))
    evses = zip(world.installation.evses, modes, strict=True)
    own = tuple(replace(evse, authorization=mode) for evse, mode in evses)
    world.installation = replace(world.installation, evses=own)
    return world


async def test_the_newest_plug_in_without_authorization_gets_the_card(tmp_path: Path) -> None:
    async with World(tmp_path, evses=3) as world:
        await world.plug(1)
        await world.advance(5)
        await world.plug(2)
        await world.tap(ALICE)
        assert world.view(1).phase is SessionPhase.PREPARING
        assert world.view(2).phase is SessionPhase.TRANSACTION
        await world.tap(BOB)
        assert world.view(1).phase is SessionPhase.TRANSACTION


async def test_a_card_with_a_running_transaction_stops_that_one(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        await world.plug(1)
        await world.tap(ALICE)
        await world.plug(2)
        await world.tap(ALICE)
        await world.advance(1)
        assert world.view(1).phase is SessionPhase.FINISHING
        assert world.view(2).phase is SessionPhase.PREPARING


async def test_nothing_plugged_waits_for_the_next_plug_in(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        await world.tap(ALICE)
        await world.advance(30)
        await world.plug(2)
        assert world.view(2).phase is SessionPhase.TRANSACTION
        assert world.view(1).phase is SessionPhase.IDLE
        assert world.backend.asked == [ALICE]


async def test_a_waiting_card_is_cancelled_by_a_second_tap_or_by_time(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        await world.tap(ALICE)
        await world.tap(ALICE)
        await world.plug(1)
        assert world.view(1).phase is SessionPhase.PREPARING
        await world.unplug(1)
        await world.tap(BOB)
        await world.advance(61)
        await world.plug(1)
        assert world.view(1).phase is SessionPhase.PREPARING


async def test_a_finished_evse_never_gets_the_card(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        await world.plug(1)
        await world.advance(61)
        await world.tap(ALICE)
        await world.plug(2)
        assert world.view(1).phase is SessionPhase.FINISHING
        assert world.view(2).phase is SessionPhase.TRANSACTION


async def test_a_named_or_hinted_evse_is_meant(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        await world.plug(1)
        await world.plug(2)
        await world.tap(ALICE, evses=(1,))
        assert world.view(1).phase is SessionPhase.TRANSACTION
        await world.unplug(1)
        await world.advance(1)
        await world.plug(1)
        world.station.cards.hint(BOB, (2,))
        await world.tap(BOB)
        assert world.view(2).phase is SessionPhase.TRANSACTION


async def test_the_supply_is_never_exceeded(tmp_path: Path) -> None:
    """DESIGN §1.7: fixed shares."""

    from controller.core.installation import Site
    from controller.station.supply import shares
    from tests.unit.station.fakes import installation

    for limit, expected in ((20.0, [10.0, 10.0]), (11.0, [11.0, 0.0]), (5.0, [0.0, 0.0])):
        site = replace(installation(tmp_path, 2), site=Site(max_amps=limit))
        assert list(shares(site).values()) == expected


async def test_tap_first_is_decided_by_the_mode_of_the_evses(tmp_path: Path) -> None:
    """`authorization = "local"`: a card that is not on the list waits for nothing."""
    async with World(tmp_path, evses=2, authorization="local") as world:
        await world.tap(ALICE)
        assert world.backend.asked == []
        await world.plug(1)
        assert world.view(1).phase is SessionPhase.PREPARING
        assert world.guard.offers() == []


async def test_tap_first_before_evses_of_different_modes_is_decided_at_the_plug_in(
    tmp_path: Path,
) -> None:
    async with mixed(tmp_path, "backend", "local") as world:
        await world.tap(ALICE)
        assert world.backend.asked == []
        await world.plug(2)
        assert "not on the local list" in world.view(2).why
        await world.tap(ALICE, evses=(1,))
        world.backend.asked.clear()
        await world.plug(1)
        assert world.view(1).phase is SessionPhase.TRANSACTION


async def test_tap_first_asks_the_backend_only_for_an_evse_that_does(tmp_path: Path) -> None:
    async with mixed(tmp_path, "backend", "local") as world:
        await world.tap(ALICE)
        await world.plug(1)
        assert world.backend.asked == [ALICE]
        assert world.view(1).phase is SessionPhase.TRANSACTION


async def test_a_free_evse_does_not_take_the_waiting_card(tmp_path: Path) -> None:
    async with mixed(tmp_path, "free", "backend") as world:
        await world.tap(ALICE)
        await world.plug(1)
        assert world.view(1).phase is SessionPhase.TRANSACTION
        await world.plug(2)
        assert world.view(2).phase is SessionPhase.TRANSACTION
        assert world.backend.asked == [ALICE]
