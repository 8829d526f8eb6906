"""The flows of one EVSE, each from the driver's first act to the last (R16-AUTH, R16-TX, R16-ST)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.core import facts
from controller.core.authorization import AuthorizationMode
from controller.core.commands import (
    BeginTransaction,
    ChangeTransaction,
    EndTransaction,
    LockConnector,
    MarkUsed,
    Pause,
    Permit,
    PrepareRead,
    ReadEnd,
    UnlockConnector,
    Withdraw,
)
from controller.core.model import (
    AuthorizationStatus,
    IdToken,
    IdTokenInfo,
    SessionPhase,
    StopReason,
)
from tests.unit.core.session_walk import ALICE, BOB, GROUP, START, Walk

REFUSED = AuthorizationStatus.INVALID


def test_plug_first_starts_in_the_right_order_and_ends_by_the_same_card() -> None:
    """R16-TX-1, R16-AUTH-2: read, store, offer; the same token stops without Authorize."""
    walk = Walk()
    transaction = walk.charge()
    assert transaction.meter_start_wh == 1000.0
    walk.tap(ALICE)
    assert walk.session.phase is SessionPhase.TRANSACTION
    ended = walk.settle(1500.0)
    assert walk.kinds() == [
        "AskAuthorization",
        "ReadBegin",
        "BeginTransaction",
        "Permit",
        "Withdraw",
        "ReadEnd",
        "EndTransaction",
    ]
    assert ended.transaction.stop_reason is StopReason.LOCAL
    assert ended.id_token == ALICE
    assert (ended.transaction.meter_stop_wh, ended.transaction.estimated) == (1500.0, False)
    assert walk.session.phase is SessionPhase.FINISHING
    walk.unplug()
    assert walk.session.phase is SessionPhase.IDLE


def test_the_end_value_is_read_after_the_contactor_opened() -> None:
    walk = Walk()
    walk.charge()
    walk.tap()
    assert walk.all(ReadEnd) == []
    walk.end_read(9999.0)
    assert walk.all(EndTransaction) == []
    walk.contactor(False, at_ns=77)
    assert walk.only(ReadEnd).after_ns == 77


def test_a_reading_from_before_the_last_opening_is_not_the_end_value() -> None:
    walk = Walk()
    walk.charge()
    walk.tap()
    walk.contactor(False, at_ns=10)
    walk.contactor(True)
    walk.contactor(False, at_ns=20)
    first, second = walk.all(ReadEnd)
    walk.feed(facts.EndRead(read=first.read, energy_wh=1400.0))
    assert walk.all(EndTransaction) == []
    walk.feed(facts.EndRead(read=second.read, energy_wh=1401.0))
    assert walk.only(EndTransaction).energy_wh == 1401.0


def test_a_stop_while_the_contactor_is_just_closing_waits_for_it() -> None:
    walk = Walk()
    walk.join()
    walk.plug()
    walk.tap()
    walk.answer()
    walk.begin_read()
    walk.tap()
    walk.contactor(True)
    walk.wait(1.0)
    assert walk.all(ReadEnd) == []
    walk.contactor(False, at_ns=5)
    assert walk.only(ReadEnd).after_ns == 5


def test_tap_first() -> None:
    walk = Walk()
    walk.join()
    walk.tap()
    assert walk.session.phase is SessionPhase.IDLE
    walk.answer()
    assert walk.session.phase is SessionPhase.PREPARING
    walk.wait(59)
    walk.plug()
    walk.begin_read()
    assert walk.billed == 1
    assert walk.session.phase is SessionPhase.TRANSACTION


def test_tap_then_time_out_bills_nothing() -> None:
    walk = Walk()
    walk.join()
    walk.tap()
    walk.answer()
    walk.wait(60)
    assert walk.session.phase is SessionPhase.IDLE
    walk.plug()
    assert walk.billed == 0
    assert walk.session.phase is SessionPhase.PREPARING


def test_second_tap_of_the_same_card_before_the_plug_cancels() -> None:
    walk = Walk()
    walk.join()
    walk.tap()
    walk.answer()
    walk.tap(IdToken(ALICE.value.lower()))
    assert walk.session.phase is SessionPhase.IDLE
    walk.plug()
    assert walk.billed == 0


def test_another_card_replaces_the_one_that_waits_for_a_plug() -> None:
    """The one who shows the card last is the one who stands there with the cable."""
    walk = Walk()
    walk.join()
    walk.tap(ALICE)
    walk.answer()
    walk.tap(BOB)
    walk.answer()
    walk.plug()
    walk.begin_read()
    assert walk.only(BeginTransaction).transaction.id_token == BOB


@pytest.mark.parametrize("token", [ALICE, BOB])
def test_plug_without_tap_past_the_time_out_needs_a_replug(token: IdToken) -> None:
    """R16-ST B6: another driver's card must not take over the cable."""
    walk = Walk()
    walk.join()
    walk.plug(7)
    walk.wait(60)
    assert walk.session.phase is SessionPhase.FINISHING
    assert walk.only(MarkUsed).plug_id == 7
    walk.tap(token)
    assert walk.asked == []
    walk.unplug()
    assert walk.session.phase is SessionPhase.IDLE
    walk.plug(8)
    walk.tap(token)
    walk.answer()
    walk.begin_read()
    assert walk.only(Permit).plug_id == 8


