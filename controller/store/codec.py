"""Reports and transactions as JSON text. Additive: a reader ignores what it does not know."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from controller.core.model import (
    ConnectorUnplugged,
    IdToken,
    IdTokenType,
    MeterSample,
    MeterValuesTaken,
    ReadingContext,
    Report,
    SampledValue,
    SignedMeterValue,
    StopReason,
    Transaction,
    TransactionEnded,
    TransactionStarted,
)


def report_to_text(report: Report) -> str:
    """One JSON object with the key `is`."""
    body: dict[str, Any]
    match report:
        case TransactionStarted():
            body = {
                "is": "started",
                "tx": report.transaction_id,
                "evse": report.evse,
                "token": _token(report.id_token),
                "at": report.at.isoformat(),
                "wh": report.meter_wh,
                "reservation": report.reservation_id,
                "remote": report.remote_start_id,
                "offline": report.offline,
            }
        case MeterValuesTaken():
            body = {
                "is": "values",
                "tx": report.transaction_id,
                "evse": report.evse,
                "sample": sample_to_json(report.sample),
                "offline": report.offline,
            }
        case TransactionEnded():
            body = {
                "is": "ended",
                "tx": report.transaction_id,
                "evse": report.evse,
                "token": _token(report.id_token),
                "at": report.at.isoformat(),
                "wh": report.meter_wh,
                "reason": report.reason.value,
                "estimated": report.estimated,
                "samples": [sample_to_json(s) for s in report.samples],
                "offline": report.offline,
            }
        case ConnectorUnplugged():
            body = {
                "is": "unplugged",
                "tx": report.transaction_id,
                "evse": report.evse,
                "at": report.at.isoformat(),
            }
    return json.dumps(body, separators=(",", ":"))


def report_from_text(text: str) -> Report:
    """Inverse of `report_to_text`; raises ValueError or KeyError when the text is not ours."""
    body = json.loads(text)
    kind = body["is"]
    if kind == "values":
        return MeterValuesTaken(
            evse=body["evse"],
            sample=sample_from_json(body["sample"]),
            transaction_id=body["tx"],
            offline=body["offline"],
        )
    at = datetime.fromisoformat(body["at"])
    if kind == "unplugged":
        return ConnectorUnplugged(transaction_id=body["tx"], evse=body["evse"], at=at)
    token = _token_from(body["token"])
    if kind == "started":
        if token is None:
            raise ValueError("a start without a token")
        return TransactionStarted(
            transaction_id=body["tx"],
            evse=body["evse"],
            id_token=token,
            at=at,
            meter_wh=body["wh"],
            reservation_id=body["reservation"],
            remote_start_id=body["remote"],
            offline=body["offline"],
        )
    if kind != "ended":
        raise ValueError(f"not a report: {text[:80]}")
    return TransactionEnded(
        transaction_id=body["tx"],
        evse=body["evse"],
        at=at,
        meter_wh=body["wh"],
        reason=StopReason(body["reason"]),
        id_token=token,
        estimated=body["estimated"],
        samples=tuple(sample_from_json(s) for s in body["samples"]),
        offline=body["offline"],
    )


def sample_to_json(sample: MeterSample) -> list[Any]:
    """[at, context, [[value, measurand, unit, phase, location] …]]; a sixth member is the signed value."""
    values = [
        [v.value, v.measurand, v.unit, v.phase, v.location]
        + ([signed_to_json(v.signed)] if v.signed is not None else [])
        for v in sample.values
    ]
    return [sample.at.isoformat(), sample.context.value, values]


def sample_from_json(body: list[Any]) -> MeterSample:
    """Inverse of `sample_to_json`."""
    at, context, values = body
    return MeterSample(
        at=datetime.fromisoformat(at),
        context=ReadingContext(context),
        values=tuple(
            SampledValue(
                value=v[0],
                measurand=v[1],
                unit=v[2],
                phase=v[3],
                location=v[4],
                signed=signed_from_json(v[5]) if len(v) > 5 else None,
            )
            for v in values
        ),
    )


def transaction_to_text(transaction: Transaction) -> str:
    """All fields of a transaction."""
    t = transaction
    body = {
        "id": t.id,
        "evse": t.evse,
        "token": _token(t.id_token),
        "group": _token(t.group),
        "started_at": t.started_at.isoformat(),
        "start_wh": t.meter_start_wh,
        "guard": t.guard_id,
        "plug": t.plug_id,
        "boot": t.boot_id,
        "remote": t.remote_start_id,
        "reservation": t.reservation_id,
        "offline": t.offline,
        "seen_at": _time(t.last_seen_at),
        "seen_wh": t.last_meter_wh,
        "ended_at": _time(t.ended_at),
        "stop_wh": t.meter_stop_wh,
        "reason": t.stop_reason.value if t.stop_reason else None,
        "estimated": t.estimated,
        "stop_at": _time(t.stop_asked_at),
        "stopped_by": _token(t.stopped_by),
        "limit_wh": t.energy_limit_wh,
        "over_limit": t.over_energy_limit,
        **({"signed_begin": signed_to_json(t.signed_begin)} if t.signed_begin else {}),
        **({"signed_end": signed_to_json(t.signed_end)} if t.signed_end else {}),
    }
    return json.dumps(body, separators=(",", ":"))


def transaction_from_text(text: str) -> Transaction:
    """Inverse of `transaction_to_text`."""
    b = json.loads(text)
    token = _token_from(b["token"])
    if token is None:
        raise ValueError("a transaction without a token")
    return Transaction(
        id=b["id"],
        evse=b["evse"],
        id_token=token,
        group=_token_from(b["group"]),
        started_at=datetime.fromisoformat(b["started_at"]),
        meter_start_wh=b["start_wh"],
        guard_id=b["guard"],
        plug_id=b["plug"],
        boot_id=b["boot"],
        remote_start_id=b["remote"],
        reservation_id=b["reservation"],
        offline=b["offline"],
        last_seen_at=_time_from(b["seen_at"]),
        last_meter_wh=b["seen_wh"],
        ended_at=_time_from(b["ended_at"]),
        meter_stop_wh=b["stop_wh"],
        stop_reason=StopReason(b["reason"]) if b["reason"] else None,
        estimated=b["estimated"],
        stop_asked_at=_time_from(b.get("stop_at")),
        stopped_by=_token_from(b.get("stopped_by")),
        energy_limit_wh=b.get("limit_wh"),
        over_energy_limit=b.get("over_limit", False),
        signed_begin=signed_from_json(b.get("signed_begin")),
        signed_end=signed_from_json(b.get("signed_end")),
    )


def signed_to_json(signed: SignedMeterValue) -> list[Any]:
    """[data, encoding, signing method, public key, covers begin]."""
    s = signed
    return [s.data, s.encoding, s.signing_method, s.public_key, s.covers_begin]


def signed_from_json(body: list[Any] | None) -> SignedMeterValue | None:
    """Inverse of `signed_to_json`."""
    if body is None:
        return None
    data, encoding, method, key, covers = body
    return SignedMeterValue(
        data=data, encoding=encoding, signing_method=method, public_key=key, covers_begin=covers
    )


def _token(token: IdToken | None) -> list[str] | None:
    return None if token is None else [token.value, token.type.value]


def _token_from(body: list[str] | None) -> IdToken | None:
    return None if body is None else IdToken(body[0], IdTokenType(body[1]))


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _time_from(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
