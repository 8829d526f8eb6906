"""The local authorization list on disk: each update is one commit (R16-LL-1)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping

from controller.store.database import Database


class LocalListTable:
    """Read whole at the start, so that a card needs no look-up on disk; written by change."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> tuple[int, dict[str, str]]:
        """Version and entries by casefolded token; equal entries share one text."""
        return await self._database.write(_read)

    def apply(
        self, version: int, changes: Mapping[str, str | None], *, full: bool
    ) -> asyncio.Future[None]:
        """One commit. None = remove; `full`: nothing else is left."""

        def write(connection: sqlite3.Connection) -> None:
            if full:
                connection.execute("DELETE FROM local_list")
            gone = ((token,) for token, info in changes.items() if info is None)
            connection.executemany("DELETE FROM local_list WHERE token = ?", gone)
            connection.executemany(
                "INSERT OR REPLACE INTO local_list (token, info) VALUES (?, ?)",
                (row for row in changes.items() if row[1] is not None),
            )
            connection.execute("UPDATE local_list_version SET version = ?", (version,))

        return self._database.write(write)


def _read(connection: sqlite3.Connection) -> tuple[int, dict[str, str]]:
    (version,) = connection.execute("SELECT version FROM local_list_version").fetchone()
    same: dict[str, str] = {}
    rows = connection.execute("SELECT token, info FROM local_list")
    return version, {token: same.setdefault(info, info) for token, info in rows}