@pytest.mark.parametrize(
    "status", [s for s in AuthorizationStatus if s is not AuthorizationStatus.ACCEPTED]
)
@pytest.mark.parametrize("plugged", [True, False])
def test_refused_cards_start_nothing(status: AuthorizationStatus, plugged: bool) -> None:
    walk = Walk()
    walk.join(7 if plugged else None)
    walk.tap()
    walk.answer(status, why="it has expired")
    assert walk.billed == 0
    expected = SessionPhase.PREPARING if plugged else SessionPhase.IDLE
    assert walk.session.phase is expected
    assert "it has expired" in walk.session.notice


def test_another_card_does_not_end_the_transaction() -> None:
    walk = Walk()
    walk.charge()
    walk.tap(BOB)
    assert walk.asked == [ALICE]
    assert walk.all(Withdraw) == []


def test_a_card_of_another_group_does_not_end_the_transaction() -> None:
    walk = Walk()
    walk.charge(group=GROUP)
    walk.tap(BOB)
    walk.answer(group=IdToken("OTHERS"))
    assert walk.all(Withdraw) == []


def test_a_card_of_the_same_group_ends_the_transaction() -> None:
    """R16-AUTH-2."""
    walk = Walk()
    walk.charge(group=GROUP)
    walk.tap(BOB)
    walk.answer(group=IdToken("family"))
    ended = walk.settle()
    assert (ended.transaction.stop_reason, ended.id_token) == (StopReason.LOCAL, BOB)


def test_the_group_itself_shown_as_a_card_is_not_the_group() -> None:
    """R16-AUTH-6: a tag is never compared with a parent id."""
    walk = Walk()
    walk.charge(group=GROUP)
    walk.tap(GROUP)
    walk.answer(group=None)
    assert walk.all(Withdraw) == []


def test_a_group_learnt_from_the_start_answer_counts() -> None:
    walk = Walk()
    transaction = walk.charge()
    walk.feed(facts.GroupLearnt(transaction_id=transaction.id, group=GROUP))
    assert walk.only(ChangeTransaction).transaction.group == GROUP
    walk.tap(BOB)
    walk.answer(group=GROUP)
    assert len(walk.all(Withdraw)) == 1


@pytest.mark.parametrize("plug_before_tap", [True, False])
def test_unplug_while_the_authorization_is_open_starts_nothing(plug_before_tap: bool) -> None:
    walk = Walk()
    walk.join()
    if plug_before_tap:
        walk.plug()
        walk.tap()
    else:
        walk.tap()
        walk.plug()
    walk.unplug()
    walk.answer()
    assert walk.session.phase is SessionPhase.IDLE
    walk.plug(8)
    assert walk.billed == 0
    assert walk.session.phase is SessionPhase.PREPARING


def test_an_answer_after_the_time_out_starts_nothing_plugged() -> None:
    walk = Walk(connection_timeout_s=5)
    walk.join()
    walk.plug()
    walk.tap()
    walk.wait(5)
    walk.answer()
    assert walk.billed == 0
    assert walk.session.phase is SessionPhase.FINISHING


