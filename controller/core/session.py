"""The session of one EVSE: plug-in, authorization, transaction, unplug.

Pure: `feed(fact, moment)` changes the state and returns what is to be done, in order. The phase is
derived from the state. The order of a start is authorized + plugged → register read → transaction
stored → offer; of an end: withdraw → contactor open → register read → end stored (DESIGN §1.5, §5).
"""

from __future__ import annotations

from dataclasses import replace

from controller.core import authorization
from controller.core.authorization import AuthorizationMode
from controller.core.commands import (
    AskAuthorization,
    BeginTransaction,
    ChangeTransaction,
    LockConnector,
    MarkUsed,
    Permit,
    PrepareRead,
    ReadBegin,
    UnlockConnector,
    Withdraw,
)
from controller.core.facts import (
    AuthorizationDecided,
    BeginRead,
    BlockedSeen,
    CableFreed,
    CardPresented,
    ContactorSeen,
    EndRead,
    EnergyMeasured,
    Fact,
    Granted,
    GroupLearnt,
    GuardJoined,
    HoldSeen,
    Moment,
    OfferSeen,
    PlugSeen,
    RemoteStartAsked,
    StopAsked,
    StoreFailed,
    Tick,
    TokenRejected,
)
from controller.core.model import (
    IdToken,
    IdTokenType,
    SessionPhase,
    StopReason,
    Transaction,
)
from controller.core.reservation import Hold
from controller.core.session_base import Commands, SessionBase, passed
from controller.core.session_state import (
    RECOVERY_READ_WAIT_S,
    Asked,
    Ending,
    Grant,
)


