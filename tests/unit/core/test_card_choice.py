"""One reader, several EVSEs: what a card is for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from controller.core.card_choice import (
    AskWhich,
    Candidate,
    ForEvse,
    ForNextPlugIn,
    ForNobody,
    Meaning,
    choose,
)
from controller.core.model import IdToken
from controller.core.reservation import Hold, Reservation

ALICE, BOB, FLEET = IdToken("04A2B3C4"), IdToken("04FFEE11"), IdToken("FLEET")
BOBS = Reservation(id=1, evse=1, id_token=BOB, expires_at=datetime(2026, 11, 22, tzinfo=UTC))
FOR_BOB = Hold(by=BOBS, usable=(BOBS,))


def free(evse: int, **more: Any) -> Candidate:
    return Candidate(evse=evse, takes_cards=True, **more)


def charging(evse: int, token: IdToken, group: IdToken | None = None) -> Candidate:
    return Candidate(evse=evse, takes_cards=False, plugged_s=1.0, running=token, group=group)


def used(evse: int) -> Candidate:
    return Candidate(evse=evse, takes_cards=False, plugged_s=1.0)


def test_a_token_stops_its_own_transaction_before_anything_else() -> None:
    candidates = [charging(1, ALICE), free(2, plugged_s=5.0)]
    assert choose(ALICE, None, candidates) == ForEvse(evse=1)
    assert choose(BOB, None, candidates) == ForEvse(evse=2)


def test_a_token_of_the_same_group_stops_it() -> None:
    candidates = [charging(1, ALICE, FLEET), free(2)]
    assert choose(BOB, FLEET, candidates) == ForEvse(evse=1)
    assert choose(FLEET, None, candidates) == ForNextPlugIn(evses=(2,))


def test_its_own_transaction_goes_before_that_of_its_group() -> None:
    candidates = [charging(1, BOB, FLEET), charging(2, ALICE, FLEET)]
    assert choose(ALICE, FLEET, candidates) == ForEvse(evse=2)


def test_several_transactions_of_the_group_are_asked_about() -> None:
    candidates = [charging(2, BOB, FLEET), charging(1, BOB, FLEET)]
    assert choose(ALICE, FLEET, candidates) == AskWhich(evses=(1, 2), meaning=Meaning.STOP)


def test_the_newest_plug_in() -> None:
    candidates = [free(1, plugged_s=10.0), free(2, plugged_s=13.1), free(3)]
    assert choose(ALICE, None, candidates) == ForEvse(evse=2)


def test_two_plug_ins_within_three_seconds_are_asked_about() -> None:
    candidates = [free(1, plugged_s=10.0), free(2, plugged_s=12.9), free(3, plugged_s=4.0)]
    assert choose(ALICE, None, candidates) == AskWhich(evses=(1, 2), meaning=Meaning.START)


def test_what_is_promised_to_others_is_left_out() -> None:
    candidates = [free(1, plugged_s=10.0), free(2, plugged_s=12.0, promised=BOB)]
    assert choose(ALICE, None, candidates) == ForEvse(evse=1)
    assert choose(BOB, None, candidates) == ForEvse(evse=2)


def test_finishing_and_faulted_ones_never_get_it() -> None:
    assert choose(ALICE, None, [used(1), free(2)]) == ForNextPlugIn(evses=(2,))
    assert choose(ALICE, None, [used(1), used(2)]) == ForNobody(evses=(1, 2))
    assert choose(ALICE, None, [used(1), charging(2, BOB)]) == ForNobody(evses=(2,))


def test_one_reserved_for_others_never_gets_it() -> None:
    reserved = free(1, plugged_s=20.0, hold=FOR_BOB)
    assert choose(ALICE, None, [reserved, free(2, plugged_s=10.0)]) == ForEvse(evse=2)
    assert choose(ALICE, None, [free(1, hold=FOR_BOB), free(2)]) == ForNextPlugIn(evses=(2,))
    assert choose(ALICE, None, [reserved]) == ForNobody(evses=(1,))


def test_its_own_reservation_decides_between_two_plug_ins() -> None:
    candidates = [free(1, plugged_s=10.0, hold=FOR_BOB), free(2, plugged_s=11.0)]
    assert choose(BOB, None, candidates) == ForEvse(evse=1)
    assert choose(ALICE, None, candidates) == ForEvse(evse=2)