def test_an_answer_after_the_time_out_starts_nothing_unplugged() -> None:
    walk = Walk(connection_timeout_s=5)
    walk.join()
    walk.tap()
    walk.wait(6)
    walk.answer()
    walk.plug()
    assert walk.billed == 0
    assert walk.session.phase is SessionPhase.PREPARING


def test_unplug_between_authorization_and_register_starts_nothing() -> None:
    walk = Walk()
    walk.join()
    walk.plug()
    walk.tap()
    walk.answer()
    walk.unplug()
    walk.begin_read()
    assert walk.billed == 0


def test_ev_side_unplug_ends_the_transaction() -> None:
    """R16-ST-5: Finishing, then Available."""
    walk = Walk(stop_on_ev_side_disconnect=True)
    walk.charge()
    walk.unplug()
    assert walk.session.phase is SessionPhase.FINISHING
    ended = walk.settle()
    assert ended.transaction.stop_reason is StopReason.EV_DISCONNECTED
    assert ended.id_token is None
    assert walk.session.phase is SessionPhase.IDLE


def test_ev_side_unplug_can_leave_the_transaction_open() -> None:
    """R16-ST-5: the transaction waits for the cable; a replug resumes it."""
    walk = Walk(stop_on_ev_side_disconnect=False)
    transaction = walk.charge()
    walk.unplug()
    assert walk.session.ev_side_disconnected
    assert walk.session.phase is SessionPhase.TRANSACTION
    walk.plug(8)
    assert walk.all(Permit)[-1].plug_id == 8
    assert walk.only(ChangeTransaction).transaction.id == transaction.id
    assert walk.billed == 1


@pytest.mark.parametrize("how", ["card", "remote"])
def test_an_open_transaction_without_cable_can_be_ended(how: str) -> None:
    walk = Walk(stop_on_ev_side_disconnect=False)
    walk.charge()
    walk.unplug()
    walk.contactor(False)
    if how == "card":
        walk.tap(ALICE)
    else:
        walk.stop(StopReason.REMOTE)
    walk.wait(0.5)
    walk.end_read(1500.0)
    reason = StopReason.LOCAL if how == "card" else StopReason.REMOTE
    assert walk.only(EndTransaction).transaction.stop_reason is reason
    assert walk.session.phase is SessionPhase.IDLE


def test_refused_start_ends_the_transaction() -> None:
    """R16-TX-7, StopTransactionOnInvalidId = true; the cable stays locked for its owner."""
    walk = Walk(stop_on_invalid_id=True)
    transaction = walk.charge()
    info = IdTokenInfo(status=AuthorizationStatus.BLOCKED)
    walk.feed(facts.TokenRejected(transaction_id=transaction.id, info=info))
    ended = walk.settle()
    assert ended.transaction.stop_reason is StopReason.DE_AUTHORIZED
    assert walk.all(UnlockConnector) == []
    walk.tap(BOB)
    assert walk.all(UnlockConnector) == []
    walk.tap(ALICE)
    assert len(walk.all(UnlockConnector)) == 1
    assert walk.billed == 1


def test_refused_start_can_end_only_the_energy() -> None:
    """R16-TX-7, StopTransactionOnInvalidId = false."""
    walk = Walk(stop_on_invalid_id=False)
    transaction = walk.charge()
    info = IdTokenInfo(status=REFUSED)
    walk.feed(facts.TokenRejected(transaction_id=transaction.id, info=info))
    assert walk.only(Pause).plug_id == 7
    assert walk.session.over_energy_limit
    assert walk.session.phase is SessionPhase.TRANSACTION
    walk.tap(ALICE)
    assert walk.settle().transaction.stop_reason is StopReason.LOCAL


