"""What a session is, and how its transaction is offered power and ended; `session.py` takes the facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from controller.core.commands import (
    ChangeTransaction,
    Command,
    EndTransaction,
    LockConnector,
    Pause,
    Permit,
    PrepareRead,
    ReadEnd,
    UnlockConnector,
    Withdraw,
)
from controller.core.facts import Moment
from controller.core.hindsight import Hindsight
from controller.core.metering import BACKWARDS_TOLERANCE_WH
from controller.core.model import (
    IdToken,
    SessionPhase,
    SignedMeterValue,
    StopReason,
    Transaction,
)
from controller.core.reservation import Hold
from controller.core.session_state import SETTLE_S, Asked, Ending, Grant, SessionRules

Commands = list[Command]


class SessionBase:
    """State and derived values of one EVSE; the end of its transaction."""

    def __init__(
        self,
        evse: int,
        rules: SessionRules,
        new_id: Callable[[], str],
        transaction: Transaction | None = None,
    ) -> None:
        self.evse = evse
        self.rules = rules
        self.transaction = transaction
        self.grant: Grant | None = None
        self.notice = ""
        """What the last card or request led to, for the sentence; "" = nothing to say."""
        self.blocked = ""
        self.hold = Hold()
        """What reservations mean here; `hold.admits` tells who may start."""
        self._new_id = new_id
        self._guard_id = ""
        self._boot_id = ""
        self._plug_id: int | None = None
        self._used = False
        self._contactor_closed = False
        self._opened_ns = 0
        self._asked: Asked | None = None
        self._asked_count = 0
        self._reading_begin = False
        self._ending: Ending | None = None
        self._reads = 0
        self._preparing_since_s: float | None = None
        self._locked_for: Grant | None = None
        self._came_to_held = False

    # --- what others may look at ------------------------------------------------------------------

    @property
    def phase(self) -> SessionPhase:
        """Derived, never stored."""
        if self.transaction is not None:
            gone = self._ending is not None and self._ending.cable_out
            return SessionPhase.FINISHING if gone else SessionPhase.TRANSACTION
        if self._plug_id is not None:
            return SessionPhase.FINISHING if self._used else SessionPhase.PREPARING
        if self.keeps_cable:
            return SessionPhase.FINISHING
        return SessionPhase.PREPARING if self.grant is not None else SessionPhase.IDLE

    @property
    def keeps_cable(self) -> bool:
        """Unplugged at the vehicle, locked here until its driver's card is shown (R16-ST-5)."""
        return self._plug_id is None and self.transaction is None and self._locked_for is not None

    @property
    def plug_id(self) -> int | None:
        """The plug-in now; None = no cable."""
        return self._plug_id

    @property
    def contactor_closed(self) -> bool:
        """As far as the session was told."""
        return self._contactor_closed

    @property
    def contactor_opened_ns(self) -> int:
        """CLOCK_MONOTONIC of the last opening, 0 = not known."""
        return self._opened_ns

    @property
    def can_be_started_remotely(self) -> bool:
        """Like `free_to_start`, but a used plug-in does not matter: the request names this EVSE."""
        taken = self.transaction is not None or self.grant is not None or self._reading_begin
        free = not taken and not self.keeps_cable
        return free and not self.blocked and self._asked is None

    @property
    def ending(self) -> bool:
        """A transaction is on its way out: no more samples."""
        return self._ending is not None

    @property
    def over_energy_limit(self) -> bool:
        """The card was refused and has had what MaxEnergyOnInvalidId allows."""
        return self.transaction is not None and self.transaction.over_energy_limit

    @property
    def asking(self) -> bool:
        """An authorization is open."""
        return self._asked is not None

    @property
    def promised_to(self) -> IdToken | None:
        """Who is authorized here, or is being asked about, without a transaction yet."""
        if self.transaction is not None:
            return None
        if self.grant is not None:
            return self.grant.id_token
        return self._asked.id_token if self._asked is not None else None

    @property
    def free_to_start(self) -> bool:
        """A new grant would be taken: no transaction, nobody authorized, this plug-in not used."""
        idle = self.transaction is None and self.grant is None and not self._reading_begin
        used = (self._plug_id is not None and self._used) or self.keeps_cable
        return idle and not self.blocked and not used

    @property
    def reserved(self) -> bool:
        """Kept for somebody who is not here yet. A cable that was in before does not become reserved."""
        if self.hold.by is None or self.transaction is not None or self.grant is not None:
            return False
        if self._plug_id is None:
            return not self._reading_begin
        return self._came_to_held and not self._used

    @property
    def ev_side_disconnected(self) -> bool:
        """The transaction goes on without a cable (StopTransactionOnEVSideDisconnect = false)."""
        return self.transaction is not None and self._ending is None and self._plug_id is None

    @property
    def preparing_since_s(self) -> float | None:
        """Monotonic time at which Preparing was entered."""
        return self._preparing_since_s

    @property
    def deadline_s(self) -> float | None:
        """Monotonic time at which a Tick is wanted; None = only facts matter."""
        times = [self._connection_deadline()]
        if self._asked is not None:
            times.append(self._asked.deadline_s)
        if self._ending is not None:
            times.append(self._ending.deadline_s)
            if self._ending.reading_since_s is None and not self._contactor_closed:
                times.append(self._ending.settled_s)
        return min((t for t in times if t is not None), default=None)

    def correct(self, hindsight: Hindsight) -> None:
        """The clock was wrong until now."""
        if self.transaction is not None:
            self.transaction = hindsight.transaction(self.transaction)
        if self._ending is not None:
            self._ending = replace(self._ending, at=hindsight.moment(self._ending.at))

    # --- inside -----------------------------------------------------------------------------------

    def _connection_deadline(self) -> float | None:
        if self._preparing_since_s is None or self._reading_begin:
            return None
        if self.blocked and self._plug_id is not None:
            return None  # without a cable whoever was authorized may have left long ago
        if self.reserved:
            return None  # whoever came too early gets the whole time when the reservation is over
        if self.rules.connection_timeout_s <= 0 or self.transaction is not None:
            return None
        return self._preparing_since_s + self.rules.connection_timeout_s

    def _rebind(self, running: Transaction, plug_id: int | None) -> Commands:
        """The transaction goes on with another plug-in (or waits for one)."""
        if plug_id is None:
            return []
        self.transaction = replace(
            running, guard_id=self._guard_id, boot_id=self._boot_id, plug_id=plug_id
        )
        return [ChangeTransaction(transaction=self.transaction), LockConnector(), *self._offer()]

    def _energy_measured(self, energy_wh: float) -> Commands:
        if self.transaction is None or self._ending is not None:
            return []
        self.transaction = replace(self.transaction, last_meter_wh=energy_wh)
        limit = self.transaction.energy_limit_wh
        if limit is None or energy_wh < limit or self.over_energy_limit:
            return []
        self.transaction = replace(self.transaction, over_energy_limit=True)
        return [*self._offer(), ChangeTransaction(transaction=self.transaction, vital=False)]

    def _offer(self) -> Commands:
        if self._plug_id is None:
            return []
        if self.over_energy_limit:
            return [Pause(plug_id=self._plug_id)]
        return [Permit(plug_id=self._plug_id)]

    def _withdraw(self, why: str) -> Commands:
        if self.transaction is None:
            return []
        return [Withdraw(plug_id=self.transaction.plug_id, why=why)]

    def _start_ending(
        self,
        reason: StopReason,
        now: Moment,
        *,
        at: datetime | None = None,
        token: IdToken | None = None,
        cable_out: bool = False,
    ) -> Commands:
        certain = self._contactor_closed or reason is StopReason.EV_DISCONNECTED
        self._ending = Ending(
            reason=reason,
            at=at or now.utc,
            since_s=now.mono_s,
            id_token=token,
            cable_out=cable_out,
            read_wait_s=self.rules.end_read_wait_s,
            settled_s=now.mono_s + (0.0 if certain else SETTLE_S),
        )
        self._asked = None
        if self.transaction is None:
            return []
        self.transaction = replace(
            self.transaction, stop_reason=reason, stop_asked_at=at or now.utc, stopped_by=token
        )
        # Stored, so that a station that dies now does not go on with a charge that was ended.
        return [*self._withdraw(reason.value), ChangeTransaction(transaction=self.transaction)]

    def _advance_ending(self, ending: Ending, now: Moment) -> Commands:
        if self._contactor_closed:
            self._ending = ending = replace(ending, reading_since_s=None)
        elif ending.reading_since_s is None and now.mono_s >= ending.settled_s:
            self._ending = replace(ending, reading_since_s=now.mono_s)
            self._reads += 1
            return [ReadEnd(read=self._reads, after_ns=self._opened_ns)]
        if now.mono_s >= ending.deadline_s:
            return self._end(None)
        return []

    def _end(self, energy_wh: float | None, signed: SignedMeterValue | None = None) -> Commands:
        """Close the books. None = the last good value has to do."""
        running, ending = self.transaction, self._ending
        if running is None or ending is None:
            return []
        known = running.last_meter_wh
        last = running.meter_start_wh if known is None else max(known, running.meter_start_wh)
        if energy_wh is not None:
            # Less than was delivered already cannot be the end, whatever the meter says.
            energy_wh = max(energy_wh, last) if energy_wh >= last - BACKWARDS_TOLERANCE_WH else None
        ended = replace(
            running,
            ended_at=max(ending.at, running.started_at),
            meter_stop_wh=last if energy_wh is None else energy_wh,
            stop_reason=ending.reason,
            estimated=energy_wh is None,
            signed_end=signed,
        )
        self.transaction, self._ending = None, None
        out: Commands = [
            EndTransaction(transaction=ended, id_token=ending.id_token, energy_wh=energy_wh)
        ]
        if self._gives_cable_back(ending):
            out.append(UnlockConnector())
        elif self._plug_id is None and self.rules.has_lock:
            self._keep_cable_of(running)
        if self._plug_id is not None and not self._used:
            out.append(PrepareRead())
        return out

    def _keep_cable_of(self, refused: Transaction) -> None:
        """The driver's own card gives it back, nobody else's."""
        self._locked_for = Grant(id_token=refused.id_token, group=refused.group)

    def _gives_cable_back(self, ending: Ending) -> bool:
        if ending.reason is StopReason.DE_AUTHORIZED:
            return self._locked_for is None
        if ending.reason is StopReason.EV_DISCONNECTED:
            return self.rules.unlock_on_ev_side_disconnect
        return True


def passed(deadline_s: float | None, now: Moment) -> bool:
    """The time has come (None = never)."""
    return deadline_s is not None and now.mono_s >= deadline_s
