"""Everything durable of the station, over one database file."""

from __future__ import annotations

from pathlib import Path

from controller.store.auth_cache import AuthCache
from controller.store.database import FILE, Database
from controller.store.local_list import LocalListTable
from controller.store.outbox import Outbox
from controller.store.profiles import StoredProfiles
from controller.store.reservations import ReservationTable
from controller.store.security_events import SecurityEventStore
from controller.store.transactions import Transactions
from controller.store.undelivered import Undelivered
from controller.store.values import StoredValues

__all__ = ["FILE", "Store"]


class Store:
    """`await Store.open(state_dir)` gives a store that is ready, `over` one on an open file."""

    def __init__(self, database: Database, values: StoredValues) -> None:
        self.database = database
        self.values = values
        self.outbox = Outbox(database)
        self.undelivered = Undelivered(database, self.outbox.append_all)
        self.transactions = Transactions(database, self.outbox)
        self.auth_cache = AuthCache(database)
        self.local_list = LocalListTable(database)
        self.reservations = ReservationTable(database)
        self.charging_profiles = StoredProfiles(database)
        self.security_events = SecurityEventStore(database)

    @classmethod
    async def open(cls, state_dir: Path) -> Store:
        """Open (create, migrate, check) the file. Raises StoreCorrupt if another station has it."""
        database = Database(state_dir / FILE)
        database.open()
        values = StoredValues(database)
        await values.load()
        return await cls.over(database, values)

    @classmethod
    async def over(cls, database: Database, values: StoredValues) -> Store:
        """All of it over an open file, of which the small values are loaded."""
        store = cls(database, values)
        await store.outbox.load()
        return store

    async def close(self) -> None:
        """Make durable what is not, then close the file."""
        flushed = self.outbox.flush()
        if flushed is not None:
            await flushed
        self.outbox.finish()
        await self.database.close()
