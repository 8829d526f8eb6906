"""The operator's system over OCPP 1.6J, as `ports.Backend`.

Composition (only `app.py` does it)::

    changed = {name.removeprefix(STORED_PREFIX): text for name, text in (await values.all(STORED_PREFIX)).items()}
    settings = settings_for(installation, changed)
    adapter = Adapter(installation=…, settings=settings, outbox=store, values=values, clock=clock, set_utc=clock.set_utc)
    adapter.bind(control)          # the station, before `run`
    await adapter.run()            # for ever

The station calls `evse_changed` with each new view and `reports_waiting` after each commit that added
reports, in the order in which the things happened.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from controller.clock import Clock
from controller.core.installation import Installation
from controller.core.model import (
    AuthorizationStatus,
    EvseView,
    IdToken,
    IdTokenInfo,
    MeterSample,
    MeterValuesTaken,
    Report,
    TransactionStarted,
)
from controller.core.settings import Settings
from controller.errors import BackendUnavailable
from controller.ocpp.backoff import BackOff
from controller.ocpp.calls import Calls, LinkLost
from controller.ocpp.frames import FrameLog
from controller.ocpp.link import Endpoint, Link
from controller.ocpp.outbox import Outbox, Unusable
from controller.ocpp.rpc import DIALECT_16, IncomingCall, Rpc
from controller.ocpp.v16 import translate
from controller.ocpp.v16.blocks import Block, Payload, Reply
from controller.ocpp.v16.compose import blocks
from controller.ocpp.v16.handlers import Handlers
from controller.ocpp.v16.registration import Registration, RegistrationState
from controller.ocpp.v16.statuses import StatusReporter
from controller.ocpp.validation import validators_16
from controller.ocpp.wire_time import parse_time
from controller.ports import OutboxStore, Services, StationControl, ValueStore

log = logging.getLogger(__name__)

LATE_AUTHORIZE_S = 120.0
LATE_BOOT_S = 30.0
LATE_STATUS_S = 60.0
EVER_ACCEPTED = "ocpp16.ever_accepted"
STATION_INOPERATIVE = "ocpp16.station_inoperative"
VIEWS_WAIT_S = 5.0
"""after BootNotification the statuses wait this long for the first view of every EVSE"""
DAY_S = 86_400.0
NOT_BEFORE = datetime(2024, 1, 1, tzinfo=UTC)
STEP_S = 1.0
"""a clock that differs by less from the backend's is left alone"""


