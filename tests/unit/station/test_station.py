"""The station with a guard, a meter and a backend made of values: whole charges."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from controller.core.model import (
    AuthorizationStatus,
    AvailabilityStatus,
    BootReason,
    ChargingState,
    IdToken,
    IdTokenInfo,
    IdTokenType,
    MeterValuesTaken,
    RequestStatus,
    ResetKind,
    SessionPhase,
    StopReason,
    TransactionEnded,
    TransactionStarted,
    UnlockStatus,
)
from hal.errors import MeterGarbage, MeterSilent, ReaderSilent
from tests.unit.station.fakes import START, FakeGuard, World


async def test_one_charge(tmp_path: Path) -> None:
    """Plug, tap, charge, tap, unplug: R16-TX-1, R16-MV-1."""
    async with World(tmp_path) as world:
        await world.advance(5)
        await world.plug()
        await world.tap()
        assert world.backend.asked == ["04A2B3C4"]
        assert world.guard.offers() == [(7, 16.0)]
        assert world.view().charging_state is ChargingState.CHARGING
        await world.advance(125)
        await world.tap()
        await world.advance(1)
        assert world.view().phase is SessionPhase.FINISHING
        await world.unplug()
        assert world.phases() == ["idle", "preparing", "transaction", "finishing", "idle"]
        started, first, second, ended = await world.reports()
        assert isinstance(started, TransactionStarted)
        assert isinstance(first, MeterValuesTaken)
        assert isinstance(second, MeterValuesTaken)
        assert isinstance(ended, TransactionEnded)
        assert started.meter_wh == 1000.0
        assert (second.sample.at - started.at).total_seconds() == 120
        assert first.sample.values[0].value < second.sample.values[0].value
        assert (ended.reason, ended.estimated) == (StopReason.LOCAL, False)
        assert ended.meter_wh == world.meters[1].energy_wh
        assert abs(ended.meter_wh - 1000 - 125 / 3600 * 3680) < 1
        assert world.backend.asked == ["04A2B3C4"]


async def test_the_start_is_durable_before_the_offer(tmp_path: Path) -> None:
    """DESIGN §1.5: killed right after the offer, the start is still there."""
    async with World(tmp_path) as world:
        await world.plug()
        await world.tap()
        assert world.guard.offers()
        await world.restart()
        (started,) = await world.reports()
        assert isinstance(started, TransactionStarted)


async def test_a_start_that_cannot_be_stored_gets_no_offer(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.plug()
        await world.store.database.write(
            lambda c: c.execute(
                "CREATE TRIGGER full BEFORE INSERT ON transactions "
                "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            )
        )
        await world.tap()
        assert world.guard.offers() == []
        assert world.view().phase is SessionPhase.FINISHING
        assert await world.reports() == []


async def test_a_store_that_keeps_nothing_starts_nothing(tmp_path: Path) -> None:
    """DESIGN §1.5: what is not durable is not acted on."""
    (tmp_path / "station.db").mkdir()
    async with World(tmp_path) as world:
        await world.plug()
        await world.tap()
        assert world.guard.offers() == []
        assert "cannot store" in world.view().why


async def test_an_end_that_cannot_be_stored_is_tried_until_it_is(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.charge()
        await world.store.database.write(
            lambda c: c.execute(
                "CREATE TRIGGER full BEFORE UPDATE ON transactions "
                "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            )
        )
        await world.tap()
        await world.advance(5)
        assert world.phases()[-1] == "transaction"
        await world.store.database.write(lambda c: c.execute("DROP TRIGGER full"))
        await world.advance(2)
        assert world.view().phase is SessionPhase.FINISHING
        assert [type(r) for r in await world.reports()][-1] is TransactionEnded


async def test_station_restart_goes_on_with_the_same_transaction(tmp_path: Path) -> None:
    """Recovery (a)."""
    async with World(tmp_path) as world:
        await world.charge(30)
        transaction = world.view().transaction_id
        world.guard.sent.clear()
        await world.restart()
        assert world.view().transaction_id == transaction
        assert world.guard.offers() == [(7, 16.0)]
        await world.advance(30)
        await world.tap()
        await world.advance(1)
        reports = await world.reports()
        assert [type(r) for r in reports].count(TransactionStarted) == 1
        assert reports[-1].transaction_id == transaction
        assert world.backend.asked == ["04A2B3C4"]


async def test_car_exchanged_while_the_station_was_away(tmp_path: Path) -> None:
    """DESIGN §1.3: the second car gets 0 Wh; the first one's end is when its cable went."""
    async with World(tmp_path) as world:
        await world.charge(30)
        await world.kill()
        gone_at = world.clock.utc()
        world.guard._queue = asyncio.Queue()
        world.guard.unplug()
        world.clock.now_ns += 20_000_000_000
        world.guard.plug()
        world.guard.sent.clear()
        await world.start()
        await world.advance(2)
        assert world.guard.offers() == []
        ended = (await world.reports())[-1]
        assert isinstance(ended, TransactionEnded)
        assert (ended.reason, ended.at) == (StopReason.EV_DISCONNECTED, gone_at)
        assert ended.meter_wh == world.meters[1].energy_wh
        assert world.view().phase is SessionPhase.PREPARING
        assert not world.view().contactor_closed


