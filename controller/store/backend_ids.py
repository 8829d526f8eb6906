"""What the backend calls our transactions (1.6 integer ids); they stand in the table of transactions."""

from __future__ import annotations

import sqlite3

from controller.store.database import Database

NEVER_TOLD = -1
"""Backend id of a transaction whose start was undeliverable (R16-TX-4)."""

_IDS_KEPT = 256


class BackendIds:
    """The newest are in memory, also before the commit that stores them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids: dict[str, int] = {}

    def keep(self, transaction_id: str, backend_id: int) -> None:
        """Remember one; the oldest makes room."""
        self._ids.pop(transaction_id, None)
        while len(self._ids) >= _IDS_KEPT:
            self._ids.pop(next(iter(self._ids)))
        self._ids[transaction_id] = backend_id

    async def find(self, transaction_id: str) -> int | None:
        """None = not told (yet); -1 = its start was undeliverable."""
        if transaction_id in self._ids:
            return self._ids[transaction_id]

        def read(connection: sqlite3.Connection) -> int | None:
            row = connection.execute(
                "SELECT backend_id FROM transactions WHERE id = ?", (transaction_id,)
            ).fetchone()
            return None if row is None else row[0]

        found = await self._database.write(read)
        if found is not None:
            self.keep(transaction_id, found)
        return found