def test_refused_start_may_use_a_last_allowance() -> None:
    """MaxEnergyOnInvalidId."""
    walk = Walk(stop_on_invalid_id=False, max_energy_on_invalid_wh=200)
    transaction = walk.charge()
    walk.feed(facts.EnergyMeasured(energy_wh=1100.0))
    info = IdTokenInfo(status=REFUSED)
    walk.feed(facts.TokenRejected(transaction_id=transaction.id, info=info))
    assert walk.all(Pause) == []
    walk.feed(facts.EnergyMeasured(energy_wh=1299.0))
    assert walk.all(Pause) == []
    walk.feed(facts.EnergyMeasured(energy_wh=1300.0))
    walk.feed(facts.EnergyMeasured(energy_wh=1301.0))
    assert len(walk.all(Pause)) == 1


def test_a_refusal_of_another_transaction_changes_nothing() -> None:
    walk = Walk()
    walk.charge()
    info = IdTokenInfo(status=REFUSED)
    walk.feed(facts.TokenRejected(transaction_id="other", info=info))
    assert walk.all(Withdraw) == []


def test_remote_start_cable_first() -> None:
    walk = Walk()
    walk.join()
    walk.plug()
    walk.feed(facts.Granted(id_token=BOB, remote_start_id=42, remote=True))
    walk.begin_read()
    transaction = walk.only(BeginTransaction).transaction
    assert (transaction.id_token, transaction.remote_start_id) == (BOB, 42)


def test_remote_start_first() -> None:
    walk = Walk()
    walk.join()
    walk.feed(facts.Granted(id_token=BOB, remote=True))
    assert walk.session.phase is SessionPhase.PREPARING
    walk.wait(30)
    walk.plug()
    walk.begin_read()
    assert walk.billed == 1


def test_remote_start_time_out() -> None:
    walk = Walk()
    walk.join()
    walk.feed(facts.Granted(id_token=BOB, remote=True))
    walk.wait(60)
    assert walk.session.phase is SessionPhase.IDLE
    assert walk.billed == 0


def test_remote_start_may_use_a_plug_in_that_timed_out() -> None:
    """It names this EVSE, so nobody's cable is taken over (R16-ST F2)."""
    walk = Walk()
    walk.join()
    walk.plug()
    walk.wait(60)
    walk.feed(facts.Granted(id_token=BOB, remote=True))
    walk.begin_read()
    assert walk.billed == 1


def test_remote_start_with_authorization() -> None:
    """AuthorizeRemoteTxRequests = true."""
    walk = Walk()
    walk.join()
    walk.plug()
    walk.feed(facts.RemoteStartAsked(id_token=BOB, remote_start_id=3))
    assert walk.asked == [BOB]
    walk.answer(REFUSED, why="it is blocked")
    assert walk.billed == 0
    walk.feed(facts.RemoteStartAsked(id_token=BOB, remote_start_id=4))
    walk.answer()
    walk.begin_read()
    assert walk.only(BeginTransaction).transaction.remote_start_id == 4


def test_boot_with_the_cable_in_is_never_idle() -> None:
    walk = Walk()
    walk.join(plug_id=7)
    assert walk.session.phase is SessionPhase.PREPARING
    used = Walk()
    used.join(plug_id=7, used=True)
    assert used.session.phase is SessionPhase.FINISHING


def test_station_restart_goes_on_with_the_same_transaction() -> None:
    """Recovery (a)."""
    before = Walk().charge()
    walk = Walk(before)
    walk.join(plug_id=before.plug_id, contactor_closed=True)
    assert walk.commands == [Permit(plug_id=before.plug_id)]
    assert walk.session.transaction == before
    walk.tap(ALICE)
    assert walk.settle().transaction.id == before.id
    assert walk.billed == 0


def test_a_car_exchanged_while_the_station_was_away_gets_nothing() -> None:
    """DESIGN §1.3: the old transaction ends when its cable went, the new car is not permitted."""
    before = Walk().charge()
    walk = Walk(before)
    walk.join(plug_id=before.plug_id + 1, unplugged_at=START)
    assert walk.all(Permit) == []
    walk.end_read(1200.0)
    ended = walk.only(EndTransaction).transaction
    assert (ended.stop_reason, ended.ended_at) == (StopReason.EV_DISCONNECTED, START)
    assert walk.session.phase is SessionPhase.PREPARING
    assert walk.all(Permit) == []


