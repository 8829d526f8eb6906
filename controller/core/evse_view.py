"""One EVSE as everybody sees it: charging state and view, derived from session, guard and meter."""

from __future__ import annotations

from dataclasses import dataclass

from controller.core.faults import kind_of
from controller.core.guard_messages import EvseSnapshot
from controller.core.model import ChargingState, EvseFault, EvseView, IdToken, SessionPhase
from controller.core.sentence import SentenceInputs, sentence
from controller.core.session import EvseSession
from controller.core.sharing_values import Grant
from hal.types import MeterReading

START_SETTLE_S = 3.0
"""After the start the vehicle gets this long before its state is called suspended."""
EV_SETTLE_S = 0.1
"""Later: B2 means that the vehicle opened S2."""
EVSE_SETTLE_S = 1.0
"""Later: how long the guard may take to do what was just asked for."""
NO_GUARD = EvseFault(name="internal", detail="the guard does not answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewInputs:
    """What the view is made of. `guard` None = the guard did not tell yet or is gone.

    `stale`: the meter is lost, so its register is the last one known and its power is not known.
    """

    session: EvseSession
    guard: EvseSnapshot | None
    reading: MeterReading | None
    has_meter: bool
    operative: bool
    grant: Grant
    question: str = ""
    backend: str = ""
    reader_lost: bool = False
    stale: bool = False
    held: str = ""


class ChargingStateFilter:
    """ChargingState without flicker: transitions that the guard is just making are not reported."""

    def __init__(self) -> None:
        self._state = ChargingState.IDLE
        self._deadline_s: float | None = None

    @property
    def wants_look_at_s(self) -> float | None:
        """Monotonic time at which the state may change although nothing happens."""
        return self._deadline_s

    def update(
        self, session: EvseSession, guard: EvseSnapshot | None, now_s: float
    ) -> ChargingState:
        """The state now."""
        raw, settle_s = _raw_state(session, guard)
        if session.transaction is not None and session.ending and session.plug_id is not None:
            self._deadline_s = None
            return self._state
        if session.transaction is not None and self._state is ChargingState.IDLE:
            self._state = ChargingState.EV_CONNECTED
        if settle_s > 0 and self._state is ChargingState.EV_CONNECTED:
            settle_s = START_SETTLE_S
        if raw is self._state or settle_s <= 0:
            self._state, self._deadline_s = raw, None
        elif self._deadline_s is None:
            self._deadline_s = now_s + settle_s
        elif now_s >= self._deadline_s:
            self._state, self._deadline_s = raw, None
        return self._state


def _raw_state(session: EvseSession, guard: EvseSnapshot | None) -> tuple[ChargingState, float]:
    """(state, seconds it must last before it is reported)."""
    if session.transaction is None:
        plugged = session.plug_id is not None
        return (ChargingState.EV_CONNECTED if plugged else ChargingState.IDLE), 0.0
    if session.plug_id is None:
        return ChargingState.SUSPENDED_EV, 0.0
    if session.over_energy_limit:
        return ChargingState.SUSPENDED_EVSE, 0.0
    if guard is None:
        return ChargingState.SUSPENDED_EVSE, EVSE_SETTLE_S
    if guard.contactor_closed:
        return ChargingState.CHARGING, 0.0
    if any(kind_of(f.name).inoperative for f in guard.faults):
        return ChargingState.SUSPENDED_EVSE, 0.0
    if guard.offered_amps <= 0 or guard.state.startswith(("C", "D")):
        return ChargingState.SUSPENDED_EVSE, EVSE_SETTLE_S
    return ChargingState.SUSPENDED_EV, EV_SETTLE_S


def blocked_by(inputs_operative: bool, guard: EvseSnapshot | None) -> str:
    """Why no new transaction may start ("" = it may), as the end of "refused: …"."""
    if not inputs_operative:
        return "the operator has taken this EVSE out of service"
    if guard is None:
        return "the guard does not answer"
    for fault in guard.faults:
        if kind_of(fault.name).inoperative:
            return f"there is a fault ({fault.name}{': ' if fault.detail else ''}{fault.detail})"
    return ""


def build_view(inputs: ViewInputs, state: ChargingState) -> EvseView:
    """The view of one EVSE now."""
    session, guard, reading = inputs.session, inputs.guard, inputs.reading
    running = session.transaction
    faults: tuple[EvseFault, ...] = (NO_GUARD,)
    if guard is not None:
        faults = tuple(
            EvseFault(name=f.name, detail=f.detail, latched=f.latched) for f in guard.faults
        )
    now = None if inputs.stale else reading
    register = reading.energy_wh if reading is not None else None
    energy = None
    if running is not None and running.last_meter_wh is not None:
        energy = max(running.last_meter_wh - running.meter_start_wh, 0.0)
    why = sentence(
        SentenceInputs(
            phase=session.phase,
            state=state,
            plugged=session.plug_id is not None,
            guard=guard,
            operative=inputs.operative,
            asking=session.asking,
            ending=session.ending,
            granted=session.grant is not None,
            notice=session.notice,
            ev_side_disconnected=session.ev_side_disconnected,
            over_energy_limit=session.over_energy_limit,
            grant=inputs.grant,
            has_meter=inputs.has_meter,
            question=inputs.question,
            backend=inputs.backend,
            reader_lost=inputs.reader_lost,
            free=session.rules.mode.value == "free",
            held=inputs.held,
            reserved_until=session.hold.until if session.reserved else "",
        )
    )
    return EvseView(
        evse=session.evse,
        phase=session.phase,
        charging_state=state,
        plugged=session.plug_id is not None,
        pilot_state=guard.state if guard is not None else "unknown",
        operative=inputs.operative,
        inoperative_by_fault=any(kind_of(f.name).inoperative for f in faults),
        faults=faults,
        transaction_id=running.id if running is not None else None,
        id_token=running.id_token if running is not None else _authorized(session),
        offered_amps=guard.offered_amps if guard is not None else 0.0,
        contactor_closed=guard.contactor_closed if guard is not None else False,
        energy_wh=register,
        transaction_energy_wh=energy,
        power_w=now.power_w if now is not None else None,
        amps=now.amps if now is not None else (None, None, None),
        why=why,
        info="EV side disconnected" if session.ev_side_disconnected else "",
        reserved_until=(
            session.hold.by.expires_at if session.reserved and session.hold.by is not None else None
        ),
    )


def _authorized(session: EvseSession) -> IdToken | None:
    return session.grant.id_token if session.grant is not None else None


def is_idle(view: EvseView) -> bool:
    """Nobody uses this EVSE."""
    return view.phase is SessionPhase.IDLE and not view.plugged
