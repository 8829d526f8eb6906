"""The authorization cache: remembered answers of the backend, valid and invalid ones (R16-AUTH-5)."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

from controller.core.model import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType
from controller.store.database import Database

LIMIT = 10_000
"""Most entries kept; invalid ones leave first, then the oldest."""
_LATELY = 32
"""Entries remembered in memory too."""


class AuthCache:
    """Durable; one indexed look-up per card."""

    def __init__(self, database: Database, limit: int = LIMIT) -> None:
        self._database = database
        self._limit = limit
        self._lately: dict[str, IdTokenInfo] = {}  # as it stands in the table

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
        key, lately = id_token.value.casefold(), self._lately
        if lately.get(key) == info:
            return
        if await self.find(id_token) == info:
            _keep(lately, key, info)
            return
        lately.pop(key, None)
        row = (
            key,
            info.status.value,
            info.expires_at.isoformat() if info.expires_at else None,
            info.group.value if info.group else None,
            info.group.type.value if info.group else None,
            datetime.now(UTC).isoformat(),
        )

        def write(connection: sqlite3.Connection) -> bool:
            connection.execute("INSERT OR REPLACE INTO auth_cache VALUES (?, ?, ?, ?, ?, ?)", row)
            surplus = connection.execute("SELECT count(*) FROM auth_cache").fetchone()[0]
            if surplus > self._limit:
                connection.execute(
                    "DELETE FROM auth_cache WHERE token IN (SELECT token FROM auth_cache "
                    "WHERE token <> ? ORDER BY status = 'Accepted', stored_at LIMIT ?)",
                    (row[0], surplus - self._limit),
                )
            return bool(surplus > self._limit)

        if await self._database.write(write):
            lately.clear()
        _keep(lately, key, info)

    async def clear(self) -> None:
        """Forget everything."""
        self._lately = {}  # a `remember` under way keeps the old one
        await self._database.write(lambda c: c.execute("DELETE FROM auth_cache"))


def _keep(lately: dict[str, IdTokenInfo], key: str, info: IdTokenInfo) -> None:
    """A replay answers for the same few cards again and again: no read for each."""
    if len(lately) >= _LATELY:
        lately.pop(next(iter(lately)))
    lately[key] = info
