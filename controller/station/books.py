"""Begins and ends transactions in the store, each in one commit with what the backend must learn."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from controller.clock import Clock
from controller.core.commands import EndTransaction
from controller.core.model import StopReason, Transaction, TransactionEnded, TransactionStarted
from controller.station.sampling import Sampler
from controller.station.stores import StationStore
from controller.station.surroundings import Surroundings

_log = logging.getLogger(__name__)

STORE_RETRY_S = 1.0


class Books:
    """Of one EVSE."""

    def __init__(
        self,
        evse: int,
        store: StationStore,
        sampler: Sampler,
        clock: Clock,
        around: Surroundings,
        pause: Callable[[], None],
    ) -> None:
        """`pause` ends what is offered: while a write is repeated nobody can stop the charge."""
        self._evse = evse
        self._store = store
        self._sampler = sampler
        self._clock = clock
        self._around = around
        self._pause = pause
        self._unsaved = False

    async def begin(self, transaction: Transaction) -> bool:
        """Commit the start and its report; False = not stored, so it must not happen."""
        report = TransactionStarted(
            transaction_id=transaction.id,
            evse=transaction.evse,
            id_token=transaction.id_token,
            at=transaction.started_at,
            meter_wh=transaction.meter_start_wh,
            reservation_id=transaction.reservation_id,
            remote_start_id=transaction.remote_start_id,
            offline=not self._around.online,
        )
        told = report if self._around.tells_backend else None
        try:
            await self._store.transactions.begin(transaction, told)
        except Exception as error:  # noqa: BLE001 - no start without a durable record
            _log.error("evse=%d transaction not stored, not started: %s", self._evse, error)
            return False
        _log.info(
            "evse=%d transaction %s started at %.0f Wh",
            self._evse,
            transaction.id,
            transaction.meter_start_wh,
        )
        self._sampler.begin(transaction, self._clock.monotonic_ns() / 1e9)
        self._around.reports_waiting()
        return True

    async def change(self, transaction: Transaction, *, vital: bool) -> None:
        """Commit what changed; what is not vital waits for the next moment of life."""
        attempts = None if vital else 1
        self._unsaved = not await self.until_stored(
            lambda: self._store.transactions.change(transaction), attempts
        )

    async def life(self, running: Transaction) -> None:
        """The last moment of life, for recovery; and what could not be stored before."""
        if self._unsaved:
            await self.change(running, vital=False)
        wh = running.last_meter_wh if running.last_meter_wh is not None else running.meter_start_wh
        await self.until_stored(
            lambda: self._store.transactions.alive(self._evse, running.id, self._clock.utc(), wh),
            attempts=1,
        )

    async def end(self, command: EndTransaction, last_known_wh: float | None) -> None:
        """Commit the end and its report, however long that takes."""
        ended = command.transaction
        if ended.estimated and last_known_wh is not None:
            last = max(last_known_wh, ended.meter_stop_wh or 0.0)
            ended = replace(ended, meter_stop_wh=last)
        at, wh = ended.ended_at or self._clock.utc(), ended.meter_stop_wh or 0.0
        report = TransactionEnded(
            transaction_id=ended.id,
            evse=ended.evse,
            at=at,
            meter_wh=wh,
            reason=ended.stop_reason or StopReason.OTHER,
            id_token=command.id_token,
            estimated=ended.estimated,
            samples=self._sampler.end(ended, at, wh),
            offline=not self._around.online,
        )
        told = report if self._around.tells_backend else None
        await self.until_stored(lambda: self._store.transactions.end(ended, told))
        _log.info(
            "evse=%d transaction %s ended by %s at %.0f Wh%s",
            self._evse,
            ended.id,
            report.reason.value,
            wh,
            " (estimated)" if ended.estimated else "",
        )
        self._around.reports_waiting()

    async def until_stored(
        self, write: Callable[[], Awaitable[None]], attempts: int | None = None
    ) -> bool:
        """Nothing else happens on this EVSE before it is stored: a fact must not be lost."""
        tried = 0
        while True:
            try:
                await write()
            except Exception as error:  # noqa: BLE001 - a full disk may get room again
                tried += 1
                _log.error("evse=%d not stored: %s", self._evse, error)
                if tried == attempts:
                    return False
                self._pause()
                await self._clock.sleep(STORE_RETRY_S)
            else:
                return True
