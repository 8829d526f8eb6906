"""The security log: every event is kept, those that the backend must learn wait in order (R16-SEC-11)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime

from controller.clock import Clock
from controller.core.security_events import (
    PUSHED,
    TECH_INFO_LENGTH,
    SecurityEvent,
    SecurityEventType,
)
from controller.core.settings import Settings
from controller.log import blank
from controller.ports_maintenance import SecurityEventKeeper

log = logging.getLogger(__name__)

SAVE_S = 60.0
"""Events that nobody waits for are written together, this often: the SD card lives longer."""
UNSAVED = 500
"""Events kept in memory while they cannot be written."""
AHEAD = 50
"""Events that wait for the backend and are kept in memory as well."""
THROTTLE_S = 60.0
"""The same nuisance is noted once in this time, with the number of times."""
_NUISANCES = frozenset(
    {SecurityEventType.INVALID_MESSAGES, SecurityEventType.ATTEMPTED_REPLAY_ATTACKS}
)


class SecurityLog:
    """The `SecurityEvents` and the `SecurityEventQueue` of a station."""

    def __init__(
        self, keeper: SecurityEventKeeper, settings: Settings, clock: Clock, *, has_backend: bool
    ) -> None:
        self._keeper = keeper
        self._settings = settings
        self._clock = clock
        self._has_backend = has_backend
        self._next_n = 1
        self._waiting: deque[SecurityEvent] = deque()
        self._more_wait = False
        self._left_out = False
        self._unsaved: dict[int, tuple[SecurityEvent, bool]] = {}
        self._news: list[Callable[[], None]] = []
        self._quiet_until_s: dict[SecurityEventType, float] = {}
        self._swallowed: dict[SecurityEventType, int] = {}

    async def load(self) -> None:
        """Go on counting where the last run ended; before any `raise_event`."""
        self._next_n = await self._keeper.last_n() + 1
        await self._read_ahead()

    # --- SecurityEvents ---------------------------------------------------------------------------

    def raise_event(self, type: SecurityEventType, tech_info: str = "") -> None:  # noqa: A002
        """Log it and, if it is one that backends are told, queue it durably. Cheap, never raises."""
        if type in _NUISANCES:
            now_s = self._clock.monotonic_ns() / 1e9
            if now_s < self._quiet_until_s.get(type, now_s):
                self._swallowed[type] = self._swallowed.get(type, 0) + 1
                return
            self._quiet_until_s[type] = now_s + THROTTLE_S
            before = self._swallowed.pop(type, 0)
            tech_info += f" (and {before} times before)" if before else ""
        text = blank(tech_info)[:TECH_INFO_LENGTH]
        event = SecurityEvent(n=self._next_n, type=type, at=self._clock.utc(), tech_info=text)
        self._next_n += 1
        waits = (
            type in PUSHED
            and self._has_backend
            and not self._settings.boolean("DisableSecurityEventNotifications")
        )
        log.info("security event: %s %s", type.value, text)
        self._unsaved[event.n] = (event, waits)
        while len(self._unsaved) > UNSAVED:
            self._unsaved.pop(next(iter(self._unsaved)))
        if waits:
            self._more_wait = self._more_wait or len(self._waiting) >= AHEAD
            if not self._more_wait:
                self._waiting.append(event)
            self._left_out = self._left_out or self._more_wait
            self._save()
            for news in self._news:
                news()

    # --- SecurityEventQueue -----------------------------------------------------------------------

    async def waiting(self) -> SecurityEvent | None:
        """The oldest event that was not told; None also while telling is switched off."""
        if self._settings.boolean("DisableSecurityEventNotifications"):
            return None
        if not self._waiting and self._more_wait:
            await self._read_ahead()
        return self._waiting[0] if self._waiting else None

    def told(self, n: int) -> None:
        """The backend knows it. What is told and then forgotten by a power cut is told twice."""
        if self._waiting and self._waiting[0].n == n:
            self._waiting.popleft()
        asyncio.ensure_future(self._keeper.told(n)).add_done_callback(_failed)

    def on_news(self, news: Callable[[], None]) -> None:
        """Call `news` whenever an event waits that did not wait before."""
        self._news.append(news)

    # --- the log ----------------------------------------------------------------------------------

    async def entries(
        self, oldest: datetime | None = None, latest: datetime | None = None
    ) -> list[SecurityEvent]:
        """The events of a time, oldest first."""
        await self.flush()
        return await self._keeper.between(oldest, latest)

    async def clear(self) -> None:
        """Forget all that the backend was told, and note that."""
        await self._keeper.clear()
        self.raise_event(SecurityEventType.SECURITY_LOG_WAS_CLEARED)

    async def flush(self) -> None:
        """Write what is not written yet; a failure leaves it for the next time."""
        done = self._save()
        if done is not None:
            await asyncio.wait([done])

    async def run(self) -> None:
        """Write now and then what nobody waits for, for ever."""
        while True:
            await self._clock.sleep(SAVE_S)
            self._save()

    async def _read_ahead(self) -> None:
        self._left_out = False
        ahead = await self._keeper.waiting(AHEAD)
        self._waiting.extend(ahead)
        self._more_wait = len(ahead) == AHEAD or self._left_out

    def _save(self) -> asyncio.Future[None] | None:
        if not self._unsaved:
            return None
        events = list(self._unsaved.values())
        written = asyncio.ensure_future(self._keeper.append(events))

        def done(future: asyncio.Future[None]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is not None:
                log.error("security events are not stored: %s", error)
                return
            for event, _ in events:
                self._unsaved.pop(event.n, None)

        written.add_done_callback(done)
        return written


def _failed(future: asyncio.Future[object]) -> None:
    if not future.cancelled() and future.exception() is not None:
        log.error("a security event will be told again: %s", future.exception())
