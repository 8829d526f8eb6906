"""Security events: their names per OCPP version and which of them a backend must be told (R16-SEC-11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

TECH_INFO_LENGTH = 255


class SecurityEventType(StrEnum):
    """The catalogue, in the spelling of OCPP 2.x."""

    FIRMWARE_UPDATED = "FirmwareUpdated"
    FAILED_TO_AUTHENTICATE_AT_CSMS = "FailedToAuthenticateAtCsms"
    CSMS_FAILED_TO_AUTHENTICATE = "CsmsFailedToAuthenticate"
    SETTING_SYSTEM_TIME = "SettingSystemTime"
    STARTUP_OF_THE_DEVICE = "StartupOfTheDevice"
    RESET_OR_REBOOT = "ResetOrReboot"
    SECURITY_LOG_WAS_CLEARED = "SecurityLogWasCleared"
    RECONFIGURATION_OF_SECURITY_PARAMETERS = "ReconfigurationOfSecurityParameters"
    MEMORY_EXHAUSTION = "MemoryExhaustion"
    INVALID_MESSAGES = "InvalidMessages"
    ATTEMPTED_REPLAY_ATTACKS = "AttemptedReplayAttacks"
    TAMPER_DETECTION_ACTIVATED = "TamperDetectionActivated"
    INVALID_FIRMWARE_SIGNATURE = "InvalidFirmwareSignature"
    INVALID_FIRMWARE_SIGNING_CERTIFICATE = "InvalidFirmwareSigningCertificate"
    INVALID_CSMS_CERTIFICATE = "InvalidCsmsCertificate"
    INVALID_CHARGING_STATION_CERTIFICATE = "InvalidChargingStationCertificate"
    INVALID_TLS_VERSION = "InvalidTLSVersion"
    INVALID_TLS_CIPHER_SUITE = "InvalidTLSCipherSuite"
    MAINTENANCE_LOGIN_ACCEPTED = "MaintenanceLoginAccepted"
    MAINTENANCE_LOGIN_FAILED = "MaintenanceLoginFailed"
    DISCARDED_RENEWED_CLIENT_CERTIFICATE = "DiscardedRenewedClientCertificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityEvent:
    """Something that happened. `at`: aware UTC; `n` orders all events of a station."""

    n: int
    type: SecurityEventType
    at: datetime
    tech_info: str = ""


_T = SecurityEventType

NAMES_16: Mapping[SecurityEventType, str] = {
    _T.FAILED_TO_AUTHENTICATE_AT_CSMS: "FailedToAuthenticateAtCentralSystem",
    _T.CSMS_FAILED_TO_AUTHENTICATE: "CentralSystemFailedToAuthenticate",
    _T.INVALID_CSMS_CERTIFICATE: "InvalidCentralSystemCertificate",
    _T.INVALID_CHARGING_STATION_CERTIFICATE: "InvalidChargePointCertificate",
}
"""Where 1.6 spells it differently."""

_CRITICAL_IN_ALL = frozenset(
    {
        _T.FIRMWARE_UPDATED,
        _T.SETTING_SYSTEM_TIME,
        _T.STARTUP_OF_THE_DEVICE,
        _T.RESET_OR_REBOOT,
        _T.SECURITY_LOG_WAS_CLEARED,
        _T.MEMORY_EXHAUSTION,
        _T.TAMPER_DETECTION_ACTIVATED,
    }
)
CRITICAL_2 = _CRITICAL_IN_ALL | {
    _T.INVALID_FIRMWARE_SIGNATURE,
    _T.INVALID_FIRMWARE_SIGNING_CERTIFICATE,
    _T.INVALID_CSMS_CERTIFICATE,
    _T.INVALID_CHARGING_STATION_CERTIFICATE,
    _T.INVALID_TLS_VERSION,
    _T.INVALID_TLS_CIPHER_SUITE,
    _T.MAINTENANCE_LOGIN_ACCEPTED,
    _T.MAINTENANCE_LOGIN_FAILED,
    _T.DISCARDED_RENEWED_CLIENT_CERTIFICATE,
}
"""What 2.0.1 and 2.1 call critical."""

CRITICAL_16 = _CRITICAL_IN_ALL
"""What the 1.6 whitepaper calls critical."""

PUSHED = CRITICAL_2
"""What a backend is told, whatever the version: the 1.6 cases 077, 078 and 081 wait for events that the 1.6
list does not call critical, and 2.x does."""


def name_16(event: SecurityEventType) -> str:
    """The `type` of a SecurityEventNotification of 1.6."""
    return NAMES_16.get(event, event.value)
