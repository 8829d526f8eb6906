"""Small durable values by name; all of them are kept in memory as well."""

from __future__ import annotations

import sqlite3

from controller.store.database import Database


class StoredValues:
    """The ValueStore of `controller/ports.py`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._values: dict[str, str] = {}

    async def load(self) -> None:
        """Read everything once."""

        def read(connection: sqlite3.Connection) -> dict[str, str]:
            return dict(connection.execute("SELECT name, value FROM stored_values"))

        self._values = await self._database.write(read)

    async def get(self, name: str) -> str | None:
        """The stored text, or None."""
        return self._values.get(name)

    async def put(self, name: str, value: str | None) -> None:
        """Store or (None) delete; durable when this returns. An equal value writes nothing."""
        if self._values.get(name) == value:
            return

        def write(connection: sqlite3.Connection) -> None:
            if value is None:
                connection.execute("DELETE FROM stored_values WHERE name = ?", (name,))
            else:
                connection.execute(
                    "INSERT INTO stored_values (name, value) VALUES (?, ?) "
                    "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    (name, value),
                )

        def keep(_: None) -> None:
            if value is None:
                self._values.pop(name, None)
            else:
                self._values[name] = value

        await self._database.write(write, keep)

    async def all(self, prefix: str) -> dict[str, str]:
        """All values whose name starts with `prefix`."""
        return {n: v for n, v in self._values.items() if n.startswith(prefix)}
