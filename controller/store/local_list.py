"""The local authorization list on disk: each update is one commit (R16-LL-1)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from datetime import datetime

from controller.core.model import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType
from controller.store.database import Database

Row = tuple[str, str, str | None, str | None, str | None]


class LocalListTable:
    """Read whole at the start, so that a card needs no look-up on disk; written by change."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> tuple[int, dict[str, IdTokenInfo]]:
        """Version and entries by casefolded token; equal entries share one object."""
        return await self._database.write(_read)

    def apply(
        self, version: int, changes: Mapping[str, IdTokenInfo | None], *, full: bool
    ) -> asyncio.Future[None]:
        """One commit. None = remove; `full`: nothing else is left."""

        def write(connection: sqlite3.Connection) -> None:
            if full:
                connection.execute("DELETE FROM local_list")
            gone = ((token,) for token, info in changes.items() if info is None)
            connection.executemany("DELETE FROM local_list WHERE token = ?", gone)
            connection.executemany(
                "INSERT OR REPLACE INTO local_list "
                "(token, status, expires_at, group_token, group_type) VALUES (?, ?, ?, ?, ?)",
                (_row(token, info) for token, info in changes.items() if info is not None),
            )
            connection.execute("UPDATE local_list_version SET version = ?", (version,))

        return self._database.write(write)


def _read(connection: sqlite3.Connection) -> tuple[int, dict[str, IdTokenInfo]]:
    (version,) = connection.execute("SELECT version FROM local_list_version").fetchone()
    infos: dict[tuple[str | None, ...], IdTokenInfo] = {}
    found: dict[str, IdTokenInfo] = {}
    for token, status, expires_at, group, group_type in connection.execute(
        "SELECT token, status, expires_at, group_token, group_type FROM local_list"
    ):
        key = (status, expires_at, group)
        info = infos.get(key)
        if info is None:
            info = infos[key] = _info(status, expires_at, group, group_type)
        found[token] = info
    return version, found


def _info(status: str, expires_at: str | None, group: str | None, group_type: str) -> IdTokenInfo:
    return IdTokenInfo(
        status=AuthorizationStatus(status),
        expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
        group=IdToken(group, IdTokenType(group_type)) if group is not None else None,
    )


def _row(token: str, info: IdTokenInfo) -> Row:
    group = info.group
    return (
        token,
        info.status.value,
        info.expires_at.isoformat() if info.expires_at else None,
        group.value if group else None,
        group.type.value if group else None,
    )
