"""The security log: every event, the newest thousands of them, and which of them the backend waits for."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime

from controller.core.security_events import SecurityEvent, SecurityEventType
from controller.store.database import Database

LIMIT = 2_000
"""Events kept; those that the backend was not told yet stay in any case."""

Row = tuple[int, str, str, str]


class SecurityEventStore:
    """Rolling; one commit per `append`, whatever the number of events."""

    def __init__(self, database: Database, limit: int = LIMIT) -> None:
        self._database = database
        self._limit = limit

    async def last_n(self) -> int:
        """The number of the newest event; 0 = there was none."""

        def read(connection: sqlite3.Connection) -> int:
            # What another version wrote and this one has no name for would hold up all that wait behind.
            connection.execute(
                f"UPDATE security_events SET waits = 0 WHERE waits = 1 AND type NOT IN ({_MARKS})",  # noqa: S608
                tuple(SecurityEventType),
            )
            return int(
                connection.execute("SELECT coalesce(max(n), 0) FROM security_events").fetchone()[0]
            )

        return await self._database.write(read)

    def append(self, events: Sequence[tuple[SecurityEvent, bool]]) -> Awaitable[None]:
        """Keep events; True = the backend must be told. Durable when this returns; repeating does no harm."""
        rows = [
            (event.n, _text(event.at), event.type.value, event.tech_info, int(waits))
            for event, waits in events
        ]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT OR IGNORE INTO security_events VALUES (?, ?, ?, ?, ?)", rows
            )
            connection.execute(
                "DELETE FROM security_events WHERE waits = 0 AND "
                "n <= (SELECT max(n) FROM security_events) - ?",
                (self._limit,),
            )

        return self._database.write(write)

    async def waiting(self, limit: int) -> list[SecurityEvent]:
        """The oldest events that the backend must still be told."""

        def read(connection: sqlite3.Connection) -> list[Row]:
            return connection.execute(
                "SELECT n, at, type, tech_info FROM security_events WHERE waits = 1 "
                "ORDER BY n LIMIT ?",
                (limit,),
            ).fetchall()

        return [event for row in await self._database.write(read) if (event := _event(row))]

    def told(self, n: int) -> Awaitable[object]:
        """The backend knows this one."""
        return self._database.write(
            lambda c: c.execute("UPDATE security_events SET waits = 0 WHERE n = ?", (n,))
        )

    async def between(
        self, oldest: datetime | None, latest: datetime | None
    ) -> list[SecurityEvent]:
        """The log in order; None = no bound."""
        since = "" if oldest is None else _text(oldest)
        until = "9999" if latest is None else _text(latest)

        def read(connection: sqlite3.Connection) -> list[Row]:
            return connection.execute(
                "SELECT n, at, type, tech_info FROM security_events "
                "WHERE at >= ? AND at <= ? ORDER BY n",
                (since, until),
            ).fetchall()

        return [event for row in await self._database.write(read) if (event := _event(row))]

    async def clear(self) -> None:
        """Forget what the backend need not be told."""
        await self._database.write(
            lambda c: c.execute("DELETE FROM security_events WHERE waits = 0")
        )


_MARKS = ",".join("?" * len(SecurityEventType))


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _event(row: Row) -> SecurityEvent | None:
    """None = another version wrote it, and this one has no name for it."""
    n, at, kind, tech_info = row
    if kind not in SecurityEventType.__members__.values():
        return None
    return SecurityEvent(
        n=n, type=SecurityEventType(kind), at=datetime.fromisoformat(at), tech_info=tech_info
    )
