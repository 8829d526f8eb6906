"""The JSON objects of "OCPP & California Pricing Requirements", both ways; pure.

1.6 carries them as text in DataTransfer and in configuration keys, 2.0.1 as custom data: the fields are the
same. Readers raise ValueError with the field and what it must be; fields that nobody knows are left aside.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from controller.core.pricing import (
    ChargingPrice,
    FinalCost,
    IdlePrice,
    NextPeriod,
    PriceText,
    RunningCost,
    Triggers,
    Usage,
)

Json = Mapping[str, Any]
TimeOf = Callable[[object], datetime | None]
"""Reads a time as the protocol writes it; None = not a time."""

MOST = Decimal(10) ** 9
"""No price, cost or register of one EVSE is larger (in units, or kWh)."""
YEARS = range(2000, 2900)
"""Times outside cannot be meant, and could not be reckoned with."""
TEXT_LENGTH = 2000
MOST_LANGUAGES = 32
USAGE_WORDS: Mapping[str, Usage] = {
    "Available": Usage.AVAILABLE,
    "Preparing": Usage.PREPARING,
    "Charging": Usage.CHARGING,
    "SuspendedEV": Usage.SUSPENDED_EV,
    "SuspendedEVSE": Usage.SUSPENDED_EVSE,
    "Finishing": Usage.FINISHING,
}


def object_in(text: object) -> Json:
    """The JSON object in a text (or the object itself); decimals stay exact."""
    if isinstance(text, str):
        try:
            text = json.loads(text, parse_float=Decimal, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"not JSON: {error}") from None
    if not isinstance(text, Mapping):
        raise ValueError("must be a JSON object")
    return text


def iso_time(text: object) -> datetime | None:
    """What this module writes itself."""
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


# --- reading ------------------------------------------------------------------------------------


def default_price(text: str) -> tuple[PriceText, ChargingPrice | None]:
    """The value of DefaultPrice: texts, and unit prices for transactions that begin offline."""
    body = object_in(text)
    price = charging_price(body["chargingPrice"]) if "chargingPrice" in body else None
    return _default_text(body), price


def default_price_text(text: str) -> PriceText:
    """The value of DefaultPriceText in one language."""
    return _default_text(object_in(text))


def _default_text(body: Json) -> PriceText:
    offline = _text(body, "priceTextOffline") if "priceTextOffline" in body else ""
    return PriceText(text=_text(body, "priceText"), offline=offline)


def price_text(body: Json) -> PriceText:
    """priceText and, per language, priceTextExtra."""
    extra = body.get("priceTextExtra", [])
    if not isinstance(extra, list) or len(extra) > MOST_LANGUAGES:
        raise ValueError(f"priceTextExtra must be a list of at most {MOST_LANGUAGES}")
    other = tuple(_translated(entry) for entry in extra)
    return PriceText(text=_text(body, "priceText"), other=other)


def running_cost(body: Json, time_of: TimeOf) -> RunningCost:
    """The fields of RunningCost but for transactionId."""
    state = body.get("state")
    if state not in ("Charging", "Idle"):
        raise ValueError("state must be Charging or Idle")
    charging = charging_price(body["chargingPrice"]) if "chargingPrice" in body else None
    if charging is None and state == "Charging":
        raise ValueError("chargingPrice is required while charging")
    return RunningCost(
        at=_time(body, "timestamp", time_of),
        meter_wh=float(_number(body, "meterValue", most=MOST * 1000)),
        cost=_number(body, "cost", least=-MOST),
        idle=state == "Idle",
        charging=charging,
        idle_price=_idle_price(body["idlePrice"]) if "idlePrice" in body else None,
        next_period=_next_period(body["nextPeriod"], time_of) if "nextPeriod" in body else None,
        triggers=_triggers(body["triggerMeterValue"], time_of)
        if "triggerMeterValue" in body
        else None,
    )


def final_cost(body: Json) -> FinalCost:
    """The fields of FinalCost but for transactionId."""
    qr = _text(body, "qrCodeText") if "qrCodeText" in body else ""
    return FinalCost(cost=_number(body, "cost", least=-MOST), text=price_text(body), qr=qr)


def charging_price(value: object) -> ChargingPrice:
    """Unit prices while charging."""
    body = _object(value, "chargingPrice")
    return ChargingPrice(
        per_kwh=_optional(body, "kWhPrice"),
        per_hour=_optional(body, "hourPrice"),
        flat_fee=_optional(body, "flatFee"),
    )


def _idle_price(value: object) -> IdlePrice:
    body = _object(value, "idlePrice")
    grace = _optional(body, "graceMinutes") or Decimal(0)
    if grace != grace.to_integral_value() or grace > 10**6:
        raise ValueError("graceMinutes must be a whole number of minutes")
    return IdlePrice(grace_minutes=int(grace), per_hour=_optional(body, "hourPrice"))


def _next_period(value: object, time_of: TimeOf) -> NextPeriod:
    body = _object(value, "nextPeriod")
    if "chargingPrice" not in body:
        raise ValueError("nextPeriod must have a chargingPrice")
    return NextPeriod(
        at=_time(body, "atTime", time_of),
        charging=charging_price(body["chargingPrice"]),
        idle=_idle_price(body["idlePrice"]) if "idlePrice" in body else None,
    )


def _triggers(value: object, time_of: TimeOf) -> Triggers:
    body = _object(value, "triggerMeterValue")
    energy, power = _optional(body, "atEnergykWh"), _optional(body, "atPowerkW")
    states = body.get("atCPStatus", [])
    if not isinstance(states, list) or len(states) > len(USAGE_WORDS):
        raise ValueError(f"atCPStatus must be a list of at most {len(USAGE_WORDS)}")
    if any(not isinstance(state, str) or state not in USAGE_WORDS for state in states):
        raise ValueError("atCPStatus must be of " + ", ".join(USAGE_WORDS))
    return Triggers(
        at=_time(body, "atTime", time_of) if "atTime" in body else None,
        consumed_wh=None if energy is None else float(energy * 1000),
        power_w=None if power is None else float(power * 1000),
        usage=frozenset(USAGE_WORDS[state] for state in states),
    )


def _translated(value: object) -> tuple[str, str]:
    body = _object(value, "priceTextExtra")
    if body.get("format", "UTF8") not in ("UTF8", "ASCII"):
        raise ValueError("the format of a text must be UTF8 or ASCII")
    return _text(body, "language"), _text(body, "content")


def _object(value: object, name: str) -> Json:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be an object")
    return value


def _text(body: Json, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_LENGTH:
        raise ValueError(f"{name} must be a text of 1 to {TEXT_LENGTH} characters")
    return value


def _time(body: Json, name: str, time_of: TimeOf) -> datetime:
    at = time_of(body.get(name))
    if at is None or at.year not in YEARS:
        raise ValueError(f"{name} must be a time")
    return at


def _optional(body: Json, name: str) -> Decimal | None:
    return _number(body, name) if name in body else None


def _number(body: Json, name: str, *, least: Decimal = Decimal(0), most: Decimal = MOST) -> Decimal:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"{name} must be a number")
    number = Decimal(str(value))
    if not number.is_finite() or not least <= number <= most:
        raise ValueError(f"{name} must be {least} to {most}")
    return number


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


# --- writing, for the station's own memory --------------------------------------------------------


def running_to_json(running: RunningCost) -> dict[str, Any]:
    """Inverse of `running_cost` with `iso_time`."""
    body: dict[str, Any] = {
        "timestamp": running.at.isoformat(),
        "meterValue": running.meter_wh,
        "cost": _plain(running.cost),
        "state": "Idle" if running.idle else "Charging",
    }
    if running.charging is not None:
        body["chargingPrice"] = _charging_to_json(running.charging)
    if running.idle_price is not None:
        body["idlePrice"] = _idle_to_json(running.idle_price)
    if (upcoming := running.next_period) is not None:
        body["nextPeriod"] = {
            "atTime": upcoming.at.isoformat(),
            "chargingPrice": _charging_to_json(upcoming.charging),
            **({"idlePrice": _idle_to_json(upcoming.idle)} if upcoming.idle is not None else {}),
        }
    if (wanted := running.triggers) is not None:
        words = {usage: word for word, usage in USAGE_WORDS.items()}
        body["triggerMeterValue"] = _without_none(
            {
                "atTime": None if wanted.at is None else wanted.at.isoformat(),
                "atEnergykWh": None if wanted.consumed_wh is None else wanted.consumed_wh / 1000,
                "atPowerkW": None if wanted.power_w is None else wanted.power_w / 1000,
                "atCPStatus": sorted(words[usage] for usage in wanted.usage),
            }
        )
    return body


def final_to_json(final: FinalCost) -> dict[str, Any]:
    """Inverse of `final_cost`."""
    body = {"cost": _plain(final.cost), **text_to_json(final.text)}
    return {**body, "qrCodeText": final.qr} if final.qr else body


def text_to_json(text: PriceText) -> dict[str, Any]:
    """Inverse of `price_text`."""
    extra = [{"language": language, "content": content} for language, content in text.other]
    return {"priceText": text.text, "priceTextExtra": extra}


def dumps(body: Json) -> str:
    """JSON text with exact decimals, to be read by `object_in`."""
    return json.dumps(body, separators=(",", ":"))


def _charging_to_json(price: ChargingPrice) -> dict[str, Any]:
    return _without_none(
        {
            "kWhPrice": _plain(price.per_kwh),
            "hourPrice": _plain(price.per_hour),
            "flatFee": _plain(price.flat_fee),
        }
    )


def _idle_to_json(price: IdlePrice) -> dict[str, Any]:
    return _without_none({"graceMinutes": price.grace_minutes, "hourPrice": _plain(price.per_hour)})


def _plain(amount: Decimal | None) -> float | None:
    """JSON knows one kind of number; 15 digits are enough for what one transaction costs."""
    return None if amount is None else float(amount)


def _without_none(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}
