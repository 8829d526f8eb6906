"""Where the siblings (station, ocpp, store, web) meet. `app.py` hands each what it needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from controller.core.charging_profile import ChargingProfile
    from controller.core.guard_messages import Fact, Snapshot
    from controller.core.model import (
        AvailabilityStatus,
        EvseView,
        IdToken,
        IdTokenInfo,
        MeterSample,
        Report,
        RequestStatus,
        ResetKind,
        UnlockStatus,
    )
    from controller.ports_charging import ChargingProfiles
    from controller.ports_lists import LocalListService, ReservationService
    from controller.ports_maintenance import Maintenance
    from controller.ports_prices import Prices
    from controller.ports_security import Security


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEntry:
    """The oldest undelivered report. `n` orders all entries; `attempts` were refused so far.

    What makes a message id lies in here, so a repeated frame carries the same one without storing it.
    """

    n: int
    report: Report
    attempts: int


class OutboxStore(Protocol):
    """Durable FIFO of reports, and what the backend calls our transactions (1.6 integer ids)."""

    async def head(self) -> OutboxEntry | None:
        """The oldest entry, without loading the rest."""
        ...

    async def refused(self, n: int) -> int:
        """Count a CALLERROR; returns the attempts so far."""
        ...

    async def delivered(
        self,
        n: int,
        backend_transaction_id: int | None = None,
        verdict: IdTokenInfo | None = None,
    ) -> None:
        """Delete the entry; for a start also keep the backend's id and its verdict about the card,
        in the same commit: who dies before acting on a refusal finds it after the restart.
        """
        ...

    async def undeliverable(self, n: int, error: str) -> None:
        """Move the entry to `undelivered` (kept, shown, re-sendable)."""
        ...

    async def backend_transaction_id(self, transaction_id: str) -> int | None:
        """The backend's integer id; None = not told (yet); -1 = its start was undeliverable."""
        ...

    async def count(self) -> int:
        """How many entries wait."""
        ...


class ValueStore(Protocol):
    """Small durable values by name: changed settings, availability, network profile …"""

    async def get(self, name: str) -> str | None:
        """The stored text, or None."""
        ...

    async def put(self, name: str, value: str | None) -> None:
        """Store or (None) delete; durable when this returns."""
        ...

    async def all(self, prefix: str) -> dict[str, str]:
        """All values whose name starts with `prefix`."""
        ...


class Backend(Protocol):
    """The operator's system as the station sees it (`ocpp/…`; `ocpp/none.py` stand-alone)."""

    @property
    def connected(self) -> bool:
        """BootNotification accepted on the connection that is up now."""
        ...

    @property
    def ever_accepted(self) -> bool:
        """BootNotification was accepted at least once by this installation (survives restarts)."""
        ...

    @property
    def why(self) -> str:
        """How the link stands, in one sentence; "" = there is nothing to tell."""
        ...

    async def run(self) -> None:
        """Keep the link up for ever."""
        ...

    async def authorize(self, token: IdToken) -> IdTokenInfo:
        """Ask. Raises BackendUnavailable when there is no answer to be had (at once when the link is down)."""
        ...

    def evse_changed(self, view: EvseView) -> None:
        """A view changed; the adapter decides whether that is a status to send."""
        ...

    def reports_waiting(self) -> None:
        """The outbox has new entries."""
        ...

    async def connect(self) -> None:
        """Connect at once, no back-off left (bench, CLI)."""
        ...

    async def disconnect(self) -> None:
        """Drop the link and stay off until `connect` or a restart (bench, CLI)."""
        ...

    def frames(self) -> list[tuple[str, list[Any]]]:
        """The last frames, oldest first: ("out" | "in", parsed array); secrets are blanked."""
        ...


class StationControl(Protocol):
    """What a backend (or the page) may ask of the station. Answers come at once; work follows."""

    def evses(self) -> tuple[int, ...]:
        """All EVSE ids, 1-based."""
        ...

    def view(self, evse: int) -> EvseView:
        """One EVSE now."""
        ...

    def transaction(self, transaction_id: str) -> int | None:
        """The EVSE on which this transaction runs, or None."""
        ...

    async def remote_start(
        self,
        token: IdToken,
        evse: int | None,
        remote_start_id: int | None = None,
        charging_profile: ChargingProfile | None = None,
    ) -> RequestStatus:
        """Accepted = will try. `charging_profile`: the TxProfile of the transaction that starts."""
        ...

    async def remote_stop(self, transaction_id: str) -> RequestStatus:
        """Stop the running transaction with this id (ours)."""
        ...

    async def change_availability(self, evse: int | None, operative: bool) -> AvailabilityStatus:
        """None = all. Persistent."""
        ...

    async def reset(self, kind: ResetKind) -> RequestStatus:
        """Ends transactions with SoftReset / HardReset, then restarts."""
        ...

    async def unlock(self, evse: int) -> UnlockStatus:
        """Ends a running transaction (UnlockCommand) first."""
        ...

    async def clear_cache(self) -> RequestStatus:
        """Forget all cached authorizations."""
        ...

    async def start_answered(self, transaction_id: str, info: IdTokenInfo) -> None:
        """The backend answered a TransactionStarted; not Accepted acts by StopTransactionOnInvalidId."""
        ...

    async def remember(self, token: IdToken, info: IdTokenInfo) -> None:
        """Put an answer into the authorization cache (never tokens of the local list)."""
        ...

    async def registered(self, first: bool) -> None:
        """BootNotification accepted; `first` since this start."""
        ...

    def sample(self, evse: int, measurands: str) -> MeterSample | None:
        """Current values for a trigger. `measurands`: comma-separated; None = meter not readable."""
        ...


class GuardLink(Protocol):
    """The station's end of the guard's socket; repeats each offer every second until withdrawn."""

    @property
    def connected(self) -> bool:
        """The socket is up and Welcome was received."""
        ...

    @property
    def guard_id(self) -> str:
        """Identity of the guard process; "" before the first Welcome."""
        ...

    @property
    def boot_id(self) -> str:
        """Identity of the host's boot as the guard told it."""
        ...

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest snapshot."""
        ...

    def offer(self, evse: int, plug_id: int, max_amps: float, phases: int) -> None:
        """Permit this plug-in; sent at once and then every second."""
        ...

    def withdraw(self, evse: int, plug_id: int, why: str = "") -> None:
        """End the permission."""
        ...

    def raise_fault(self, evse: int, name: str, detail: str = "") -> None:
        """Tell a fault only the station sees."""
        ...

    def clear_fault(self, evse: int, name: str, by: str = "cause") -> None:
        """The cause is gone, or (by="command") a person clears the latch."""
        ...

    def lock(self, evse: int, *, keep: bool = False) -> None:
        """Lock the connector. `keep`: unplugging at the vehicle does not unlock it."""
        ...

    def unlock(self, evse: int) -> None:
        """Unlock the connector."""
        ...

    def facts(self) -> AsyncIterator[Fact | Snapshot]:
        """All facts in order (also those missed while the station was down), and snapshots."""
        ...

    async def run(self) -> None:
        """Keep the socket up for ever."""
        ...


class SnapshotSource(Protocol):
    """What the page and `status` show. Keys: see docs/architecture.md."""

    def snapshot(self) -> Mapping[str, Any]:
        """JSON-able state of everything."""
        ...

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` at each change; returns the function that ends it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What a backend may use beside `StationControl`; None = this station does not have it."""

    charging_profiles: ChargingProfiles | None = None
    local_list: LocalListService | None = None
    reservations: ReservationService | None = None
    prices: Prices | None = None
    security: Security | None = None
    maintenance: Maintenance | None = None
