"""The durable queue of reports to the backend, oldest first (DESIGN §1.5, R16-TX-1 to -5).

Rows of the table come first, then a volatile tail of meter values in memory, which every durable
append and every minute turn into rows. Only the next rows are held in memory, however long the queue.
Message ids are not stored: they follow from `n`, the attempts and the report, so that a repeated frame
carries the same id also after a power cut, without a write before each frame.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from controller.core.hindsight import Hindsight
from controller.core.model import IdTokenInfo, MeterValuesTaken, Report, TransactionStarted
from controller.ports import OutboxEntry
from controller.store.answers import Answers, Told
from controller.store.backend_ids import NEVER_TOLD, BackendIds
from controller.store.codec import report_to_text
from controller.store.database import Database
from controller.store.hindsight import Corrections
from controller.store.undelivered import now, put_aside, put_row_aside, readable
from controller.store.verdicts import verdict_to_text

_log = logging.getLogger(__name__)

_AHEAD = 64
"""Rows read at once; at most twice as many are held."""
_COUNTED = 4096
"""Up to so many rows are counted at the start; of more the difference of the ends has to do."""
_MOST_IN_MEMORY = 4096
"""So many wait in memory while the disk takes nothing; then every second meter value leaves (R16-TX-3)."""

Rows = list[tuple[int, str, int]]
Also = Callable[[sqlite3.Connection], None]
"""What goes into the same commit."""


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
        self._answers = Answers(database, self._rows_gone)
        self._backend_ids = BackendIds(database)
        self._corrections = Corrections(database)
        self._shown_n = 0

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

    def append(self, report: Report, also: Also | None = None) -> asyncio.Future[None]:
        """Make the report durable together with `also`, in one commit; volatile ones go first."""
        return self.append_all([report], also)

    def append_all(
        self, reports: Sequence[Report], also: Also | None = None
    ) -> asyncio.Future[None]:
        """The same for several: all of them or none."""
        return self._store([*self._take_tail(), *map(self._entry, reports)], also)

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

    def _store(self, entries: list[OutboxEntry], also: Also | None) -> asyncio.Future[None]:
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
        first, last = max(first_n, self._shown_n + 1), self._next_n - 1

        def moved(entry: OutboxEntry) -> OutboxEntry:
            if not first <= entry.n <= last:
                return entry
            return replace(entry, report=hindsight.report(entry.report))

        def corrected() -> None:
            self._ahead = deque(map(moved, self._ahead))
            self._tail = deque(map(moved, self._tail))
            self._moving = {n: moved(entry) for n, entry in self._moving.items()}

        return self._corrections.start(first, last, hindsight, mark, corrected)

    # --- the backend's side -----------------------------------------------------------------------

    async def head(self) -> OutboxEntry | None:
        """The oldest entry, without loading the rest; its times are as right as they will be."""
        while True:
            await self._corrections.done()
            entry = await self._oldest()
            if not self._corrections.under_way:
                if entry is not None:
                    self._shown_n = max(self._shown_n, entry.n)
                return entry

    async def _oldest(self) -> OutboxEntry | None:
        """The oldest entry.

        What was answered before it is deleted by then, but for the last one, whose commit runs while
        the next is on its way: a power cut repeats at most two, with their ids. A full disk stops nothing.
        """
        await self._answers.all_but_one_deleted()
        while not self._ahead:
            if not self._ahead_is_all:
                await self._read_ahead()
            elif self._in_flight:
                await asyncio.wait([self._in_flight[-1]])
            else:
                self._rows = len(self._answers)
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
        told = Told()
        if isinstance(entry.report, TransactionStarted) and backend_transaction_id is not None:
            told = Told(
                transaction_id=entry.report.transaction_id,
                backend_id=backend_transaction_id,
                verdict=None if verdict is None else verdict_to_text(verdict),
            )
            self._backend_ids.keep(told.transaction_id, backend_transaction_id)
        self._answers.add(n, told)

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
        told = Told(transaction_id=transaction_id, backend_id=NEVER_TOLD)

        def moved() -> None:
            self._take(n)
            if transaction_id:
                self._backend_ids.keep(transaction_id, NEVER_TOLD)

        await self._answers.add_with(n, told, lambda c: put_aside(c, text, error, at), moved)

    async def backend_transaction_id(self, transaction_id: str) -> int | None:
        """The backend's integer id; None = not told (yet); -1 = its start was undeliverable."""
        return await self._backend_ids.find(transaction_id)

    async def count(self) -> int:
        """How many entries wait."""
        return self.waiting

    @property
    def waiting(self) -> int:
        """How many entries wait, those in memory included."""
        return self._rows + len(self._tail)

    def finish(self) -> None:
        """Delete at once what was answered, before the store closes."""
        self._answers.delete_now()

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
                elif n not in self._answers:
                    self._ahead.append(OutboxEntry(n=n, report=report, attempts=attempts))
            self._ahead_is_all = len(rows) < _AHEAD
            if rows and not self._ahead:
                self._gone_n = rows[-1][0]

        await self._database.write(read, keep)
        for n, body in unreadable:
            _log.error("outbox: entry %d cannot be read, it is put aside: %.200s", n, body)
            try:
                await self._database.write(partial(put_row_aside, n), lambda _: self._rows_gone(1))
            except sqlite3.Error as error:
                _log.error("outbox: entry %d stays where it is: %s", n, error)

    def _rows_gone(self, count: int) -> None:
        self._rows -= count

    def _take(self, n: int) -> OutboxEntry | None:
        """Remove from memory; None = it is not at the head (a repeated answer)."""
        self._gone_n = max(self._gone_n, n)
        if self._ahead and self._ahead[0].n == n:
            return self._ahead.popleft()
        if self._tail and self._tail[0].n == n:
            self._rows += 1  # it never was a row; when it is deleted it counts as one
            return self._tail.popleft()
        return self._moving.pop(n, None)


def _insert(connection: sqlite3.Connection, rows: Rows, also: Also | None) -> None:
    connection.executemany("INSERT INTO outbox (n, body, attempts) VALUES (?, ?, ?)", rows)
    if also is not None:
        also(connection)
