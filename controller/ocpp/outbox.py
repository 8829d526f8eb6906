"""Delivers reports to the backend: strictly first in, first out, each until it is answered.

A time-out is no refusal: the same message with the same id goes out again, for ever; a late answer counts.
A CALLERROR uses up an attempt; after the last one the report moves to `undelivered` (R16-TX-1 to R16-TX-5).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from controller.clock import Clock
from controller.core.model import IdTokenInfo, MeterValuesTaken, Report, TransactionStarted
from controller.errors import BackendUnavailable
from controller.ocpp.calls import CallRefused, LinkLost, NoAnswer
from controller.ocpp.rpc import Payload, uuid_text
from controller.ports import OutboxEntry, OutboxStore

log = logging.getLogger(__name__)

STORE_RETRY_S = 5.0
LOST_PAUSE_S = 0.05


class Unusable(BackendUnavailable):
    """The answer lacks what it is for; counts like a refusal."""


class Wording(Protocol):
    """How one OCPP version says a report, and what it reads from the answer."""

    def request(self, report: Report, backend_id: int | None) -> tuple[str, Payload] | None:
        """Action and payload; None = this version has no words for it, nothing is sent."""
        ...

    def backend_transaction_id(self, answer: Payload) -> int | None:
        """The id that the answer to a start gives. Raises Unusable."""
        ...

    def verdict(self, answer: Payload) -> IdTokenInfo | None:
        """What the answer to a start says about its card; None = nothing."""
        ...

    async def delivered(self, report: Report, answer: Payload) -> None:
        """Act on the answer; the entry is already deleted."""
        ...


Send = Callable[[str, Payload, str, float], Awaitable[Payload]]
"""(action, payload, message id, how long a late answer counts) -> answer"""


class Outbox:
    """One worker that empties the store while the backend is there."""

    def __init__(
        self,
        store: OutboxStore,
        wording: Wording,
        send: Send,
        *,
        attempts: Callable[[], int],
        retry_interval_s: Callable[[], float],
        clock: Clock,
    ) -> None:
        self._store = store
        self._wording = wording
        self._send = send
        self._attempts = attempts
        self._retry_interval_s = retry_interval_s
        self._clock = clock
        self._online = asyncio.Event()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()

    def online(self, is_online: bool) -> None:
        """Whether messages may go out now."""
        if is_online:
            self._settled.clear()
            self._wake.set()  # the worker looks, and says so when nothing waits
            self._online.set()
        else:
            self._online.clear()

    def wake(self) -> None:
        """New entries are in the store."""
        self._settled.clear()
        self._wake.set()

    def is_settled(self) -> bool:
        """Nothing waits, or nothing can go out now."""
        return self._settled.is_set() or not self._online.is_set()

    async def settled(self, timeout_s: float) -> None:
        """Until everything that waits now is answered, at most `timeout_s`."""
        if self.is_settled():
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), timeout_s)

    async def run(self) -> None:
        """Deliver for ever."""
        while True:
            try:
                await self._step()
            except Exception:
                log.exception("the outbox is stuck; the same message goes out again")
                await self._clock.sleep(STORE_RETRY_S)

    async def _step(self) -> None:
        await self._online.wait()
        self._wake.clear()
        entry = await self._store.head()
        if entry is None:
            if not self._wake.is_set():
                self._settled.set()
                await self._wake.wait()
            return
        await self._deliver(entry)

    async def _deliver(self, entry: OutboxEntry) -> None:
        report = entry.report
        backend_id = None
        if not isinstance(report, TransactionStarted) and report.transaction_id is not None:
            backend_id = await self._store.backend_transaction_id(report.transaction_id)
        request = self._wording.request(report, backend_id)
        if request is None:
            await self._store.delivered(entry.n)
            return
        try:
            answer = await self._until_answered(entry, *request)
            given, verdict = None, None
            if isinstance(report, TransactionStarted):
                given = self._wording.backend_transaction_id(answer)
                verdict = self._wording.verdict(answer)
        except (CallRefused, Unusable) as error:
            await self._refused(entry, error)
            return
        except LinkLost:
            await self._clock.sleep(LOST_PAUSE_S)
            return
        await self._store.delivered(entry.n, given, verdict)
        await self._wording.delivered(report, answer)

    async def _until_answered(self, entry: OutboxEntry, action: str, payload: Payload) -> Payload:
        message_id = message_id_of(entry)
        sent = 0
        while True:
            sent += 1
            late_s = self._retry_interval_s() * min(sent, self._attempts())
            try:
                return await self._send(action, payload, message_id, late_s)
            except NoAnswer:
                log.warning("%s is sent again (%d times so far)", action, sent)

    async def _refused(self, entry: OutboxEntry, error: BackendUnavailable) -> None:
        attempts = await self._store.refused(entry.n)
        if attempts >= self._attempts():
            log.error("given up after %d attempts: %s", attempts, error)
            await self._store.undeliverable(entry.n, str(error))
            return
        log.warning("attempt %d failed: %s", attempts, error)
        await self._clock.sleep(self._retry_interval_s() * attempts)


def message_id_of(entry: OutboxEntry) -> str:
    """The same for the same entry and attempt, also after a power cut: nothing needs storing before sending.

    A refused message gets a new id, because its old one was answered.
    """
    report = entry.report
    at = report.sample.at if isinstance(report, MeterValuesTaken) else report.at
    seed = f"{entry.n}/{entry.attempts}/{type(report).__name__}/{report.transaction_id}/{at.isoformat()}"
    return uuid_text(hashlib.sha256(seed.encode()).digest()[:16])
