"""What the outbox puts aside: refused by the backend to the end, or not readable any more.

The functions with a connection run inside a transaction of the database's thread.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

from controller.core.model import (
    MeterSample,
    ReadingContext,
    Report,
    SampledValue,
    StopReason,
    Transaction,
    TransactionEnded,
)
from controller.store.codec import report_from_text


class Changed(Exception):
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


def forget(numbers: list[int], open_id: str, connection: sqlite3.Connection) -> None:
    """Delete these; raises Changed if one is gone or transaction `open_id` has ended."""
    for n in numbers:
        if connection.execute("DELETE FROM undelivered WHERE n = ?", (n,)).rowcount != 1:
            raise Changed
    ended = "SELECT 1 FROM transactions WHERE id = ? AND ended_at IS NOT NULL"
    if connection.execute(ended, (open_id,)).fetchone():
        raise Changed


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


def json_or_text(body: str) -> object:
    """For a person: the object, or the text as it stands there."""
    try:
        return json.loads(body)
    except ValueError:
        return body


def now() -> str:
    """UTC, ISO 8601."""
    return datetime.now(UTC).isoformat()
