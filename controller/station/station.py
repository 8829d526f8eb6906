"""The station: one actor per EVSE, fed by guard, reader, meters and backend.

To compose (see `app.py`):

    store = await Store.open(state_dir)
    guard = GuardSocket(runtime_dir / "guard.sock", clock)
    station = Station(installation=…, settings=…, store=store, guard=guard,
                      meters={1: meter}, reader=reader, clock=clock)
    await station.prepare()                 # open transactions, availability, boot reason
    station.attach(Backend16(…, control=station.control, outbox=store.outbox))
    code = await station.run()              # 0 = told to stop, 3 = soft reset, 4 = hard reset
    await store.close()

`station.snapshots` is the SnapshotSource of the page; `station.control` the StationControl.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from controller.clock import Clock
from controller.core import facts
from controller.core.authorization import (
    AuthorizationMode,
    AuthorizationRules,
    Decision,
)
from controller.core.guard_messages import EvseSnapshot, FactKind, Snapshot
from controller.core.guard_messages import Fact as GuardFact
from controller.core.installation import EvseInstallation, Installation
from controller.core.model import (
    AuthorizationStatus,
    BootReason,
    EvseView,
    IdToken,
    IdTokenInfo,
    IdTokenType,
    Report,
)
from controller.core.session_state import SessionRules
from controller.core.settings import Settings
from controller.notify import notify
from controller.ports import Backend, GuardLink
from controller.station.authorizer import Authorizer
from controller.station.cards import CardDesk
from controller.station.control import Control
from controller.station.control_socket import ControlSocket
from controller.station.evse import EvseActor, ends_transaction
from controller.station.local_list import StoredLocalList
from controller.station.metering import MeterPoller
from controller.station.readers import ReaderLoop
from controller.station.recovery import Recovery
from controller.station.sampling import Sampler, Supply
from controller.station.snapshot import Snapshots
from controller.station.stores import StationStore
from controller.station.supply import shares
from controller.station.waiting import Tasks, cancel
from hal.ports import CardReader, Meter
from hal.types import CpState

_log = logging.getLogger(__name__)

GUARD_LOST_S = 3.0
PILOT_UNKNOWN_S = 2.0
"""A guard that has just started gets this long to see what is plugged in."""
FLUSH_S = 60.0
WATCHDOG_S = 10.0


class Station:
    """Composition of the station's own parts. Nothing here drives a pin."""

    def __init__(
        self,
        *,
        installation: Installation,
        settings: Settings,
        store: StationStore,
        guard: GuardLink,
        meters: Mapping[int, Meter],
        reader: CardReader | None,
        clock: Clock,
        version: str = "",
        control_socket: Path | None = None,
    ) -> None:
        self.installation = installation
        self.settings = settings
        self.store = store
        self.guard = guard
        self.clock = clock
        self.actors: dict[int, EvseActor] = {}
        self.reader_lost = False
        self._meters = meters
        self._reader = reader
        self.local_list = StoredLocalList(store.values)
        self._backend: Backend | None = None
        self.tasks = Tasks()
        self.recovery = Recovery(store, clock)
        self._authorizer: Authorizer | None = None
        self._guard_id = ""
        self._joined = asyncio.Event()
        self._first_seen_ns: int | None = None
        self._history: list[GuardFact] = []
        self._guard_gone_s: float | None = None
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._shares = shares(installation)
        self.control = Control(self)
        self.cards = CardDesk(self)
        self.snapshots = Snapshots(self, version)
        self._socket = ControlSocket(control_socket, self) if control_socket else None
        settings.on_change(self._setting_changed)

    # --- composing --------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Read from the store what was going on."""
        await self.local_list.load()
        await self.recovery.load(evse.id for evse in self.installation.evses)
        for evse in self.installation.evses:
            self.actors[evse.id] = self._actor(evse)
        await self.control.load()

    def attach(self, backend: Backend) -> None:
        """The backend knows the station's control, so it comes second."""
        self._backend = backend
        self._authorizer = Authorizer(
            backend=backend,
            cache=self.store.auth_cache,
            local_list=self.local_list,
            rules=self._authorization_rules,
            clock=self.clock,
            wait_s=self.installation.charging.authorize_wait_s,
            before_accepted=self.installation.charging.before_accepted,
            late=self._answered_late,
            tasks=self.tasks,
        )

    @property
    def backend(self) -> Backend:
        """What `attach` got."""
        if self._backend is None:
            raise RuntimeError("attach(backend) comes before run()")
        return self._backend

    @property
    def authorizer(self) -> Authorizer:
        """Made by `attach`."""
        if self._authorizer is None:
            raise RuntimeError("attach(backend) comes before run()")
        return self._authorizer

    @property
    def has_reader(self) -> bool:
        """There is a card reader."""
        return self._reader is not None

    def other_fault(self, evse: int, code: str, present: bool) -> None:
        """A fault that only the world outside can tell (`other` with a code)."""
        if present:
            self.guard.raise_fault(evse, "other", code)
        else:
            self.guard.clear_fault(evse, "other")

    def boot_reason(self) -> BootReason:
        """Why this process started."""
        return self.recovery.boot_reason

    async def joined(self) -> None:
        """Returns when the guard has told what is plugged in."""
        await self._joined.wait()

    # --- running ----------------------------------------------------------------------------------

    async def run(self) -> int:
        """Work until `stop` or a Reset; returns the exit code."""
        start = self.tasks.start
        start(self.guard.run(), "guard link")
        start(self._guard_facts(), "guard facts")
        for actor in self.actors.values():
            start(actor.run(), f"evse {actor.id}")
            if actor.poller is not None:
                start(actor.poller.run(), f"meter {actor.id}")
        if self._reader is not None:
            start(ReaderLoop(self._reader, self.clock, self.cards.card_read, self._reader_is).run())
        start(self.backend.run(), "backend")
        start(self._every_second(), "supervision")
        start(self._watchdog(), "watchdog")
        if self._socket is not None:
            start(self._socket.run(), "control socket")
        notify("READY=1")
        try:
            await asyncio.wait((self._exit, self.tasks.failed), return_when=asyncio.FIRST_COMPLETED)
            if self.tasks.failed.done():
                self.tasks.failed.result()
            return self._exit.result()
        finally:
            notify("STOPPING=1")
            await self.recovery.stopping(self.actors.values())
            await self.tasks.close()
            await cancel(*(a for a in (self._exit,) if not a.done()))

    def stop(self, code: int = 0) -> None:
        """End `run`."""
        if not self._exit.done():
            self._exit.set_result(code)

    # --- Surroundings of the actors ---------------------------------------------------------------

    async def decide(self, id_token: IdToken, mode: AuthorizationMode) -> Decision:
        """Ask list, cache, backend."""
        return await self.authorizer.decide(id_token, mode)

    def view_changed(self, view: EvseView) -> None:
        """Publish; the reports of a change go out before its status."""
        self.backend.evse_changed(view)
        self.control.view_changed(view)
        self.cards.view_changed(view)
        self.snapshots.changed()

    def reports_waiting(self) -> None:
        """The outbox has something new."""
        if self.tells_backend:
            self.backend.reports_waiting()

    def granted_amps(self, evse: int) -> float:
        """What this EVSE may offer now; 0 = nothing."""
        return self._shares[evse]

    @property
    def online(self) -> bool:
        """The backend is connected."""
        return self._backend is not None and self._backend.connected

    @property
    def tells_backend(self) -> bool:
        """There is a backend that must learn about transactions."""
        return self.installation.backend is not None

    def backend_hint(self) -> str:
        """A sentence why the operator cannot be asked, or an empty text."""
        if not self.tells_backend or self.online:
            return ""
        return "The operator cannot be reached; cards known here still work."

    # --- guard ------------------------------------------------------------------------------------

    async def _guard_facts(self) -> None:
        async for item in self.guard.facts():
            if self.guard.guard_id != self._guard_id:
                self._guard_id = self.guard.guard_id
                self._history = []
                self._first_seen_ns = None
                self._joined.clear()
            if isinstance(item, GuardFact):
                if self._joined.is_set():
                    self._fact(item)
                else:
                    self._history.append(item)
            else:
                await self._snapshot(item)

    def _fact(self, fact: GuardFact) -> None:
        actor = self.actors.get(fact.evse)
        if actor is None:
            return
        at = self._utc_of(fact.at_ns)
        match fact.kind:
            case FactKind.PLUGGED:
                actor.tell(facts.PlugSeen(plug_id=fact.plug_id, at=at))
            case FactKind.UNPLUGGED:
                actor.tell(facts.PlugSeen(plug_id=None, at=at))
            case FactKind.CONTACTOR_CLOSED:
                actor.tell(facts.ContactorSeen(closed=True, at_ns=fact.at_ns))
            case FactKind.CONTACTOR_OPENED:
                actor.tell(facts.ContactorSeen(closed=False, at_ns=fact.at_ns))
            case _:
                return

    async def _snapshot(self, snapshot: Snapshot) -> None:
        self._guard_gone_s = None
        joining = not self._joined.is_set()
        if joining and self._still_looking(snapshot):
            return
        for evse in snapshot.evses:
            actor = self.actors.get(evse.evse)
            if actor is None:
                continue
            if joining:
                actor.tell(
                    await self.recovery.joined(actor, evse, self._history, self.guard, self._utc_of)
                )
                actor.joined = True
            else:
                self._reconcile(actor, evse, snapshot.at_ns)
            actor.guard_seen(evse)
            reason = ends_transaction(evse)
            if reason is not None and actor.session.transaction is not None:
                actor.tell(facts.StopAsked(reason=reason))
        if joining:
            self._history = []
            self.recovery.done()
            self._joined.set()
        self.snapshots.changed()

    def _still_looking(self, snapshot: Snapshot) -> bool:
        """Nobody is judged by what the guard has not seen yet; boards without sight never tell."""
        if self._first_seen_ns is None or snapshot.at_ns < self._first_seen_ns:
            self._first_seen_ns = snapshot.at_ns
        waited_s = (snapshot.at_ns - self._first_seen_ns) / 1e9
        unknown = any(evse.state == CpState.UNKNOWN.value for evse in snapshot.evses)
        return unknown and waited_s < PILOT_UNKNOWN_S

    def _reconcile(self, actor: EvseActor, evse: EvseSnapshot, at_ns: int) -> None:
        """The snapshot is the truth, also for facts that fell out of the ring."""
        plug_id = evse.plug_id if evse.plugged else None
        actor.tell(facts.PlugSeen(plug_id=plug_id, at=self._utc_of(at_ns)))
        closed = evse.contactor_closed or evse.contactor_commanded
        if closed != actor.session.contactor_closed:
            actor.tell(facts.ContactorSeen(closed=closed, at_ns=at_ns))

    def _utc_of(self, at_ns: int) -> datetime:
        return self.clock.utc() - timedelta(
            microseconds=max(self.clock.monotonic_ns() - at_ns, 0) / 1000
        )

    # --- supervision ------------------------------------------------------------------------------

    async def _every_second(self) -> None:
        flush_due_s = self._now_s() + FLUSH_S
        while True:
            await self.clock.sleep(1.0)
            now_s = self._now_s()
            if self.guard.connected:
                self._guard_gone_s = None
            elif self._guard_gone_s is None:
                self._guard_gone_s = now_s + GUARD_LOST_S
            elif now_s >= self._guard_gone_s and self._joined.is_set():
                for actor in self.actors.values():
                    actor.guard_seen(None)
            if now_s >= flush_due_s:
                flush_due_s = now_s + FLUSH_S
                self._flush()

    def _flush(self) -> None:
        flushing = self.store.outbox.flush()
        if flushing is None:
            return

        async def wait() -> None:
            try:
                await flushing
            except Exception as error:  # noqa: BLE001 - meter values stay in memory, the next minute retries
                _log.error("meter values not stored: %s", error)

        self.tasks.start(wait())

    async def _watchdog(self) -> None:
        while True:
            await self.store.database.probe()
            notify("WATCHDOG=1")
            await self.clock.sleep(WATCHDOG_S)

    def _reader_is(self, lost: str) -> None:
        """`lost`: "" or why the card reader does not answer."""
        self.reader_lost = bool(lost)
        for evse in self.actors:
            if lost:
                self.guard.raise_fault(evse, "reader_dead", lost)
            else:
                self.guard.clear_fault(evse, "reader_dead")

    def _answered_late(self, id_token: IdToken, info: IdTokenInfo) -> None:
        """A refusal after the offline rules had accepted acts like a refused start."""
        for actor in self.actors.values():
            running = actor.session.transaction
            if running is not None and running.id_token.same_as(id_token):
                self.answered(actor, running.id, info)

    def answered(self, actor: EvseActor, transaction_id: str, info: IdTokenInfo) -> None:
        """What the backend said about the token of a running transaction."""
        if info.group is not None:
            actor.tell(facts.GroupLearnt(transaction_id=transaction_id, group=info.group))
        if info.status is not AuthorizationStatus.ACCEPTED:
            actor.tell(facts.TokenRejected(transaction_id=transaction_id, info=info))

    # --- rules from the settings ------------------------------------------------------------------

    def _actor(self, evse: EvseInstallation) -> EvseActor:
        meter = self._meters.get(evse.id)
        site = self.installation.site
        sampler = Sampler(
            evse=evse.id,
            settings=self.settings,
            supply=Supply(
                offered_amps=lambda: self._offered(evse.id),
                volts=site.voltage_v,
                phases=evse.phases,
            ),
            queue=self._queue,
            online=lambda: self.online,
        )
        actor: EvseActor
        poller = None
        if meter is not None:
            # 40 % above the rating: enough for tolerance and over-voltage, too little for a jump.
            most_w = evse.max_amps * evse.phases * site.voltage_v * 1.4
            poller = MeterPoller(evse.id, meter, self.clock, most_w)
        actor = EvseActor(
            evse=evse,
            rules=self._session_rules(evse),
            store=self.store,
            guard=self.guard,
            poller=poller,
            sampler=sampler,
            clock=self.clock,
            around=self,
            tasks=self.tasks,
            transaction=self.recovery.transactions.get(evse.id),
            last_known_wh=self.recovery.last_known_wh.get(evse.id),
        )
        if poller is not None:
            poller.events = actor
            poller.in_transaction = lambda: actor.session.transaction is not None
        return actor

    def _queue(self, report: Report) -> None:
        if self.tells_backend:
            self.store.outbox.append_volatile(report)

    def _offered(self, evse: int) -> float:
        snapshot = self.guard.snapshot
        for seen in snapshot.evses if snapshot is not None else ():
            if seen.evse == evse:
                return seen.offered_amps
        return 0.0

    def _session_rules(self, evse: EvseInstallation) -> SessionRules:
        s, charging = self.settings, self.installation.charging
        token = evse.free_id_tag
        return SessionRules(
            connection_timeout_s=s.integer("ConnectionTimeOut"),
            stop_on_ev_side_disconnect=s.boolean("StopTransactionOnEVSideDisconnect"),
            stop_on_invalid_id=s.boolean("StopTransactionOnInvalidId"),
            unlock_on_ev_side_disconnect=s.boolean("UnlockConnectorOnEVSideDisconnect"),
            max_energy_on_invalid_wh=s.integer("MaxEnergyOnInvalidId"),
            mode=AuthorizationMode(evse.authorization or charging.authorization),
            free_token=IdToken(token, IdTokenType.CENTRAL) if token else None,
            resume_after_power_loss=charging.resume_after_power_loss,
        )

    def _authorization_rules(self) -> AuthorizationRules:
        s = self.settings
        return AuthorizationRules(
            local_pre_authorize=s.boolean("LocalPreAuthorize"),
            local_authorize_offline=s.boolean("LocalAuthorizeOffline"),
            allow_offline_for_unknown=s.boolean("AllowOfflineTxForUnknownId"),
            cache_enabled=s.boolean("AuthorizationCacheEnabled"),
        )

    def _setting_changed(self, name: str, value: str) -> None:
        for actor in self.actors.values():
            actor.set_rules(self._session_rules(actor.installation))

    def _now_s(self) -> float:
        return self.clock.monotonic_ns() / 1e9