class EvseSession(SessionBase):
    """Where one EVSE is between two drivers."""

    # --- facts in, commands out -------------------------------------------------------------------

    def feed(self, fact: Fact, now: Moment) -> Commands:
        """Take one fact; returns what is to be done, in this order."""
        reserved = self.reserved
        out = self._take(fact, now)
        if reserved and not self.reserved:
            self._preparing_since_s = None  # the driver gets the whole time from here
        out += self._advance(now)
        if self.phase is not SessionPhase.PREPARING:
            self._preparing_since_s = None
        elif self._preparing_since_s is None:
            self._preparing_since_s = now.mono_s
        return out

    def _take(self, fact: Fact, now: Moment) -> Commands:
        match fact:
            case GuardJoined():
                return self._guard_joined(fact, now)
            case PlugSeen():
                return self._plug_seen(fact, now)
            case ContactorSeen():
                self._contactor_closed, self._opened_ns = fact.closed, fact.at_ns
                return []
            case OfferSeen():
                return self._offer_seen(fact.plug_id)
            case CardPresented():
                return self._card(fact.id_token, now)
            case AuthorizationDecided():
                return self._decided(fact, now)
            case Granted():
                return self._granted(
                    Grant(
                        id_token=fact.id_token,
                        group=fact.group,
                        remote_start_id=fact.remote_start_id,
                        offline=fact.offline,
                        charging_profile=fact.charging_profile,
                    ),
                    remote=fact.remote,
                )
            case RemoteStartAsked():
                return self._ask(fact.id_token, now, start=fact)
            case StopAsked():
                return self._stop_asked(fact.reason, now)
            case TokenRejected():
                return self._rejected(fact, now)
            case GroupLearnt():
                return self._group_learnt(fact)
            case BeginRead():
                return self._begin(fact, now)
            case EndRead():
                return self._end_read(fact)
            case EnergyMeasured():
                return self._energy_measured(fact.energy_wh)
            case BlockedSeen():
                if self.blocked and not fact.why and self._plug_id is not None:
                    self._preparing_since_s = None  # the driver gets the whole time again
                self.blocked = fact.why
                return []
            case CableFreed():
                self._locked_for = None
                return []
            case HoldSeen():
                return self._held(fact.hold)
            case StoreFailed():
                self.transaction = None
                self.notice = f"the transaction could not be stored ({fact.error})"
                self._used = True
                return []
            case Tick():
                return []

    def _advance(self, now: Moment) -> Commands:
        """What follows from the state alone, whatever fact led to it."""
        if self._ending is not None:
            return self._advance_ending(self._ending, now)
        if self.transaction is not None:
            return []
        out: Commands = []
        asked_late = self._asked is not None and passed(self._asked.deadline_s, now)
        if asked_late and self._asked is not None and not self._asked.stops:
            self.notice = "the answer of the operator came too late"
            self._asked = None
        if passed(self._connection_deadline(), now):
            out += self._timed_out()
        free = self.rules.mode is AuthorizationMode.FREE
        unused = self._plug_id is not None and not self._used
        if free and unused and self.grant is None:
            token = self.rules.free_token or IdToken("", IdTokenType.NO_AUTHORIZATION)
            if self.hold.admits(token, None):
                self.grant = Grant(id_token=token)
        if self.grant is not None and unused and not self._reading_begin and not self.blocked:
            self._reading_begin = True
            self._reads += 1
            out.append(ReadBegin(read=self._reads))
        return out

    def _timed_out(self) -> Commands:
        """ConnectionTimeOut: without cable back to idle; with one, only a replug helps."""
        self._asked = None
        self.grant = None
        if self._plug_id is None:
            self.notice = "nobody plugged in in time"
            return []
        self._used = True
        self.notice = "nobody showed a card in time"
        return [MarkUsed(plug_id=self._plug_id)]

    def _held(self, hold: Hold) -> Commands:
        was, self.hold = self.hold, hold
        if was.by is not None and hold.by is None and self._came_to_held:
            self._came_to_held, self.notice = False, ""
        return []

    # --- guard ------------------------------------------------------------------------------------

    def _guard_joined(self, fact: GuardJoined, now: Moment) -> Commands:
        self._guard_id, self._boot_id = fact.guard_id, fact.boot_id
        self._contactor_closed, self._opened_ns = fact.contactor_closed, fact.contactor_opened_ns
        self._asked, self._reading_begin = None, False
        was, self._plug_id = self._plug_id, fact.plug_id
        self._came_to_held = self.hold.by is not None
        if self.transaction is None:
            # A permission given before belongs to the plug-in it was given for.
            if was is not None:
                self.grant = None
            self._used = fact.used and fact.plug_id is not None
            if self._used and fact.refused is not None:
                self._keep_cable_of(fact.refused)
            if fact.plug_id is None or not (fact.offered or fact.contactor_closed):
                return []
            return self._offer_seen(fact.plug_id)
        self._used = True
        if self._ending is not None:
            return []
        return self._go_on_or_end(self.transaction, fact, now)

    def _offer_seen(self, plug_id: int) -> Commands:
        """Power that no running transaction accounts for must not flow (DESIGN §1.5)."""
        if self.transaction is not None and self._ending is None:
            return []
        return [Withdraw(plug_id=plug_id, why="no transaction")]

    def _go_on_or_end(self, running: Transaction, fact: GuardJoined, now: Moment) -> Commands:
        if running.stop_asked_at is not None and running.stop_reason is not None:
            same_car = fact.guard_id != running.guard_id or fact.plug_id == running.plug_id
            self._used = fact.plug_id is not None and same_car
            self._ending = Ending(
                reason=running.stop_reason,
                at=running.stop_asked_at,
                since_s=now.mono_s,
                id_token=running.stopped_by,
                read_wait_s=RECOVERY_READ_WAIT_S,
                cable_out=fact.plug_id is None,
            )
            if self._used and running.stop_reason is StopReason.DE_AUTHORIZED:
                self._keep_cable_of(running)
            return self._withdraw(running.stop_reason.value)
        if fact.reset is not None:
            last = running.last_seen_at or running.started_at
            self._ending = Ending(
                reason=fact.reset, at=last, since_s=now.mono_s, read_wait_s=RECOVERY_READ_WAIT_S
            )
            return self._withdraw("reset")
        if running.guard_id == fact.guard_id:
            if running.plug_id == fact.plug_id:
                return self._offer()
            gone_at = fact.unplugged_at or now.utc
            if self.rules.stop_on_ev_side_disconnect:
                self._used = fact.used
                return self._start_ending(
                    StopReason.EV_DISCONNECTED, now, at=gone_at, cable_out=fact.plug_id is None
                )
            return self._rebind(running, fact.plug_id)
        if self.rules.resume_after_power_loss and fact.plug_id is not None:
            return self._rebind(running, fact.plug_id)
        restarted = fact.boot_id != running.boot_id and fact.orderly
        self._ending = Ending(
            reason=StopReason.REBOOT if restarted else StopReason.POWER_LOSS,
            at=running.last_seen_at or running.started_at,
            since_s=now.mono_s,
            read_wait_s=RECOVERY_READ_WAIT_S,
            cable_out=fact.plug_id is None,
        )
        return []

    def _plug_seen(self, fact: PlugSeen, now: Moment) -> Commands:
        if fact.plug_id == self._plug_id:
            return []
        out: Commands = []
        if self._plug_id is not None:
            out += self._unplugged(fact, now)
        self._plug_id = fact.plug_id
        if fact.plug_id is None:
            return out
        self._locked_for = None
        if self._ending is not None and self.transaction is not None:
            # A new car while the last transaction is being closed: its own chance comes after that.
            self._used = fact.plug_id == self.transaction.plug_id
            return out
        if self.transaction is not None:
            self._used = True
            return out + self._rebind(self.transaction, fact.plug_id)
        self._used, self.notice = False, ""
        self._came_to_held = self.hold.by is not None
        self._preparing_since_s = None if self.grant is None else self._preparing_since_s
        return [*out, PrepareRead()]

    def _unplugged(self, fact: PlugSeen, now: Moment) -> Commands:
        self._plug_id, self._used, self._reading_begin = None, False, False
        self._locked_for = None
        if self._asked is not None and not self._asked.stops:
            self._asked = None
        if self.transaction is None:
            self.grant, self.notice = None, ""
            self._preparing_since_s = None
            return []
        if self._ending is not None:
            self._ending = replace(self._ending, cable_out=True)
            return []
        if not self.rules.stop_on_ev_side_disconnect:
            return [Withdraw(plug_id=self.transaction.plug_id, why="EV side disconnected")]
        return self._start_ending(StopReason.EV_DISCONNECTED, now, at=fact.at, cable_out=True)

    # --- cards and requests -----------------------------------------------------------------------

    def _card(self, token: IdToken, now: Moment) -> Commands:
        running = self.transaction
        if running is not None:
            return self._card_during(running, token, now)
        if self.blocked:
            self.notice = f"card {token.value} was refused: {self.blocked}"
            return []
        if (self._plug_id is not None and self._used) or self.keeps_cable:
            held = self._locked_for
            if held is not None and authorization.may_stop(held.id_token, held.group, token, None):
                self._locked_for = None
                return [UnlockConnector()]
            self.notice = "this plug-in is over: unplug and plug in again"
            return []
        if self._asked is not None and self._asked.id_token.same_as(token):
            return []
        if self.grant is not None and self.grant.id_token.same_as(token):
            if self._plug_id is None:
                self.grant, self.notice = None, "cancelled by the same card"
            return []
        free = self.rules.mode is AuthorizationMode.FREE and self.hold.by is None
        if self._reading_begin or free:
            return []
        if not self.hold.may_admit(token):
            self.notice = f"card {token.value} was refused: {self.hold.why}"
            return []
        return self._ask(token, now)

    def _card_during(self, running: Transaction, token: IdToken, now: Moment) -> Commands:
        if self._ending is not None:
            return []
        if running.id_token.same_as(token):
            return self._start_ending(StopReason.LOCAL, now, token=token)
        if running.group is None:
            self.notice = f"card {token.value} cannot end another driver's transaction"
            return []
        return self._ask(token, now, stops=True)

    def _ask(
        self,
        token: IdToken,
        now: Moment,
        *,
        stops: bool = False,
        start: RemoteStartAsked | None = None,
    ) -> Commands:
        self._asked_count += 1
        limit = self.rules.connection_timeout_s
        own = None if self._preparing_since_s is not None or limit <= 0 else now.mono_s + limit
        self._asked = Asked(
            request=self._asked_count,
            id_token=token,
            stops=stops,
            deadline_s=None if stops else own,
            remote=start is not None,
            remote_start_id=start.remote_start_id if start is not None else None,
            charging_profile=start.charging_profile if start is not None else None,
        )
        self.notice = ""
        ask = AskAuthorization(request=self._asked_count, id_token=token)
        if self._plug_id is not None and not stops:
            return [ask, PrepareRead()]
        return [ask]

    def _decided(self, fact: AuthorizationDecided, now: Moment) -> Commands:
        asked = self._asked
        if asked is None or asked.request != fact.request or passed(asked.deadline_s, now):
            return []
        if not asked.stops and passed(self._connection_deadline(), now):
            return []
        self._asked = None
        decision, token = fact.decision, asked.id_token
        running = self.transaction
        if asked.stops:
            if running is None or self._ending is not None:
                return []
            if authorization.may_stop(running.id_token, running.group, token, decision.group):
                return self._start_ending(StopReason.LOCAL, now, token=token)
            self.notice = f"card {token.value} cannot end another driver's transaction"
            return []
        if not decision.accepted:
            self.notice = f"card {token.value} was refused: {decision.why}"
            return []
        return self._granted(
            Grant(
                id_token=token,
                group=decision.group,
                remote_start_id=asked.remote_start_id,
                offline=decision.offline,
                charging_profile=asked.charging_profile,
            ),
            remote=asked.remote,
        )

    def _granted(self, grant: Grant, *, remote: bool) -> Commands:
        if self.transaction is not None or self._reading_begin:
            return []
        if not self.hold.admits(grant.id_token, grant.group):
            self.notice = f"card {grant.id_token.value} was refused: {self.hold.why}"
            return []
        if remote and self._plug_id is not None:
            # A remote start names this EVSE, so no stranger's card can take over the cable (F2).
            self._used = False
        self.grant, self.notice = grant, ""
        return []

    def _stop_asked(self, reason: StopReason, now: Moment) -> Commands:
        if self.transaction is None:
            self.grant, self._reading_begin, self._asked = None, False, None
            return []
        return [] if self._ending is not None else self._start_ending(reason, now)

    def _rejected(self, fact: TokenRejected, now: Moment) -> Commands:
        running = self.transaction
        if running is None or running.id != fact.transaction_id or self._ending is not None:
            return []
        why = authorization.from_info(fact.info, now.utc).why
        self.notice = f"card {running.id_token.value} was refused: {why}"
        if self.rules.stop_on_invalid_id:
            self._keep_cable_of(running)
            return self._start_ending(StopReason.DE_AUTHORIZED, now)
        if running.energy_limit_wh is not None:
            return []
        known = running.last_meter_wh or running.meter_start_wh
        limit = known + self.rules.max_energy_on_invalid_wh
        # Stored, so that a station that restarts does not give it away again.
        self.transaction = replace(running, energy_limit_wh=limit)
        changed = ChangeTransaction(transaction=self.transaction, vital=False)
        return self._energy_measured(known) or [changed]

    def _group_learnt(self, fact: GroupLearnt) -> Commands:
        if self.transaction is None or self.transaction.id != fact.transaction_id:
            return []
        if self.transaction.group is not None:
            return []
        self.transaction = replace(self.transaction, group=fact.group)
        return [ChangeTransaction(transaction=self.transaction, vital=False)]

    # --- the transaction --------------------------------------------------------------------------

    def _end_read(self, fact: EndRead) -> Commands:
        ending = self._ending
        awaited = ending is not None and ending.reading_since_s is not None
        if not awaited or fact.read != self._reads or self._contactor_closed:
            return []
        return self._end(fact.energy_wh, fact.signed)

    def _begin(self, fact: BeginRead, now: Moment) -> Commands:
        if fact.read != self._reads:
            return []  # for a permission before this one; its lock and signature are not ours
        grant, plug_id = self.grant, self._plug_id
        self._reading_begin = False
        if grant is None or plug_id is None or self._used or self.transaction is not None:
            in_vain = self.rules.has_lock and self.transaction is None
            return [UnlockConnector()] if in_vain else []
        self._used = True
        self.grant = self._asked = None
        if fact.energy_wh is None:
            self.notice = "the energy meter cannot be read and its register was never known"
            return [MarkUsed(plug_id=plug_id)]
        if fact.unsigned or fact.refused:
            self.notice = fact.unsigned or fact.refused
            return [MarkUsed(plug_id=plug_id), UnlockConnector()]
        reservation = self.hold.ended_by(grant.id_token, grant.group)
        self.transaction = Transaction(
            id=self._new_id(),
            evse=self.evse,
            id_token=grant.id_token,
            group=grant.group,
            started_at=now.utc,
            meter_start_wh=fact.energy_wh,
            guard_id=self._guard_id,
            boot_id=self._boot_id,
            plug_id=plug_id,
            remote_start_id=grant.remote_start_id,
            reservation_id=None if reservation is None else reservation.id,
            offline=grant.offline,
            last_seen_at=now.utc,
            last_meter_wh=fact.energy_wh,
            signed_begin=fact.signed,
        )
        begin = BeginTransaction(
            transaction=self.transaction, charging_profile=grant.charging_profile
        )
        return [begin, LockConnector(), Permit(plug_id=plug_id)]
