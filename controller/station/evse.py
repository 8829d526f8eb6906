"""The actor of one EVSE: takes facts one at a time, feeds the session, carries out its commands."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from dataclasses import dataclass

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
from controller.core.guard_messages import EvseSnapshot
from controller.core.hindsight import Hindsight
from controller.core.installation import EvseInstallation
from controller.core.life import LifeRhythm
from controller.core.model import (
    EvseView,
    SessionPhase,
    SignedMeterValue,
    Transaction,
)
from controller.core.session import EvseSession
from controller.core.session_state import SessionRules
from controller.ports import GuardLink
from controller.station.bolt import Bolt
from controller.station.books import Books
from controller.station.meter_watch import MeterWatch
from controller.station.metering import FAST_S, SLOW_S, MeterPoller
from controller.station.readings import BEGIN_AGE_S, Readings
from controller.station.sampling import SampleDue, Sampler
from controller.station.signed_metering import Signer
from controller.station.stores import StationStore
from controller.station.surroundings import Surroundings
from controller.station.waiting import Tasks, event_or_time, within
from hal.types import MeterReading

_log = logging.getLogger(__name__)


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
        signer: Signer | None,
        sampler: Sampler,
        clock: Clock,
        around: Surroundings,
        tasks: Tasks,
        transaction: Transaction | None,
        last_known_wh: float | None,
    ) -> None:
        """`poller` None = there is no meter, `signer` None = it does not sign."""
        self.installation = evse
        self.id = evse.id
        self.session = EvseSession(evse.id, rules, lambda: str(uuid.uuid4()), transaction)
        self.poller = poller
        self.signer = signer
        self._in_service = True
        self._held = ""
        self.joined = False
        self._refusal = ""
        self._store = store
        self._guard = guard
        self.sampler = sampler
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
        self._life = LifeRhythm()
        self._published: EvseView | None = None
        self._idle = asyncio.Event()
        self.bolt = Bolt(evse, self.session, guard, clock, lambda: self._snapshot)
        self.meter = MeterWatch(
            session=self.session,
            poller=poller,
            guard=guard,
            clock=clock,
            around=around,
            tell_sample=sampler.interruption,
            tell=self.tell,
            look=lambda: self._snapshot,
            last_known_wh=last_known_wh,
        )
        self._readings = Readings(
            session=self.session,
            poller=poller,
            signer=signer,
            bolt=self.bolt,
            meter=self.meter,
            clock=clock,
            tasks=tasks,
            tell=self.tell,
            tell_first=self._tell_first,
            look=lambda: self._snapshot,
        )

    # --- what others use --------------------------------------------------------------------------

    def tell(self, fact: facts.Fact) -> None:
        """Queue a fact."""
        self._inputs.append(fact)
        self._wake.set()

    def _tell_first(self, fact: facts.Fact) -> None:
        self._inputs.appendleft(fact)
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
        self.meter.correct(hindsight)

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
            self.meter.went_on(before)
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
                self._readings.begin(command.read)
            case ReadEnd():
                self._tasks.aside(self._readings.end(command), "end value")
            case BeginTransaction():
                profile = command.charging_profile
                if profile is not None:
                    if not await self._around.keep_profile(command.transaction, profile):
                        return False
                return await self._books.begin(command.transaction)
            case ChangeTransaction():
                await self._books.change(command.transaction, vital=command.vital)
            case EndTransaction():
                await self._books.end(command, self.meter.last_known_wh)
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
                if not self.bolt.is_closed:
                    self.bolt.close()
            case UnlockConnector():
                self.bolt.open()
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

    def _moment(self) -> facts.Moment:
        return facts.Moment(self._now_s(), self._clock.utc())

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9
