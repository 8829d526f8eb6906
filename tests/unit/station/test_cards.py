"""One reader for several EVSEs: which one is meant."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from controller.core import facts
from controller.core.model import (
    AuthorizationStatus,
    IdToken,
    IdTokenInfo,
    SessionPhase,
    TransactionStarted,
)
from controller.core.reservation import Hold, Reservation
from tests.unit.station.fakes import START, World

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


# --- asking -----------------------------------------------------------------------------------------


async def together(world: World) -> None:
    """Two plug-ins within 3 s."""
    await world.plug(1)
    await world.advance(2)
    await world.plug(2)


def asked(world: World) -> Any:
    return world.station.snapshots.snapshot()["asked"]


async def test_two_plugged_within_three_seconds_are_asked_about(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        await together(world)
        await world.tap(ALICE)
        assert world.backend.asked == []
        assert world.view(1).why == (
            "Not charging yet. Which EVSE is this card for? Choose EVSE 1 or 2."
        )
        assert world.view(2).why == world.view(1).why
        assert asked(world) == {
            "uid": ALICE,
            "for": "start",
            "evses": [1, 2],
            "question": "Which EVSE is this card for? Choose EVSE 1 or 2.",
            "until": "2026-11-22T12:00:32+00:00",
        }
        assert world.station.cards.answer(2)
        await world.settle()
        assert asked(world) is None
        assert world.view(2).phase is SessionPhase.TRANSACTION
        assert "show a card" in world.view(1).why


async def test_nobody_answers_so_nothing_happens(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        await together(world)
        await world.tap(ALICE)
        await world.advance(31)
        assert asked(world) is None
        assert world.station.cards.last_result == "nobody said for which EVSE"
        assert [world.view(n).phase for n in (1, 2)] == [SessionPhase.PREPARING] * 2
        assert world.backend.asked == []
        assert "show a card" in world.view(1).why


async def test_who_chooses_first_and_taps_then_is_understood(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        await together(world)
        assert world.station.cards.answer(1)
        await world.tap(ALICE)
        assert world.view(1).phase is SessionPhase.TRANSACTION
        assert world.view(2).phase is SessionPhase.PREPARING


async def test_a_choice_is_forgotten_after_a_while(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        await world.plug(1)
        assert world.station.cards.answer(2)
        await world.advance(31)
        await world.tap(ALICE)
        assert world.view(1).phase is SessionPhase.TRANSACTION


async def test_a_second_tap_that_names_the_evse_answers(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        await together(world)
        await world.tap(ALICE)
        await world.tap(ALICE, evses=(1,))
        assert asked(world) is None
        assert world.view(1).phase is SessionPhase.TRANSACTION


async def test_a_second_tap_after_one_cable_is_out_is_clear(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        await together(world)
        await world.tap(ALICE)
        await world.unplug(1)
        assert asked(world) is not None, "who pulled out the cable is not known"
        await world.tap(ALICE)
        assert asked(world) is None
        assert world.view(2).phase is SessionPhase.TRANSACTION


async def test_a_question_without_vehicles_ends(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        await together(world)
        await world.tap(ALICE)
        await world.unplug(1)
        await world.unplug(2)
        assert asked(world) is None
        assert not world.station.cards.answer(7)


async def test_only_those_that_were_asked_about_can_be_chosen(tmp_path: Path) -> None:
    async with World(tmp_path, evses=3) as world:
        await together(world)
        await world.tap(ALICE)
        assert not world.station.cards.answer(3)
        assert asked(world) is not None


async def test_two_transactions_of_one_group_are_asked_about(tmp_path: Path) -> None:
    fleet = IdTokenInfo(status=AuthorizationStatus.ACCEPTED, group=IdToken("FLEET"))
    async with World(tmp_path, evses=2) as world:
        world.backend.answers = {ALICE: fleet, BOB: fleet, "04112233": fleet}
        for evse, uid in ((1, ALICE), (2, BOB)):
            await world.plug(evse)
            await world.tap(uid)
        await world.station.authorizer.remember(IdToken("04112233"), fleet)
        await world.tap("04112233")
        assert asked(world)["for"] == "stop"
        assert world.station.cards.answer(1)
        await world.advance(1)
        assert world.view(1).phase is SessionPhase.FINISHING
        assert world.view(2).phase is SessionPhase.TRANSACTION


async def test_a_faulted_or_unavailable_evse_never_gets_the_card(tmp_path: Path) -> None:
    async with World(tmp_path, evses=3) as world:
        await world.plug(3)
        await world.advance(5)
        await together(world)
        world.guard.fault(1, "over_temperature")
        await world.settle()
        world.station.actors[2].set_operative(False)
        await world.settle()
        await world.tap(ALICE)
        assert world.view(3).phase is SessionPhase.TRANSACTION


async def test_the_card_waits_only_for_an_evse_that_it_may_use(tmp_path: Path) -> None:
    """Reserved for others: never, also when it is the next plug-in."""
    by = Reservation(id=1, evse=1, id_token=IdToken(BOB), expires_at=START + timedelta(hours=1))
    async with World(tmp_path, evses=2) as world:
        world.station.actors[1].tell(facts.HoldSeen(hold=Hold(by=by, usable=(by,))))
        await world.settle()
        await world.tap(ALICE)
        await world.plug(1)
        assert world.view(1).phase is SessionPhase.PREPARING
        await world.plug(2)
        assert world.view(2).phase is SessionPhase.TRANSACTION


# --- free charging beside cards ---------------------------------------------------------------------


async def test_a_free_evse_charges_by_itself_and_the_card_is_for_the_other(tmp_path: Path) -> None:
    """Free charging per EVSE, with one reader; two plug-ins together are no question here."""
    async with mixed(tmp_path, "free", "backend") as world:
        await together(world)
        assert world.view(1).phase is SessionPhase.TRANSACTION
        await world.tap(ALICE)
        assert asked(world) is None
        assert world.view(2).phase is SessionPhase.TRANSACTION
        started = [r for r in await world.reports() if isinstance(r, TransactionStarted)]
        assert [(r.evse, r.id_token.value) for r in started] == [(1, ""), (2, ALICE)]
