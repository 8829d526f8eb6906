"""The authorization cache: remembered answers of the backend, valid and invalid ones (R16-AUTH-5)."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

from controller.core.model import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType
from controller.store.database import Database

LIMIT = 10_000
"""Most entries kept; invalid ones leave first, then the oldest."""


class AuthCache:
    """Durable; one indexed look-up per card."""

    def __init__(self, database: Database, limit: int = LIMIT) -> None:
        self._database = database
        self._limit = limit

    async def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """The remembered answer as it was given (its expiry is the caller's business), or None."""

        def read(connection: sqlite3.Connection) -> tuple[str | None, ...] | None:
            row: tuple[str | None, ...] | None = connection.execute(
                "SELECT status, expires_at, group_token, group_type FROM auth_cache WHERE token = ?",
                (id_token.value.casefold(),),
            ).fetchone()
            return row

        row = await self._database.write(read)
        if row is None:
            return None
        status, expires_at, group, group_type = row
        return IdTokenInfo(
            status=AuthorizationStatus(str(status)),
            expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
            group=IdToken(group, IdTokenType(str(group_type))) if group is not None else None,
        )

    async def remember(self, id_token: IdToken, info: IdTokenInfo) -> None:
        """Keep an answer; an equal one writes nothing."""
        if await self.find(id_token) == info:
            return
        row = (
            id_token.value.casefold(),
            info.status.value,
            info.expires_at.isoformat() if info.expires_at else None,
            info.group.value if info.group else None,
            info.group.type.value if info.group else None,
            datetime.now(UTC).isoformat(),
        )

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO auth_cache VALUES (?, ?, ?, ?, ?, ?)", row)
            surplus = connection.execute("SELECT count(*) FROM auth_cache").fetchone()[0]
            if surplus > self._limit:
                connection.execute(
                    "DELETE FROM auth_cache WHERE token IN (SELECT token FROM auth_cache "
                    "WHERE token <> ? ORDER BY status = 'Accepted', stored_at LIMIT ?)",
                    (row[0], surplus - self._limit),
                )

        await self._database.write(write)

    async def clear(self) -> None:
        """Forget everything."""
        await self._database.write(lambda c: c.execute("DELETE FROM auth_cache"))
