"""A reserved EVSE: who may start on it, what the driver is told, and which start ends the reservation (R16-RES-1)."""

from __future__ import annotations

from datetime import timedelta

from controller.core import facts
from controller.core.authorization import AuthorizationMode
from controller.core.commands import BeginTransaction
from controller.core.model import AuthorizationStatus, IdToken, SessionPhase
from controller.core.reservation import Hold, Reservation
from tests.unit.core.session_walk import ALICE, BOB, GROUP, START, Walk

FOR_ALICE = Reservation(id=5, evse=1, id_token=ALICE, expires_at=START + timedelta(hours=1))
FOR_GROUP = Reservation(
    id=6, evse=1, id_token=IdToken("OTHER"), group=GROUP, expires_at=START + timedelta(hours=1)
)


def reserved(reservation: Reservation = FOR_ALICE, **rules: object) -> Walk:
    walk = Walk(**rules)
    walk.join()
    walk.feed(facts.HoldSeen(hold=Hold(by=reservation, usable=(reservation,))))
    return walk


def test_the_card_it_is_reserved_for_starts_and_ends_the_reservation() -> None:
    """TC_046."""
    walk = reserved()
    assert walk.session.reserved
    walk.tap(ALICE)
    assert walk.session.reserved
    walk.answer()
    assert not walk.session.reserved and walk.session.phase is SessionPhase.PREPARING
    walk.plug()
    walk.begin_read()
    assert walk.only(BeginTransaction).transaction.reservation_id == 5


def test_another_card_is_not_even_asked_for() -> None:
    walk = reserved()
    walk.plug()
    walk.tap(BOB)
    assert walk.asked == [] and walk.billed == 0
    assert "was refused: reserved for another driver until 22 Nov 13:00 UTC" in walk.session.notice
    assert walk.session.reserved


def test_a_card_of_the_group_starts() -> None:
    """TC_053: the group comes with the answer to Authorize."""
    walk = reserved(FOR_GROUP)
    walk.plug()
    walk.tap(ALICE)
    walk.answer(group=GROUP)
    walk.begin_read()
    assert walk.only(BeginTransaction).transaction.reservation_id == 6


def test_an_accepted_card_of_another_group_is_refused() -> None:
    walk = reserved(FOR_GROUP)
    walk.plug()
    walk.tap(ALICE)
    walk.answer(group=IdToken("STRANGERS"))
    walk.begin_read()
    assert walk.billed == 0 and "reserved for another driver" in walk.session.notice
    walk.tap(BOB)
    walk.answer(AuthorizationStatus.BLOCKED, why="it is blocked")
    assert "it is blocked" in walk.session.notice


def test_a_remote_start_for_another_card_is_refused() -> None:
    walk = reserved()
    walk.plug()
    walk.feed(facts.Granted(id_token=BOB, remote=True))
    assert walk.session.grant is None and walk.session.reserved
    walk.feed(facts.Granted(id_token=ALICE, remote=True))
    walk.begin_read()
    assert walk.only(BeginTransaction).transaction.reservation_id == 5


def test_somebody_elses_cable_waits_without_time_out_and_gets_its_time_afterwards() -> None:
    walk = reserved()
    walk.plug()
    walk.wait(600)
    assert walk.session.reserved and walk.session.phase is SessionPhase.PREPARING
    walk.feed(facts.HoldSeen(hold=Hold()))
    assert not walk.session.reserved
    walk.wait(59)
    walk.tap(BOB)
    walk.answer()
    walk.begin_read()
    assert walk.only(BeginTransaction).transaction.reservation_id is None


def test_after_the_reservation_the_usual_time_out_counts() -> None:
    walk = reserved()
    walk.plug()
    walk.wait(600)
    walk.feed(facts.HoldSeen(hold=Hold()))
    walk.wait(61)
    assert walk.session.phase is SessionPhase.FINISHING


def test_whom_it_is_reserved_for_may_show_the_card_late() -> None:
    """The cable waited for longer than ConnectionTimeOut: the card starts all the same."""
    walk = reserved()
    walk.plug()
    walk.wait(600)
    walk.tap(ALICE)
    walk.answer()
    assert walk.session.phase is SessionPhase.PREPARING and walk.session.grant is not None
    walk.begin_read()
    assert walk.only(BeginTransaction).transaction.reservation_id == 5


def test_a_cable_that_was_in_before_does_not_become_reserved() -> None:
    """§4.9 knows no way from Preparing to Reserved; strangers are refused all the same."""
    walk = Walk()
    walk.join()
    walk.plug()
    walk.feed(facts.HoldSeen(hold=Hold(by=FOR_ALICE, usable=(FOR_ALICE,))))
    assert not walk.session.reserved
    walk.tap(BOB)
    assert walk.asked == [] and "reserved" in walk.session.notice


def test_free_charging_waits_for_whom_it_is_reserved_for() -> None:
    walk = reserved(mode=AuthorizationMode.FREE)
    walk.plug()
    walk.begin_read()
    assert walk.billed == 0
    walk.tap(ALICE)
    walk.answer()
    walk.begin_read()
    assert walk.only(BeginTransaction).transaction.reservation_id == 5


def test_free_charging_goes_on_when_the_reservation_is_over() -> None:
    walk = reserved(mode=AuthorizationMode.FREE)
    walk.plug()
    walk.feed(facts.HoldSeen(hold=Hold()))
    walk.begin_read()
    assert walk.billed == 1


def test_a_reservation_without_a_certain_evse_is_ended_anywhere() -> None:
    """Nobody is refused here, and yet the start of its token ends it."""
    walk = Walk()
    walk.join()
    walk.feed(facts.HoldSeen(hold=Hold(usable=(FOR_ALICE,))))
    assert not walk.session.reserved
    walk.plug()
    walk.tap(ALICE)
    walk.answer()
    walk.begin_read()
    assert walk.only(BeginTransaction).transaction.reservation_id == 5


def test_a_card_that_nobody_followed_with_a_cable_leaves_it_reserved() -> None:
    walk = reserved()
    walk.tap(ALICE)
    walk.answer()
    walk.wait(61)
    assert walk.session.reserved and walk.session.phase is SessionPhase.IDLE


def test_the_cable_of_another_is_still_refused_after_a_restart() -> None:
    walk = Walk()
    walk.feed(facts.HoldSeen(hold=Hold(by=FOR_ALICE, usable=(FOR_ALICE,))))
    walk.join(plug_id=7)
    assert walk.session.reserved
    walk.tap(BOB)
    assert walk.asked == []
