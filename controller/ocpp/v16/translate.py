"""The domain in words of OCPP 1.6, both ways; pure.

1.6 connectorId = our EVSE id, 0 = the station. Enumerations here are those of the 1.6 schemas.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from controller.core import faults
from controller.core.model import (
    AuthorizationStatus,
    ChargingState,
    ConnectorUnplugged,
    EvseFault,
    EvseView,
    IdToken,
    IdTokenInfo,
    MeterSample,
    MeterValuesTaken,
    ReadingContext,
    Report,
    SampledValue,
    SessionPhase,
    StopReason,
    TransactionEnded,
    TransactionStarted,
)
from controller.ocpp.v16.signed_values import signed_data
from controller.ocpp.wire_time import format_time, parse_time

Payload = dict[str, Any]

ID_TAG_LENGTH = 20
NOBODY = "FREE"
"""idTag of a charge without authorization; the default of `free_id_tag`."""
MREC_VENDOR = "https://chargex.inl.gov"
DISCONNECTED = "EV side disconnected"
COST_VENDOR = "org.openchargealliance.costmsg"
"""vendorId of prices and costs in DataTransfer."""
NEVER_TOLD = -1
"""transactionId of what belongs to a start that the backend never took (E16 3.18)."""


class Status(StrEnum):
    """ChargePointStatus."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


