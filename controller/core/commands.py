"""What a session wants done, imperative. The actor executes them in order."""

from __future__ import annotations

from dataclasses import dataclass

from controller.core.charging_profile import ChargingProfile
from controller.core.model import IdToken, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class AskAuthorization:
    """Find out whether the token may charge; answer with AuthorizationDecided."""

    request: int
    id_token: IdToken


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBegin:
    """Read the register now (the contactor is open); answer with BeginRead."""

    read: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareRead:
    """A begin value will probably be needed in a moment: start the poll already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEnd:
    """Read by a poll that starts after `after_ns` plus the meter's refresh; answer with EndRead."""

    read: int
    after_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginTransaction:
    """Commit the transaction and its report. Nothing after this command happens if that fails.

    `charging_profile`: the TxProfile that its remote start came with.
    """

    transaction: Transaction
    charging_profile: ChargingProfile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeTransaction:
    """Commit what changed in the open transaction: its plug-in, its group, that its end was asked for.

    `vital`: nothing after it happens before it is stored. Otherwise the charge goes on, and can be
    stopped, with the disk full; it is stored with the next moment of life.
    """

    transaction: Transaction
    vital: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EndTransaction:
    """Commit the end and its report. `id_token`: only when a card ended it.

    `energy_wh` None = the last good value has to do (estimated).
    """

    transaction: Transaction
    id_token: IdToken | None
    energy_wh: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Offer current to this plug-in, until Pause or Withdraw."""

    plug_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Keep the transaction but offer 0 A."""

    plug_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """No permission any more: the guard makes the normal end."""

    plug_id: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockConnector:
    """Lock the cable in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlockConnector:
    """Give the cable back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkUsed:
    """Remember over a restart that this plug-in had its chance."""

    plug_id: int


Command = (
    AskAuthorization
    | ReadBegin
    | PrepareRead
    | ReadEnd
    | BeginTransaction
    | ChangeTransaction
    | EndTransaction
    | Permit
    | Pause
    | Withdraw
    | LockConnector
    | UnlockConnector
    | MarkUsed
)
