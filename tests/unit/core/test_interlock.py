"""DESIGN §1.1: one case per condition; each alone keeps the contactor open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.core.interlock import (
    PERMIT,
    SENTENCES,
    InterlockInputs,
    Reason,
    Refusal,
    SelfTestState,
    interlock,
)
from hal.types import CpState, LockState

GOOD = InterlockInputs(
    state=CpState.C2,
    plugged=True,
    offer_amps=16.0,
    closed=False,
    grace=False,
    stopping_fault=False,
    blocking_fault=False,
    self_test=SelfTestState.PASSED,
    lock=LockState.LOCKED,
    diode_seen=True,
)


def test_all_conditions_met() -> None:
    assert interlock(GOOD) == PERMIT
    assert interlock(replace(GOOD, lock=LockState.NONE)) == PERMIT
    assert interlock(replace(GOOD, state=CpState.D2, ventilated=True)) == PERMIT


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stopping_fault": True}, Reason.FAULT),
        ({"blocking_fault": True}, Reason.FAULT),
        ({"plugged": False}, Reason.NOT_PLUGGED),
        ({"known_open": False}, Reason.NOT_KNOWN_OPEN),
        ({"offer_amps": None}, Reason.NO_OFFER),
        ({"offer_amps": 0.0}, Reason.PAUSED),
        ({"offer_amps": 5.9}, Reason.PAUSED),
        ({"cable_known": False}, Reason.CABLE),
        ({"self_test": SelfTestState.RUNNING}, Reason.SELF_TEST),
        ({"self_test": SelfTestState.FAILED}, Reason.SELF_TEST),
        ({"lock": LockState.UNLOCKED}, Reason.LOCK),
        ({"lock": LockState.MOVING}, Reason.LOCK),
        ({"lock": LockState.UNKNOWN}, Reason.LOCK),
        ({"resting": True}, Reason.CONTACTOR_RESTS),
        ({"state": CpState.UNKNOWN}, Reason.PILOT_UNKNOWN),
        ({"state": CpState.F}, Reason.PILOT_F),
        ({"state": CpState.B1}, Reason.PWM_OFF),
        ({"state": CpState.C1}, Reason.PWM_OFF),
        ({"state": CpState.B2}, Reason.VEHICLE_NOT_ASKING),
        ({"state": CpState.E}, Reason.VEHICLE_NOT_ASKING),
        ({"steady": False}, Reason.VEHICLE_NOT_ASKING),
        ({"state": CpState.D2}, Reason.VENTILATION),
        ({"diode_seen": False}, Reason.DIODE),
        ({"sees_state": False}, Reason.BLIND_BOARD),
    ],
)
def test_each_condition_alone_refuses(change: dict[str, Any], reason: Reason) -> None:
    assert interlock(replace(GOOD, **change)) == Refusal(reason)
    assert Refusal(reason).sentence == SENTENCES[reason]


def test_every_reason_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Reason)


def test_grace_needs_a_closed_contactor_in_c1() -> None:
    grace = replace(GOOD, state=CpState.C1, closed=True, grace=True, offer_amps=None)
    assert interlock(grace) == PERMIT
    assert interlock(replace(grace, blocking_fault=True)) == PERMIT, "M ends normally"
    for change in (
        {"closed": False},
        {"grace": False},
        {"stopping_fault": True},
        {"state": CpState.B1},
    ):
        assert interlock(replace(grace, **change)) != PERMIT  # type: ignore[arg-type]


def test_a_board_without_sight_is_only_permitted_when_it_drives_the_contactor() -> None:
    blind = replace(
        GOOD,
        sees_state=False,
        drives_contactor=True,
        state=CpState.UNKNOWN,
        plugged=False,
        diode_seen=False,
    )
    assert interlock(blind) == PERMIT
    assert interlock(replace(blind, offer_amps=None)) == Refusal(Reason.NO_OFFER)


def test_a_board_that_cannot_check_the_diode_is_not_asked() -> None:
    assert interlock(replace(GOOD, checks_diode=False, diode_seen=False)) == PERMIT
