"""The durable queue of reports to the backend, oldest first (DESIGN §1.5, R16-TX-1 to -5).

Rows of the table come first, then a volatile tail of meter values in memory, which every durable
append and every minute turn into rows. Only the next rows are held in memory, however long the queue.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from controller.core.model import MeterValuesTaken, Report, TransactionStarted
from controller.ports import OutboxEntry
from controller.store.codec import report_from_text, report_to_text
from controller.store.database import Database

_AHEAD = 64
"""Rows read at once; at most twice as many are held."""
_DELETE_DELAY_S = 0.002
"""An answered entry waits this long for the commit of the next `sending` to take it along."""
NEVER_TOLD = -1
"""Backend id of a transaction whose start was undeliverable (R16-TX-4)."""

_IDS_KEPT = 256

Rows = list[tuple[int, str, str | None, int]]


class Outbox:
    """The OutboxStore of `controller/ports.py`, and the station's way to append."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next_n = 1
        self._rows = 0
        self._gone_n = 0
        self._ahead: deque[OutboxEntry] = deque()
        self._ahead_is_all = True
        self._tail: deque[OutboxEntry] = deque()
        self._moving: dict[int, OutboxEntry] = {}
        self._in_flight: deque[asyncio.Future[None]] = deque()
        self._answered: dict[int, tuple[str, int | None]] = {}
        self._delete_timer: asyncio.TimerHandle | None = None
        self._backend_ids: dict[str, int | None] = {}

    async def load(self) -> None:
        """Find both ends of the queue; nothing else is read."""

        def read(connection: sqlite3.Connection) -> tuple[int | None, int | None]:
            low = connection.execute("SELECT min(n) FROM outbox").fetchone()[0]
            return low, connection.execute("SELECT max(n) FROM outbox").fetchone()[0]

        low, high = await self._database.write(read)
        if low is not None and high is not None:
            self._rows, self._next_n, self._ahead_is_all = high - low + 1, high + 1, False

    # --- appending --------------------------------------------------------------------------------

    def append(
        self, report: Report, also: Callable[[sqlite3.Connection], None] | None = None
    ) -> asyncio.Future[None]:
        """Make the report durable together with `also`, in one commit; volatile ones go first."""
        return self._store([*self._take_tail(), self._entry(report)], also)

    def append_volatile(self, report: Report) -> None:
        """Queue in memory; may be lost with the process until `flush`."""
        self._tail.append(self._entry(report))

    def flush(self) -> asyncio.Future[None] | None:
        """Make what is volatile durable; None = nothing to do."""
        return self._store(self._take_tail(), None) if self._tail else None

    def _entry(self, report: Report) -> OutboxEntry:
        entry = OutboxEntry(n=self._next_n, report=report, message_id=None, attempts=0)
        self._next_n += 1
        return entry

    def _take_tail(self) -> list[OutboxEntry]:
        taken = list(self._tail)
        self._tail.clear()
        return taken

    def _store(
        self, entries: list[OutboxEntry], also: Callable[[sqlite3.Connection], None] | None
    ) -> asyncio.Future[None]:
        rows = [(e.n, report_to_text(e.report), e.message_id, e.attempts) for e in entries]

        def stored(_: None) -> None:
            waiting = self._arrive(entries)
            self._rows += len(entries)
            if self._ahead_is_all and len(self._ahead) + len(waiting) <= 2 * _AHEAD:
                self._ahead.extend(waiting)
            else:
                self._ahead_is_all = False

        def done(future: asyncio.Future[None]) -> None:
            self._in_flight.remove(future)
            if not future.cancelled() and future.exception() is not None:
                left = self._arrive(entries)
                values = [e for e in left if isinstance(e.report, MeterValuesTaken)]
                self._tail.extendleft(reversed(values))

        self._moving.update((e.n, e) for e in entries)
        future = self._database.write(lambda c: _insert(c, rows, also), stored)
        self._in_flight.append(future)
        future.add_done_callback(done)
        return future

    def _arrive(self, entries: list[OutboxEntry]) -> list[OutboxEntry]:
        """Those of `entries` that were not answered on their way into the table."""
        return [self._moving.pop(e.n) for e in entries if e.n in self._moving]

    # --- the backend's side -----------------------------------------------------------------------

    async def head(self) -> OutboxEntry | None:
        """The oldest entry, without loading the rest."""
        while not self._ahead:
            if not self._ahead_is_all:
                await self._read_ahead()
            elif self._in_flight:
                await asyncio.wait([self._in_flight[-1]])
            else:
                return self._tail[0] if self._tail else None
        return self._ahead[0]

    async def sending(self, n: int, message_id: str) -> None:
        """Keep the message id before the frame leaves; what was answered before is gone by then."""
        if self._change(n, message_id=message_id):
            return
        deletes = self._take_answered()

        def write(connection: sqlite3.Connection) -> None:
            _delete(connection, deletes)
            connection.execute("UPDATE outbox SET message_id = ? WHERE n = ?", (message_id, n))

        await self._write_deleting(write, deletes)

    async def refused(self, n: int) -> int:
        """Count a CALLERROR; returns the attempts so far."""
        entry = next((e for q in (self._ahead, self._tail) for e in q if e.n == n), None)
        attempts = 1 if entry is None else entry.attempts + 1
        if not self._change(n, attempts=attempts):
            await self._database.write(
                lambda c: c.execute("UPDATE outbox SET attempts = ? WHERE n = ?", (attempts, n))
            )
        return attempts

    async def delivered(self, n: int, backend_transaction_id: int | None = None) -> None:
        """Delete the entry; for a start also keep the backend's id, in the same commit.

        The commit is the one of the next `sending`, or follows by itself after 2 ms.
        """
        entry = self._take(n)
        if entry is None:
            return
        transaction_id = ""
        if isinstance(entry.report, TransactionStarted) and backend_transaction_id is not None:
            transaction_id = entry.report.transaction_id
            self._backend_ids[transaction_id] = backend_transaction_id
        self._answered[n] = (transaction_id, backend_transaction_id)
        if self._delete_timer is None:
            loop = asyncio.get_running_loop()
            self._delete_timer = loop.call_later(_DELETE_DELAY_S, self._delete_now)

    async def undeliverable(self, n: int, error: str) -> None:
        """Move the entry to `undelivered` (kept, shown, re-sendable)."""
        entry = self._take(n)
        if entry is None:
            return
        text, at = report_to_text(entry.report), datetime.now(UTC).isoformat()
        deletes = self._take_answered()
        deletes[n] = ("", None)
        if isinstance(entry.report, TransactionStarted):
            self._backend_ids[entry.report.transaction_id] = NEVER_TOLD
            deletes[n] = (entry.report.transaction_id, NEVER_TOLD)
        self._answered[n] = deletes[n]

        def write(connection: sqlite3.Connection) -> None:
            _delete(connection, deletes)
            connection.execute(
                "INSERT INTO undelivered (body, error, at) VALUES (?, ?, ?)", (text, error, at)
            )

        await self._write_deleting(write, deletes)

    async def backend_transaction_id(self, transaction_id: str) -> int | None:
        """The backend's integer id; None = not told (yet); -1 = its start was undeliverable."""
        if transaction_id in self._backend_ids:
            return self._backend_ids[transaction_id]

        def read(connection: sqlite3.Connection) -> int | None:
            row = connection.execute(
                "SELECT backend_id FROM transactions WHERE id = ?", (transaction_id,)
            ).fetchone()
            return None if row is None else row[0]

        found = await self._database.write(read)
        if found is not None:
            while len(self._backend_ids) >= _IDS_KEPT:
                self._backend_ids.pop(next(iter(self._backend_ids)))
            self._backend_ids[transaction_id] = found
        return found

    async def count(self) -> int:
        """How many entries wait."""
        return self.waiting

    @property
    def waiting(self) -> int:
        """How many entries wait, those in memory included."""
        return self._rows + len(self._tail)

    async def undelivered(self) -> list[tuple[int, Report, str, str]]:
        """(number, report, error, when) of all that the backend refused to the end."""

        def read(connection: sqlite3.Connection) -> list[tuple[int, Report, str, str]]:
            rows = connection.execute("SELECT n, body, error, at FROM undelivered ORDER BY n")
            return [(n, report_from_text(body), error, at) for n, body, error, at in rows]

        return await self._database.write(read)

    async def undelivered_as_text(self) -> list[dict[str, object]]:
        """The same, for a person."""
        return [
            {"n": n, "report": json.loads(report_to_text(report)), "error": error, "at": at}
            for n, report, error, at in await self.undelivered()
        ]

    async def send_again(self, number: int) -> bool:
        """Put one undelivered report at the end of the queue; False = no such number."""

        def read(connection: sqlite3.Connection) -> str | None:
            row = connection.execute(
                "SELECT body FROM undelivered WHERE n = ?", (number,)
            ).fetchone()
            return None if row is None else str(row[0])

        body = await self._database.write(read)
        if body is None:
            return False

        def forget(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM undelivered WHERE n = ?", (number,))

        await self.append(report_from_text(body), forget)
        return True

    # --- inside -----------------------------------------------------------------------------------

    async def _read_ahead(self) -> None:
        after = self._gone_n

        def read(connection: sqlite3.Connection) -> Rows:
            return connection.execute(
                "SELECT n, body, message_id, attempts FROM outbox WHERE n > ? ORDER BY n LIMIT ?",
                (after, _AHEAD),
            ).fetchall()

        def keep(rows: Rows) -> None:
            self._ahead.extend(
                OutboxEntry(n=n, report=report_from_text(body), message_id=mid, attempts=attempts)
                for n, body, mid, attempts in rows
            )
            self._ahead_is_all = len(rows) < _AHEAD

        await self._database.write(read, keep)

    def _change(
        self, n: int, *, message_id: str | None = None, attempts: int | None = None
    ) -> bool:
        """Update the copy in memory; True = the entry is volatile, nothing is to be stored."""
        for queue in (self._ahead, self._tail):
            for i, entry in enumerate(queue):
                if entry.n != n:
                    continue
                if message_id is not None:
                    entry = replace(entry, message_id=message_id)
                if attempts is not None:
                    entry = replace(entry, attempts=attempts)
                queue[i] = entry
                return queue is self._tail
        if n in self._moving and message_id is not None:
            self._moving[n] = replace(self._moving[n], message_id=message_id)
        return False

    def _take(self, n: int) -> OutboxEntry | None:
        """Remove from memory; None = it is not at the head (a repeated answer)."""
        self._gone_n = max(self._gone_n, n)
        if self._ahead and self._ahead[0].n == n:
            return self._ahead.popleft()
        if self._tail and self._tail[0].n == n:
            self._rows += 1  # it never was a row; `_write_deleting` counts it as one
            return self._tail.popleft()
        return self._moving.pop(n, None)

    def _take_answered(self) -> dict[int, tuple[str, int | None]]:
        if self._delete_timer is not None:
            self._delete_timer.cancel()
            self._delete_timer = None
        return dict(self._answered)

    def _delete_now(self) -> None:
        self._delete_timer = None
        deletes = dict(self._answered)
        self._write_deleting(lambda c: _delete(c, deletes), deletes)

    def _write_deleting(
        self,
        write: Callable[[sqlite3.Connection], None],
        deletes: dict[int, tuple[str, int | None]],
    ) -> asyncio.Future[None]:
        """Run `write`; when it is committed, `deletes` need not be repeated."""

        def deleted(_: None) -> None:
            for n in deletes:
                if self._answered.pop(n, None) is not None:
                    self._rows -= 1

        return self._database.write(write, deleted)


def _insert(
    connection: sqlite3.Connection, rows: Rows, also: Callable[[sqlite3.Connection], None] | None
) -> None:
    connection.executemany(
        "INSERT INTO outbox (n, body, message_id, attempts) VALUES (?, ?, ?, ?)", rows
    )
    if also is not None:
        also(connection)


def _delete(connection: sqlite3.Connection, deletes: dict[int, tuple[str, int | None]]) -> None:
    connection.executemany("DELETE FROM outbox WHERE n = ?", [(n,) for n in deletes])
    connection.executemany(
        "UPDATE transactions SET backend_id = ? WHERE id = ?",
        [(told, transaction) for transaction, told in deletes.values() if transaction],
    )