@pytest.mark.parametrize(
    ("boot_id", "orderly", "reason"),
    [
        ("b1", False, StopReason.POWER_LOSS),
        ("b1", True, StopReason.POWER_LOSS),
        ("b2", False, StopReason.POWER_LOSS),
        ("b2", True, StopReason.REBOOT),
    ],
)
def test_power_loss_ends_the_transaction_at_its_last_moment(
    boot_id: str, orderly: bool, reason: StopReason
) -> None:
    """Recovery (b), R16-TX-8."""
    before = Walk().charge()
    walk = Walk(before)
    walk.wait(500)
    walk.join(plug_id=55, guard_id="g2", boot_id=boot_id, orderly=orderly)
    assert walk.all(Permit) == []
    walk.end_read(1250.0)
    ended = walk.only(EndTransaction).transaction
    assert (ended.stop_reason, ended.ended_at) == (reason, before.last_seen_at)
    assert (ended.meter_stop_wh, ended.estimated) == (1250.0, False)
    assert walk.session.phase is SessionPhase.FINISHING


def test_power_loss_with_an_unreadable_meter_ends_estimated_after_30_s() -> None:
    before = Walk().charge()
    walk = Walk(before)
    walk.join(plug_id=None, guard_id="g2")
    walk.wait(29)
    assert walk.all(EndTransaction) == []
    walk.wait(2)
    ended = walk.only(EndTransaction)
    assert ended.energy_wh is None
    assert (ended.transaction.meter_stop_wh, ended.transaction.estimated) == (1000.0, True)
    assert walk.session.phase is SessionPhase.IDLE


def test_resume_after_power_loss_keeps_the_transaction() -> None:
    before = Walk().charge()
    walk = Walk(before, resume_after_power_loss=True)
    walk.join(plug_id=55, guard_id="g2")
    rebound = walk.only(ChangeTransaction).transaction
    assert (rebound.id, rebound.guard_id, rebound.plug_id) == (before.id, "g2", 55)
    assert walk.only(Permit).plug_id == 55


def test_resume_after_power_loss_needs_the_cable() -> None:
    before = Walk().charge()
    walk = Walk(before, resume_after_power_loss=True)
    walk.join(plug_id=None, guard_id="g2")
    walk.end_read(1100.0)
    assert walk.only(EndTransaction).transaction.stop_reason is StopReason.POWER_LOSS


def test_a_reset_that_was_cut_short_gives_its_own_reason() -> None:
    before = Walk().charge()
    walk = Walk(before)
    walk.join(plug_id=7, reset=StopReason.HARD_RESET)
    walk.wait(0.5)
    walk.end_read(1100.0)
    assert walk.only(EndTransaction).transaction.stop_reason is StopReason.HARD_RESET


def test_a_guard_restart_during_the_charge_is_a_power_loss() -> None:
    walk = Walk()
    walk.charge()
    walk.join(plug_id=99, guard_id="g2")
    walk.end_read(1100.0)
    assert walk.only(EndTransaction).transaction.stop_reason is StopReason.POWER_LOSS


def test_a_stop_that_was_asked_for_is_not_forgotten_by_a_station_that_dies() -> None:
    """The charge does not go on: the end comes with the reason, time and card of then."""
    dying = Walk()
    dying.charge(group=GROUP)
    dying.tap(BOB)
    dying.answer(group=GROUP)
    asked = dying.only(ChangeTransaction).transaction
    walk = Walk(asked)
    walk.wait(100)
    walk.join(plug_id=7, contactor_closed=True)
    assert walk.all(Permit) == []
    ended = walk.settle(1600.0)
    assert (ended.transaction.stop_reason, ended.id_token) == (StopReason.LOCAL, BOB)
    assert ended.transaction.ended_at == START
    assert walk.session.phase is SessionPhase.FINISHING


def test_weld_at_the_stop_ends_estimated_after_10_s() -> None:
    """DESIGN §5: the contactor never opens."""
    walk = Walk()
    walk.charge()
    walk.feed(facts.EnergyMeasured(energy_wh=1400.0))
    walk.tap()
    walk.wait(9.9)
    assert walk.all(EndTransaction) == []
    walk.wait(0.2)
    ended = walk.only(EndTransaction).transaction
    assert (ended.meter_stop_wh, ended.estimated) == (1400.0, True)


