"""Reservations of a whole station: made, used, cancelled, expired, removed, kept (R16-RES-1)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.core.model import (
    AuthorizationStatus,
    IdToken,
    IdTokenInfo,
    RequestStatus,
    StopReason,
)
from controller.core.reservation import Reservation, ReservationEnd, ReserveStatus
from tests.unit.station.fakes import START, FakeGuard, World

ANNA, BEN = "04A2B3C4", "04FFEE11"
CLUB = IdToken("CLUB")


def wanted(number: int = 1, evse: int | None = 1, token: str = ANNA, **more: Any) -> Reservation:
    values = {"expires_at": START + timedelta(hours=1), **more}
    return Reservation(id=number, evse=evse, id_token=IdToken(token), **values)


async def reserve(world: World, reservation: Reservation) -> ReserveStatus:
    status = await world.station.reservations.reserve(reservation)
    await world.settle()
    return status


def reserved(world: World) -> list[bool]:
    return [world.view(evse).reserved_until is not None for evse in world.station.actors]


async def starts(world: World) -> list[Any]:
    return [r for r in await world.reports() if hasattr(r, "reservation_id")]


async def test_a_start_ends_the_reservation_and_says_so(tmp_path: Path) -> None:
    """TC_046; the row is gone with the commit that begins the transaction."""
    async with World(tmp_path) as world:
        ended: list[tuple[int, ReservationEnd]] = []
        world.station.reservations.on_end(lambda r, how: ended.append((r.id, how)))
        assert await reserve(world, wanted()) is ReserveStatus.ACCEPTED
        assert reserved(world) == [True]
        await world.tap(ANNA)
        assert reserved(world) == [False] and world.view().phase.value == "preparing"
        await world.plug()
        assert world.view().transaction_id is not None
        assert [s.reservation_id for s in await starts(world)] == [1]
        assert await world.store.reservations.load() == []
        assert ended == [(1, ReservationEnd.USED)]
        assert await world.station.reservations.cancel(1) is RequestStatus.REJECTED


async def test_offline_too(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await reserve(world, wanted())
        await world.store.auth_cache.remember(
            IdToken(ANNA), IdTokenInfo(status=AuthorizationStatus.ACCEPTED)
        )
        world.backend.connected = False
        await world.plug()
        await world.tap(ANNA)
        (start,) = await starts(world)
        assert (start.reservation_id, start.offline) == (1, True)


async def test_another_driver_is_refused_with_a_sentence(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await reserve(world, wanted())
        await world.plug()
        await world.tap(BEN)
        await world.advance(300)
        assert world.view().transaction_id is None and reserved(world) == [True]
        assert world.backend.asked == []
        assert "reserved for another driver until 22 Nov 13:00 UTC" in world.view().why


async def test_the_group_may_start(tmp_path: Path) -> None:
    """TC_053; §5.13: the group is found by Authorize."""
    async with World(tmp_path) as world:
        world.backend.answers = {BEN: IdTokenInfo(status=AuthorizationStatus.ACCEPTED, group=CLUB)}
        await reserve(world, wanted(group=CLUB))
        await world.tap("04000001")
        await world.plug()
        assert world.view().transaction_id is None
        await world.tap(BEN)
        assert [s.reservation_id for s in await starts(world)] == [1]


async def test_expiry_makes_it_available(tmp_path: Path) -> None:
    """TC_047."""
    async with World(tmp_path) as world:
        await reserve(world, wanted(expires_at=START + timedelta(seconds=90)))
        await world.advance(89)
        assert reserved(world) == [True]
        await world.advance(1.1)
        assert reserved(world) == [False]
        assert world.backend.views[-1].reserved_until is None
        assert await world.store.reservations.load() == []


async def test_expiry_while_powered_off(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await reserve(world, wanted(expires_at=START + timedelta(seconds=90)))
        await world.kill()
        world.clock.now_ns += 120 * 10**9
        await world.restart()
        assert reserved(world) == [False]
        assert all(v.reserved_until is None for v in world.backend.views[-1:])
        await world.settle()
        assert await world.store.reservations.load() == []


@pytest.mark.parametrize("evse", [1, None])
async def test_it_survives_a_reboot(tmp_path: Path, evse: int | None) -> None:
    async with World(tmp_path) as world:
        kept = wanted(evse=evse, group=CLUB)
        await reserve(world, kept)
        await world.restart(FakeGuard(world.clock, 1, guard_id="g2", boot_id="b2"))
        assert world.station.reservations.all() == [kept] and reserved(world) == [True]
        await world.plug()
        await world.tap(BEN)
        assert world.view().transaction_id is None
        assert await world.station.reservations.cancel(1) is RequestStatus.ACCEPTED


async def test_a_running_transaction_does_not_get_its_reservation_back(tmp_path: Path) -> None:
    """The station dies between the commit of the start and everything that follows."""
    async with World(tmp_path) as world:
        await reserve(world, wanted())
        await world.tap(ANNA)
        await world.plug()
        await world.restart()
        assert world.station.reservations.all() == []
        assert world.view().transaction_id is not None


async def test_an_id_that_is_used_again_is_another_reservation(tmp_path: Path) -> None:
    """Also after a restart the transaction of the first one does not end the second."""
    async with World(tmp_path, evses=2) as world:
        await reserve(world, wanted(1, 1))
        await world.plug(1)
        await world.tap(ANNA, (1,))
        assert world.view(1).transaction_id is not None
        assert await reserve(world, wanted(1, 2, BEN)) is ReserveStatus.ACCEPTED
        await world.advance(70)
        assert reserved(world) == [False, True]
        await world.restart()
        await world.advance(70)
        assert reserved(world) == [False, True]


async def test_cancel(tmp_path: Path) -> None:
    """TC_051, TC_052."""
    async with World(tmp_path) as world:
        await reserve(world, wanted())
        assert await world.station.reservations.cancel(2) is RequestStatus.REJECTED
        assert reserved(world) == [True]
        assert await world.station.reservations.cancel(1) is RequestStatus.ACCEPTED
        await world.settle()
        assert reserved(world) == [False]
        assert await world.store.reservations.load() == []


@pytest.mark.parametrize("evse", [1, None])
async def test_a_fault_ends_it_for_good(tmp_path: Path, evse: int | None) -> None:
    """§5.13 (3)."""
    async with World(tmp_path) as world:
        ended: list[ReservationEnd] = []
        world.station.reservations.on_end(lambda _, how: ended.append(how))
        await reserve(world, wanted(evse=evse))
        world.guard.fault(1, "rcd")
        await world.settle()
        assert await reserve(world, wanted(2, evse)) is ReserveStatus.FAULTED
        world.guard.fault_gone(1, "rcd")
        await world.settle()
        assert reserved(world) == [False] and ended == [ReservationEnd.REMOVED]
        assert await world.store.reservations.load() == []


async def test_unavailable_ends_it(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await reserve(world, wanted())
        await world.station.control.change_availability(1, False)
        await world.settle()
        assert world.station.reservations.all() == []
        assert await reserve(world, wanted(2)) is ReserveStatus.UNAVAILABLE


async def test_occupied(tmp_path: Path) -> None:
    """TC_048_2: a cable, a card that waits for its cable, a charge, the cable after it, another reservation."""
    async with World(tmp_path) as world:
        await world.tap(ANNA)
        assert await reserve(world, wanted()) is ReserveStatus.OCCUPIED
        await world.plug()
        assert await reserve(world, wanted()) is ReserveStatus.OCCUPIED
        await world.tap(ANNA)
        await world.advance(1)
        assert world.view().phase.value == "finishing"
        assert await reserve(world, wanted()) is ReserveStatus.OCCUPIED
        await world.unplug()
        assert await reserve(world, wanted()) is ReserveStatus.ACCEPTED
        assert await reserve(world, wanted(2)) is ReserveStatus.OCCUPIED
        assert await reserve(world, wanted(1, token=BEN)) is ReserveStatus.ACCEPTED
        assert [r.id_token.value for r in world.station.reservations.all()] == [BEN]


async def test_switched_off(tmp_path: Path) -> None:
    """TC_048_4; connector 0 by its own key."""
    world = World(tmp_path)
    world.settings_changed = {
        "ReservationEnabled": "true",
        "ReserveConnectorZeroSupported": "false",
    }
    async with world:
        assert await reserve(world, wanted(evse=None)) is ReserveStatus.REJECTED
        assert await reserve(world, wanted()) is ReserveStatus.ACCEPTED
        world.settings.change("ReservationEnabled", "false")
        assert await reserve(world, wanted(2)) is ReserveStatus.REJECTED
        # What stands stands.
        assert reserved(world) == [True]


async def test_what_cannot_be_stored_is_not_promised(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        assert await reserve(world, wanted(2**70)) is ReserveStatus.REJECTED
        assert reserved(world) == [False] and world.station.reservations.all() == []


async def test_remote_start_of_others_is_rejected(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await reserve(world, wanted())
        await world.plug()
        start = world.station.control.remote_start
        assert await start(IdToken(BEN), 1) is RequestStatus.REJECTED
        assert await start(IdToken(BEN), None) is RequestStatus.REJECTED
        assert await start(IdToken(ANNA), None) is RequestStatus.ACCEPTED
        await world.settle()
        assert [s.reservation_id for s in await starts(world)] == [1]


async def test_a_remote_start_of_an_unknown_card_of_the_group_is_asked_for(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        world.backend.answers = {BEN: IdTokenInfo(status=AuthorizationStatus.ACCEPTED, group=CLUB)}
        await reserve(world, wanted(group=CLUB))
        await world.plug()
        assert (
            await world.station.control.remote_start(IdToken("04000001"), 1)
            is RequestStatus.ACCEPTED
        )
        await world.settle()
        assert world.view().transaction_id is None  # the answer did not name the group
        assert await world.station.control.remote_start(IdToken(BEN), 1) is RequestStatus.ACCEPTED
        await world.settle()
        assert [s.reservation_id for s in await starts(world)] == [1]


async def test_a_remote_start_without_evse_takes_the_reserved_one(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        await reserve(world, wanted(evse=2))
        control = world.station.control
        assert await control.remote_start(IdToken(ANNA), None) is RequestStatus.ACCEPTED
        await world.settle()
        assert world.view(2).id_token == IdToken(ANNA)
        assert await control.remote_start(IdToken(BEN), None) is RequestStatus.ACCEPTED
        await world.settle()
        assert world.view(1).id_token == IdToken(BEN)


async def test_any_evse_keeps_the_last_one_free(tmp_path: Path) -> None:
    """TC_049, TC_050: two EVSEs, one reserved without saying which."""
    async with World(tmp_path, evses=2) as world:
        assert await reserve(world, wanted(evse=None)) is ReserveStatus.ACCEPTED
        assert reserved(world) == [False, False]
        await world.plug(1)
        await world.tap(BEN, (1,))
        assert world.view(1).transaction_id is not None
        assert reserved(world) == [False, True]
        await world.plug(2)
        await world.tap("04000001", (2,))
        assert world.view(2).transaction_id is None
        await world.tap(ANNA, (2,))
        found = await starts(world)
        assert [(s.evse, s.reservation_id) for s in found] == [(1, None), (2, 1)]


async def test_any_evse_lets_go_when_another_becomes_free(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        await reserve(world, wanted(evse=None))
        await world.plug(1)
        await world.tap(BEN, (1,))
        assert reserved(world) == [False, True]
        await world.unplug(1)
        await world.advance(1)
        assert reserved(world) == [False, False]


async def test_its_driver_at_one_evse_reserves_no_other(tmp_path: Path) -> None:
    """No flicker to Reserved on the second EVSE while the card at the first waits for its cable."""
    async with World(tmp_path, evses=2) as world:
        await reserve(world, wanted(evse=None))
        seen = len(world.backend.views)
        await world.tap(ANNA, (1,))
        await world.plug(1)
        assert [s.reservation_id for s in await starts(world)] == [1]
        assert all(v.reserved_until is None for v in world.backend.views[seen:])


async def test_the_cable_of_a_refused_driver_charges_when_it_is_cancelled(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await reserve(world, wanted())
        await world.plug()
        await world.advance(300)
        await world.station.reservations.cancel(1)
        await world.settle()
        await world.tap(BEN)
        assert world.view().transaction_id is not None


async def test_the_end_of_a_charge_leaves_nothing_reserved(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await reserve(world, wanted())
        await world.plug()
        await world.tap(ANNA)
        await world.unplug()
        await world.advance(1)
        reports = await world.reports()
        assert reports[-1].reason is StopReason.EV_DISCONNECTED
        assert reserved(world) == [False]


async def test_the_page_shows_until_when_and_not_whose(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await reserve(world, wanted())
        (evse,) = world.station.snapshots.snapshot()["evses"]
        assert evse["reserved_until"] == "2026-11-22T13:00:00+00:00"
        assert ANNA not in str(evse)
