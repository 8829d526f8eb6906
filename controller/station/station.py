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
from pathlib import Path

from controller.clock import Clock
from controller.core import facts
from controller.core.authorization import (
    AuthorizationMode,
    Decision,
)
from controller.core.charging_profile import ChargingProfile
from controller.core.installation import EvseInstallation, Installation
from controller.core.model import (
    AuthorizationStatus,
    BootReason,
    EvseView,
    IdToken,
    IdTokenInfo,
    Report,
    Transaction,
)
from controller.core.settings import Settings
from controller.core.sharing_values import Grant
from controller.notify import notify
from controller.ports import Backend, GuardLink
from controller.ports_charging import TransactionProfiles
from controller.ports_sharing import CurrentSharing
from controller.station.authorizer import Authorizer
from controller.station.cards import CardDesk
from controller.station.control import Control
from controller.station.control_socket import ControlSocket
from controller.station.evse import EvseActor
from controller.station.guard_feed import GuardFeed
from controller.station.local_list import StationLocalList
from controller.station.metering import MeterPoller
from controller.station.no_prices import prices_of
from controller.station.past import Past
from controller.station.readers import ReaderLoop
from controller.station.recovery import Recovery
from controller.station.reservations import Reservations
from controller.station.rules import authorization_rules, session_rules
from controller.station.sampling import Sampler, Supply
from controller.station.signed_metering import Signer
from controller.station.snapshot import Snapshots
from controller.station.stores import StationStore
from controller.station.upkeep import StationUpkeep
from controller.station.waiting import Tasks, cancel
from hal.ports import CardReader, Meter, SigningMeter
from hal.types import MeterReading

_log = logging.getLogger(__name__)