def test_dead_meter_at_the_stop_ends_estimated_and_is_never_rewritten() -> None:
    walk = Walk()
    walk.charge()
    walk.feed(facts.EnergyMeasured(energy_wh=1400.0))
    walk.tap()
    walk.wait(1)
    walk.contactor(False)
    walk.wait(9.9)
    assert walk.all(EndTransaction) == []
    walk.wait(0.2)
    assert walk.only(EndTransaction).transaction.estimated
    walk.end_read(1450.0)
    assert len(walk.all(EndTransaction)) == 1


def test_a_dead_meter_whose_register_was_never_known_starts_nothing() -> None:
    """0 is never invented."""
    walk = Walk()
    walk.join(7)
    walk.tap()
    walk.answer()
    walk.begin_read(None)
    assert walk.billed == 0
    assert walk.session.phase is SessionPhase.FINISHING
    assert "meter" in walk.session.notice


def test_a_new_car_during_the_end_of_the_last_transaction_gets_its_own_chance() -> None:
    walk = Walk()
    walk.charge()
    walk.unplug()
    walk.plug(8)
    assert walk.all(Permit) == [Permit(plug_id=7)]
    walk.settle()
    assert walk.session.phase is SessionPhase.PREPARING
    walk.tap(BOB)
    walk.answer()
    walk.begin_read(1500.0)
    assert walk.all(Permit)[-1] == Permit(plug_id=8)


def test_free_mode_starts_at_the_plug_in() -> None:
    walk = Walk(mode=AuthorizationMode.FREE, free_token=IdToken("FREE"))
    walk.join()
    walk.plug()
    walk.begin_read()
    assert walk.asked == []
    assert walk.only(BeginTransaction).transaction.id_token.value == "FREE"


def test_a_blocked_evse_refuses_cards_and_gives_the_whole_time_afterwards() -> None:
    walk = Walk()
    walk.join(7)
    walk.feed(facts.BlockedSeen(why="there is a fault (rcd)"))
    walk.tap()
    assert walk.asked == []
    assert "rcd" in walk.session.notice
    walk.wait(300)
    walk.feed(facts.BlockedSeen(why=""))
    walk.wait(59)
    assert walk.session.phase is SessionPhase.PREPARING
    walk.tap()
    walk.answer()
    assert walk.kinds()[-1] == "ReadBegin"


def test_a_start_that_cannot_be_stored_does_not_happen() -> None:
    walk = Walk()
    walk.charge()
    walk.feed(facts.StoreFailed(error="disk full"))
    assert walk.session.transaction is None
    assert "disk full" in walk.session.notice


def test_the_connector_is_locked_before_the_offer_and_given_back_at_the_end() -> None:
    walk = Walk()
    walk.charge()
    kinds = [type(c) for c in walk.commands]
    assert kinds.index(BeginTransaction) < kinds.index(LockConnector) < kinds.index(Permit)
    walk.tap()
    walk.settle()
    assert len(walk.all(UnlockConnector)) == 1


def test_unlock_on_ev_side_disconnect_follows_the_setting() -> None:
    walk = Walk(unlock_on_ev_side_disconnect=False)
    walk.charge()
    walk.unplug()
    walk.settle()
    assert walk.all(UnlockConnector) == []


def test_the_register_is_polled_early_while_the_operator_is_asked() -> None:
    walk = Walk()
    walk.join(7)
    assert any(isinstance(c, PrepareRead) for c in walk.tap())


def test_a_repeated_plug_fact_changes_nothing() -> None:
    walk = Walk()
    walk.charge()
    assert walk.plug(7) == []
    assert walk.billed == 1


def test_a_stop_without_a_transaction_takes_the_permission_back() -> None:
    walk = Walk()
    walk.join()
    walk.tap()
    walk.answer()
    walk.stop(StopReason.SOFT_RESET)
    assert walk.session.phase is SessionPhase.IDLE


