"""Whether the contactor may be closed now: one pure function, asked every tick (DESIGN §1.1).

It asks only for what the pilot front end can see; a board that sees nothing may only be permitted
when it drives its contactor itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.core.duty import MIN_AMPS
from hal.types import CpState, LockState


class Reason(StrEnum):
    """Why the contactor may not be closed; each condition has its own."""

    NOT_KNOWN_OPEN = "not_known_open"
    FAULT = "fault"
    NOT_PLUGGED = "not_plugged"
    PILOT_UNKNOWN = "pilot_unknown"
    PILOT_F = "pilot_f"
    BLIND_BOARD = "blind_board"
    NO_OFFER = "no_offer"
    PAUSED = "paused"
    CABLE = "cable"
    SELF_TEST = "self_test"
    LOCK = "lock"
    CONTACTOR_RESTS = "contactor_rests"
    VENTILATION = "ventilation"
    PWM_OFF = "pwm_off"
    VEHICLE_NOT_ASKING = "vehicle_not_asking"
    DIODE = "diode"


SENTENCES: dict[Reason, str] = {
    Reason.NOT_KNOWN_OPEN: "The mirror contact does not confirm yet that the contactor is open.",
    Reason.FAULT: "A fault keeps the contactor open.",
    Reason.NOT_PLUGGED: "No vehicle is plugged in.",
    Reason.PILOT_UNKNOWN: "The pilot signal of the vehicle cannot be read.",
    Reason.PILOT_F: "The pilot shows the vehicle for a moment that the station is not available.",
    Reason.BLIND_BOARD: "The pilot board does not tell whether a vehicle asks for power.",
    Reason.NO_OFFER: "Nobody has permitted this vehicle to charge.",
    Reason.PAUSED: "Charging is paused: less than 6 A may be offered now.",
    Reason.CABLE: "The charging cable does not tell what current it carries.",
    Reason.SELF_TEST: "The self-test after plugging in has not passed yet.",
    Reason.LOCK: "The connector is not locked.",
    Reason.CONTACTOR_RESTS: "The contactor did not close; the next try follows in a moment.",
    Reason.VENTILATION: "The vehicle requires ventilation, which this place does not have.",
    Reason.PWM_OFF: "The offer to the vehicle starts in a moment.",
    Reason.VEHICLE_NOT_ASKING: "The vehicle does not ask for power.",
    Reason.DIODE: "The diode check of the vehicle's pilot circuit has not passed yet.",
}


class SelfTestState(StrEnum):
    """Where the self-test of this plug-in stands."""

    PENDING = "pending"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class InterlockInputs:
    """Everything the decision rests on.

    `offer_amps`: of the valid offer for this plug-in or of the hold offer, after all limits; None = none.
    `closed`: commanded closed by the last tick. `grace`: within the 6 s after a withdrawal.
    `stopping_fault`: a fault of severity H; `blocking_fault`: one of M or block. `cable_known` is True
    for tethered cables. `steady`: the newest pilot window confirms the state. `known_open`: the
    mirror contact (if any) does not contradict "open".
    """

    state: CpState
    plugged: bool
    offer_amps: float | None
    closed: bool
    grace: bool
    stopping_fault: bool
    blocking_fault: bool
    self_test: SelfTestState
    lock: LockState
    diode_seen: bool
    cable_known: bool = True
    resting: bool = False
    known_open: bool = True
    steady: bool = True
    ventilated: bool = False
    sees_state: bool = True
    checks_diode: bool = True
    drives_contactor: bool = False


@dataclass(frozen=True, slots=True)
class Permit:
    """The contactor may be closed."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The contactor must be open, and why."""

    reason: Reason

    @property
    def sentence(self) -> str:
        """One true sentence for a person."""
        return SENTENCES[self.reason]


PERMIT = Permit()
_REFUSALS = {reason: Refusal(reason) for reason in Reason}
_POWER = (CpState.C2, CpState.D2)
_GRACE = (CpState.C1, CpState.D1)
_VENTILATION = (CpState.D1, CpState.D2)
_LOCKED = (LockState.LOCKED, LockState.NONE)


def interlock(i: InterlockInputs) -> Permit | Refusal:
    """Decide. The first unmet condition, in the order a person would look for it, is the refusal."""
    reason = _refused(i)
    return PERMIT if reason is None else _REFUSALS[reason]


def _refused(i: InterlockInputs) -> Reason | None:
    if i.stopping_fault:
        return Reason.FAULT
    if not i.sees_state and not i.drives_contactor:
        return Reason.BLIND_BOARD
    if i.sees_state and i.state in _VENTILATION and not i.ventilated:
        return Reason.VENTILATION
    if i.closed and i.grace and (not i.sees_state or i.state in _GRACE):
        return None  # a normal end: the vehicle gets 6 s to stop drawing
    if i.blocking_fault:
        return Reason.FAULT
    if i.sees_state and not i.plugged:
        return Reason.NOT_PLUGGED
    if not i.closed and not i.known_open:
        return Reason.NOT_KNOWN_OPEN
    if i.offer_amps is None:
        return Reason.NO_OFFER
    if i.offer_amps < MIN_AMPS:
        return Reason.PAUSED
    if not i.cable_known:
        return Reason.CABLE
    if i.self_test is not SelfTestState.PASSED:
        return Reason.SELF_TEST
    # an actuator that loses its end position under load ends the charge normally (lock_jam), not here
    if i.lock not in _LOCKED and not i.closed:
        return Reason.LOCK
    if i.resting:
        return Reason.CONTACTOR_RESTS
    return _refused_by_pilot(i) if i.sees_state else None


def _refused_by_pilot(i: InterlockInputs) -> Reason | None:
    if i.state is CpState.UNKNOWN:
        return Reason.PILOT_UNKNOWN
    if i.state is CpState.F:
        return Reason.PILOT_F
    if i.state in _GRACE or i.state is CpState.B1:
        return Reason.PWM_OFF
    if i.state not in _POWER or not (i.steady or i.closed):
        return Reason.VEHICLE_NOT_ASKING
    # seen since PWM began; if it vanishes under load the fault `diode` opens, not a PWM that just came back
    if i.checks_diode and not i.diode_seen and not i.closed:
        return Reason.DIODE
    return None
