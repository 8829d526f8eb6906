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
from datetime import datetime
from typing import Any

from controller.clock import Clock
from controller.core.installation import Installation
from controller.core.model import AuthorizationStatus, EvseView, IdToken, IdTokenInfo
from controller.core.settings import Settings
from controller.errors import BackendUnavailable
from controller.ocpp.calls import LinkLost
from controller.ocpp.moving import Mover
from controller.ocpp.network import Network
from controller.ocpp.outbox import Outbox
from controller.ocpp.rpc import IncomingCall
from controller.ocpp.v16 import translate
from controller.ocpp.v16.blocks import Block, Payload, Reply
from controller.ocpp.v16.compose import blocks
from controller.ocpp.v16.connection import network_16
from controller.ocpp.v16.first_contact import FirstContact
from controller.ocpp.v16.handlers import Handlers
from controller.ocpp.v16.heartbeat import Heartbeats
from controller.ocpp.v16.registration import Registration, RegistrationState
from controller.ocpp.v16.security_events import invalid_messages
from controller.ocpp.v16.station_status import StationStatus
from controller.ocpp.v16.statuses import StatusReporter
from controller.ocpp.v16.triggers import TriggerService
from controller.ocpp.v16.wording import Wording16
from controller.ocpp.validation import validators_16
from controller.ports import OutboxStore, Services, StationControl, ValueStore

log = logging.getLogger(__name__)

LATE_AUTHORIZE_S = 120.0
LATE_STATUS_S = 60.0
EVER_ACCEPTED = "ocpp16.ever_accepted"
VIEWS_WAIT_S = 5.0
"""after BootNotification the statuses wait this long for the first view of every EVSE"""


