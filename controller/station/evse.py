"""The actor of one EVSE: takes facts one at a time, feeds the session, carries out its commands."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import datetime

from controller.clock import Clock
from controller.core import facts
from controller.core.commands import (
    AskAuthorization,
    BeginTransaction,
    ChangeTransaction,
    Command,
    EndTransaction,
    LockConnector,
    MarkUsed,
    Pause,
    Permit,
    PrepareRead,
    ReadBegin,
    ReadEnd,
    UnlockConnector,
    Withdraw,
)
from controller.core.evse_view import ChargingStateFilter, ViewInputs, blocked_by, build_view
from controller.core.faults import Clearing, kind_of
from controller.core.guard_messages import EvseSnapshot
from controller.core.hindsight import Hindsight
from controller.core.installation import EvseInstallation
from controller.core.life import LifeRhythm
from controller.core.metering import OverCurrentWatch
from controller.core.model import (
    EvseView,
    SessionPhase,
    SignedMeterValue,
    StopReason,
    Transaction,
)
from controller.core.session import EvseSession
from controller.core.session_state import END_READ_WAIT_S, SessionRules
from controller.ports import GuardLink
from controller.station.books import Books
from controller.station.interruptions import Interruptions
from controller.station.metering import FAST_S, SECOND_NS, SLOW_S, MeterPoller
from controller.station.sampling import SampleDue, Sampler
from controller.station.signed_metering import UNSIGNED, Signer
from controller.station.stores import StationStore
from controller.station.surroundings import Surroundings
from controller.station.waiting import Tasks, event_or_time, within
from hal.types import LockState, MeterReading

_log = logging.getLogger(__name__)

BEGIN_AGE_S = 1.5
"""With the contactor open the register stands still, so a poll this young is a fresh one."""
BEGIN_WAIT_S = 3.0
"""How long a start waits for a poll before the last known register has to do."""
LOCK_WAIT_S = 8.0
"""How long a start waits for the bolt; the guard tries five times within 6 s."""
STORE_RETRY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _SampleRead:
    """A poll for a sample came back."""

    due: SampleDue
    reading: MeterReading
    signed: SignedMeterValue | None = None


Input = facts.Fact | _SampleRead


class EvseActor:
    """One EVSE. Everything that happens goes through `tell`."""

    def __init__(
        self,
        *,
        evse: EvseInstallation,
        rules: SessionRules,
        store: StationStore,
        guard: GuardLink,
        poller: MeterPoller | None,
        sampler: Sampler,
        clock: Clock,
        around: Surroundings,
        tasks: Tasks,
        transaction: Transaction | None,
        last_known_wh: float | None,
    ) -> None:
        self.installation = evse
        self.id = evse.id
        self.session = EvseSession(evse.id, rules, lambda: str(uuid.uuid4()), transaction)
        self.poller = poller
        self._in_service = True
        self._held = ""
        self.joined = False
        self._refusal = ""
        self._store = store
        self._guard = guard
        self.sampler = sampler
        self.signer: Signer | None = None
        """None = the meter does not sign."""
        self._interruptions = Interruptions(sampler.interruption)
        self._clock = clock
        self._around = around
        self._tasks = tasks
        self._books = Books(evse.id, store, sampler, clock, around, self._pause)
        self._permitted: int | None = None
        self._offered_amps = 0.0
        self._inputs: deque[Input] = deque()
        self._wake = asyncio.Event()
        self._snapshot: EvseSnapshot | None = None
        self._charging = ChargingStateFilter()
        self._over_current = OverCurrentWatch()
        self._last_known_wh = last_known_wh
        self._last_read_at: datetime | None = None
        self._life = LifeRhythm()
        self._published: EvseView | None = None
        self._idle = asyncio.Event()

    # --- what others use --------------------------------------------------------------------------

    def tell(self, fact: facts.Fact) -> None:
        """Queue a fact."""
        self._inputs.append(fact)
        self._wake.set()

    def guard_seen(self, snapshot: EvseSnapshot | None) -> None:
        """The guard's newest state of this EVSE; None = the guard is gone."""
        self._snapshot = snapshot
        why = self._refusal or self._held or blocked_by(self.operative, snapshot)
        if not self.session.blocked and not why:
            self._wake.set()
            return
        self.tell(facts.BlockedSeen(why=why))

    def set_rules(self, rules: SessionRules) -> None:
        """A setting changed; sample intervals may have changed as well."""
        self.session.rules = rules
        self._wake.set()

    def look_again(self) -> None:
        """What this EVSE may offer, or what is told about it, may be different now."""
        self._wake.set()

    def correct(self, hindsight: Hindsight) -> None:
        """The clock was wrong until now."""
        self.session.correct(hindsight)
        self.sampler.correct(hindsight)
        self._last_read_at = hindsight.perhaps(self._last_read_at)

    def refuse_all(self, why: str) -> None:
        """No new transaction from now on."""
        self._refusal = why
        self.guard_seen(self._snapshot)

    @property
    def can_be_started_remotely(self) -> bool:
        """The session would take a remote start, and none is on its way to it."""
        starts = (facts.Granted, facts.RemoteStartAsked)
        queued = any(isinstance(told, starts) for told in self._inputs)
        return self.session.can_be_started_remotely and not queued

    @property
    def lock_state(self) -> str:
        """LockState value as the guard told it."""
        return self._snapshot.lock if self._snapshot is not None else LockState.UNKNOWN.value

    def set_operative(self, operative: bool) -> None:
        """In or out of service from now on."""
        self._in_service = operative
        self.guard_seen(self._snapshot)

    def hold(self, why: str) -> None:
        """Out of service for a while, whatever the operator decided (firmware update); "" = no longer."""
        if why != self._held:
            self._held = why
            self.guard_seen(self._snapshot)

    @property
    def operative(self) -> bool:
        """In service."""
        return self._in_service and not self._held

    def view(self) -> EvseView:
        """The view now."""
        state = self._charging.update(self.session, self._snapshot, self._now_s())
        return build_view(
            ViewInputs(
                session=self.session,
                guard=self._snapshot if self.joined else None,
                reading=self.poller.latest if self.poller is not None else None,
                stale=self.poller is not None and self.poller.trusted is None,
                has_meter=self.poller is not None,
                operative=self.operative,
                held=self._held,
                grant=self._around.grant(self.id),
                question=self._around.question_for(self.id),
                backend=self._around.backend_hint(),
                reader_lost=self._around.reader_lost,
            ),
            state,
        )

    async def quiet(self) -> None:
        """Returns when everything told so far is done."""
        while self._inputs or not self._idle.is_set():
            await self._idle.wait()
            await asyncio.sleep(0)

    # --- MeterEvents ------------------------------------------------------------------------------

    def meter_read(self, reading: MeterReading) -> None:
        """A believed reading: energy limit, over-current, view."""
        self._last_known_wh = reading.energy_wh
        self._last_read_at = self._clock.utc()
        running = None if self.session.ending else self.session.transaction
        if self._interruptions.read(running, self._last_read_at, reading):
            self._around.reports_waiting()
        if self.session.transaction is not None and not self.session.ending:
            self.tell(facts.EnergyMeasured(energy_wh=reading.energy_wh))
        snapshot = self._snapshot
        if snapshot is not None and snapshot.contactor_closed:
            seen = self._over_current.check(reading, snapshot.offered_amps)
            if seen:
                self._guard.raise_fault(self.id, "over_current", seen)
            elif self._over_current.due_ns is not None and self.poller is not None:
                # The usual pace could cost another second: the contactor opens within 8 s.
                self.poller.poll_at(self._over_current.due_ns)
        else:
            self._over_current = OverCurrentWatch()

    def meter_fault(self, name: str, detail: str) -> None:
        """The meter is lost or lies."""
        running, last = self.session.transaction, self._last_known_wh
        if running is not None and not self.session.ending and last is not None:
            self._interruptions.begin(running, self._last_read_at, last)
            self._around.reports_waiting()
        self._guard.raise_fault(self.id, name, detail)

    def meter_fine(self, name: str) -> None:
        """The meter is back."""
        self._guard.clear_fault(self.id, name)

    # --- the loop ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work for ever."""
        while True:
            self._idle.clear()
            while self._inputs:
                await self._take(self._inputs.popleft())
            await self._take(facts.Tick())
            if self._inputs:
                continue
            self._wake.clear()
            self._idle.set()
            await event_or_time(self._wake, self._clock, self._seconds_to_next())

    def _seconds_to_next(self) -> float | None:
        times = (
            self.session.deadline_s,
            self._charging.wants_look_at_s,
            self.sampler.due_s,
            self._life.due_s,
        )
        due = min((t for t in times if t is not None), default=None)
        return None if due is None else max(due - self._now_s(), 0.001)

    async def _take(self, fact: Input) -> None:
        if isinstance(fact, _SampleRead):
            running = self.session.transaction
            if (running.id if running is not None else None) == fact.due.transaction_id:
                if not self.session.ending and (self.joined or running is None):
                    if running is not None and self._life.sampled(self._now_s()):
                        await self.store_life(running)
                    fact.due.take(fact.reading, fact.signed)
                    self._around.reports_waiting()
            return
        if isinstance(fact, facts.GuardJoined):
            self._permits(None)  # what another guard was told does not count here
        before = self.session.transaction
        commands = self.session.feed(fact, self._moment())
        if isinstance(fact, facts.GuardJoined) and before is not None:
            self._went_on(before)
        for i, command in enumerate(commands):
            if not await self._carry_out(command):
                for late in self.session.feed(
                    facts.StoreFailed(error="see the log"), self._moment()
                ):
                    await self._carry_out(late)
                _log.error("evse=%d dropped %d commands", self.id, len(commands) - i - 1)
                break
        if isinstance(fact, facts.CardPresented):
            self._around.card_led_to(fact.id_token, self._card_result())
        running = self.session.transaction
        if running is None or self.session.ending:
            self._life.end()
        elif self.joined:  # before that nobody knows whether it lives
            if self._life.tick(self._now_s()):
                await self.store_life(running)
        self._follow_grant()
        self._samples()
        self._pace()
        self._publish()

    def _went_on(self, before: Transaction) -> None:
        """The same transaction with another guard: there was no power in between."""
        running = self.session.transaction
        if running is None or self.session.ending or running.guard_id == before.guard_id:
            return
        last = before.last_meter_wh if before.last_meter_wh is not None else before.meter_start_wh
        self._interruptions.begin(running, before.last_seen_at, last)
        self._around.reports_waiting()

    def _card_result(self) -> str:
        if self.session.asking:
            return "is being checked"
        return "ends the charge" if self.session.ending else self.session.notice

    def _publish(self) -> None:
        view = self.view()
        if view != self._published and self.joined:
            self._published = view
            self._around.view_changed(view)

    def _pace(self) -> None:
        if self.poller is None:
            return
        quick = self.session.phase in (SessionPhase.PREPARING, SessionPhase.TRANSACTION)
        self.poller.set_pace(FAST_S if quick else SLOW_S)

    async def store_life(self, running: Transaction) -> None:
        """The last moment of life, for recovery; when it cannot be stored the next minute tries again."""
        await self._books.life(running)

    def _follow_grant(self) -> None:
        amps = self._around.grant(self.id).amps
        if self._permitted is not None and amps != self._offered_amps:
            self._offer(amps)

    def _samples(self) -> None:
        running = None if self.session.ending else self.session.transaction
        for due in self.sampler.due(running, self._now_s(), self._clock.utc()):
            if self.poller is not None:
                self._tasks.aside(self._sample(due), "sample")

    async def _sample(self, due: SampleDue) -> None:
        if self.poller is None:
            return
        reading = await within(self.poller.after(self._clock.monotonic_ns()), self._clock, 2.0)
        if reading is not None:
            signed = await self.signer.now() if due.signs and self.signer is not None else None
            self._inputs.append(_SampleRead(due=due, reading=reading, signed=signed))
            self._wake.set()

    # --- commands ---------------------------------------------------------------------------------

    async def _carry_out(self, command: Command) -> bool:
        """Do it; False = it failed and nothing after it may happen."""
        match command:
            case AskAuthorization():
                self._tasks.aside(self._authorize(command), "authorization")
            case PrepareRead():
                if self.poller is not None and self.poller.newest(BEGIN_AGE_S) is None:
                    self.poller.poll_soon()
            case ReadBegin():
                if self.installation.lock is None:
                    self._read_begin(command.read)
                else:
                    self._tasks.aside(self._lock_first(command.read), "lock")
            case ReadEnd():
                self._tasks.aside(self._read_end(command), "end value")
            case BeginTransaction():
                profile = command.charging_profile
                if profile is not None:
                    if not await self._around.keep_profile(command.transaction, profile):
                        return False
                return await self._books.begin(command.transaction)
            case ChangeTransaction():
                await self._books.change(command.transaction, vital=command.vital)
            case EndTransaction():
                await self._books.end(command, self._last_known_wh)
            case Permit():
                self._permits(command.plug_id)
                self._offer(self._around.grant(self.id).amps)
            case Pause():
                self._permitted = command.plug_id
                self._pause()
            case Withdraw():
                self._permits(None)
                self._guard.withdraw(self.id, command.plug_id, command.why)
            case LockConnector():
                if self.lock_state != LockState.LOCKED.value:
                    self._lock()
            case UnlockConnector():
                if self.installation.lock is not None:
                    self._guard.unlock(self.id)
            case MarkUsed():
                mark = f"{self._guard.guard_id}:{command.plug_id}"
                await self._books.until_stored(
                    lambda: self._store.values.put(f"used/{self.id}", mark), attempts=1
                )
        return True

    def _permits(self, plug_id: int | None) -> None:
        """Current is permitted to this plug-in; None = to nobody."""
        self._permitted = plug_id
        self._around.wants_current(self.id, plug_id is not None)

    def _offer(self, amps: float) -> None:
        if self._permitted is not None:
            self._offered_amps = amps
            self._guard.offer(self.id, self._permitted, amps, self.installation.phases)

    def _pause(self) -> None:
        if self._permitted is not None:
            self._guard.offer(self.id, self._permitted, 0.0, self.installation.phases)
        self._permits(None)

    async def _authorize(self, command: AskAuthorization) -> None:
        decision = await self._around.decide(command.id_token, self.session.rules.mode)
        self.tell(facts.AuthorizationDecided(request=command.request, decision=decision))

    def _lock(self) -> None:
        if self.installation.lock is not None:
            keep = not self.session.rules.unlock_on_ev_side_disconnect
            self._guard.lock(self.id, keep=keep)

    async def _lock_first(self, read: int) -> None:
        """A transaction begins when everything is there for it, also the bolt (TC_024)."""
        self._lock()
        if await within(self._locked(), self._clock, LOCK_WAIT_S):
            self._read_begin(read)
            self._wake.set()
        else:
            refused = "the cable could not be locked"
            wh = self._last_known_wh
            self.tell(facts.BeginRead(read=read, energy_wh=wh, refused=refused))

    async def _locked(self) -> bool:
        while (seen := self._snapshot) is None or seen.lock != LockState.LOCKED.value:
            if seen is not None and any(fault.name == "lock_jam" for fault in seen.faults):
                return False
            await self._clock.sleep(0.05)
        return True

    def _read_begin(self, read: int) -> None:
        if self.signer is not None and self.signer.policy.transactions:
            self._tasks.aside(self._read_begin_signed(read, self.signer), "signed begin value")
            return
        if self.poller is None:
            self.tell(facts.BeginRead(read=read, energy_wh=self._last_known_wh or 0.0))
            return
        fresh = self.poller.newest(BEGIN_AGE_S)
        contactor_open = self._snapshot is not None and not self._snapshot.contactor_closed
        opened_ns = self.session.contactor_opened_ns
        if fresh is not None and contactor_open and fresh.taken_at_ns > opened_ns:
            self._inputs.appendleft(facts.BeginRead(read=read, energy_wh=fresh.energy_wh))
            return
        self._tasks.aside(self._read_begin_slowly(read, self.poller), "begin value")

    async def _read_begin_signed(self, read: int, signer: Signer) -> None:
        """The contactor is open until the begin value is signed (REG-EICH-6)."""
        grant = self.session.grant
        signed = await signer.begin(grant.id_token if grant is not None else None)
        reading = None
        if self.poller is not None:
            since_ns = self.session.contactor_opened_ns + 1
            reading = await within(self.poller.after(since_ns), self._clock, BEGIN_WAIT_S)
        known = reading.energy_wh if reading is not None else self._last_known_wh
        unsigned = UNSIGNED if signed is None else ""
        self.tell(facts.BeginRead(read=read, energy_wh=known, signed=signed, unsigned=unsigned))

    async def _read_begin_slowly(self, read: int, poller: MeterPoller) -> None:
        young_ns = self._clock.monotonic_ns() - int(BEGIN_AGE_S * SECOND_NS)
        since = max(young_ns, self.session.contactor_opened_ns + 1)
        reading = await within(poller.after(since), self._clock, BEGIN_WAIT_S)
        # The contactor was open all the time: the last known register is still the true one.
        known = reading.energy_wh if reading is not None else self._last_known_wh
        if reading is None:
            _log.warning("evse=%d starts with the last known register: %s Wh", self.id, known)
        self.tell(facts.BeginRead(read=read, energy_wh=known))

    async def _read_end(self, command: ReadEnd) -> None:
        if self.poller is None:
            self.tell(facts.EndRead(read=command.read, energy_wh=self._last_known_wh or 0.0))
            return
        refresh_ms = self.poller.latest.refresh_ms if self.poller.latest is not None else 0
        reading = self.poller.after(command.after_ns + refresh_ms * (SECOND_NS // 1000))
        running = self.session.transaction
        if self.signer is None or running is None or running.signed_begin is None:
            self.tell(facts.EndRead(read=command.read, energy_wh=(await reading).energy_wh))
            return
        last = await within(reading, self._clock, END_READ_WAIT_S)
        signed = await self.signer.end()
        energy_wh = last.energy_wh if last is not None else None
        self.tell(facts.EndRead(read=command.read, energy_wh=energy_wh, signed=signed))

    def _moment(self) -> facts.Moment:
        return facts.Moment(self._now_s(), self._clock.utc())

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9


def ends_transaction(snapshot: EvseSnapshot) -> StopReason | None:
    """The reason for which a fault ends a running transaction: those that only a person clears."""
    for fault in snapshot.faults:
        if fault.name == "emergency_stop":
            return StopReason.EMERGENCY_STOP
        kind = kind_of(fault.name)
        if kind.inoperative and kind.clearing is Clearing.COMMAND and not kind.retries:
            return StopReason.OTHER
    return None
