"""The domain in OCPP 2.x words. OCPP 1.6 is a projection of it (`ocpp/v16/translate.py`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class IdTokenType(StrEnum):
    """IdTokenEnumType; what is read by a card reader is ISO14443 (or Local for other texts)."""

    CENTRAL = "Central"
    EMAID = "eMAID"
    ISO14443 = "ISO14443"
    ISO15693 = "ISO15693"
    KEY_CODE = "KeyCode"
    LOCAL = "Local"
    NO_AUTHORIZATION = "NoAuthorization"


@dataclass(frozen=True, slots=True)
class IdToken:
    """A credential. Compare with `same_as`: tokens are case-insensitive."""

    value: str
    type: IdTokenType = IdTokenType.ISO14443

    def same_as(self, other: IdToken | None) -> bool:
        """Equal without regard to case (CiString)."""
        return other is not None and self.value.casefold() == other.value.casefold()


class AuthorizationStatus(StrEnum):
    """AuthorizationStatusEnumType of 2.0.1; 1.6 has the first five."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    CONCURRENT_TX = "ConcurrentTx"
    NO_CREDIT = "NoCredit"
    NOT_ALLOWED_TYPE_EVSE = "NotAllowedTypeEVSE"
    NOT_AT_THIS_LOCATION = "NotAtThisLocation"
    NOT_AT_THIS_TIME = "NotAtThisTime"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdTokenInfo:
    """What is known about a token. `expires_at`: aware UTC; `group`: 1.6 parentIdTag."""

    status: AuthorizationStatus
    expires_at: datetime | None = None
    group: IdToken | None = None


class StopReason(StrEnum):
    """Why a transaction ended; 2.x ReasonEnumType where it has the word, else 1.6's."""

    LOCAL = "Local"
    REMOTE = "Remote"
    EV_DISCONNECTED = "EVDisconnected"
    DE_AUTHORIZED = "DeAuthorized"
    EMERGENCY_STOP = "EmergencyStop"
    POWER_LOSS = "PowerLoss"
    REBOOT = "Reboot"
    SOFT_RESET = "SoftReset"
    HARD_RESET = "HardReset"
    UNLOCK_COMMAND = "UnlockCommand"
    OTHER = "Other"


class ChargingState(StrEnum):
    """ChargingStateEnumType."""

    IDLE = "Idle"
    EV_CONNECTED = "EVConnected"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"


class SessionPhase(StrEnum):
    """Where an EVSE is between two drivers (fault, reservation, availability are separate)."""

    IDLE = "idle"
    """nothing plugged, nobody authorized"""
    PREPARING = "preparing"
    """plugged or authorized or both, no transaction yet"""
    TRANSACTION = "transaction"
    FINISHING = "finishing"
    """cable still in after a transaction, or after ConnectionTimeOut without a card"""


