"""Everything durable of the station, over one database file."""

from __future__ import annotations

from pathlib import Path

from controller.store.auth_cache import AuthCache
from controller.store.database import Database
from controller.store.local_list import LocalListTable
from controller.store.outbox import Outbox
from controller.store.profiles import StoredProfiles
from controller.store.reservations import ReservationTable
from controller.store.security_events import SecurityEventStore
from controller.store.transactions import Transactions
from controller.store.values import StoredValues

FILE = "station.db"


class Store:
    """`await Store.open(state_dir)` gives a store that is ready."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.outbox = Outbox(database)
        self.transactions = Transactions(database, self.outbox)
        self.values = StoredValues(database)
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
        store = cls(database)
        await store.outbox.load()
        await store.values.load()
        return store

    async def close(self) -> None:
        """Make durable what is not, then close the file."""
        flushed = self.outbox.flush()
        if flushed is not None:
            await flushed
        self.outbox.finish()
        await self.database.close()
