"""What a session is told, past tense. `session.EvseSession.feed` is the only reader."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from controller.core.authorization import Decision
from controller.core.charging_profile import ChargingProfile
from controller.core.model import (
    IdToken,
    IdTokenInfo,
    SignedMeterValue,
    StopReason,
    Transaction,
)
from controller.core.reservation import Hold


@dataclass(frozen=True, slots=True)
class Moment:
    """When a fact is fed. `mono_s`: monotonic seconds for timers; `utc`: aware, for what is reported."""

    mono_s: float
    utc: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardJoined:
    """The guard told everything it knows: at the station's start and after each guard restart.

    `plug_id` None = no cable. `unplugged_at`: when the plug-in of the open transaction ended, if the
    guard remembers it. `used`: this plug-in already had its chance (transaction or time-out).
    `reset`: the reason of a Reset that the station was about to do. `orderly`: the station before
    this one was told to stop. `contactor_opened_ns`: CLOCK_MONOTONIC, 0 = not known.
    `refused`: the transaction of this plug-in that its card's refusal ended. `offered`: the guard permits current to this plug-in.
    """

    guard_id: str
    boot_id: str
    plug_id: int | None
    contactor_closed: bool
    contactor_opened_ns: int = 0
    unplugged_at: datetime | None = None
    used: bool = False
    reset: StopReason | None = None
    orderly: bool = False
    offered: bool = False
    refused: Transaction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlugSeen:
    """A cable with this number is in (None = no cable). Repeating it changes nothing."""

    plug_id: int | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactorSeen:
    """What the mirror contact says; `at_ns` is CLOCK_MONOTONIC of the change."""

    closed: bool
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferSeen:
    """The guard permits current to this plug-in."""

    plug_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPresented:
    """A token was shown for this EVSE."""

    id_token: IdToken


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationDecided:
    """The answer to the AskAuthorization with this number."""

    request: int
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """Somebody already authorized may charge here: remote start, or a card shown before the plug-in."""

    id_token: IdToken
    group: IdToken | None = None
    remote_start_id: int | None = None
    offline: bool = False
    remote: bool = False
    charging_profile: ChargingProfile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteStartAsked:
    """A remote start that must be authorized first (AuthorizeRemoteTxRequests)."""

    id_token: IdToken
    remote_start_id: int | None = None
    charging_profile: ChargingProfile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAsked:
    """The transaction has to end."""

    reason: StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRejected:
    """The backend does not accept the token of the running transaction."""

    transaction_id: str
    info: IdTokenInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLearnt:
    """The backend told the group of the running transaction's token."""

    transaction_id: str
    group: IdToken


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginRead:
    """The register before the contactor may close; None = not readable and never known.

    `read` is the number of the ReadBegin it answers.
    `signed`: as the meter signed it. `unsigned`: why there is no signature although there must be one.
    `refused`: why nothing begins.
    """

    read: int
    energy_wh: float | None
    signed: SignedMeterValue | None = None
    unsigned: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRead:
    """The register after the contactor opened; `read` is the number of the ReadEnd it answers.

    `energy_wh` None = not readable in time. `signed`: as the meter signed it.
    """

    read: int
    energy_wh: float | None
    signed: SignedMeterValue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyMeasured:
    """A good poll during the transaction."""

    energy_wh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedSeen:
    """Why no new transaction may start here ("" = it may): a fault, or out of service."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldSeen:
    """What reservations mean here from now on."""

    hold: Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class CableFreed:
    """Somebody had the connector unlocked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailed:
    """The begin of the transaction could not be stored."""

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Nothing happened but time."""


Fact = (
    GuardJoined
    | PlugSeen
    | ContactorSeen
    | OfferSeen
    | CardPresented
    | AuthorizationDecided
    | Granted
    | RemoteStartAsked
    | StopAsked
    | TokenRejected
    | GroupLearnt
    | BeginRead
    | EndRead
    | EnergyMeasured
    | BlockedSeen
    | HoldSeen
    | CableFreed
    | StoreFailed
    | Tick
)
