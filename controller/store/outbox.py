"""The durable queue of reports to the backend, oldest first (DESIGN §1.5, R16-TX-1 to -5).

Rows of the table come first, then a volatile tail of meter values in memory, which every durable
append and every minute turn into rows. Only the next rows are held in memory, however long the queue.
Message ids are not stored: they follow from `n`, the attempts and the report, so that a repeated frame
carries the same id also after a power cut, without a write before each frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from controller.core.hindsight import Hindsight
from controller.core.model import (
    IdTokenInfo,
    MeterValuesTaken,
    Report,
    TransactionEnded,
    TransactionStarted,
)
from controller.ports import OutboxEntry
from controller.store.codec import report_to_text, transaction_from_text
from controller.store.database import Database
from controller.store.hindsight import insist, rewrite
from controller.store.undelivered import (
    Changed,
    end_of,
    forget,
    json_or_text,
    now,
    put_aside,
    put_row_aside,
    readable,
)
from controller.store.verdicts import verdict_to_text

_log = logging.getLogger(__name__)

_AHEAD = 64
"""Rows read at once; at most twice as many are held."""
_DELETE_RETRY_S = 5.0
"""What could not be deleted (a full disk) is tried again after this time."""
_COUNTED = 4096
"""Up to so many rows are counted at the start; of more the difference of the ends has to do."""
NEVER_TOLD = -1
"""Backend id of a transaction whose start was undeliverable (R16-TX-4)."""

_IDS_KEPT = 256
_MOST_IN_MEMORY = 4096
"""So many wait in memory while the disk takes nothing; then every second meter value leaves (R16-TX-3)."""

Rows = list[tuple[int, str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the answer to a start told about its transaction; "" = it was no start."""

    transaction_id: str = ""
    backend_id: int | None = None
    verdict: str | None = None


