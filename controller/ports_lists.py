"""Where backend, station and store meet over the local authorization list and reservations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from controller.core.local_list import ListStatus, ListUpdate
    from controller.core.model import RequestStatus
    from controller.core.reservation import Reservation, ReservationEnd, ReserveStatus


class LocalListService(Protocol):
    """The list as a backend keeps it."""

    @property
    def enabled(self) -> bool:
        """The list counts and may be changed."""
        ...

    @property
    def version(self) -> int:
        """As the last update gave it; 0 = none yet."""
        ...

    @property
    def size(self) -> int:
        """How many tokens are listed."""
        ...

    @property
    def conflict(self) -> bool:
        """List and backend differ about a token; until the next update."""
        ...

    def on_conflict(self, listener: Callable[[], None]) -> None:
        """Call `listener` when `conflict` changes."""
        ...

    async def update(self, update: ListUpdate) -> ListStatus:
        """All of it or nothing; durable when this returns Accepted."""
        ...


class ReservationService(Protocol):
    """Reservations as a backend makes them."""

    async def reserve(self, reservation: Reservation) -> ReserveStatus:
        """Durable when this returns Accepted. One with the same id is replaced."""
        ...

    async def cancel(self, reservation_id: int) -> RequestStatus:
        """Rejected = there is no such reservation."""
        ...

    def on_end(self, listener: Callable[[Reservation, ReservationEnd], None]) -> None:
        """Call `listener` with each reservation that ended and how."""
        ...


class LocalListStore(Protocol):
    """The list on disk: entries as text (`info_to_text`) by casefolded token."""

    async def load(self) -> tuple[int, dict[str, str]]:
        """Version and entries; equal entries share one text."""
        ...

    def apply(
        self, version: int, changes: Mapping[str, str | None], *, full: bool
    ) -> Awaitable[None]:
        """One commit. None = remove; `full`: nothing else is left."""
        ...


class ReservationStore(Protocol):
    """Reservations on disk; a transaction's begin deletes the one it ends in its own commit."""

    async def load(self) -> list[Reservation]:
        """All of them."""
        ...

    def put(self, reservation: Reservation) -> Awaitable[None]:
        """Add or replace; durable when this returns."""
        ...

    def delete(self, reservation_id: int) -> Awaitable[None]:
        """Durable when this returns."""
        ...
