"""The link, and the first BootNotification on it, while the rest of the station is still being made.

Registering needs no hardware and no sessions, and what does is most of the program. What the backend says
meanwhile is kept and handed over in order, so nothing is answered before everything is there to answer it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from controller.clock import Clock
from controller.core.installation import Installation, StationIdentity
from controller.core.settings import Settings
from controller.ocpp.calls import Answer, Calls
from controller.ocpp.frames import FrameLog
from controller.ocpp.network import Network
from controller.ocpp.rpc import DIALECT_16, IncomingCall, Payload, Rpc
from controller.ocpp.v16.connection import link_16

LATE_BOOT_S = 30.0
LOOK_S = 0.005


class Rest(Protocol):
    """Who takes over: the adapter."""

    def link_up(self) -> None:
        """The WebSocket is open, frames may be sent."""
        ...

    def link_down(self) -> None:
        """The WebSocket is gone."""
        ...

    def incoming(self, call: IncomingCall) -> Answer | Awaitable[Answer]:
        """Answer a call of the backend."""
        ...

    def silence(self) -> None:
        """A call got no answer in time."""
        ...

    def invalid(self, why: str) -> None:
        """A frame was no OCPP message."""
        ...

    @property
    def mute(self) -> bool:
        """The backend rejected the station: it gets no answers."""
        ...


class FirstContact:
    """Owns link and calls; `reach` may come before `hand_over`, and `run` keeps the link up for ever."""

    def __init__(
        self,
        *,
        installation: Installation,
        settings: Settings,
        network: Network,
        clock: Clock,
        random_part: Callable[[], float] = random.random,
        pong_timeout_s: float = 10.0,
    ) -> None:
        self.network = network
        self.frames = FrameLog()
        self.calls = Calls(
            Rpc(DIALECT_16),
            on_call=lambda call: self._taken_over.incoming(call),
            on_silence=lambda: self._taken_over.silence(),
            is_mute=lambda: self._taken_over.mute,
            on_invalid=lambda why: self._taken_over.invalid(why),
            frames=self.frames,
        )
        self.link = link_16(installation, settings, network, random_part, pong_timeout_s, self)
        self._identity = installation.station
        self._settings = settings
        self._clock = clock
        self._rest: Rest | None = None
        self._held: list[tuple[int, bytes | str]] = []
        self._boot_age_s = 0.0
        self._boot: asyncio.Future[Payload] | None = None
        self._running: asyncio.Task[None] | None = None

    async def reach(self, wait_s: float) -> None:
        """Connect; returns when BootNotification is on the wire, cannot be for now, or after `wait_s`."""
        untried = self.link.why
        self._running = asyncio.get_running_loop().create_task(self.link.run())
        for _ in range(round(wait_s / LOOK_S)):
            await asyncio.sleep(LOOK_S)
            if self._boot is not None or self.link.why != untried:
                break
        await asyncio.sleep(0)  # the link writes what was queued

    def hand_over(self, rest: Rest) -> None:
        """From now on `rest` hears everything; at once what came so far."""
        self._rest = rest
        if self.link.up:
            rest.link_up()
        held, self._held = self._held, []
        boot, now_ns = self._boot, self._clock.monotonic_ns()
        for came_ns, raw in held:
            waits = boot is not None and not boot.done()
            self.calls.receive(raw)
            if waits and boot is not None and boot.done():
                self._boot_age_s = (now_ns - came_ns) / 1e9

    async def run(self) -> None:
        """Keep the link up for ever."""
        await (self._running or self.link.run())

    async def boot(self) -> Payload:
        """BootNotification's answer: to the one that is on its way already, or to a new one."""
        under_way, self._boot = self._boot, None
        return await (under_way or self._send_boot())

    def take_age_s(self) -> float:
        """How old the answer to BootNotification is that `boot` returned last: its time is past by so much."""
        age_s, self._boot_age_s = self._boot_age_s, 0.0
        return age_s

    def _send_boot(self) -> asyncio.Future[Payload]:
        return self.calls.start(
            "BootNotification",
            boot_notification(self._identity),
            timeout_s=self._settings.integer("MessageTimeout"),
            late_s=LATE_BOOT_S,
        )

    @property
    def _taken_over(self) -> Rest:
        if self._rest is None:
            raise RuntimeError("hand_over() comes before the first frame is read")
        return self._rest

    # --- the link ---------------------------------------------------------------------------------

    def link_up(self) -> None:
        """The WebSocket is open."""
        self.calls.attach(self.link.send)
        if self._rest is not None:
            self._rest.link_up()
            return
        self._boot = self._send_boot()
        self._boot.add_done_callback(_seen)

    def link_down(self) -> None:
        """The WebSocket is gone."""
        self._held.clear()
        self._boot = None
        if self._rest is not None:
            self._rest.link_down()
        self.calls.detach()

    def link_frame(self, raw: bytes | str) -> None:
        """A frame came in."""
        if self._rest is None:
            self._held.append((self._clock.monotonic_ns(), raw))
        else:
            self.calls.receive(raw)


def boot_notification(identity: StationIdentity) -> Payload:
    """BootNotification: who we are."""
    payload: Payload = {
        "chargePointVendor": identity.vendor[:20],
        "chargePointModel": identity.model[:20],
    }
    if identity.serial_number:
        payload["chargePointSerialNumber"] = identity.serial_number[:25]
    if identity.firmware_version:
        payload["firmwareVersion"] = identity.firmware_version[:50]
    return payload


def _seen(boot: asyncio.Future[Payload]) -> None:
    """Nobody may be there yet to be told that the connection was lost."""
    if not boot.cancelled():
        boot.exception()
