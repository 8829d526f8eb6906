"""The one sentence that answers "why is it (not) charging?"; page, CLI, API and OCPP say the same."""

from __future__ import annotations

from dataclasses import dataclass

from controller.core.fault_titles import told, worst
from controller.core.faults import kind_of
from controller.core.guard_messages import EvseSnapshot
from controller.core.interlock import SENTENCES, Reason
from controller.core.model import ChargingState, SessionPhase
from controller.core.sharing_values import Grant, LimitedBy


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceInputs:
    """Everything the sentence rests on. `backend`: "" or why the operator cannot be asked.

    `question`: "" or what somebody has to answer before a card counts here.
    """

    phase: SessionPhase
    state: ChargingState
    plugged: bool
    guard: EvseSnapshot | None
    operative: bool
    asking: bool
    ending: bool
    granted: bool
    notice: str
    ev_side_disconnected: bool
    over_energy_limit: bool
    grant: Grant
    has_meter: bool
    backend: str
    reader_lost: bool
    free: bool
    question: str = ""
    reserved_until: str = ""
    held: str = ""
    """Why the station itself took the EVSE out of service for a while; "" = it did not."""


def sentence(inputs: SentenceInputs) -> str:
    """One true sentence, the most important reason first."""
    i = inputs
    if i.guard is None:
        return "Charging is not possible: the guard does not answer."
    fault = worst(i.guard.faults)
    if fault is not None:
        return f"Not charging: {told(fault)}. {kind_of(fault.name).driver}"
    if i.phase is SessionPhase.TRANSACTION or i.ending:
        return _in_transaction(i)
    if i.held:
        return f"Not charging: {i.held}."
    if not i.operative:
        return "Not charging: the operator has taken this EVSE out of service."
    if i.asking:
        return "Checking the card with the operator."
    notice = f" Last: {i.notice}." if i.notice else ""
    if i.reserved_until:
        return f"Reserved until {i.reserved_until}: show the card it is reserved for.{_hint(i)}{notice}"
    match i.phase:
        case SessionPhase.IDLE:
            return f"Ready: plug in{'' if i.free else ' and show a card'}.{_hint(i)}{notice}"
        case SessionPhase.PREPARING if not i.plugged:
            return "Authorized: plug in the cable."
        case SessionPhase.PREPARING if i.granted:
            return "Authorized: charging starts in a moment."
        case SessionPhase.PREPARING if i.question:
            return f"Not charging yet. {i.question}"
        case SessionPhase.PREPARING:
            return f"Not charging: nobody is authorized yet; show a card.{_hint(i)}{notice}"
        case _:
            return f"Not charging: this plug-in is over; unplug to start again.{notice}"


def _in_transaction(i: SentenceInputs) -> str:
    guard = i.guard
    if guard is None or i.ending:
        return "The transaction ends: waiting for the contactor and the final meter value."
    if i.ev_side_disconnected:
        return (
            "Not charging: the cable was unplugged; the transaction goes on until a card ends it."
        )
    if i.over_energy_limit:
        return f"Not charging: {i.notice or 'the operator does not accept the card'}."
    if guard.contactor_closed and guard.hold:
        return f"Charging with {guard.offered_amps:.0f} A held by the guard alone."
    if i.grant.amps <= 0:
        return _PAUSED.get(i.grant.by, _PAUSED[LimitedBy.SUPPLY])
    if guard.contactor_closed:
        unmetered = "" if i.has_meter else " There is no meter: the energy is not counted."
        limit = _LIMITED.get(i.grant.by, "")
        return f"Charging: {guard.offered_amps:.0f} A are offered.{limit}{unmetered}"
    if guard.refusal in Reason.__members__.values():
        return f"Not charging: {_lower(SENTENCES[Reason(guard.refusal)])}"
    return "The contactor closes in a moment."


def _hint(i: SentenceInputs) -> str:
    if i.free:
        return ""
    if i.reader_lost:
        return " The card reader does not answer."
    return f" {i.backend}" if i.backend else ""


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


_LIMITED = {
    LimitedBy.SHARE: " The supply is shared with other vehicles.",
    LimitedBy.SUPPLY: " The supply of this site gives no more.",
    LimitedBy.PROFILE: " The operator limits the current.",
    LimitedBy.STATION_PROFILE: " The operator limits the current of the whole station.",
}
_PAUSED = {
    LimitedBy.SUPPLY: "Not charging: paused, because less than 6 A are available for this EVSE.",
    LimitedBy.PROFILE: "Not charging: paused by the operator; it goes on by itself.",
    LimitedBy.STATION_PROFILE: "Not charging: the operator has paused the whole station; it goes on by itself.",
    LimitedBy.TURN: "Not charging: the supply is not enough for all vehicles at once; this one waits for its turn.",
    LimitedBy.HANDOVER: "Not charging yet: another vehicle is giving up its part of the supply.",
}
