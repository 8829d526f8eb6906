"""What the station asks of its store; `controller/store` has it all, `app.py` hands it over."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import Any, Protocol

from controller.core.hindsight import Hindsight
from controller.core.model import IdToken, IdTokenInfo, Report, Transaction
from controller.ports import ValueStore
from controller.ports_lists import LocalListStore, ReservationStore


class AuthCacheStore(Protocol):
    """Remembered answers of the backend."""

    async def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """The remembered answer, or None."""
        ...

    async def remember(self, id_token: IdToken, info: IdTokenInfo) -> None:
        """Keep an answer."""
        ...

    async def clear(self) -> None:
        """Forget everything."""
        ...


class TransactionStore(Protocol):
    """Transactions, each change in one commit with its report."""

    def begin(self, transaction: Transaction, report: Report | None) -> Awaitable[None]:
        """Durable when this returns."""
        ...

    def change(self, transaction: Transaction) -> Awaitable[None]:
        """Another plug-in or group."""
        ...

    def end(self, transaction: Transaction, report: Report | None) -> Awaitable[None]:
        """Durable when this returns."""
        ...

    def alive(
        self, evse: int, transaction_id: str, at: datetime, meter_wh: float
    ) -> Awaitable[None]:
        """The last moment of life."""
        ...

    async def open_transactions(self) -> dict[int, Transaction]:
        """By EVSE."""
        ...

    async def verdicts(self) -> dict[str, IdTokenInfo]:
        """What the backend said about the cards of open transactions, by transaction."""
        ...

    async def last(self, evse: int) -> Transaction | None:
        """The newest one of an EVSE."""
        ...


class ReportQueue(Protocol):
    """The outbox as its writer sees it."""

    @property
    def waiting(self) -> int:
        """How many entries wait."""
        ...

    def append(self, report: Report) -> Awaitable[None]:
        """Durable when it is done, after everything that waits already."""
        ...

    def append_volatile(self, report: Report) -> None:
        """Queue in memory, in order with the rest."""
        ...

    def flush(self) -> Awaitable[None] | None:
        """Make what is volatile durable; None = nothing to do."""
        ...

    @property
    def next_n(self) -> int:
        """The number of the entry that comes next."""
        ...

    def correct(self, first_n: int, hindsight: Hindsight, mark: str | None) -> Awaitable[None]:
        """Move all stored times since entry `first_n`; nothing is sent before that is done."""
        ...


class UndeliveredReports(Protocol):
    """What the backend refused to the end."""

    async def count(self) -> int:
        """How many there are."""
        ...

    async def as_text(self) -> list[dict[str, object]]:
        """All of them, for a person."""
        ...

    async def send_again(self, number: int) -> bool:
        """Put one at the end of the queue; False = no such number."""
        ...


class StoreProbe(Protocol):
    """The database itself."""

    durable: bool
    note: str

    async def probe(self) -> None:
        """Returns when the store still works."""
        ...


class StationStore(Protocol):
    """All of them."""

    @property
    def transactions(self) -> TransactionStore:
        """Transactions."""
        ...

    @property
    def outbox(self) -> ReportQueue:
        """Reports that wait."""
        ...

    @property
    def undelivered(self) -> UndeliveredReports:
        """Reports that were put aside."""
        ...

    @property
    def values(self) -> ValueStore:
        """Small values."""
        ...

    @property
    def auth_cache(self) -> AuthCacheStore:
        """Remembered answers."""
        ...

    @property
    def local_list(self) -> LocalListStore:
        """The local authorization list."""
        ...

    @property
    def reservations(self) -> ReservationStore:
        """Reservations."""
        ...

    @property
    def database(self) -> StoreProbe:
        """For the watchdog."""
        ...


Json = dict[str, Any]