GUARD_LOST_S = 3.0
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
        limits: CurrentSharing,
        profiles: TransactionProfiles | None = None,
        version: str = "",
        control_socket: Path | None = None,
    ) -> None:
        self.installation = installation
        self.settings = settings
        self.store = store
        self.guard = guard
        self.clock = clock
        self.limits = limits
        self.profiles = profiles
        self.actors: dict[int, EvseActor] = {}
        self.reader_lost = False
        self._meters = meters
        self._reader = reader
        self.local_list = StationLocalList(
            store.local_list, settings, has_backend=installation.backend is not None
        )
        self.reservations = Reservations(self)
        self._backend: Backend | None = None
        self.tasks = Tasks()
        self.recovery = Recovery(store, clock)
        self.past = Past(store, clock, self.tasks, self.actors.values)
        self._authorizer: Authorizer | None = None
        self.guard_feed = GuardFeed(self)
        self._guard_gone_s: float | None = None
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.control = Control(self)
        self.upkeep = StationUpkeep(self)
        self.cards = CardDesk(self)
        self.prices = prices_of(self)
        self.snapshots = Snapshots(self, version)
        self._socket = ControlSocket(control_socket, self) if control_socket else None
        self._transactions: dict[int, str | None] = {}
        limits.bind(self._reading, self._grant_changed)
        settings.on_change(self._setting_changed)

    # --- composing --------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Read from the store what was going on."""
        await self.local_list.load()
        if self.tells_backend:
            await self.past.load(self.recovery.boot_id())
        await self.recovery.load(evse.id for evse in self.installation.evses)
        for evse in self.installation.evses:
            self.actors[evse.id] = self._actor(evse)
            if not self.store.database.durable and self.tells_backend:
                # What cannot be kept must not be billed, and what is not billed must not start.
                self.actors[evse.id].refuse_all(
                    "The station cannot store transactions (disk full, read-only or broken), so it starts none."
                )
        if self.profiles is not None:
            await self.profiles.load(self.running)
        await self.prices.load()
        await self.control.load()
        await self.reservations.load()

    def attach(self, backend: Backend) -> None:
        """The backend knows the station's control, so it comes second."""
        self._backend = backend
        self._authorizer = Authorizer(
            backend=backend,
            cache=self.store.auth_cache,
            local_list=self.local_list,
            rules=lambda: authorization_rules(self.settings),
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
        await self.guard_feed.joined.wait()

    # --- running ----------------------------------------------------------------------------------

    async def run(self) -> int:
        """Work until `stop` or a Reset; returns the exit code."""
        start = self.tasks.start
        start(self.guard.run(), "guard link")
        start(self.guard_feed.run(), "guard facts")
        for actor in self.actors.values():
            start(actor.run(), f"evse {actor.id}")
            if actor.poller is not None:
                start(actor.poller.run(), f"meter {actor.id}")
            if actor.signer is not None:
                self.tasks.aside(actor.signer.find_key(), f"public key {actor.id}")
        if self._reader is not None:
            start(ReaderLoop(self._reader, self.clock, self.cards.card_read, self._reader_is).run())
        start(self.backend.run(), "backend")
        if self.profiles is not None:
            start(self.profiles.run(), "charging profiles")
        start(self.reservations.run(), "reservations")
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
        self.prices.asking(id_token)
        decision = await self.authorizer.decide(id_token, mode)
        await self.prices.answered(id_token, accepted=decision.accepted and not decision.offline)
        self.card_led_to(id_token, f"refused: {decision.why}" if decision.why else "accepted")
        return decision

    def card_led_to(self, id_token: IdToken, result: str) -> None:
        """What came of a token, for the page, if it was the last card."""
        self.cards.led_to(id_token, result)

    def view_changed(self, view: EvseView) -> None:
        """Publish; the reports of a change go out before its status."""
        self._watch_transaction(view)
        self.backend.evse_changed(view)
        self.control.view_changed(view)
        self.upkeep.view_changed(view)
        self.cards.view_changed(view)
        self.reservations.view_changed(view)
        self.prices.view_changed(view)
        self.snapshots.changed()

    def reports_waiting(self) -> None:
        """The outbox has something new."""
        if self.tells_backend:
            self.backend.reports_waiting()

    def wants_current(self, evse: int, wanting: bool) -> None:
        """A transaction permits current there, or not any more."""
        self.limits.wants(evse, wanting)

    def grant(self, evse: int) -> Grant:
        """What this EVSE may offer now, and what decides that."""
        return self.limits.grant(evse)

    async def keep_profile(self, transaction: Transaction, profile: ChargingProfile) -> bool:
        """The transaction about to start has this TxProfile; without smart charging it is left out."""
        return self.profiles is None or await self.profiles.begin(transaction, profile)

    def question_for(self, evse: int) -> str:
        """What somebody has to answer before a card counts here, or an empty text."""
        return self.cards.question_for(evse)

    def running(self, evse: int) -> Transaction | None:
        """The transaction that runs there, also while it ends."""
        actor = self.actors.get(evse)
        return actor.session.transaction if actor is not None else None

    def _reading(self, evse: int) -> MeterReading | None:
        poller = self.actors[evse].poller if evse in self.actors else None
        return None if poller is None else poller.trusted

    def _grant_changed(self, evse: int) -> None:
        if evse in self.actors:
            self.actors[evse].look_again()

    def _watch_transaction(self, view: EvseView) -> None:
        known = self._transactions.get(view.evse)
        self._transactions[view.evse] = view.transaction_id
        if self.profiles is not None and view.transaction_id != known:
            self.profiles.transaction_changed()

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

    # --- supervision ------------------------------------------------------------------------------

    async def _every_second(self) -> None:
        flush_due_s = self._now_s() + FLUSH_S
        waiting = -1
        while True:
            if waiting != self.store.outbox.waiting or self._now_s() >= flush_due_s:
                waiting = self.store.outbox.waiting
                self.tasks.aside(self.snapshots.count_undelivered(), "undelivered")
            await self.clock.sleep(1.0)
            self.prices.tick()
            now_s = self._now_s()
            self.past.look()
            self.limits.look()
            if self.guard.connected:
                self._guard_gone_s = None
            elif self._guard_gone_s is None:
                self._guard_gone_s = now_s + GUARD_LOST_S
            elif now_s >= self._guard_gone_s and self.guard_feed.joined.is_set():
                for actor in self.actors.values():
                    actor.guard_seen(None)
            left = self.store.outbox.waiting
            if now_s >= flush_due_s and (waiting or not left):
                # What came within this second is probably being answered: the disk is for what stays.
                flush_due_s = now_s + FLUSH_S
                if left:
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

        self.tasks.aside(wait(), "flush")

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
        poller: MeterPoller | None = None
        signer: Signer | None = None
        if meter is not None:
            # 40 % above the rating: enough for tolerance and over-voltage, too little for a jump.
            most_w = evse.max_amps * evse.phases * site.voltage_v * 1.4
            poller = MeterPoller(evse.id, meter, self.clock, most_w)
            running = self.recovery.transactions.get(evse.id)
            if running is not None:
                poller.expect(*self.recovery.register(running, self.installation.charging.hold_s))
        if evse.meter_signs and isinstance(meter, SigningMeter):
            signer = Signer(evse, meter, self.settings, self.clock, tariff=self.prices.tariff_text)
            sampler.signing = signer.policy
        actor = EvseActor(
            evse=evse,
            rules=session_rules(self.settings, self.installation, evse),
            store=self.store,
            guard=self.guard,
            poller=poller,
            signer=signer,
            sampler=sampler,
            clock=self.clock,
            around=self,
            tasks=self.tasks,
            transaction=self.recovery.transactions.get(evse.id),
            last_known_wh=self.recovery.last_known_wh.get(evse.id),
        )
        if poller is not None:
            poller.events = actor.meter
            poller.in_transaction = lambda: actor.session.transaction is not None
            sampler.latest = lambda: actor.poller.trusted if actor.poller is not None else None
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

    def _setting_changed(self, name: str, value: str) -> None:
        for actor in self.actors.values():
            actor.set_rules(session_rules(self.settings, self.installation, actor.installation))

    def _now_s(self) -> float:
        return self.clock.monotonic_ns() / 1e9
