"""What the outbox puts aside: refused by the backend to the end, or not readable any more.

The functions with a connection run inside a transaction of the database's thread.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

from controller.core.model import (
    MeterSample,
    ReadingContext,
    Report,
    SampledValue,
    StopReason,
    Transaction,
    TransactionEnded,
    TransactionStarted,
)
from controller.store.codec import report_from_text, transaction_from_text
from controller.store.database import Database

Append = Callable[[Sequence[Report], Callable[[sqlite3.Connection], None]], Awaitable[None]]
"""Puts reports at the end of the queue, in one commit with the function."""


class Undelivered:
    """All that was put aside: shown to a person, and sent again when a person wants it."""

    def __init__(self, database: Database, append: Append) -> None:
        self._database = database
        self._append = append

    async def all(self) -> list[tuple[int, Report | None, str, str]]:
        """(number, report, error, when), oldest first; None = it cannot be read."""
        return [(n, readable(body), error, at) for n, body, error, at in await self._rows()]

    async def count(self) -> int:
        """How many were put aside."""

        def read(connection: sqlite3.Connection) -> int:
            return int(connection.execute("SELECT count(*) FROM undelivered").fetchone()[0])

        return await self._database.write(read)

    async def as_text(self) -> list[dict[str, object]]:
        """All, for a person; what cannot be read as it stands there."""
        return [
            {"n": n, "report": _json_or_text(body), "error": error, "at": at}
            for n, body, error, at in await self._rows()
        ]

    async def _rows(self) -> list[tuple[int, str, str, str]]:
        def read(connection: sqlite3.Connection) -> list[tuple[int, str, str, str]]:
            found = connection.execute("SELECT n, body, error, at FROM undelivered ORDER BY n")
            return found.fetchall()

        return await self._database.write(read)

    async def send_again(self, number: int) -> bool:
        """Put one report at the end of the queue; False = none that could be sent.

        The end of a transaction whose start goes out again follows it in the same commit: the one
        that the backend may have seen had no transaction id to belong to.
        """
        while True:
            rows = {n: readable(body) for n, body, _, _ in await self._rows()}
            report = rows.get(number)
            if report is None:
                return False
            reports: list[Report] = [report]
            numbers, open_id = [number], ""
            if isinstance(report, TransactionStarted):
                for n, other in rows.items():
                    if isinstance(other, TransactionEnded) and (
                        other.transaction_id == report.transaction_id
                    ):
                        reports[1:] = [other]
                        numbers.append(n)
                if len(reports) == 1:
                    over = await self._over(report.transaction_id)
                    reports += [over] if over is not None else []
                    open_id = report.transaction_id if over is None else ""
            with contextlib.suppress(_Changed):
                await self._append(reports, partial(_forget, numbers, open_id))
                return True

    async def _over(self, transaction_id: str) -> TransactionEnded | None:
        """The end of a transaction as its own row tells it; None = it has not ended."""

        def read(connection: sqlite3.Connection) -> str | None:
            row = connection.execute(
                "SELECT body FROM transactions WHERE id = ? AND ended_at IS NOT NULL",
                (transaction_id,),
            ).fetchone()
            return None if row is None else str(row[0])

        body = await self._database.write(read)
        return None if body is None else end_of(transaction_from_text(body))


class _Changed(Exception):
    """What was read before is not true any more."""


def put_aside(connection: sqlite3.Connection, body: str, error: str, at: str) -> None:
    """Keep a body with the reason and the time."""
    connection.execute(
        "INSERT INTO undelivered (body, error, at) VALUES (?, ?, ?)", (body, error, at)
    )


def put_row_aside(n: int, connection: sqlite3.Connection) -> None:
    """Move entry `n` of the queue, whatever stands in it."""
    (body,) = connection.execute("SELECT body FROM outbox WHERE n = ?", (n,)).fetchone()
    put_aside(connection, body, "cannot be read", now())
    connection.execute("DELETE FROM outbox WHERE n = ?", (n,))


def _forget(numbers: list[int], open_id: str, connection: sqlite3.Connection) -> None:
    """Delete these; raises _Changed if one is gone or transaction `open_id` has ended."""
    for n in numbers:
        if connection.execute("DELETE FROM undelivered WHERE n = ?", (n,)).rowcount != 1:
            raise _Changed
    ended = "SELECT 1 FROM transactions WHERE id = ? AND ended_at IS NOT NULL"
    if connection.execute(ended, (open_id,)).fetchone():
        raise _Changed


def end_of(transaction: Transaction) -> TransactionEnded:
    """The report of an end as the transaction itself tells it; of its samples only signed ones are kept."""
    return TransactionEnded(
        transaction_id=transaction.id,
        evse=transaction.evse,
        at=transaction.ended_at or transaction.started_at,
        meter_wh=transaction.meter_stop_wh or 0.0,
        reason=transaction.stop_reason or StopReason.OTHER,
        id_token=transaction.stopped_by,
        estimated=transaction.estimated,
        offline=transaction.offline,
        samples=tuple(_signed_samples(transaction)),
    )


def _signed_samples(t: Transaction) -> Iterator[MeterSample]:
    for context, at, wh, signed in (
        (ReadingContext.BEGIN, t.started_at, t.meter_start_wh, t.signed_begin),
        (ReadingContext.END, t.ended_at, t.meter_stop_wh, t.signed_end),
    ):
        if signed is not None and at is not None:
            value = SampledValue(value=wh or 0.0, signed=signed)
            yield MeterSample(at=at, context=context, values=(value,))


def readable(body: str) -> Report | None:
    """The report, or None when the text is none of ours."""
    try:
        return report_from_text(body)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _json_or_text(body: str) -> object:
    """For a person: the object, or the text as it stands there."""
    try:
        return json.loads(body)
    except ValueError:
        return body


def now() -> str:
    """UTC, ISO 8601."""
    return datetime.now(UTC).isoformat()
