"""Transactions: stored before they are acted on, together with what the backend must learn."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from controller.core.model import IdTokenInfo, Report, Transaction
from controller.store.codec import transaction_from_text, transaction_to_text
from controller.store.database import Database
from controller.store.outbox import Outbox
from controller.store.reservations import end_reservation
from controller.store.verdicts import open_verdicts

_log = logging.getLogger(__name__)


class Transactions:
    """All transactions of this station. `report` None = stand-alone, nobody is told."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    def begin(self, transaction: Transaction, report: Report | None) -> asyncio.Future[None]:
        """One commit for the transaction, its start report and the end of its reservation."""
        t, text = transaction, transaction_to_text(transaction)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO transactions (id, evse, started_at, body) VALUES (?, ?, ?, ?)",
                (t.id, t.evse, t.started_at.isoformat(), text),
            )
            if t.reservation_id is not None:
                end_reservation(connection, t.reservation_id)

        return self._with_report(write, report)

    def change(self, transaction: Transaction) -> asyncio.Future[None]:
        """The plug-in or the group of a running transaction changed."""
        return self._database.write(lambda c: _update(c, transaction))

    def end(self, transaction: Transaction, report: Report | None) -> asyncio.Future[None]:
        """One commit for the end and its report."""

        def write(connection: sqlite3.Connection) -> None:
            _update(connection, transaction)
            connection.execute("DELETE FROM life WHERE evse = ?", (transaction.evse,))

        return self._with_report(write, report)

    def alive(
        self, evse: int, transaction_id: str, at: datetime, meter_wh: float
    ) -> asyncio.Future[None]:
        """The last moment of life of a running transaction (at most once a minute)."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO life (evse, transaction_id, at, meter_wh) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (evse) DO UPDATE SET transaction_id = excluded.transaction_id, "
                "at = excluded.at, meter_wh = excluded.meter_wh",
                (evse, transaction_id, at.isoformat(), meter_wh),
            )

        return self._database.write(write)

    async def open_transactions(self) -> dict[int, Transaction]:
        """By EVSE, each with its last stored moment of life; what cannot be read is left out."""

        def read(connection: sqlite3.Connection) -> list[tuple[str, str | None, float | None]]:
            return connection.execute(
                "SELECT t.body, l.at, l.meter_wh FROM transactions t "
                "LEFT JOIN life l ON l.evse = t.evse AND l.transaction_id = t.id "
                "WHERE t.ended_at IS NULL ORDER BY t.started_at"
            ).fetchall()

        found: dict[int, Transaction] = {}
        for body, at, meter_wh in await self._database.write(read):
            try:
                transaction = transaction_from_text(body)
            except (ValueError, LookupError, TypeError, AttributeError):
                _log.error("store: an open transaction cannot be read: %.200s", body)
                continue
            if at is not None and transaction.stop_asked_at is None:
                transaction = replace(
                    transaction, last_seen_at=datetime.fromisoformat(at), last_meter_wh=meter_wh
                )
            found[transaction.evse] = transaction
        return found

    async def verdicts(self) -> dict[str, IdTokenInfo]:
        """What the backend said about the cards of open transactions, by transaction."""
        return await self._database.write(open_verdicts)

    async def last(self, evse: int) -> Transaction | None:
        """The newest transaction of an EVSE, open or not; None also when it cannot be read."""

        def read(connection: sqlite3.Connection) -> str | None:
            row = connection.execute(
                "SELECT body FROM transactions WHERE evse = ? ORDER BY started_at DESC LIMIT 1",
                (evse,),
            ).fetchone()
            return None if row is None else str(row[0])

        body = await self._database.write(read)
        try:
            return None if body is None else transaction_from_text(body)
        except (ValueError, LookupError, TypeError, AttributeError):
            _log.error("store: the last transaction cannot be read: %.200s", body)
            return None

    def _with_report(
        self, write: Callable[[sqlite3.Connection], None], report: Report | None
    ) -> asyncio.Future[None]:
        if report is None:
            return self._database.write(write)
        return self._outbox.append(report, write)


def _update(connection: sqlite3.Connection, transaction: Transaction) -> None:
    ended_at = transaction.ended_at.isoformat() if transaction.ended_at else None
    connection.execute(
        "UPDATE transactions SET ended_at = ?, body = ? WHERE id = ?",
        (ended_at, transaction_to_text(transaction), transaction.id),
    )
