"""What a fault is called in a sentence for people, and which of several is told first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controller.core.faults import kind_of
from controller.core.guard_messages import FaultView

TITLES: Mapping[str, str] = {
    "emergency_stop": "the emergency stop is pressed",
    "weld": "the contactor is welded",
    "outlet_live": "there is voltage at the outlet although the contactor is open",
    "cable_cut": "the cable was cut",
    "water": "water got into the housing",
    "no_pe": "the protective conductor is missing",
    "rcd": "the residual current device tripped",
    "rcd_self_test": "the residual current device failed its self-test",
    "tilt": "the station was tilted",
    "shock": "the station was hit",
    "door": "the housing is open",
    "fail_to_close": "the contactor does not close",
    "over_current": "the vehicle draws more than it was offered",
    "over_voltage": "the mains voltage is too high",
    "under_voltage": "the mains voltage is too low",
    "mains_lost": "the mains voltage is gone",
    "phase_lost": "a phase of the mains is gone",
    "over_temperature": "the station is too hot",
    "cp_short": "the control pilot is shorted",
    "cp_noise": "the control pilot is disturbed",
    "diode": "the vehicle side shows no diode",
    "ventilation": "the vehicle requires ventilation",
    "pp_invalid": "the cable cannot be recognized",
    "lock_jam": "the plug cannot be locked",
    "pilot_board_lost": "the pilot board does not answer",
    "supply_low": "the station's own supply is too low",
    "guard_state_lost": "the memory of earlier faults was lost",
    "internal": "the station has an internal problem",
    "other": "the station reports a fault",
}
"""Faults that keep an EVSE from delivering, the most dangerous first."""

_RANK = {name: rank for rank, name in enumerate(TITLES)}


def worst(faults: Iterable[FaultView]) -> FaultView | None:
    """The fault that a person must hear of first; None = none keeps the EVSE from delivering."""
    stopping = [fault for fault in faults if kind_of(fault.name).inoperative]
    return min(stopping, key=lambda fault: _RANK.get(fault.name, len(_RANK)), default=None)


def told(fault: FaultView) -> str:
    """For a sentence: what it is, then its name and what was seen, to look it up."""
    seen = f"{fault.name}: {fault.detail}" if fault.detail else fault.name
    return f"{TITLES.get(fault.name, TITLES['other'])} ({seen})"
