"""What the page gets to show about the money of one EVSE.

{"language": "de", "kind": "default" | "own" | "running" | "final", "text": what the operator wrote,
"cost": "2.31" | null, "currency": "EUR" | "", "counted": bool (the station counted on since the operator's word),
"idle": bool, "as_of": "14:05" | null (local time of that word), "unit_prices": {"kwh", "hour", "flat", "idle_hour",
"grace_minutes"} | null, "next": {"at": "19:00", "unit_prices"} | null, "qr": ""}
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from controller.core import pricing_json
from controller.core.local_time import local
from controller.core.pricing import (
    ChargingPrice,
    FinalCost,
    IdlePrice,
    PriceText,
    SessionCost,
    money,
)
from controller.core.settings import Settings
from controller.core.settings_pricing import text_key


def default_texts(settings: Settings) -> tuple[PriceText | None, ChargingPrice | None]:
    """The texts in the language of the station, and the unit prices for charges that begin offline."""
    text: PriceText | None = None
    unit_prices: ChargingPrice | None = None
    if stored := settings.text("DefaultPrice"):
        text, unit_prices = pricing_json.default_price(stored)
    key = text_key(settings.text("Language"))
    if settings.declared(key) is not None and (stored := settings.text(key)):
        text = pricing_json.default_price_text(stored)
    return text, unit_prices


def shown(
    *,
    settings: Settings,
    online: bool,
    now: datetime,
    own: PriceText | None,
    cost: SessionCost | None,
    final: FinalCost | None,
    until: datetime | None,
) -> dict[str, Any] | None:
    """`until`: when idle time stopped to cost, because the cable was out; None = it goes on."""
    language = settings.text("Language")
    default, _ = default_texts(settings)
    text = "" if default is None else (not online and default.offline) or default.text
    body: dict[str, Any] = {
        "language": language,
        "kind": "default" if own is None else "own",
        "text": text if own is None else own.in_language(language),
        "cost": None,
        "currency": settings.text("Currency"),
        "counted": False,
        "idle": False,
        "as_of": None,
        "unit_prices": None,
        "next": None,
        "qr": "",
    }
    if final is not None:
        return body | {
            "kind": "final",
            "text": final.text.in_language(language),
            "cost": _money(final.cost, settings),
            "qr": final.qr,
        }
    if cost is not None:
        if own is None and not cost.by_default:
            body["text"] = ""  # the unit prices say what holds
        return body | _running(cost, now if until is None else min(now, until), settings)
    return body if body["text"] else None


def _running(cost: SessionCost, now: datetime, settings: Settings) -> dict[str, Any]:
    basis = cost.basis
    amount = cost.estimate(now)
    upcoming = basis.next_period
    return {
        "kind": "running",
        "cost": _money(amount, settings),
        "counted": amount != basis.cost,
        "idle": basis.idle,
        "as_of": _clock(basis.at, settings),
        "unit_prices": _units(basis.charging, basis.idle_price, settings),
        "next": None
        if upcoming is None
        else {
            "at": _clock(upcoming.at, settings),
            "unit_prices": _units(upcoming.charging, upcoming.idle, settings),
        },
    }


def _units(
    charging: ChargingPrice | None, idle: IdlePrice | None, settings: Settings
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, amount in (
        ("kwh", charging.per_kwh if charging else None),
        ("hour", charging.per_hour if charging else None),
        ("flat", charging.flat_fee if charging else None),
        ("idle_hour", idle.per_hour if idle else None),
    ):
        if amount:
            found[name] = _money(amount, settings)
    if idle is not None and idle.grace_minutes and "idle_hour" in found:
        found["grace_minutes"] = idle.grace_minutes
    return found


def _money(amount: Decimal, settings: Settings) -> str:
    return money(amount, settings.integer("NumberOfDecimalsForCostValues"))


def _clock(at: datetime, settings: Settings) -> str:
    return local(at, settings).strftime("%H:%M")