class Adapter:
    """Implements `ports.Backend`; also the `Triggers` of the handlers and the `Wording` of the outbox."""

    def __init__(
        self,
        *,
        installation: Installation,
        settings: Settings,
        outbox: OutboxStore,
        values: ValueStore,
        clock: Clock,
        set_utc: Callable[[datetime], object],
        random_part: Callable[[], float] = random.random,
        pong_timeout_s: float = 10.0,
    ) -> None:
        self._installation = installation
        self._settings = settings
        self._store = outbox
        self._values = values
        self._clock = clock
        self._set_utc = set_utc
        self._control: StationControl | None = None
        self._handlers: Handlers | None = None
        self._blocks: list[Block] = []
        self._frames = FrameLog()
        self._validators = validators_16()
        self._calls = Calls(
            Rpc(DIALECT_16),
            on_call=self._on_call,
            on_silence=self._on_silence,
            is_mute=lambda: self._registration.state is RegistrationState.REJECTED,
            frames=self._frames,
        )
        self._link = _link(installation, settings, random_part, pong_timeout_s, self)
        self._registration = Registration(
            send=self._boot, accept_time=self._accept_time, clock=clock
        )
        self._outbox = Outbox(
            outbox,
            self,
            self._send_report,
            attempts=lambda: settings.integer("TransactionMessageAttempts"),
            retry_interval_s=lambda: settings.integer("TransactionMessageRetryInterval"),
            clock=clock,
        )
        self._statuses = StatusReporter(
            self._send_status,
            is_settled=self._outbox.is_settled,
            settled=self._outbox.settled,
            minimum_s=lambda: settings.integer("MinimumStatusDuration"),
            clock=clock,
        )
        self._session: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._connected = False
        self._accepted_before = False
        self._ever_accepted = False
        self._operative = True
        self._views: dict[int, EvseView] = {}
        self._view_came = asyncio.Event()
        self._beat = asyncio.Event()
        self._synced_s = 0.0
        settings.on_change(self._on_setting)

    def bind(self, control: StationControl, services: Services | None = None) -> None:
        """The station that answers requests; once, before `run`."""
        self._control = control
        makers = blocks(services or Services())
        self._blocks = [make(self, self._settings) for make in makers]
        self._handlers = Handlers(
            control=control,
            settings=self._settings,
            values=self._values,
            outbox=self._store,
            triggers=self,
            validators=self._validators,
            blocks=self._blocks,
        )

    # --- ports.Backend ----------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Registered, on the connection that is up now."""
        return self._connected

    @property
    def ever_accepted(self) -> bool:
        """Registered at least once by this installation; known after `load`."""
        return self._ever_accepted

    @property
    def why(self) -> str:
        """How the link stands, in one sentence, for the page."""
        if self._link.up and not self._connected:
            return self._registration.why
        return self._link.why

    async def load(self) -> None:
        """Read what survives a restart; `run` does it too."""
        self._ever_accepted = await self._values.get(EVER_ACCEPTED) is not None
        self._operative = await self._values.get(STATION_INOPERATIVE) is None

    async def run(self) -> None:
        """Keep the link up for ever."""
        if self._control is None:
            raise RuntimeError("bind() comes before run()")
        await self.load()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._link.run())
                group.create_task(self._outbox.run())
                group.create_task(self._statuses.run())
        finally:
            for task in list(self._tasks):
                task.cancel()

    async def authorize(self, token: IdToken) -> IdTokenInfo:
        """Ask; a late answer still counts for two minutes. Raises BackendUnavailable."""
        if not self._connected:
            raise BackendUnavailable("not connected to the backend")
        if len(token.value) > translate.ID_TAG_LENGTH:
            log.warning("a card of %d characters cannot be told to a 1.6 backend", len(token.value))
            return IdTokenInfo(status=AuthorizationStatus.INVALID)
        payload = {"idTag": translate.id_tag(token)}
        answer = await self._call("Authorize", payload, late_s=LATE_AUTHORIZE_S)
        info = translate.id_token_info(answer.get("idTagInfo"))
        if info is None:
            raise BackendUnavailable("the backend's answer to Authorize cannot be understood")
        return info

    def evse_changed(self, view: EvseView) -> None:
        """Tell the backend if its picture of the connector changed."""
        self._views[view.evse] = view
        self._view_came.set()
        self._statuses.update(view.evse, translate.status_16(view))
        self._update_station()

    def reports_waiting(self) -> None:
        """The outbox has new entries."""
        self._outbox.wake()

    async def connect(self) -> None:
        """Connect at once, no back-off left."""
        self._registration.forget_wait()
        await self._link.connect()

    async def disconnect(self) -> None:
        """Drop the link and stay off."""
        await self._link.disconnect()

    def frames(self) -> list[tuple[str, list[Any]]]:
        """The last frames, oldest first."""
        return self._frames.all()

    # --- the link ---------------------------------------------------------------------------------

    def link_up(self) -> None:
        """The WebSocket is open."""
        self._calls.attach(self._link.send)
        self._session = asyncio.get_running_loop().create_task(self._serve())

    def link_down(self) -> None:
        """The WebSocket is gone."""
        self._connected = False
        self._outbox.online(False)
        self._statuses.offline()
        if self._session is not None:
            self._session.cancel()
            self._session = None
        self._calls.detach()

    def link_frame(self, raw: bytes | str) -> None:
        """A frame came in."""
        self._calls.receive(raw)

    async def _serve(self) -> None:
        again = self._settings.boolean("BootOnReconnect")
        repeated = self._registration.accepted and not again
        try:
            if not repeated:
                await self._registration.until_accepted()
                await self._note_acceptance()
            await self._first_views()
        except LinkLost:
            return
        except Exception:
            # For example a full disk: the next connection tries again.
            log.exception("the registration could not be finished")
            self._link.drop()
            return
        self._connected = True
        self._update_station()
        self._statuses.online(announce=not repeated)
        self._outbox.online(True)
        first, self._accepted_before = not self._accepted_before, True
        assert self._control is not None
        await self._control.registered(first)
        for block in self._blocks:
            block.connected()
        await self._heartbeats()

    async def _note_acceptance(self) -> None:
        interval = self._registration.interval_s
        if interval > 0:
            self._settings.learn("HeartbeatInterval", str(min(interval, int(DAY_S))))
        if not self._ever_accepted:
            self._ever_accepted = True
            await self._values.put(EVER_ACCEPTED, self._clock.utc().isoformat())

    async def _first_views(self) -> None:
        """A status that is told before the pilot was ever seen might be a lie."""
        assert self._control is not None
        ends_s = self._now_s() + VIEWS_WAIT_S
        while missing := [evse for evse in self._control.evses() if evse not in self._views]:
            left_s = ends_s - self._now_s()
            if left_s <= 0:
                break
            self._view_came.clear()
            try:
                await asyncio.wait_for(self._view_came.wait(), left_s)
            except TimeoutError:
                break
        for evse in missing:
            self.evse_changed(self._control.view(evse))

    async def _heartbeats(self) -> None:
        """After each HeartbeatInterval of silence, and once a day for the clock (R16-HB-1)."""
        started_s = asyncio.get_running_loop().time()
        self._synced_s = started_s
        while True:
            interval_s = self._settings.integer("HeartbeatInterval") or DAY_S
            last_s = max(self._calls.last_sent_s, started_s)
            due_s = min(last_s + interval_s, self._synced_s + DAY_S)
            wait_s = due_s - asyncio.get_running_loop().time()
            if wait_s > 0:
                self._beat.clear()
                try:
                    await asyncio.wait_for(self._beat.wait(), wait_s)
                except TimeoutError:
                    pass
                continue
            await self._heartbeat()

    async def _heartbeat(self) -> None:
        self._synced_s = asyncio.get_running_loop().time()
        try:
            answer = await self._call("Heartbeat", {})
        except BackendUnavailable as error:
            log.info("heartbeat: %s", error)
            return
        self._accept_time(answer.get("currentTime"))

    def _accept_time(self, text: object) -> None:
        now = parse_time(text)
        if now is None or now < NOT_BEFORE:
            log.warning("the backend's time cannot be used: %.40s", text)
        elif abs((now - self._clock.utc()).total_seconds()) >= STEP_S:
            self._set_utc(now)

    # --- outgoing ---------------------------------------------------------------------------------

    async def _call(
        self,
        action: str,
        payload: Payload,
        *,
        late_s: float = 0.0,
        message_id: str | None = None,
    ) -> Payload:
        answer = await self._calls.start(
            action,
            payload,
            timeout_s=self._settings.integer("MessageTimeout"),
            late_s=late_s,
            message_id=message_id,
        )
        problem = self._validators.response(action, answer)
        if problem is not None:
            log.warning("the answer to %s is odd: %s %s", action, problem.where, problem.text)
        return answer

    async def call(self, action: str, payload: Payload, *, late_s: float = 0.0) -> Payload:
        """One call of a block. Raises BackendUnavailable."""
        return await self._call(action, payload, late_s=late_s)

    async def _boot(self) -> Payload:
        payload = translate.boot_notification(self._installation.station)
        return await self._call("BootNotification", payload, late_s=LATE_BOOT_S)

    def _send_status(self, payload: Payload) -> asyncio.Future[Payload]:
        return self._calls.start(
            "StatusNotification",
            payload,
            timeout_s=self._settings.integer("MessageTimeout"),
            late_s=LATE_STATUS_S,
        )

    async def _send_report(
        self, action: str, payload: Payload, message_id: str, late_s: float
    ) -> Payload:
        return await self._call(action, payload, late_s=late_s, message_id=message_id)

    def _update_station(self) -> None:
        views = list(self._views.values())
        self._statuses.update(0, translate.station_status_16(views, self._operative))

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Do it aside; BackendUnavailable ends it quietly."""
        task = asyncio.get_running_loop().create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- outbox.Wording ---------------------------------------------------------------------------

    def request(self, report: Report, backend_id: int | None) -> tuple[str, Payload] | None:
        """A report in words of 1.6."""
        most = self._settings.integer("StopTransactionMaxMeterValues")
        return translate.report_16(report, backend_id, most_values=most)

    def backend_transaction_id(self, answer: Payload) -> int | None:
        """Any integer is an id, also 0 and negative ones (R16-TX-10)."""
        given = answer.get("transactionId")
        if isinstance(given, float) and given.is_integer():
            given = int(given)
        if isinstance(given, bool) or not isinstance(given, int):
            raise Unusable("the answer to StartTransaction has no transactionId")
        return given

    async def delivered(self, report: Report, answer: Payload) -> None:
        """The answers to start and stop also say what the card is worth."""
        info = translate.id_token_info(answer.get("idTagInfo"))
        if info is None or self._control is None or isinstance(report, MeterValuesTaken):
            return
        # A refusal first: it must arrive also when the cache cannot be written.
        if isinstance(report, TransactionStarted):
            await self._control.start_answered(report.transaction_id, info)
        if report.id_token is not None:
            await self._control.remember(report.id_token, info)

    # --- incoming ---------------------------------------------------------------------------------

    def _on_call(self, call: IncomingCall) -> Reply:
        assert self._handlers is not None
        return self._handlers.answer(call)

    def _on_silence(self) -> None:
        self._link.probe()

    def _on_setting(self, name: str, value: str) -> None:
        if name == "WebSocketPingInterval":
            self._link.probe()
        elif name == "HeartbeatInterval":
            self._beat.set()

    # --- handlers.Triggers ------------------------------------------------------------------------

    @property
    def accepted(self) -> bool:
        """The station is registered."""
        return self._registration.accepted

    def boot_now(self) -> None:
        """Send a BootNotification without waiting for the interval."""
        self._registration.now()

    def heartbeat_now(self) -> None:
        """Send a Heartbeat."""
        self.spawn(self._heartbeat())

    def status_now(self, connector: int | None) -> None:
        """Send the status of one connector, or of 0 and all."""
        self._update_station()
        assert self._control is not None
        for n in (0, *self._control.evses()) if connector is None else (connector,):
            if n != 0 and not self._statuses.known(n):
                self.evse_changed(self._control.view(n))
            self._statuses.tell_again(n)

    def meter_values_now(self, connector: int | None) -> bool:
        """Send current values of one EVSE or all."""
        assert self._control is not None
        measurands = self._settings.text("MeterValuesSampledData")
        sent = False
        for evse in self._control.evses() if connector is None else (connector,):
            sample = self._control.sample(evse, measurands)
            if sample is not None:
                self.spawn(self._send_sample(evse, sample))
                sent = True
        return sent

    async def _send_sample(self, evse: int, sample: MeterSample) -> None:
        assert self._control is not None
        ours = self._control.view(evse).transaction_id
        theirs = await self._store.backend_transaction_id(ours) if ours else None
        report = MeterValuesTaken(evse=evse, sample=sample, transaction_id=ours)
        request = translate.report_16(report, theirs)
        if request is not None:
            await self._call(*request)

    async def station_operative(self, operative: bool) -> None:
        """ChangeAvailability of connector 0; durable."""
        self._operative = operative
        await self._values.put(STATION_INOPERATIVE, None if operative else "1")
        self._update_station()

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()


async def _quietly(work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except BackendUnavailable as error:
        log.info("%s", error)


def _link(
    installation: Installation,
    settings: Settings,
    random_part: Callable[[], float],
    pong_timeout_s: float,
    adapter: Adapter,
) -> Link:
    backend = installation.backend
    if backend is None:
        raise ValueError("the installation has no backend")
    password = None if backend.password is None else backend.password.encode()
    endpoint = Endpoint(
        url=backend.url,
        station_id=installation.station.id,
        subprotocols=("ocpp1.6",),
        password=password,
        verify_hostname=backend.verify_hostname,
        use_system_trust=backend.use_system_trust,
        csms_roots=str(installation.tls.get("csms_roots") or ""),
        user_agent=f"{installation.station.model}/{installation.station.firmware_version}".rstrip(
            "/"
        ),
    )
    back_off = BackOff(
        wait_minimum_s=backend.retry_wait_minimum_s,
        random_range_s=backend.retry_random_range_s,
        repeat_times=backend.retry_repeat_times,
        random=random_part,
    )
    return Link(
        endpoint,
        back_off,
        on_up=adapter.link_up,
        on_down=adapter.link_down,
        on_frame=adapter.link_frame,
        ping_interval_s=lambda: settings.integer("WebSocketPingInterval"),
        pong_timeout_s=pong_timeout_s,
    )