async def test_power_loss_ends_with_the_register_after_the_boot(tmp_path: Path) -> None:
    """Recovery (b): PowerLoss, last stored moment of life, real register."""
    async with World(tmp_path) as world:
        await world.charge(150)
        world.meters[1].pass_time()
        guard = FakeGuard(world.clock, 1, guard_id="g2")
        guard.change(1, plugged=True, plug_id=99, state="B1")
        await world.restart(guard)
        await world.advance(2)
        ended = (await world.reports())[-1]
        assert isinstance(ended, TransactionEnded)
        assert ended.reason is StopReason.POWER_LOSS
        assert ended.at == START + timedelta(seconds=120)
        assert (ended.meter_wh, ended.estimated) == (world.meters[1].energy_wh, False)
        assert world.view().phase is SessionPhase.FINISHING
        assert guard.offers() == []
        assert "idle" not in [v.phase.value for v in world.backend.views[-4:]]


async def test_power_loss_with_a_dead_meter(tmp_path: Path) -> None:
    """Unreadable for 30 s: the last stored value, estimated."""
    async with World(tmp_path) as world:
        await world.charge(150)
        stored = (await world.store.transactions.open_transactions())[1].last_meter_wh
        world.meters[1].error = MeterSilent("no answer")
        await world.restart(FakeGuard(world.clock, 1, guard_id="g2"))
        await world.advance(29)
        assert not [r for r in await world.reports() if isinstance(r, TransactionEnded)]
        await world.advance(2)
        (ended,) = await world.reports()
        assert (ended.meter_wh, ended.estimated) == (stored, True)


async def test_resume_after_power_loss(tmp_path: Path) -> None:
    async with World(tmp_path, resume_after_power_loss=True) as world:
        await world.charge(30)
        transaction = world.view().transaction_id
        guard = FakeGuard(world.clock, 1, guard_id="g2")
        guard.change(1, plugged=True, plug_id=99, state="B1")
        await world.restart(guard)
        assert world.view().transaction_id == transaction
        assert guard.offers() == [(99, 16.0)]