_S = Status
ALLOWED: Mapping[Status, frozenset[Status]] = {
    _S.AVAILABLE: frozenset(_S) - {_S.AVAILABLE, _S.FINISHING},
    _S.PREPARING: frozenset(
        {_S.AVAILABLE, _S.CHARGING, _S.SUSPENDED_EV, _S.SUSPENDED_EVSE, _S.FINISHING, _S.FAULTED}
    ),
    _S.CHARGING: frozenset(_S) - {_S.CHARGING, _S.PREPARING, _S.RESERVED},
    _S.SUSPENDED_EV: frozenset(_S) - {_S.SUSPENDED_EV, _S.PREPARING, _S.RESERVED},
    _S.SUSPENDED_EVSE: frozenset(_S) - {_S.SUSPENDED_EVSE, _S.PREPARING, _S.RESERVED},
    _S.FINISHING: frozenset({_S.AVAILABLE, _S.PREPARING, _S.UNAVAILABLE, _S.FAULTED}),
    _S.RESERVED: frozenset({_S.AVAILABLE, _S.PREPARING, _S.UNAVAILABLE, _S.FAULTED}),
    _S.UNAVAILABLE: frozenset(
        {
            _S.AVAILABLE,
            _S.PREPARING,
            _S.CHARGING,
            _S.SUSPENDED_EV,
            _S.SUSPENDED_EVSE,
            _S.FAULTED,
        }
    ),
    _S.FAULTED: frozenset(_S) - {_S.FAULTED},
}
"""Which status may follow which (§4.9 with errata)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusWord:
    """What a StatusNotification says besides connector and time."""

    status: Status
    error_code: str = "NoError"
    info: str = ""
    vendor_id: str = ""
    vendor_error_code: str = ""

    def request(self, connector: int, at: datetime) -> Payload:
        """The payload of StatusNotification."""
        payload: Payload = {
            "connectorId": connector,
            "errorCode": self.error_code,
            "status": self.status.value,
            "timestamp": format_time(at),
        }
        if self.info:
            payload["info"] = self.info[:50]
        if self.vendor_id:
            payload["vendorId"] = self.vendor_id[:255]
        if self.vendor_error_code:
            payload["vendorErrorCode"] = self.vendor_error_code[:50]
        return payload


def status_16(view: EvseView) -> StatusWord:
    """The status of one connector."""
    status = _status(view)
    info = view.info
    if status is Status.SUSPENDED_EV and view.transaction_id and not view.plugged and not info:
        info = DISCONNECTED
    return _with_faults(status, info, view.faults)


def station_status_16(views: Sequence[EvseView], operative: bool) -> StatusWord:
    """Connector 0: Unavailable once the whole station was made so and no transaction runs any more (R16-ST-1)."""
    made_unavailable = not operative and all(not view.operative for view in views)
    return StatusWord(status=Status.UNAVAILABLE if made_unavailable else Status.AVAILABLE)


def _status(view: EvseView) -> Status:
    if view.inoperative_by_fault:
        return Status.FAULTED
    if view.phase is SessionPhase.TRANSACTION:
        return _IN_TRANSACTION[view.charging_state]
    if not view.operative:
        return Status.UNAVAILABLE
    if view.reserved_until is not None:
        return Status.RESERVED
    return _OUTSIDE[view.phase]


_IN_TRANSACTION: Mapping[ChargingState, Status] = {
    ChargingState.CHARGING: Status.CHARGING,
    ChargingState.SUSPENDED_EV: Status.SUSPENDED_EV,
    ChargingState.SUSPENDED_EVSE: Status.SUSPENDED_EVSE,
    # The transaction is open, the contactor not yet closed.
    ChargingState.EV_CONNECTED: Status.PREPARING,
    # Unplugged at the car, and that does not end the transaction (R16-ST-5).
    ChargingState.IDLE: Status.SUSPENDED_EV,
}

_OUTSIDE: Mapping[SessionPhase, Status] = {
    SessionPhase.IDLE: Status.AVAILABLE,
    SessionPhase.PREPARING: Status.PREPARING,
    SessionPhase.FINISHING: Status.FINISHING,
}


def _with_faults(status: Status, info: str, found: Iterable[EvseFault]) -> StatusWord:
    ranked = sorted(
        found, key=lambda fault: faults.kind_of(fault.name).severity is faults.Severity.WARNING
    )
    if not ranked:
        return StatusWord(status=status, info=info)
    gravest = ranked[0]
    codes = [code for fault in ranked if (code := _vendor_code(fault))]
    is_mrec = any(faults.kind_of(fault.name).mrec for fault in ranked)
    return StatusWord(
        status=status,
        error_code=faults.kind_of(gravest.name).error_16,
        info=info or gravest.detail or gravest.name.replace("_", " "),
        vendor_id=MREC_VENDOR if is_mrec else "",
        vendor_error_code=_joined(codes),
    )


def _vendor_code(fault: EvseFault) -> str:
    return fault.detail if fault.name == "other" else faults.kind_of(fault.name).mrec


def _joined(codes: Iterable[str]) -> str:
    text = ""
    for code in dict.fromkeys(codes):
        longer = f"{text};{code}" if text else code[:50]
        if len(longer) <= 50:
            text = longer
    return text


# --- our messages -------------------------------------------------------------------------------


def report_16(
    report: Report, backend_id: int | None, *, most_values: int = 500
) -> tuple[str, Payload] | None:
    """Action and payload of a report. `backend_id`: what the backend calls the transaction; -1 = never told."""
    if isinstance(report, TransactionStarted):
        return "StartTransaction", _start(report)
    if isinstance(report, TransactionEnded):
        return "StopTransaction", _stop(
            report, -1 if backend_id is None else backend_id, most_values
        )
    if isinstance(report, ConnectorUnplugged):
        return _unplugged(report, backend_id)
    return _meter_values(report, backend_id)


def _unplugged(report: ConnectorUnplugged, backend_id: int | None) -> tuple[str, Payload] | None:
    if backend_id is None or backend_id == NEVER_TOLD:
        return None
    data = {"transactionId": backend_id, "timestamp": format_time(report.at)}
    return "DataTransfer", {
        "vendorId": COST_VENDOR,
        "messageId": "ConnectorUnplugged",
        "data": json.dumps(data, separators=(",", ":")),
    }


def _start(report: TransactionStarted) -> Payload:
    payload: Payload = {
        "connectorId": report.evse,
        "idTag": id_tag(report.id_token),
        "meterStart": whole_wh(report.meter_wh),
        "timestamp": format_time(report.at),
    }
    if report.reservation_id is not None:
        payload["reservationId"] = report.reservation_id
    return payload


def _stop(report: TransactionEnded, backend_id: int, most_values: int) -> Payload:
    payload: Payload = {
        "transactionId": backend_id,
        "meterStop": whole_wh(report.meter_wh),
        "timestamp": format_time(report.at),
        "reason": report.reason.value,
    }
    if report.id_token is not None:
        payload["idTag"] = id_tag(report.id_token)
    data = [
        value for sample in thinned(report.samples, most_values) if (value := meter_value(sample))
    ]
    if data:
        payload["transactionData"] = data
    return payload


def _meter_values(report: MeterValuesTaken, backend_id: int | None) -> tuple[str, Payload] | None:
    value = meter_value(report.sample)
    if value is None:
        return None
    payload: Payload = {"connectorId": report.evse, "meterValue": [value]}
    if report.transaction_id is not None and backend_id is not None:
        payload["transactionId"] = backend_id
    return "MeterValues", payload


def thinned(samples: Sequence[MeterSample], most: int) -> list[MeterSample]:
    """At most `most` samples: intermediate ones go, evenly; begin and end stay (R16-TX-3)."""
    kept = list(samples)
    ends = (ReadingContext.BEGIN, ReadingContext.END)
    fixed = sum(1 for sample in kept if sample.context in ends)
    middle = len(kept) - fixed
    room = max(most - fixed, 0)
    if middle <= room:
        return kept
    chosen: list[MeterSample] = []
    n = 0
    for sample in kept:
        if sample.context in ends:
            chosen.append(sample)
            continue
        if (n + 1) * room // middle > n * room // middle:
            chosen.append(sample)
        n += 1
    return chosen


def meter_value(sample: MeterSample) -> Payload | None:
    """One meterValue; None when 1.6 has no word for any of its values."""
    known: list[Payload] = []
    for value in sample.values:
        plain = sampled_value(value, sample.context)
        if plain is not None:
            known.append(plain)
            if value.signed is not None:
                known.append({**plain, **signed_data(value.signed)})
    if not known:
        return None
    return {"timestamp": format_time(sample.at), "sampledValue": known}


def sampled_value(value: SampledValue, context: ReadingContext) -> Payload | None:
    """One sampledValue; every field is said, because backends differ in their defaults."""
    if value.measurand not in MEASURANDS_16 or not math.isfinite(value.value):
        return None
    payload: Payload = {
        "value": value_text(value.value, value.unit),
        "context": context.value,
        "measurand": value.measurand,
    }
    if value.location in LOCATIONS_16:
        payload["location"] = value.location
    if value.phase in PHASES_16:
        payload["phase"] = value.phase
    if value.unit in UNITS_16:
        payload["unit"] = value.unit
    return payload


def value_text(value: float, unit: str) -> str:
    """Whole Wh, as meterStart and meterStop are; else at most 3 decimals (R16-MV-5)."""
    if unit == "Wh":
        return str(whole_wh(value))
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def whole_wh(wh: float) -> int:
    """The one rounding of energy to whole Wh; never falls when the register rises."""
    return math.floor(wh + 0.5)


def id_tag(token: IdToken) -> str:
    """The idTag, never empty: 1.6 has no word for nobody. What is longer than it can carry is cut."""
    return token.value[:ID_TAG_LENGTH] or NOBODY


# --- their answers ------------------------------------------------------------------------------


def id_token_info(data: object) -> IdTokenInfo | None:
    """An idTagInfo; None when there is none, or none that can be understood."""
    if not isinstance(data, Mapping):
        return None
    status = _STATUS_OF.get(str(data.get("status")).casefold())
    if status is None:
        return None
    parent = data.get("parentIdTag")
    return IdTokenInfo(
        status=status,
        expires_at=parse_time(data.get("expiryDate")),
        group=IdToken(parent) if isinstance(parent, str) and parent else None,
    )


_STATUS_OF: Mapping[str, AuthorizationStatus] = {
    status.value.casefold(): status
    for status in (
        AuthorizationStatus.ACCEPTED,
        AuthorizationStatus.BLOCKED,
        AuthorizationStatus.EXPIRED,
        AuthorizationStatus.INVALID,
        AuthorizationStatus.CONCURRENT_TX,
    )
}

REASONS_16 = frozenset(reason.value for reason in StopReason)
MEASURANDS_16 = frozenset(
    {
        *(
            f"Energy.{kind}.{way}.{span}"
            for kind in ("Active", "Reactive")
            for way in ("Export", "Import")
            for span in ("Register", "Interval")
        ),
        *(f"Power.{kind}.{way}" for kind in ("Active", "Reactive") for way in ("Export", "Import")),
        "Power.Offered",
        "Power.Factor",
        "Current.Import",
        "Current.Export",
        "Current.Offered",
        "Voltage",
        "Frequency",
        "Temperature",
        "SoC",
        "RPM",
    }
)
PHASES_16 = frozenset({"L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"})
LOCATIONS_16 = frozenset({"Cable", "EV", "Inlet", "Outlet", "Body"})
UNITS_16 = frozenset(
    {
        *("Wh", "kWh", "varh", "kvarh", "W", "kW", "VA", "kVA", "var", "kvar", "A", "V"),
        *("K", "Celsius", "Fahrenheit", "Percent"),
    }
)
