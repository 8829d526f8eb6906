"""SecurityEventNotification: what waits goes out in order, whenever the backend is there (R16-SEC-11).

A backend that refuses or ignores it is asked again later and later; transaction messages never wait for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from controller.clock import Clock
from controller.core.security_events import SecurityEvent, SecurityEventType, name_16
from controller.core.settings import Settings
from controller.errors import BackendUnavailable
from controller.ocpp.calls import LinkLost
from controller.ocpp.v16.blocks import Block, BlockMaker, Payload, Sender
from controller.ocpp.wire_time import format_time
from controller.ports_maintenance import Maintenance, SecurityEventQueue

log = logging.getLogger(__name__)

AGAIN_S = 60.0
AGAIN_MOST_S = 3600.0
TYPE_LENGTH = 50


def security_events(service: Maintenance) -> BlockMaker:
    """The maker of the block."""

    def make(sender: Sender, settings: Settings) -> Block:
        teller = _Teller(sender, service.queue, service.clock)
        service.queue.on_news(teller.wake)
        wake = teller.wake

        def setting_changed(name: str, value: str) -> None:
            if name == "DisableSecurityEventNotifications":
                wake()

        settings.on_change(setting_changed)
        return Block(connected=wake)

    return make


def invalid_messages(service: Maintenance) -> Callable[[str], None]:
    """What to call with what was wrong about a message of the backend."""
    return lambda why: service.events.raise_event(SecurityEventType.INVALID_MESSAGES, why)


class _Teller:
    def __init__(self, sender: Sender, queue: SecurityEventQueue, clock: Clock) -> None:
        self._sender = sender
        self._queue = queue
        self._clock = clock
        self._busy = False
        self._again_s = AGAIN_S
        self._not_before_s = 0.0

    def wake(self) -> None:
        """Something may wait, and messages may go out."""
        if not self._busy and self._sender.connected:
            self._busy = True
            self._sender.spawn(self._tell_all())

    async def _tell_all(self) -> None:
        try:
            while self._sender.connected:
                wait_s = self._not_before_s - self._now_s()
                if wait_s > 0:
                    await self._clock.sleep(wait_s)
                    continue
                event = await self._queue.waiting()
                if event is None:
                    return
                if await self._tell(event):
                    self._queue.told(event.n)
        finally:
            self._busy = False

    async def _tell(self, event: SecurityEvent) -> bool:
        try:
            await self._sender.call("SecurityEventNotification", self._request(event))
        except LinkLost:
            return False
        except BackendUnavailable as error:
            log.warning("a security event is not known to the backend: %s", error)
            self._not_before_s = self._now_s() + self._again_s
            self._again_s = min(2 * self._again_s, AGAIN_MOST_S)
            return False
        self._again_s = AGAIN_S
        return True

    def _request(self, event: SecurityEvent) -> Payload:
        # A station without a clock of its own may have noted it before it knew the time.
        at = event.at if event.at.year >= 2024 else self._clock.utc()
        payload: Payload = {"type": name_16(event.type)[:TYPE_LENGTH], "timestamp": format_time(at)}
        if event.tech_info:
            payload["techInfo"] = event.tech_info
        return payload

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9
