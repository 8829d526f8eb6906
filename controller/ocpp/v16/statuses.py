"""StatusNotification: each change in order, nothing twice, after an absence only what is true now."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from controller.clock import Clock
from controller.errors import BackendUnavailable
from controller.ocpp.calls import LinkLost
from controller.ocpp.v16.translate import ALLOWED, Payload, Status, StatusWord

log = logging.getLogger(__name__)

SETTLE_S = 1.0
"""a status waits this long for reports that were stored before it, so that Stop comes before Finishing"""
AGAIN_S = 60.0
BACKLOG = 32
INFO_LENGTH = 50


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Change:
    connector: int
    word: StatusWord
    since_s: float


class StatusReporter:
    """Remembers what each connector's status is and what the backend was told."""

    def __init__(
        self,
        send: Callable[[Payload], Awaitable[object]],
        *,
        is_settled: Callable[[], bool],
        settled: Callable[[float], Awaitable[None]],
        minimum_s: Callable[[], float],
        clock: Clock,
    ) -> None:
        self._send = send
        self._is_settled = is_settled
        self._settled = settled
        self._minimum_s = minimum_s
        self._clock = clock
        self._now: dict[int, _Change] = {}
        self._told: dict[int, StatusWord] = {}
        self._queue: deque[_Change] = deque()
        self._work = asyncio.Event()
        self._online = False
        self._busy = False
        self._tasks: set[asyncio.Task[None]] = set()

    def update(self, connector: int, word: StatusWord) -> None:
        """The status of a connector; equal ones are not repeated."""
        last = self._now.get(connector)
        if last is not None and last.word == word:
            return
        if last is not None and word.status not in ALLOWED[last.word.status] | {last.word.status}:
            # Something happened in between that was over before anybody looked, such as a cable that
            # was out for a moment (§4.9).
            between = _way(last.word.status, word.status)
            if between is not None:
                self.update(connector, StatusWord(status=between))
            else:
                log.info("connector %d: %s after %s", connector, word.status, last.word.status)
        change = _Change(connector=connector, word=word, since_s=self._monotonic_s())
        self._now[connector] = change
        if not self._online:
            return
        if not self._queue and not self._busy and self._is_settled() and self._minimum_s() <= 0:
            # At once, so that Preparing leaves before the Authorize that follows it.
            self._tell(change)
        else:
            self._queue.append(change)
            if len(self._queue) > BACKLOG:
                self._queue = deque(c for c in self._queue if c is self._now[c.connector])
            self._work.set()

    def online(self, *, announce: bool) -> None:
        """Messages may go out. `announce`: tell every connector, else only what changed meanwhile (R16-ST-4)."""
        self._online = True
        if announce:
            self._told.clear()
        for connector in sorted(self._now):
            change = self._now[connector]
            if self._told.get(connector) != change.word:
                self._tell(change)

    def offline(self) -> None:
        """Nothing may go out; historical changes are dropped."""
        self._online = False
        self._queue.clear()

    def tell_again(self, connector: int) -> None:
        """Send the present status, although nothing changed (TriggerMessage)."""
        change = self._now.get(connector)
        if change is not None:
            self._tell(change)

    def tell_note(self, connector: int, info: str) -> None:
        """Send the present status once with a note for the operator."""
        change = self._now.get(connector)
        if change is not None:
            self._tell(replace(change, word=replace(change.word, info=info[:INFO_LENGTH])))
            self._told[connector] = change.word

    def known(self, connector: int) -> bool:
        """Whether there is a status to tell."""
        return connector in self._now

    async def run(self) -> None:
        """Send changes for ever."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._queue:
                self._busy = True
                change = self._queue.popleft()
                wait_s = change.since_s + self._minimum_s() - self._monotonic_s()
                if wait_s > 0:
                    await self._clock.sleep(wait_s)
                    if change is not self._now[change.connector]:
                        continue
                await self._settled(SETTLE_S)
                if self._online and self._told.get(change.connector) != change.word:
                    self._tell(change)
            self._busy = False

    def _tell(self, change: _Change) -> None:
        self._told[change.connector] = change.word
        # Counted back from now: the clock may have been set since the change.
        at = self._clock.utc() - timedelta(seconds=self._monotonic_s() - change.since_s)
        answer = self._send(change.word.request(change.connector, at))
        task = asyncio.get_running_loop().create_task(self._deliver(change, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, change: _Change, answer: Awaitable[object]) -> None:
        try:
            await answer
        except LinkLost:
            self._forget(change)
        except BackendUnavailable as error:
            log.warning(
                "status of connector %d is not known to the backend: %s", change.connector, error
            )
            self._forget(change)
            await self._clock.sleep(AGAIN_S)
            if self._online and self._now[change.connector] is change:
                self._queue.append(change)
                self._work.set()

    def _forget(self, change: _Change) -> None:
        if self._told.get(change.connector) == change.word:
            del self._told[change.connector]

    def _monotonic_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9


def _way(before: Status, after: Status) -> Status | None:
    """By which status the table leads from one to the other; None = it takes more than one."""
    for between in (Status.AVAILABLE, Status.FINISHING, Status.PREPARING):
        if between in ALLOWED[before] and after in ALLOWED[between]:
            return between
    return None