Answers = dict[int, _Told]
"""By number."""


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
        self._answered: Answers = {}
        self._deleting: deque[asyncio.Future[None]] = deque()
        self._asked: set[int] = set()
        self._delete_timer: asyncio.TimerHandle | None = None
        self._backend_ids: dict[str, int] = {}
        self._shown_n = 0
        self._clock_mark: str | None = None
        self._correcting: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Find both ends of the queue; nothing else is read."""

        def read(connection: sqlite3.Connection) -> tuple[int | None, int | None, int]:
            low = connection.execute("SELECT min(n) FROM outbox").fetchone()[0]
            high = connection.execute("SELECT max(n) FROM outbox").fetchone()[0]
            limited = "SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT ?)"
            return low, high, connection.execute(limited, (_COUNTED,)).fetchone()[0]

        low, high, counted = await self._database.write(read)
        if low is not None and high is not None:
            self._rows = counted if counted < _COUNTED else high - low + 1
            self._next_n, self._ahead_is_all = high + 1, False

    # --- appending --------------------------------------------------------------------------------

    def append(
        self, report: Report, also: Callable[[sqlite3.Connection], None] | None = None
    ) -> asyncio.Future[None]:
        """Make the report durable together with `also`, in one commit; volatile ones go first."""
        return self._store([*self._take_tail(), self._entry(report)], also)

    def append_volatile(self, report: Report) -> None:
        """Queue in memory; may be lost with the process until `flush`."""
        self._tail.append(self._entry(report))
        self._thin()

    def flush(self) -> asyncio.Future[None] | None:
        """Make what is volatile durable; None = nothing to do."""
        return self._store(self._take_tail(), None) if self._tail else None

    def _thin(self) -> None:
        """Memory is short: every second value between others leaves, nothing else, never the head."""
        if len(self._tail) <= _MOST_IN_MEMORY:
            return
        kept: deque[OutboxEntry] = deque()
        leave = False
        for entry in self._tail:
            between = bool(kept) and isinstance(entry.report, MeterValuesTaken)
            leave = between and not leave
            if not leave:
                kept.append(entry)
        _log.error(
            "outbox: the store takes nothing and memory is short: %d of %d meter values left out",
            len(self._tail) - len(kept),
            len(self._tail),
        )
        self._tail = kept

    def _entry(self, report: Report) -> OutboxEntry:
        entry = OutboxEntry(n=self._next_n, report=report, attempts=0)
        self._next_n += 1
        return entry

    def _take_tail(self) -> list[OutboxEntry]:
        taken = list(self._tail)
        self._tail.clear()
        return taken

    def _store(
        self, entries: list[OutboxEntry], also: Callable[[sqlite3.Connection], None] | None
    ) -> asyncio.Future[None]:
        rows = [(e.n, report_to_text(e.report), e.attempts) for e in entries]

        def stored(_: None) -> None:
            waiting = self._arrive(entries)
            self._rows += len(entries)
            if self._ahead_is_all and len(self._ahead) + len(waiting) <= 2 * _AHEAD:
                self._ahead.extend(waiting)
            else:
                self._ahead_is_all = False
                # Values that went back to memory once come after younger rows that are gone.
                self._gone_n = min(self._gone_n, entries[0].n - 1)

        def done(future: asyncio.Future[None]) -> None:
            self._in_flight.remove(future)
            if not future.cancelled() and future.exception() is not None:
                left = self._arrive(entries)
                self._rows += len(entries) - len(left)  # those are counted down as answered
                values = [e for e in left if isinstance(e.report, MeterValuesTaken)]
                self._tail.extendleft(reversed(values))
                self._thin()

        self._moving.update((e.n, e) for e in entries)
        future = self._database.write(lambda c: _insert(c, rows, also), stored)
        self._in_flight.append(future)
        future.add_done_callback(done)
        return future

    def _arrive(self, entries: list[OutboxEntry]) -> list[OutboxEntry]:
        """Those of `entries` that were not answered on their way into the table."""
        return [self._moving.pop(e.n) for e in entries if e.n in self._moving]

    # --- corrected times --------------------------------------------------------------------------

    @property
    def next_n(self) -> int:
        """The number of the entry that comes next."""
        return self._next_n

    def correct(self, first_n: int, hindsight: Hindsight, mark: str | None) -> asyncio.Task[None]:
        """Move the times of all entries from `first_n` on, of their transactions and of the life of open
        ones, in one commit with `mark`. Nothing goes out before; what may be out already stays.
        """
        self.flush()
        self._clock_mark = mark
        first, last = max(first_n, self._shown_n + 1), self._next_n - 1

        def corrected(_: None) -> None:
            def moved(entry: OutboxEntry) -> OutboxEntry:
                if not first <= entry.n <= last:
                    return entry
                return replace(entry, report=hindsight.report(entry.report))

            self._ahead = deque(map(moved, self._ahead))
            self._tail = deque(map(moved, self._tail))
            self._moving = {n: moved(entry) for n, entry in self._moving.items()}

        def write() -> asyncio.Future[None]:
            return self._database.write(
                lambda c: rewrite(c, first, last, hindsight, self._clock_mark), corrected
            )

        # The first try is asked for at once: before it come only wrong times, after it only right ones.
        task = asyncio.get_running_loop().create_task(insist(write(), write))
        self._correcting.add(task)
        task.add_done_callback(self._correcting.discard)
        return task

    # --- the backend's side -----------------------------------------------------------------------

    async def head(self) -> OutboxEntry | None:
        """The oldest entry, without loading the rest; its times are as right as they will be."""
        while True:
            if self._correcting:
                await asyncio.wait(set(self._correcting))
            entry = await self._oldest()
            if not self._correcting:
                if entry is not None:
                    self._shown_n = max(self._shown_n, entry.n)
                return entry

    async def _oldest(self) -> OutboxEntry | None:
        """The oldest entry.

        What was answered before it is deleted by then, but for the last one, whose commit runs while
        the next is on its way: a power cut repeats at most two, with their ids. A full disk stops nothing.
        """
        while len(self._deleting) > 1:
            await asyncio.wait([self._deleting[0]])
        while not self._ahead:
            if not self._ahead_is_all:
                await self._read_ahead()
            elif self._in_flight:
                await asyncio.wait([self._in_flight[-1]])
            else:
                self._rows = len(self._answered)
                return self._tail[0] if self._tail else None
        return self._ahead[0]

    async def refused(self, n: int) -> int:
        """Count a CALLERROR; returns the attempts so far."""
        for queue in (self._ahead, self._tail):
            for i, entry in enumerate(queue):
                if entry.n == n:
                    queue[i] = replace(entry, attempts=entry.attempts + 1)
                    if queue is self._ahead:
                        await self._keep_attempts(queue[i])
                    return entry.attempts + 1
        if n not in self._moving:
            return 1
        moving = self._moving[n] = replace(self._moving[n], attempts=self._moving[n].attempts + 1)
        await self._keep_attempts(moving)
        return moving.attempts

    async def _keep_attempts(self, entry: OutboxEntry) -> None:
        await self._database.write(
            lambda c: c.execute(
                "UPDATE outbox SET attempts = ? WHERE n = ?", (entry.attempts, entry.n)
            )
        )

    async def delivered(
        self,
        n: int,
        backend_transaction_id: int | None = None,
        verdict: IdTokenInfo | None = None,
    ) -> None:
        """Delete the entry; for a start also keep the backend's id and verdict, in the same commit.

        The commit is under way when this returns; it is repeated until it succeeds.
        """
        entry = self._take(n)
        if entry is None:
            return
        told = _Told()
        if isinstance(entry.report, TransactionStarted) and backend_transaction_id is not None:
            told = _Told(
                transaction_id=entry.report.transaction_id,
                backend_id=backend_transaction_id,
                verdict=None if verdict is None else verdict_to_text(verdict),
            )
            self._keep_id(told.transaction_id, backend_transaction_id)
        self._answered[n] = told
        self._delete_now()

    async def undeliverable(self, n: int, error: str) -> None:
        """Move the entry to `undelivered` (kept, shown, re-sendable).

        Raises what the store raises; the entry is then still the head of the queue.
        """
        while n in self._moving or any(e.n == n for e in self._tail):
            await (self.flush() or self._in_flight[-1])
        entry = await self.head()
        if entry is None or entry.n != n:
            return
        text, at = report_to_text(entry.report), now()
        transaction_id = (
            entry.report.transaction_id if isinstance(entry.report, TransactionStarted) else ""
        )
        deletes: Answers = {
            **self._answered,
            n: _Told(transaction_id=transaction_id, backend_id=NEVER_TOLD),
        }

        def write(connection: sqlite3.Connection) -> None:
            _delete(connection, deletes)
            put_aside(connection, text, error, at)

        def moved() -> None:
            self._take(n)
            self._answered[n] = deletes[n]
            if transaction_id:
                self._keep_id(transaction_id, NEVER_TOLD)

        await self._write_deleting(write, deletes, moved)

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
            self._keep_id(transaction_id, found)
        return found

    async def count(self) -> int:
        """How many entries wait."""
        return self.waiting

    @property
    def waiting(self) -> int:
        """How many entries wait, those in memory included."""
        return self._rows + len(self._tail)

    async def undelivered(self) -> list[tuple[int, Report | None, str, str]]:
        """(number, report, error, when) of all that was put aside; None = it cannot be read."""
        rows = await self._undelivered_rows()
        return [(n, readable(body), error, at) for n, body, error, at in rows]

    async def undelivered_count(self) -> int:
        """How many were put aside."""

        def read(connection: sqlite3.Connection) -> int:
            return int(connection.execute("SELECT count(*) FROM undelivered").fetchone()[0])

        return await self._database.write(read)

    async def undelivered_as_text(self) -> list[dict[str, object]]:
        """The same, for a person; what cannot be read as it stands there."""
        rows = await self._undelivered_rows()
        return [
            {"n": n, "report": json_or_text(body), "error": error, "at": at}
            for n, body, error, at in rows
        ]

    async def _undelivered_rows(self) -> list[tuple[int, str, str, str]]:
        def read(connection: sqlite3.Connection) -> list[tuple[int, str, str, str]]:
            found = connection.execute("SELECT n, body, error, at FROM undelivered ORDER BY n")
            return found.fetchall()

        return await self._database.write(read)

    async def send_again(self, number: int) -> bool:
        """Put one undelivered report at the end of the queue; False = none that could be sent.

        The end of a transaction whose start goes out again follows it in the same commit: the one
        that the backend may have seen had no transaction id to belong to.
        """
        while True:
            rows = {n: readable(body) for n, body, _, _ in await self._undelivered_rows()}
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
            entries = [*self._take_tail(), *map(self._entry, reports)]
            with contextlib.suppress(Changed):
                await self._store(entries, partial(forget, numbers, open_id))
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

    def finish(self) -> None:
        """Delete at once what was answered, before the store closes."""
        if self._answered:
            self._delete_now()

    # --- inside -----------------------------------------------------------------------------------

    async def _read_ahead(self) -> None:
        after = self._gone_n
        unreadable: list[tuple[int, str]] = []

        def read(connection: sqlite3.Connection) -> Rows:
            return connection.execute(
                "SELECT n, body, attempts FROM outbox WHERE n > ? ORDER BY n LIMIT ?",
                (after, _AHEAD),
            ).fetchall()

        def keep(rows: Rows) -> None:
            for n, body, attempts in rows:
                report = readable(body)
                if report is None:
                    unreadable.append((n, body))
                elif n not in self._answered:
                    self._ahead.append(OutboxEntry(n=n, report=report, attempts=attempts))
            self._ahead_is_all = len(rows) < _AHEAD
            if rows and not self._ahead:
                self._gone_n = rows[-1][0]

        await self._database.write(read, keep)
        for n, body in unreadable:
            _log.error("outbox: entry %d cannot be read, it is put aside: %.200s", n, body)
            try:
                await self._database.write(partial(put_row_aside, n), self._one_row_less)
            except sqlite3.Error as error:
                _log.error("outbox: entry %d stays where it is: %s", n, error)

    def _one_row_less(self, _: None) -> None:
        self._rows -= 1

    def _keep_id(self, transaction_id: str, backend_id: int) -> None:
        self._backend_ids.pop(transaction_id, None)
        while len(self._backend_ids) >= _IDS_KEPT:
            self._backend_ids.pop(next(iter(self._backend_ids)))
        self._backend_ids[transaction_id] = backend_id

    def _take(self, n: int) -> OutboxEntry | None:
        """Remove from memory; None = it is not at the head (a repeated answer)."""
        self._gone_n = max(self._gone_n, n)
        if self._ahead and self._ahead[0].n == n:
            return self._ahead.popleft()
        if self._tail and self._tail[0].n == n:
            self._rows += 1  # it never was a row; `_write_deleting` counts it as one
            return self._tail.popleft()
        return self._moving.pop(n, None)

    def _delete_now(self) -> None:
        if self._delete_timer is not None:
            self._delete_timer.cancel()
            self._delete_timer = None
        deletes = {n: told for n, told in self._answered.items() if n not in self._asked}
        self._asked.update(deletes)

        def done(future: asyncio.Future[None]) -> None:
            self._deleting.remove(future)
            self._asked.difference_update(deletes)
            if not future.cancelled() and future.exception() is not None:
                _log.warning("outbox: what was answered is not deleted yet: %s", future.exception())
                if self._delete_timer is None:
                    loop = asyncio.get_running_loop()
                    self._delete_timer = loop.call_later(_DELETE_RETRY_S, self._delete_now)

        deleting = self._write_deleting(lambda c: _delete(c, deletes), deletes)
        self._deleting.append(deleting)
        deleting.add_done_callback(done)

    def _write_deleting(
        self,
        write: Callable[[sqlite3.Connection], None],
        deletes: Answers,
        moved: Callable[[], None] = lambda: None,
    ) -> asyncio.Future[None]:
        """Run `write`; when it is committed, `deletes` need not be repeated."""

        def deleted(_: None) -> None:
            moved()
            for n in deletes:
                if self._answered.pop(n, None) is not None:
                    self._rows -= 1

        return self._database.write(write, deleted)


def _insert(
    connection: sqlite3.Connection, rows: Rows, also: Callable[[sqlite3.Connection], None] | None
) -> None:
    connection.executemany("INSERT INTO outbox (n, body, attempts) VALUES (?, ?, ?)", rows)
    if also is not None:
        also(connection)


def _delete(connection: sqlite3.Connection, deletes: Answers) -> None:
    connection.executemany("DELETE FROM outbox WHERE n = ?", [(n,) for n in deletes])
    connection.executemany(
        "UPDATE transactions SET backend_id = ?, verdict = ? WHERE id = ?",
        [
            (told.backend_id, told.verdict, told.transaction_id)
            for told in deletes.values()
            if told.transaction_id
        ],
    )