async def test_guard_restart_alone(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.charge(30)
        world.guard.guard_id = "g2"
        world.guard.change(
            1, plug_id=99, state="B1", contactor_closed=False, contactor_commanded=False
        )
        world.guard.tell()
        await world.advance(2)
        assert (await world.reports())[-1].reason is StopReason.POWER_LOSS
        assert world.view().phase is SessionPhase.FINISHING


async def test_boot_with_the_cable_in_is_never_available(tmp_path: Path) -> None:
    """Recovery (c)."""
    world = World(tmp_path)
    world.guard.change(1, plugged=True, plug_id=3, state="B1")
    async with world:
        assert world.phases() == ["preparing"]


async def test_a_timed_out_plug_in_stays_used_over_a_restart(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.plug()
        await world.advance(61)
        await world.restart()
        assert world.view().phase is SessionPhase.FINISHING
        await world.tap()
        assert world.backend.asked == []


async def test_link_silent_at_the_tap(tmp_path: Path) -> None:
    """Without an Authorize answer the offline rules decide after 10 s; unlisted is refused."""
    async with World(tmp_path) as world:
        world.backend.hold = asyncio.Event()
        await world.plug()
        await world.tap()
        await world.advance(9.5)
        assert world.view().why == "Checking the card with the operator."
        await world.advance(1)
        assert "did not answer within 10 s" in world.view().why
        assert world.guard.offers() == []


async def test_link_silent_at_the_tap_of_a_known_card_then_a_late_refusal(tmp_path: Path) -> None:
    """DESIGN §5: a later refusal acts like a refused StartTransaction."""
    async with World(tmp_path) as world:
        await world.charge(5)
        await world.tap()
        await world.advance(1)
        await world.unplug()
        world.backend.hold = asyncio.Event()
        await world.plug()
        await world.tap()
        await world.advance(10.5)
        assert world.guard.offers()[-1] == (8, 16.0)
        blocked = IdTokenInfo(status=AuthorizationStatus.BLOCKED)
        world.backend.answers = {"04A2B3C4": blocked}
        world.backend.hold.set()
        await world.settle()
        await world.advance(1)
        ended = (await world.reports())[-1]
        assert ended.reason is StopReason.DE_AUTHORIZED
        assert await world.store.auth_cache.find(IdToken("04A2B3C4")) == blocked


async def test_offline_rules(tmp_path: Path) -> None:
    """R16-AUTH-3, R16-AUTH-4."""
    async with World(tmp_path) as world:
        world.backend.connected = False
        await world.plug()
        await world.tap()
        assert world.guard.offers() == []
        assert "is not known here" in world.view().why
        world.settings.change("AllowOfflineTxForUnknownId", "true")
        await world.tap()
        assert world.guard.offers()
        (started,) = await world.reports()
        assert started.offline


async def test_start_refused_while_charging(tmp_path: Path) -> None:
    """R16-TX-7."""
    async with World(tmp_path) as world:
        world.settings.change("StopTransactionOnInvalidId", "false")
        await world.charge(10)
        transaction = world.view().transaction_id
        assert transaction is not None
        info = IdTokenInfo(status=AuthorizationStatus.INVALID)
        await world.station.control.start_answered(transaction, info)
        await world.settle()
        assert world.guard.offers()[-1] == (7, 0.0)
        assert world.view().charging_state is ChargingState.SUSPENDED_EVSE
        assert "was refused" in world.view().why


async def test_weld_at_the_stop(tmp_path: Path) -> None:
    """The end is estimated after 10 s; the fault is the guard's."""
    async with World(tmp_path) as world:
        await world.charge(60)
        world.guard.welded = True
        await world.tap()
        await world.advance(9)
        assert world.view().phase is SessionPhase.TRANSACTION
        await world.advance(2)
        ended = (await world.reports())[-1]
        assert ended.estimated
        assert ended.meter_wh > 1060


async def test_meter_dies_before_the_stop(tmp_path: Path) -> None:
    """Last good value, estimated, with the fault; nothing rewrites it."""
    async with World(tmp_path) as world:
        await world.charge(60)
        last = world.station.actors[1].poller.latest.energy_wh  # type: ignore[union-attr]
        world.meters[1].error = MeterSilent("no answer")
        await world.advance(5)
        assert ("raise", 1, "meter_silent") in world.guard.sent
        await world.tap()
        await world.advance(11)
        ended = (await world.reports())[-1]
        assert (ended.meter_wh, ended.estimated) == (last, True)
        world.meters[1].error = None
        await world.advance(20)
        assert ("clear", 1, "meter_silent") in world.guard.sent
        assert await world.reports() == []


async def test_meter_faults_are_told_apart_and_once(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.charge(10)
        for error, name in (
            (MeterSilent("x"), "meter_silent"),
            (MeterGarbage("x"), "meter_garbage"),
        ):
            world.meters[1].error = error
            await world.advance(10)
            world.meters[1].error = None
            await world.advance(3)
            assert world.guard.sent.count(("raise", 1, name)) == 1
            assert world.guard.sent.count(("clear", 1, name)) == 1
        world.meters[1].energy_wh -= 500
        await world.advance(5)
        assert world.guard.sent.count(("raise", 1, "meter_backwards")) == 1


async def test_register_jumps(tmp_path: Path) -> None:
    """Outside a transaction another meter; inside one a fault, and the value is not used."""
    async with World(tmp_path) as world:
        world.meters[1].energy_wh = 50_000.0
        await world.advance(20)
        assert not [s for s in world.guard.sent if s[0] == "raise"]
        await world.charge(10)
        world.meters[1].energy_wh = 90_000.0
        await world.advance(5)
        assert ("raise", 1, "meter_backwards") in world.guard.sent
        await world.tap()
        await world.advance(12)
        ended = (await world.reports())[-1]
        assert ended.estimated
        assert 50_000 < ended.meter_wh < 50_100


async def test_over_current_by_the_meter(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        world.meters[1].watts = 230 * 20
        await world.charge(6)
        assert ("raise", 1, "over_current") not in world.guard.sent
        await world.advance(4)
        assert ("raise", 1, "over_current") in world.guard.sent


@pytest.mark.parametrize("begins_s", [0.0, 0.25, 0.5, 0.99])
async def test_over_current_opens_within_7_to_8_seconds(tmp_path: Path, begins_s: float) -> None:
    """Above 1.1 x (offer + 0.5 A) for 7 s, whenever between two polls it began."""
    async with World(tmp_path) as world:
        await world.charge(30 + begins_s)
        world.meters[1].watts = 230 * 20
        began_ns = world.clock.now_ns
        while ("raise", 1, "over_current") not in world.guard.sent:
            await world.advance(0.05)
            assert world.clock.now_ns - began_ns < 20e9
        assert 7.0 <= (world.clock.now_ns - began_ns) / 1e9 <= 8.1


async def test_clock_aligned_values_also_outside_a_transaction(tmp_path: Path) -> None:
    """R16-MV-2."""
    async with World(tmp_path) as world:
        world.settings.change("ClockAlignedDataInterval", "900")
        await world.advance(1801)
        reports = await world.reports()
        assert [(r.sample.at - START).total_seconds() for r in reports] == [900, 1800]
        assert {r.transaction_id for r in reports} == {None}
        assert {r.sample.context.value for r in reports} == {"Sample.Clock"}


async def test_stop_data_has_begin_and_end(tmp_path: Path) -> None:
    """R16-MV-1."""
    async with World(tmp_path) as world:
        world.settings.change("StopTxnSampledData", "Energy.Active.Import.Register")
        await world.charge(125)
        await world.tap()
        await world.advance(1)
        ended = (await world.reports())[-1]
        assert [s.context.value for s in ended.samples] == [
            "Transaction.Begin",
            "Sample.Periodic",
            "Sample.Periodic",
            "Transaction.End",
        ]
        assert ended.samples[-1].values[0].value == ended.meter_wh


async def test_soft_and_hard_reset(tmp_path: Path) -> None:
    """R16-RST-1."""
    for kind, code, reason in (
        (ResetKind.SOFT, 3, StopReason.SOFT_RESET),
        (ResetKind.HARD, 4, StopReason.HARD_RESET),
    ):
        async with World(tmp_path / kind.value) as world:
            await world.charge(10)
            world.backend.connected = False
            assert await world.station.control.reset(kind) is RequestStatus.ACCEPTED
            await world.advance(3)
            assert world.code == code
            await world.kill()
            await world.start()
            assert world.station.boot_reason() is BootReason.REMOTE_RESET
            assert (await world.reports())[-1].reason is reason


async def test_availability(tmp_path: Path) -> None:
    """R16-AV-1."""
    async with World(tmp_path) as world:
        control = world.station.control
        await world.charge(10)
        assert await control.change_availability(1, False) is AvailabilityStatus.SCHEDULED
        assert world.view().operative
        await world.tap()
        await world.advance(1)
        assert not world.view().operative
        await world.unplug()
        await world.restart()
        assert not world.view().operative
        await world.plug()
        await world.tap()
        assert world.backend.asked == ["04A2B3C4"]
        assert "out of service" in world.view().why
        control = world.station.control
        assert await control.change_availability(None, True) is AvailabilityStatus.ACCEPTED
        await world.settle()
        assert world.view().operative
        assert await control.change_availability(9, True) is AvailabilityStatus.REJECTED


async def test_cable_stays_locked_when_unplugged_at_the_vehicle(tmp_path: Path) -> None:
    """UnlockConnectorOnEVSideDisconnect = false: the guard is told not to unlock by itself."""
    async with World(tmp_path, lock={"driver": "x"}) as world:
        world.settings.change("UnlockConnectorOnEVSideDisconnect", "false")
        await world.charge(10)
        assert ("lock", 1, True) in world.guard.sent


async def test_unlock(tmp_path: Path) -> None:
    """R16-UNL-1."""
    async with World(tmp_path / "a") as world:
        assert await world.station.control.unlock(1) is UnlockStatus.NOT_SUPPORTED
    async with World(tmp_path / "b", lock={"driver": "x"}) as world:
        await world.charge(10)
        assert ("lock", 1, False) in world.guard.sent
        asking = asyncio.create_task(world.station.control.unlock(1))
        await world.advance(2)
        assert await asking is UnlockStatus.UNLOCKED
        assert (await world.reports())[-1].reason is StopReason.UNLOCK_COMMAND


async def test_remote_start_and_stop(tmp_path: Path) -> None:
    """R16-AUTH-7."""
    async with World(tmp_path) as world:
        control = world.station.control
        token = IdToken("REMOTE", IdTokenType.CENTRAL)
        assert await control.remote_start(token, None, 5) is RequestStatus.ACCEPTED
        await world.settle()
        assert await control.remote_start(token, None, 6) is RequestStatus.REJECTED
        await world.plug()
        transaction = world.view().transaction_id
        assert transaction is not None
        assert control.transaction(transaction) == 1
        assert world.backend.asked == []
        assert await control.remote_stop("other") is RequestStatus.REJECTED
        assert await control.remote_stop(transaction) is RequestStatus.ACCEPTED
        await world.advance(1)
        started, ended = await world.reports()
        assert (started.remote_start_id, ended.reason) == (5, StopReason.REMOTE)


async def test_remote_start_with_authorization(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        world.settings.change("AuthorizeRemoteTxRequests", "true")
        await world.plug()
        await world.station.control.remote_start(IdToken("REMOTE"), 1)
        await world.settle()
        assert world.backend.asked == ["REMOTE"]
        assert world.view().phase is SessionPhase.TRANSACTION


async def test_a_fault_that_only_a_person_clears_ends_the_transaction(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.charge(10)
        world.guard.fault(1, "emergency_stop", latched=True)
        world.guard.contactor(1, False)
        await world.settle()
        await world.advance(1)
        assert (await world.reports())[-1].reason is StopReason.EMERGENCY_STOP
        assert world.view().inoperative_by_fault
        assert world.view().why.startswith(
            "Not charging: the emergency stop is pressed (emergency_stop"
        )


async def test_a_lost_reader_is_told_once_and_comes_back(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        for _ in range(3):
            world.reader.queue.put_nowait(ReaderSilent("no answer"))
            await world.advance(1)
        assert world.guard.sent.count(("raise", 1, "reader_dead")) == 1
        assert "card reader" in world.view().why
        await world.advance(10)
        assert ("clear", 1, "reader_dead") in world.guard.sent
        await world.tap()
        assert world.backend.asked == ["04A2B3C4"]


async def test_stand_alone_charges_without_a_queue(tmp_path: Path) -> None:
    world = World(tmp_path, authorization="free", backend=False)
    async with world:
        await world.plug()
        assert world.view().phase is SessionPhase.TRANSACTION
        await world.unplug()
        await world.advance(1)
        assert await world.reports() == []
        last = await world.store.transactions.last(1)
        assert last is not None and last.stop_reason is StopReason.EV_DISCONNECTED


async def test_no_guard_no_charge(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        world.guard.connected = False
        await world.advance(5)
        assert world.view().inoperative_by_fault
        assert "guard" in world.view().why


async def test_idle_writes_nothing_and_polls_seldom(tmp_path: Path) -> None:
    """DESIGN §7: an idle hour costs no disk writes."""
    async with World(tmp_path) as world:
        await world.advance(1)
        size, polls = _size(tmp_path), world.meters[1].polls
        await world.advance(600)
        assert _size(tmp_path) == size
        assert world.meters[1].polls - polls <= 60


def _size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.iterdir() if f.is_file())


async def test_two_remote_starts_at_the_same_moment(tmp_path: Path) -> None:
    """One EVSE cannot be promised twice."""
    for asks in ("true", "false"):
        async with World(tmp_path / asks) as world:
            world.settings.change("AuthorizeRemoteTxRequests", asks)
            await world.plug()
            control = world.station.control
            answers = await asyncio.gather(
                control.remote_start(IdToken("A"), None), control.remote_start(IdToken("B"), None)
            )
            assert sorted(answers) == [RequestStatus.ACCEPTED, RequestStatus.REJECTED]
            await world.settle()
            token = world.view().id_token
            assert token is not None and token.value == "A"
