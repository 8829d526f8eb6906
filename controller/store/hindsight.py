"""Rewrites stored times that a wrong clock stamped; `rewrite` runs in a transaction of the database's thread."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from datetime import datetime

from controller.core.hindsight import MARK, Hindsight
from controller.store.codec import report_to_text, transaction_from_text, transaction_to_text
from controller.store.database import Database
from controller.store.undelivered import readable

_log = logging.getLogger(__name__)

_CHUNK = 256
_RETRY_S = 5.0
_TRIES = 12
"""So often, before wrong times go out after all: a full disk does not stop the queue for ever."""


class Corrections:
    """Those under way: nothing that they move goes out before they are done."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._mark: str | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> bool:
        """At least one is not done."""
        return bool(self._tasks)

    async def done(self) -> None:
        """Wait for those that are under way now."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def start(
        self,
        first_n: int,
        last_n: int,
        hindsight: Hindsight,
        mark: str | None,
        corrected: Callable[[], None],
    ) -> asyncio.Task[None]:
        """`rewrite` these in one commit; `corrected` follows it, in the order of all commits."""
        self._mark = mark

        def write() -> asyncio.Future[None]:
            return self._database.write(
                lambda c: rewrite(c, first_n, last_n, hindsight, self._mark), lambda _: corrected()
            )

        # The first try is asked for at once: before it come only wrong times, after it only right ones.
        task = asyncio.get_running_loop().create_task(_insist(write(), write))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _insist(written: asyncio.Future[None], write: Callable[[], asyncio.Future[None]]) -> None:
    """Wait for the first try, then try again a few times."""
    for _ in range(_TRIES):
        try:
            await written
        except Exception as error:  # noqa: BLE001 - a full disk may get room again
            _log.error("wrong times are not corrected yet: %s", error)
            await asyncio.sleep(_RETRY_S)
            written = write()
        else:
            return


def rewrite(
    connection: sqlite3.Connection,
    first_n: int,
    last_n: int,
    hindsight: Hindsight,
    mark: str | None,
) -> None:
    """Entries from `first_n` to `last_n`, their transactions and moments of life; `mark`: the new one."""
    touched = _reports(connection, first_n, last_n, hindsight)
    open_ids = connection.execute("SELECT id FROM transactions WHERE ended_at IS NULL")
    for transaction_id in touched | {name for (name,) in open_ids.fetchall()}:
        _transaction(connection, transaction_id, hindsight)
    for evse, at in connection.execute("SELECT evse, at FROM life").fetchall():
        moved = hindsight.moment(datetime.fromisoformat(at)).isoformat()
        connection.execute("UPDATE life SET at = ? WHERE evse = ?", (moved, evse))
    connection.execute("DELETE FROM stored_values WHERE name = ?", (MARK,))
    if mark is not None:
        connection.execute("INSERT INTO stored_values (name, value) VALUES (?, ?)", (MARK, mark))


def _reports(
    connection: sqlite3.Connection, first_n: int, last_n: int, hindsight: Hindsight
) -> set[str]:
    """Returns the transactions they tell about."""
    touched: set[str] = set()
    after = first_n - 1
    while rows := connection.execute(
        "SELECT n, body FROM outbox WHERE n > ? AND n <= ? ORDER BY n LIMIT ?",
        (after, last_n, _CHUNK),
    ).fetchall():
        after = rows[-1][0]
        for n, body in rows:
            report = readable(body)
            if report is None:
                continue  # it is put aside when its turn comes
            if report.transaction_id is not None:
                touched.add(report.transaction_id)
            text = report_to_text(hindsight.report(report))
            connection.execute("UPDATE outbox SET body = ? WHERE n = ?", (text, n))
    return touched


def _transaction(connection: sqlite3.Connection, transaction_id: str, hindsight: Hindsight) -> None:
    row = connection.execute(
        "SELECT body FROM transactions WHERE id = ?", (transaction_id,)
    ).fetchone()
    if row is None:
        return
    try:
        moved = hindsight.transaction(transaction_from_text(row[0]))
    except (ValueError, LookupError, TypeError, AttributeError):
        return  # what cannot be read is left alone
    connection.execute(
        "UPDATE transactions SET started_at = ?, ended_at = ?, body = ? WHERE id = ?",
        (
            moved.started_at.isoformat(),
            moved.ended_at.isoformat() if moved.ended_at else None,
            transaction_to_text(moved),
            transaction_id,
        ),
    )
