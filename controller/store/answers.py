"""What the backend answered, until a commit has taken it off the queue."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controller.store.database import Database

_log = logging.getLogger(__name__)

_DELETE_RETRY_S = 5.0
"""What could not be deleted (a full disk) is tried again after this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the answer to a start told about its transaction; "" = it was no start."""

    transaction_id: str = ""
    backend_id: int | None = None
    verdict: str | None = None


class Answers:
    """By number of the entry. A commit that fails is asked for again until it succeeds."""

    def __init__(self, database: Database, gone: Callable[[int], None]) -> None:
        """`gone` gets how many entries a commit has deleted."""
        self._database = database
        self._gone = gone
        self._told: dict[int, Told] = {}
        self._deleting: deque[asyncio.Future[None]] = deque()
        self._asked: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._told)

    def __contains__(self, n: int) -> bool:
        return n in self._told

    def add(self, n: int, told: Told) -> None:
        """Entry `n` is answered; its commit is under way when this returns."""
        self._told[n] = told
        self._delete()

    def add_with(
        self,
        n: int,
        told: Told,
        also: Callable[[sqlite3.Connection], None],
        then: Callable[[], None],
    ) -> asyncio.Future[None]:
        """Entry `n` counts as answered when `also` is committed; if that fails, nothing has changed."""
        deletes = {**self._told, n: told}

        def write(connection: sqlite3.Connection) -> None:
            _delete(connection, deletes)
            also(connection)

        def committed() -> None:
            then()
            self._told[n] = told

        return self._write(write, deletes, committed)

    async def all_but_one_deleted(self) -> None:
        """Returns when at most one commit is under way."""
        while len(self._deleting) > 1:
            await asyncio.wait([self._deleting[0]])

    def delete_now(self) -> None:
        """Try at once what waits for another try."""
        if self._told:
            self._delete()

    def _delete(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deletes = {n: told for n, told in self._told.items() if n not in self._asked}
        self._asked.update(deletes)

        def done(future: asyncio.Future[None]) -> None:
            self._deleting.remove(future)
            self._asked.difference_update(deletes)
            if not future.cancelled() and future.exception() is not None:
                _log.warning("outbox: what was answered is not deleted yet: %s", future.exception())
                if self._timer is None:
                    loop = asyncio.get_running_loop()
                    self._timer = loop.call_later(_DELETE_RETRY_S, self._delete)

        deleting = self._write(lambda c: _delete(c, deletes), deletes)
        self._deleting.append(deleting)
        deleting.add_done_callback(done)

    def _write(
        self,
        write: Callable[[sqlite3.Connection], None],
        deletes: Mapping[int, Told],
        committed: Callable[[], None] = lambda: None,
    ) -> asyncio.Future[None]:
        """Run `write`; when it is committed, `deletes` need not be repeated."""

        def deleted(_: None) -> None:
            committed()
            self._gone(sum(self._told.pop(n, None) is not None for n in deletes))

        return self._database.write(write, deleted)


def _delete(connection: sqlite3.Connection, deletes: Mapping[int, Told]) -> None:
    connection.executemany("DELETE FROM outbox WHERE n = ?", [(n,) for n in deletes])
    connection.executemany(
        "UPDATE transactions SET backend_id = ?, verdict = ? WHERE id = ?",
        [
            (told.backend_id, told.verdict, told.transaction_id)
            for told in deletes.values()
            if told.transaction_id
        ],
    )