class Adapter:
    """Implements `ports.Backend`, and `blocks.Sender` for the feature profiles."""

    def __init__(
        self,
        *,
        installation: Installation,
        settings: Settings,
        outbox: OutboxStore,
        values: ValueStore,
        clock: Clock,
        set_utc: Callable[[datetime], object],
        time_told: Callable[[], None] = lambda: None,
        random_part: Callable[[], float] = random.random,
        pong_timeout_s: float = 10.0,
        network: Network | None = None,
        contact: FirstContact | None = None,
    ) -> None:
        """`contact`: the link, if it was made before; else it is made here, over `network`."""
        self._settings = settings
        self._store = outbox
        self._values = values
        self._clock = clock
        self._control: StationControl | None = None
        self._handlers: Handlers | None = None
        self._blocks: list[Block] = []
        self._validators = validators_16()
        self._on_invalid: Callable[[str], None] = lambda _why: None
        self._contact = contact or FirstContact(
            installation=installation,
            settings=settings,
            network=network or network_16(installation, settings),
            clock=clock,
            random_part=random_part,
            pong_timeout_s=pong_timeout_s,
        )
        self._network = self._contact.network
        self._calls, self._link = self._contact.calls, self._contact.link
        self._mover = Mover(self._network, outbox, settings)
        self._network.attach(renew=self._link.renew, moves=self._mover.look)
        self._heartbeats = Heartbeats(
            settings=settings,
            send=lambda: self._call("Heartbeat", {}),
            last_sent_s=lambda: self._calls.last_sent_s,
            clock=clock,
            set_utc=set_utc,
            time_told=time_told,
        )
        self._registration = Registration(
            send=self._boot,
            accept_time=lambda text: self._heartbeats.accept_time(text, self._contact.take_age_s()),
            clock=clock,
        )
        self._wording = Wording16(settings)
        self._outbox = Outbox(
            outbox,
            self._wording,
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
        self._station_status = StationStatus(self._statuses, values)
        self._session: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._connected = False
        self._accepted_before = False
        self._ever_accepted = False
        self._talks_to = self._network.used
        settings.on_change(self._on_setting)

    def bind(self, control: StationControl, services: Services | None = None) -> None:
        """The station that answers requests; once, before `run`."""
        self._control = control
        self._wording.bind(control)
        services = services or Services()
        if services.maintenance is not None:
            self._on_invalid = invalid_messages(services.maintenance)
        makers = blocks(services, self._store)
        self._blocks = [make(self, self._settings) for make in makers]
        self._handlers = Handlers(
            on_invalid=self._on_invalid,
            control=control,
            settings=self._settings,
            values=self._values,
            outbox=self._store,
            triggers=TriggerService(
                sender=self,
                control=control,
                settings=self._settings,
                store=self._store,
                registration=self._registration,
                heartbeats=self._heartbeats,
                statuses=self._statuses,
                station_status=self._station_status,
                show=self.evse_changed,
            ),
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
        await self._station_status.load()

    async def run(self) -> None:
        """Keep the link up for ever."""
        if self._control is None:
            raise RuntimeError("bind() comes before run()")
        await self.load()
        try:
            async with asyncio.TaskGroup() as group:
                self._contact.hand_over(self)
                group.create_task(self._contact.run())
                group.create_task(self._outbox.run())
                group.create_task(self._statuses.run())
                group.create_task(self._mover.run(self._control))
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
        self._statuses.update(view.evse, translate.status_16(view))
        self._station_status.show(view)

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
        return self._contact.frames.all()

    # --- the link ---------------------------------------------------------------------------------

    def link_up(self) -> None:
        """The WebSocket is open."""
        self._session = asyncio.get_running_loop().create_task(self._serve())

    def link_down(self) -> None:
        """The WebSocket is gone."""
        self._connected = False
        self._outbox.online(False)
        self._statuses.offline()
        if self._session is not None:
            self._session.cancel()
            self._session = None

    async def _serve(self) -> None:
        assert self._control is not None
        if not self._network.used.same_backend(self._talks_to):
            self._registration.start_over()
        self._talks_to = self._network.used
        again = self._settings.boolean("BootOnReconnect")
        repeated = self._registration.accepted and not again
        try:
            if not repeated:
                await self._registration.until_accepted()
                await self._note_acceptance()
            await self._mover.arrived(self._control)
            await self._first_views()
        except LinkLost:
            return
        except Exception:
            # For example a full disk: the next connection tries again.
            log.exception("the registration could not be finished")
            self._link.drop()
            return
        self._connected = True
        self._station_status.update()
        self._statuses.online(announce=not repeated)
        if note := self._network.take_note():
            self._statuses.tell_note(0, note)
        self._outbox.online(True)
        first, self._accepted_before = not self._accepted_before, True
        assert self._control is not None
        await self._control.registered(first)
        for block in self._blocks:
            block.connected()
        await self._heartbeats.run()

    async def _note_acceptance(self) -> None:
        self._heartbeats.learn_interval(self._registration.interval_s)
        if not self._ever_accepted:
            self._ever_accepted = True
            await self._values.put(EVER_ACCEPTED, self._clock.utc().isoformat())

    async def _first_views(self) -> None:
        """A status that is told before the pilot was ever seen might be a lie."""
        assert self._control is not None
        missing = await self._station_status.unseen(self._control.evses(), VIEWS_WAIT_S)
        for evse in missing:
            self.evse_changed(self._control.view(evse))

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
        return self._checked(action, answer)

    def _checked(self, action: str, answer: Payload) -> Payload:
        problem = self._validators.response(action, answer)
        if problem is not None:
            log.warning("the answer to %s is odd: %s %s", action, problem.where, problem.text)
        return answer

    async def call(self, action: str, payload: Payload, *, late_s: float = 0.0) -> Payload:
        """One call of a block. Raises BackendUnavailable."""
        return await self._call(action, payload, late_s=late_s)

    async def _boot(self) -> Payload:
        return self._checked("BootNotification", await self._contact.boot())

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

    def station_error(self, code: str, info: str = "") -> None:
        """The errorCode of connector 0 from now on; "NoError" ends it."""
        self._station_status.set_error(code, info)

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Do it aside; BackendUnavailable ends it quietly."""
        task = asyncio.get_running_loop().create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- incoming ---------------------------------------------------------------------------------

    def incoming(self, call: IncomingCall) -> Reply:
        """Answer a call of the backend."""
        assert self._handlers is not None
        return self._handlers.answer(call)

    def silence(self) -> None:
        """A call got no answer in time."""
        self._link.probe()

    def invalid(self, why: str) -> None:
        """A frame was no OCPP message."""
        self._on_invalid(why)

    @property
    def mute(self) -> bool:
        """The backend rejected the station: it gets no answers."""
        return self._registration.state is RegistrationState.REJECTED

    def _on_setting(self, name: str, value: str) -> None:
        if name == "WebSocketPingInterval":
            self._link.probe()
        elif name == "HeartbeatInterval":
            self._heartbeats.interval_changed()


async def _quietly(work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except BackendUnavailable as error:
        log.info("%s", error)
    except Exception:
        log.exception("what was begun aside for the backend failed")
