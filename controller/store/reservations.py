"""Reservations on disk; they survive a restart until they end (R16-RES-1)."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from datetime import datetime
from typing import Any

from controller.core.model import IdToken, IdTokenType
from controller.core.reservation import Reservation
from controller.store.database import Database

_log = logging.getLogger(__name__)

_READ = (
    "SELECT id, evse, token, token_type, group_token, group_type, expires_at "
    "FROM reservations ORDER BY id"
)
_PUT = (
    "INSERT OR REPLACE INTO reservations "
    "(id, evse, token, token_type, group_token, group_type, expires_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)


class ReservationTable:
    """A handful of rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> list[Reservation]:
        """All of them; what cannot be read is left out and told."""

        def read(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
            return connection.execute(_READ).fetchall()

        found = []
        for row in await self._database.write(read):
            try:
                found.append(_reservation(*row))
            except ValueError as error:
                _log.error("store: reservation %d cannot be read: %s", row[0], error)
        return found

    def put(self, reservation: Reservation) -> asyncio.Future[None]:
        """Add or replace; durable when the future ends."""
        r = reservation
        row = (
            r.id,
            r.evse,
            r.id_token.value,
            r.id_token.type.value,
            r.group.value if r.group else None,
            r.group.type.value if r.group else None,
            r.expires_at.isoformat(),
        )

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(_PUT, row)

        return self._database.write(write)

    def delete(self, reservation_id: int) -> asyncio.Future[None]:
        """Durable when the future ends."""
        return self._database.write(lambda c: end_reservation(c, reservation_id))


def end_reservation(connection: sqlite3.Connection, reservation_id: int) -> None:
    """For the commit that begins the transaction of the reservation's driver."""
    connection.execute("DELETE FROM reservations WHERE id = ?", (reservation_id,))


def _reservation(
    number: int,
    evse: int | None,
    token: str,
    token_type: str,
    group: str | None,
    group_type: Any,
    expires_at: str,
) -> Reservation:
    return Reservation(
        id=number,
        evse=evse,
        id_token=IdToken(token, IdTokenType(token_type)),
        group=IdToken(group, IdTokenType(group_type)) if group is not None else None,
        expires_at=datetime.fromisoformat(expires_at),
    )
