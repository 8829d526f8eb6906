"""Heartbeats, and the clock that is set by their answers (R16-HB-1)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.clock import Clock
from controller.core.settings import Settings
from controller.errors import BackendUnavailable
from controller.ocpp.wire_time import parse_time

log = logging.getLogger(__name__)

DAY_S = 86_400.0
NOT_BEFORE = datetime(2024, 1, 1, tzinfo=UTC)
STEP_S = 1.0
"""a clock that differs by less from the backend's is left alone"""


class Heartbeats:
    """Sends one after each HeartbeatInterval of silence, and once a day for the clock."""

    def __init__(
        self,
        *,
        settings: Settings,
        send: Callable[[], Awaitable[dict[str, Any]]],
        last_sent_s: Callable[[], float],
        clock: Clock,
        set_utc: Callable[[datetime], object],
        time_told: Callable[[], None] = lambda: None,
    ) -> None:
        """`time_told`: from now on the clock goes by what the backend said."""
        self._settings = settings
        self._send = send
        self._last_sent_s = last_sent_s
        self._clock = clock
        self._set_utc = set_utc
        self._time_told = time_told
        self._changed = asyncio.Event()
        self._synced_s = 0.0

    async def run(self) -> None:
        """For as long as the connection is registered."""
        started_s = asyncio.get_running_loop().time()
        self._synced_s = started_s
        while True:
            interval_s = self._settings.integer("HeartbeatInterval") or DAY_S
            last_s = max(self._last_sent_s(), started_s)
            due_s = min(last_s + interval_s, self._synced_s + DAY_S)
            wait_s = due_s - asyncio.get_running_loop().time()
            if wait_s > 0:
                self._changed.clear()
                try:
                    await asyncio.wait_for(self._changed.wait(), wait_s)
                except TimeoutError:
                    pass
                continue
            await self.beat()

    def interval_changed(self) -> None:
        """HeartbeatInterval has a new value; it counts at once."""
        self._changed.set()

    def learn_interval(self, interval_s: int) -> None:
        """BootNotification's interval is the first HeartbeatInterval; 0 leaves the choice to us."""
        if interval_s > 0:
            self._settings.learn("HeartbeatInterval", str(min(interval_s, int(DAY_S))))

    async def beat(self) -> None:
        """Send one now."""
        self._synced_s = asyncio.get_running_loop().time()
        try:
            answer = await self._send()
        except BackendUnavailable as error:
            log.info("heartbeat: %s", error)
            return
        self.accept_time(answer.get("currentTime"))

    def accept_time(self, text: object, age_s: float = 0.0) -> None:
        """Set the clock by what the backend said `age_s` ago; nonsense changes nothing."""
        now = parse_time(text)
        if now is not None and age_s and now.year < 9999:
            now += timedelta(seconds=age_s)
        if now is None or now < NOT_BEFORE:
            log.warning("the backend's time cannot be used: %.40s", text)
            return
        if abs((now - self._clock.utc()).total_seconds()) >= STEP_S:
            self._set_utc(now)
        self._time_told()
