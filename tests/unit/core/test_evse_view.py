"""Charging state without flicker, and the one sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.core import facts
from controller.core.evse_view import ChargingStateFilter, ViewInputs, blocked_by, build_view
from controller.core.guard_messages import EvseSnapshot, FaultView
from controller.core.interlock import Reason
from controller.core.model import AuthorizationStatus, ChargingState, IdToken, IdTokenInfo
from controller.core.reservation import Hold, Reservation
from controller.core.sharing_values import Grant
from tests.unit.core.session_walk import START, Walk

GUARD = EvseSnapshot(
    evse=1,
    plugged=True,
    plug_id=7,
    state="B2",
    contactor_commanded=False,
    contactor_closed=False,
    offered_amps=16.0,
    hold=False,
    refusal="vehicle_not_asking",
    lock="none",
    self_test="passed",
    phases=1,
)
CHARGING = replace(GUARD, state="C2", contactor_closed=True, contactor_commanded=True, refusal="")


def why(walk: Walk, guard: EvseSnapshot | None = GUARD, **more: Any) -> str:
    values: dict[str, Any] = {
        "has_meter": True,
        "operative": True,
        "grant": Grant(amps=16.0),
        "reading": None,
        **more,
    }
    inputs = ViewInputs(session=walk.session, guard=guard, **values)
    return build_view(inputs, ChargingState.EV_CONNECTED).why


def test_a_start_goes_from_ev_connected_to_charging() -> None:
    walk, state = Walk(), ChargingStateFilter()
    assert state.update(walk.session, GUARD, 0.0) is ChargingState.IDLE
    walk.charge()
    pausing = replace(GUARD, offered_amps=0.0, state="B1")
    seen = [
        state.update(walk.session, g, t)
        for g, t in ((pausing, 1.0), (GUARD, 1.1), (GUARD, 2.5), (CHARGING, 2.6))
    ]
    assert seen == [ChargingState.EV_CONNECTED] * 3 + [ChargingState.CHARGING]


def test_a_vehicle_that_does_not_ask_is_suspended_after_a_moment() -> None:
    walk, state = Walk(), ChargingStateFilter()
    walk.charge()
    state.update(walk.session, GUARD, 0.0)
    assert state.wants_look_at_s == 3.0
    assert state.update(walk.session, GUARD, 3.0) is ChargingState.SUSPENDED_EV


def test_pause_by_the_vehicle_and_by_the_station() -> None:
    """R16-ST-2: what both suspend is SuspendedEVSE."""
    walk, state = Walk(), ChargingStateFilter()
    walk.charge()
    assert state.update(walk.session, CHARGING, 0.0) is ChargingState.CHARGING
    state.update(walk.session, GUARD, 1.0)
    assert state.update(walk.session, GUARD, 1.2) is ChargingState.SUSPENDED_EV
    stopped = replace(GUARD, offered_amps=0.0, state="B1")
    state.update(walk.session, stopped, 2.0)
    assert state.update(walk.session, stopped, 3.1) is ChargingState.SUSPENDED_EVSE
    assert state.update(walk.session, CHARGING, 4.0) is ChargingState.CHARGING


def test_an_ending_transaction_keeps_its_state() -> None:
    walk, state = Walk(), ChargingStateFilter()
    walk.charge()
    state.update(walk.session, CHARGING, 0.0)
    walk.tap()
    opened = replace(GUARD, offered_amps=0.0, state="B1")
    assert state.update(walk.session, opened, 5.0) is ChargingState.CHARGING


def test_blocked_by() -> None:
    assert blocked_by(True, GUARD) == ""
    assert "out of service" in blocked_by(False, GUARD)
    assert "guard" in blocked_by(True, None)
    warning = FaultView(name="meter_silent", detail="", latched=False, active=True)
    assert blocked_by(True, replace(GUARD, faults=(warning,))) == ""
    rcd = FaultView(name="rcd", detail="tripped", latched=True, active=False)
    assert blocked_by(True, replace(GUARD, faults=(rcd,))) == "there is a fault (rcd: tripped)"


def test_the_sentence_through_a_charge() -> None:
    walk = Walk()
    walk.join()
    idle = replace(GUARD, plugged=False, state="A1")
    assert why(walk, idle) == "Ready: plug in and show a card."
    walk.plug()
    assert why(walk) == "Not charging: nobody is authorized yet; show a card."
    walk.tap()
    assert why(walk) == "Checking the card with the operator."
    walk.answer(AuthorizationStatus.EXPIRED, why="it has expired")
    assert "card 04A2B3C4 was refused: it has expired" in why(walk)
    walk.tap()
    walk.answer()
    assert why(walk) == "Authorized: charging starts in a moment."
    walk.begin_read()
    assert why(walk) == "Not charging: the vehicle does not ask for power."
    assert why(walk, CHARGING) == "Charging: 16 A are offered."
    assert "no meter" in why(walk, CHARGING, has_meter=False)
    assert "held by the guard" in why(walk, replace(CHARGING, hold=True))
    assert "less than 6 A" in why(walk, grant=Grant(amps=0.0))
    walk.tap()
    assert why(walk).startswith("The transaction ends")
    walk.settle()
    assert why(walk).startswith("Not charging: this plug-in is over")


def test_the_sentence_when_something_is_wrong() -> None:
    walk = Walk(stop_on_ev_side_disconnect=False, stop_on_invalid_id=False)
    transaction = walk.charge()
    assert "guard does not answer" in why(walk, None)
    fault = FaultView(name="diode", detail="-8 V", latched=True, active=True)
    assert why(walk, replace(GUARD, faults=(fault,))).startswith(
        "Not charging: the vehicle side shows no diode (diode: -8 V)."
    )
    info = IdTokenInfo(status=AuthorizationStatus.BLOCKED)
    walk.feed(facts.TokenRejected(transaction_id=transaction.id, info=info))
    assert "was refused: it is blocked" in why(walk)
    walk.unplug()
    assert "unplugged" in why(walk)
    other = Walk()
    other.join()
    assert "out of service" in why(other, operative=False)
    assert "reader does not answer" in why(other, reader_lost=True)
    assert "cannot be reached" in why(other, backend="The operator cannot be reached.")


@pytest.mark.parametrize("reason", list(Reason))
def test_every_refusal_of_the_interlock_has_its_sentence(reason: Reason) -> None:
    walk = Walk()
    walk.charge()
    text = why(walk, replace(GUARD, refusal=reason.value))
    assert text.startswith("Not charging: ") and text.endswith(".")


def test_an_ending_transaction_wants_no_look_at_its_state() -> None:
    """A time in the past would wake the EVSE without end."""
    walk, state = Walk(), ChargingStateFilter()
    walk.charge()
    state.update(walk.session, GUARD, 0.0)
    assert state.wants_look_at_s is not None
    walk.tap()
    state.update(walk.session, GUARD, 5.0)
    assert state.wants_look_at_s is None


def test_a_reserved_evse_says_until_when_and_for_whom() -> None:
    """R16-RES-1: one sentence for the driver; the time for the page, never the card."""
    walk = Walk()
    walk.join()
    by = Reservation(id=1, evse=1, id_token=IdToken("04A2B3C4"), expires_at=START)
    walk.feed(facts.HoldSeen(hold=Hold(by=by, usable=(by,))))
    assert why(walk) == "Reserved until 22 Nov 12:00 UTC: show the card it is reserved for."
    inputs = ViewInputs(
        session=walk.session,
        guard=GUARD,
        reading=None,
        has_meter=True,
        operative=True,
        grant=Grant(amps=16.0),
    )
    assert build_view(inputs, ChargingState.IDLE).reserved_until == START
