"""What must not happen when store, socket, meter or backend fail in the middle of a charge."""

from __future__ import annotations

import asyncio
from pathlib import Path

from controller.core.model import (
    AuthorizationStatus,
    IdToken,
    IdTokenInfo,
    ResetKind,
    SessionPhase,
    StopReason,
    Transaction,
    TransactionEnded,
)
from controller.store.store import Store
from hal.errors import MeterSilent
from tests.unit.station.fakes import ACCEPTED, FakeGuard, World


async def fill_disk(world: World, table: str = "transactions", verb: str = "UPDATE") -> None:
    await world.store.database.write(
        lambda c: c.execute(
            f"CREATE TRIGGER full_{table} BEFORE {verb} ON {table} "
            "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    )


async def empty_disk(world: World, table: str = "transactions") -> None:
    await world.store.database.write(lambda c: c.execute(f"DROP TRIGGER full_{table}"))


async def test_an_offer_without_a_transaction_is_withdrawn(tmp_path: Path) -> None:
    """DESIGN §1.5: the withdrawal was lost on its way; the guard's own words show it."""
    async with World(tmp_path) as world:
        plug_id = await world.plug()
        world.guard.sent.clear()
        world.guard.change(1, offered_amps=16.0, state="C2")
        world.guard.contactor(1, True)
        await world.settle()
        assert ("withdraw", 1, plug_id) in world.guard.sent
        assert not world.view().contactor_closed


async def test_a_running_transaction_is_not_withdrawn_by_what_the_guard_tells(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        await world.charge(10)
        world.guard.tell()
        await world.settle()
        assert [s for s in world.guard.sent if s[0] == "withdraw"] == []


async def test_a_forgotten_transaction_does_not_go_on_charging(tmp_path: Path) -> None:
    """The database cannot be opened at a restart in the middle of a charge."""
    async with World(tmp_path) as world:
        await world.charge(30)
        await world.kill()
        world.guard._queue = asyncio.Queue()
        for file in tmp_path.glob("station.db*"):
            file.unlink()
        (tmp_path / "station.db").mkdir()
        world.guard.sent.clear()
        await world.start()
        assert ("withdraw", 1, 7) in world.guard.sent
        assert world.guard.offers() == []
        assert not world.guard.evses[1].contactor_closed
        assert world.view().phase is not SessionPhase.TRANSACTION


async def test_a_full_disk_does_not_keep_a_charge_from_being_stopped(tmp_path: Path) -> None:
    """The group that the answer to the start told cannot be stored; the driver's card still stops."""
    async with World(tmp_path) as world:
        await world.charge(10)
        transaction_id = world.view().transaction_id
        assert transaction_id is not None
        await fill_disk(world)
        group = IdTokenInfo(status=AuthorizationStatus.ACCEPTED, group=IdToken("FAMILY"))
        await world.station.control.start_answered(transaction_id, group)
        await world.advance(5)
        assert world.view().contactor_closed
        await world.tap()
        assert not world.view().contactor_closed
        await empty_disk(world)
        await world.advance(3)
        assert isinstance((await world.reports())[-1], TransactionEnded)


async def test_a_group_that_could_not_be_stored_is_stored_later(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.charge(10)
        transaction_id = world.view().transaction_id
        assert transaction_id is not None
        await fill_disk(world)
        group = IdTokenInfo(status=AuthorizationStatus.ACCEPTED, group=IdToken("FAMILY"))
        await world.station.control.start_answered(transaction_id, group)
        await world.advance(1)
        await empty_disk(world)
        await world.advance(60)
        assert (await world.store.transactions.open_transactions())[1].group == IdToken("FAMILY")


async def test_what_is_repeated_until_stored_pauses_what_is_offered(tmp_path: Path) -> None:
    """While an EVSE waits for its disk nobody could stop the charge."""
    async with World(tmp_path) as world:
        await world.charge(10)
        await fill_disk(world)
        actor = world.station.actors[1]
        running = actor.session.transaction
        assert running is not None
        change = asyncio.ensure_future(actor._books.change(running, vital=True))
        await world.settle()
        assert world.guard.offers()[-1] == (7, 0.0)
        await empty_disk(world)
        await world.advance(2)
        await change


async def test_a_register_that_fell_during_a_power_cut_does_not_bill_nothing(
    tmp_path: Path,
) -> None:
    """DESIGN §5: the last good value, marked as estimated, with the fault."""
    async with World(tmp_path) as world:
        await world.charge(150)
        stored = (await world.store.transactions.open_transactions())[1].last_meter_wh
        world.meters[1].energy_wh = 0.0
        guard = FakeGuard(world.clock, 1, guard_id="g2")
        await world.restart(guard)
        await world.advance(32)
        ended = (await world.reports())[-1]
        assert isinstance(ended, TransactionEnded)
        assert (ended.meter_wh, ended.estimated) == (stored, True)
        assert ("raise", 1, "meter_backwards") in guard.sent


async def test_energy_that_the_guard_held_on_alone_is_billed(tmp_path: Path) -> None:
    """The station was away for the whole time of the hold offer."""
    async with World(tmp_path) as world:
        await world.charge(50)
        await world.kill()
        world.clock.now_ns += 600_000_000_000
        world.meters[1].pass_time()
        world.guard._queue = asyncio.Queue()
        await world.start()
        await world.tap()
        await world.advance(2)
        ended = (await world.reports())[-1]
        assert (ended.meter_wh, ended.estimated) == (world.meters[1].energy_wh, False)


async def test_a_cache_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await fill_disk(world, "auth_cache", "INSERT")
        await world.charge(10)
        assert world.view().phase is SessionPhase.TRANSACTION
        transaction_id = world.view().transaction_id
        assert transaction_id is not None
        await world.station.control.remember(IdToken("04A2B3C4"), ACCEPTED)
        await world.advance(1)
        assert world.code is None


async def test_a_cache_that_cannot_be_read_knows_nobody(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        world.backend.connected = False
        await world.store.database.write(lambda c: c.execute("DROP TABLE auth_cache"))
        await world.plug()
        await world.tap()
        assert "is not known here" in world.view().why


async def test_a_reset_works_also_with_a_full_disk(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await fill_disk(world, "stored_values", "INSERT")
        await world.station.control.reset(ResetKind.SOFT)
        await world.advance(3)
        assert world.code == 3


async def test_availability_that_cannot_be_stored_ends_nothing(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.charge(10)
        await world.station.control.change_availability(1, False)
        await fill_disk(world, "stored_values", "INSERT")
        await world.tap()
        await world.advance(2)
        assert world.code is None
        assert not world.view().operative


async def test_a_refused_card_does_not_charge_again_after_a_restart(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        world.settings_changed["StopTransactionOnInvalidId"] = "false"
        world.settings.change("StopTransactionOnInvalidId", "false")
        await world.charge(70)
        transaction_id = world.view().transaction_id
        assert transaction_id is not None
        info = IdTokenInfo(status=AuthorizationStatus.INVALID)
        await world.station.control.start_answered(transaction_id, info)
        await world.settle()
        assert not world.view().contactor_closed
        world.guard.sent.clear()
        await world.restart()
        await world.advance(5)
        assert world.guard.offers() == [(7, 0.0)]
        assert world.view().transaction_id == transaction_id


async def test_a_cable_that_was_kept_is_given_back_after_a_restart(tmp_path: Path) -> None:
    async with World(tmp_path, lock={"driver": "x"}) as world:
        await world.charge(10)
        transaction_id = world.view().transaction_id
        assert transaction_id is not None
        info = IdTokenInfo(status=AuthorizationStatus.INVALID)
        await world.station.control.start_answered(transaction_id, info)
        await world.advance(1)
        assert ("unlock", 1) not in world.guard.sent
        await world.restart()
        await world.tap()
        assert ("unlock", 1) in world.guard.sent


async def test_an_ending_transaction_does_not_keep_the_processor_busy(tmp_path: Path) -> None:
    """The meter is silent at the end and the minute of the next moment of life passes."""
    async with World(tmp_path) as world:
        await world.charge(55)
        world.meters[1].error = MeterSilent("no answer")
        await world.tap()
        actor = world.station.actors[1]
        await world.advance(6)
        due_s = actor._seconds_to_next()
        assert actor.session.ending
        assert due_s is not None and due_s > 0.1


async def test_a_moment_of_life_is_not_stored_before_the_guard_has_spoken(tmp_path: Path) -> None:
    """Otherwise the end after a power loss would be dated after it."""
    async with World(tmp_path) as world:
        await world.charge(90)
        await world.kill()
        stored = (await _life(world)).last_seen_at
        guard = FakeGuard(world.clock, 1, guard_id="g2")
        world.guard = world.meters[1]._guard = guard
        world.clock.now_ns += 30_000_000_000
        guard.run = asyncio.Event().wait  # type: ignore[method-assign,assignment]
        await world.start()
        await world.advance(150)
        assert (await world.store.transactions.open_transactions())[1].last_seen_at == stored
        due_s = world.station.actors[1]._seconds_to_next()
        assert due_s is None or due_s > 0.1


async def _life(world: World) -> Transaction:
    store = await Store.open(world.state_dir)
    try:
        return (await store.transactions.open_transactions())[1]
    finally:
        await store.database.close()


async def test_a_refusal_survives_the_death_between_its_delivery_and_acting_on_it(
    tmp_path: Path,
) -> None:
    """R16-TX-7: the answer to the start is deleted from the queue, then the station is killed."""
    async with World(tmp_path) as world:
        await world.charge(30)
        entry = await world.store.outbox.head()
        assert entry is not None
        refused = IdTokenInfo(status=AuthorizationStatus.INVALID)
        await world.store.outbox.delivered(entry.n, 7, refused)
        await world.restart()
        await world.advance(10)
        assert world.view().phase is SessionPhase.FINISHING
        reports = await world.reports()
        ends = [r for r in reports if isinstance(r, TransactionEnded)]
        assert [end.reason for end in ends] == [StopReason.DE_AUTHORIZED]


async def test_a_refusal_is_acted_on_once_over_restarts(tmp_path: Path) -> None:
    """MaxEnergyOnInvalidId is given once, however often the station restarts."""
    async with World(tmp_path) as world:
        world.settings_changed = {
            "StopTransactionOnInvalidId": "false",
            "MaxEnergyOnInvalidId": "500",
        }
        await world.restart()
        await world.charge(30)
        entry = await world.store.outbox.head()
        assert entry is not None
        await world.store.outbox.delivered(
            entry.n, 7, IdTokenInfo(status=AuthorizationStatus.INVALID)
        )
        limits = set()
        for _ in range(3):
            await world.restart()
            await world.advance(10)
            running = world.station.actors[1].session.transaction
            assert running is not None
            limits.add(running.energy_limit_wh)
        assert len(limits) == 1 and None not in limits