class ReadingContext(StrEnum):
    """ReadingContextEnumType, in OCPP spelling."""

    BEGIN = "Transaction.Begin"
    END = "Transaction.End"
    PERIODIC = "Sample.Periodic"
    CLOCK = "Sample.Clock"
    TRIGGER = "Trigger"
    INTERRUPTION_BEGIN = "Interruption.Begin"
    INTERRUPTION_END = "Interruption.End"
    OTHER = "Other"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedMeterValue:
    """A value as the meter signed it (SignedMeterValueType). `data`: as it came, not yet Base64.

    `public_key`: the field as it goes out ("" = not with this value). `covers_begin`: one container for both ends.
    """

    data: str
    encoding: str
    signing_method: str = ""
    public_key: str = ""
    covers_begin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledValue:
    """One measurand. `measurand`, `unit`, `phase`, `location` in OCPP spelling; "" = omit."""

    value: float
    measurand: str = "Energy.Active.Import.Register"
    unit: str = "Wh"
    phase: str = ""
    location: str = "Outlet"
    signed: SignedMeterValue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSample:
    """What one poll gave, for the backend. `at`: aware UTC."""

    at: datetime
    context: ReadingContext
    values: tuple[SampledValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """The billable part of a session. `id` is ours (UUID text), never reused.

    `meter_start_wh`, `meter_stop_wh`: raw register in Wh. `estimated`: the stop value is the last
    stored one because the register could not be read. `guard_id`, `plug_id`: the plug-in it belongs to.
    `stop_asked_at`, `stopped_by`: somebody ended it (with that token); the end value is not read yet.
    `energy_limit_wh`: the register up to which a refused card may charge; `over_energy_limit`: reached.
    `signed_begin`, `signed_end`: the register at both ends as the meter signed it; None = unsigned.
    """

    id: str
    evse: int
    id_token: IdToken
    started_at: datetime
    meter_start_wh: float
    guard_id: str
    plug_id: int
    boot_id: str = ""
    group: IdToken | None = None
    remote_start_id: int | None = None
    reservation_id: int | None = None
    offline: bool = False
    last_seen_at: datetime | None = None
    last_meter_wh: float | None = None
    ended_at: datetime | None = None
    meter_stop_wh: float | None = None
    stop_reason: StopReason | None = None
    estimated: bool = False
    stop_asked_at: datetime | None = None
    stopped_by: IdToken | None = None
    energy_limit_wh: float | None = None
    over_energy_limit: bool = False
    signed_begin: SignedMeterValue | None = None
    signed_end: SignedMeterValue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseFault:
    """A fault as everybody shows it; texts come from the catalogue (`core/faults.py`)."""

    name: str
    detail: str = ""
    latched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseView:
    """One EVSE as page, CLI and backend see it; derived, never stored.

    `why`: one true sentence for whoever asks "why is it not charging?".
    `info`: extra text for the status (e.g. "EV side disconnected"). `faults` include warnings;
    `inoperative_by_fault` is true when a fault keeps the EVSE from delivering.
    `reserved_until`: kept for somebody who is not here yet; aware UTC, None = not reserved.
    """

    evse: int
    phase: SessionPhase
    charging_state: ChargingState
    plugged: bool
    pilot_state: str
    operative: bool = True
    inoperative_by_fault: bool = False
    faults: tuple[EvseFault, ...] = ()
    transaction_id: str | None = None
    id_token: IdToken | None = None
    offered_amps: float = 0.0
    contactor_closed: bool = False
    energy_wh: float | None = None
    transaction_energy_wh: float | None = None
    power_w: float | None = None
    amps: tuple[float | None, float | None, float | None] = (None, None, None)
    why: str = ""
    info: str = ""
    reserved_until: datetime | None = None


class RequestStatus(StrEnum):
    """Answer to a request of the backend."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class AvailabilityStatus(StrEnum):
    """Answer to ChangeAvailability."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    SCHEDULED = "Scheduled"


class UnlockStatus(StrEnum):
    """Answer to UnlockConnector."""

    UNLOCKED = "Unlocked"
    UNLOCK_FAILED = "UnlockFailed"
    NOT_SUPPORTED = "NotSupported"


class ResetKind(StrEnum):
    """Soft: end transactions, restart the station. Hard: the same, and the guard as well."""

    SOFT = "Soft"
    HARD = "Hard"


class BootReason(StrEnum):
    """BootReasonEnumType of 2.x, for the BootNotification."""

    POWER_UP = "PowerUp"
    WATCHDOG = "Watchdog"
    REMOTE_RESET = "RemoteReset"
    SCHEDULED_RESET = "ScheduledReset"
    APPLICATION_RESET = "ApplicationReset"
    LOCAL_RESET = "LocalReset"
    FIRMWARE_UPDATE = "FirmwareUpdate"
    UNKNOWN = "Unknown"


# --- what the backend must learn, in order, once (the outbox holds these) -------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionStarted:
    """Durable before the contactor may close."""

    transaction_id: str
    evse: int
    id_token: IdToken
    at: datetime
    meter_wh: float
    reservation_id: int | None = None
    remote_start_id: int | None = None
    offline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterValuesTaken:
    """Sampled or clock-aligned values. `transaction_id` None = outside a transaction. `evse` 0 = station."""

    evse: int
    sample: MeterSample
    transaction_id: str | None = None
    offline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionEnded:
    """The end. `samples` become 1.6 transactionData; `id_token` only when a card ended it."""

    transaction_id: str
    evse: int
    at: datetime
    meter_wh: float
    reason: StopReason
    id_token: IdToken | None = None
    estimated: bool = False
    samples: tuple[MeterSample, ...] = field(default=())
    offline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorUnplugged:
    """The cable is out after the transaction; only where idle time costs until then."""

    transaction_id: str
    evse: int
    at: datetime


Report = TransactionStarted | MeterValuesTaken | TransactionEnded | ConnectorUnplugged