def test_an_end_below_what_was_measured_is_the_last_good_value() -> None:
    walk = Walk()
    walk.charge()
    walk.feed(facts.EnergyMeasured(energy_wh=1200.0))
    walk.tap()
    ended = walk.settle(0.0)
    assert ended.energy_wh is None
    assert (ended.transaction.meter_stop_wh, ended.transaction.estimated) == (1200.0, True)


def test_an_end_that_is_lower_by_rounding_is_not_estimated() -> None:
    walk = Walk()
    walk.charge()
    walk.tap()
    ended = walk.settle(999.8)
    assert (ended.transaction.meter_stop_wh, ended.transaction.estimated) == (1000.0, False)


def test_a_grant_without_a_cable_does_not_outlive_a_fault() -> None:
    """R16-AUTH-4: whoever showed the card has left; the next car is not charged on it."""
    walk = Walk()
    walk.join()
    walk.tap()
    walk.answer()
    walk.feed(facts.BlockedSeen(why="there is a fault (rcd)"))
    walk.wait(30)
    walk.feed(facts.BlockedSeen(why=""))
    walk.wait(31)
    assert walk.session.grant is None
    walk.plug()
    assert walk.billed == 0
    assert walk.session.phase is SessionPhase.PREPARING


def test_a_grant_for_a_plugged_cable_waits_until_the_fault_is_gone() -> None:
    walk = Walk()
    walk.join(7)
    walk.tap()
    walk.feed(facts.BlockedSeen(why="there is a fault (rcd)"))
    walk.answer()
    walk.wait(300)
    walk.feed(facts.BlockedSeen(why=""))
    walk.begin_read()
    assert walk.billed == 1


@pytest.mark.parametrize("extra_wh", [0.0, 100.0])
def test_what_a_refused_card_may_still_charge_survives_a_restart(extra_wh: float) -> None:
    """R16-TX-7: StopTransactionOnInvalidId = false."""
    rules = {"stop_on_invalid_id": False, "max_energy_on_invalid_wh": extra_wh}
    walk = Walk(**rules)
    transaction = walk.charge()
    info = IdTokenInfo(status=REFUSED)
    walk.feed(facts.TokenRejected(transaction_id=transaction.id, info=info))
    walk.feed(facts.EnergyMeasured(energy_wh=1000.0 + extra_wh))
    assert len(walk.all(Pause)) == 1
    stored = walk.all(ChangeTransaction)[-1].transaction
    # The last moment of life may be older than the limit.
    again = Walk(replace(stored, last_meter_wh=1000.0), **rules)
    again.join(7, contactor_closed=True)
    assert (len(again.all(Pause)), again.all(Permit)) == (1, [])


def test_a_limit_not_reached_yet_survives_a_restart() -> None:
    rules = {"stop_on_invalid_id": False, "max_energy_on_invalid_wh": 100.0}
    walk = Walk(**rules)
    transaction = walk.charge()
    info = IdTokenInfo(status=REFUSED)
    walk.feed(facts.TokenRejected(transaction_id=transaction.id, info=info))
    again = Walk(walk.only(ChangeTransaction).transaction, **rules)
    again.join(7, contactor_closed=True)
    assert len(again.all(Permit)) == 1
    again.feed(facts.EnergyMeasured(energy_wh=1100.0))
    assert len(again.all(Pause)) == 1


def test_a_cable_kept_for_a_refused_card_is_given_back_to_it_also_after_a_restart() -> None:
    walk = Walk()
    transaction = walk.charge()
    info = IdTokenInfo(status=REFUSED)
    walk.feed(facts.TokenRejected(transaction_id=transaction.id, info=info))
    asked = walk.only(ChangeTransaction).transaction
    ended = walk.settle().transaction
    assert walk.all(UnlockConnector) == []

    before_its_end = Walk(asked)
    before_its_end.join(7)
    before_its_end.settle()
    assert before_its_end.all(UnlockConnector) == []

    after_its_end = Walk()
    after_its_end.join(7, used=True, refused=ended)
    after_its_end.tap(BOB)
    assert after_its_end.all(UnlockConnector) == []
    after_its_end.tap(ALICE)
    assert len(after_its_end.all(UnlockConnector)) == 1
