"""What the station remembers of the money of one EVSE, and how that survives a restart."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime

from controller.core import pricing_json
from controller.core.pricing import FinalCost, PriceText, SessionCost, TriggerWatch

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class EvsePrices:
    """Of one EVSE. The transaction is the running one, or the last one that ran."""

    transaction_id: str = ""
    start_wh: float = 0.0
    user: PriceText | None = None
    cost: SessionCost | None = None
    final: FinalCost | None = None
    ended: bool = False
    unplugged_at: datetime | None = None
    tell_unplugged: bool = False
    """The backend must learn when the cable is out."""
    shown_until_s: float | None = None
    """Monotonic; None = while the driver is there."""
    next_driver: bool = False
    """Somebody else is here by now."""
    watch: TriggerWatch = field(default_factory=TriggerWatch)
    stored_s: float = 0.0


def text_of(prices: EvsePrices) -> str:
    """As JSON."""
    cost = prices.cost
    return pricing_json.dumps(
        {
            "tx": prices.transaction_id,
            "start_wh": prices.start_wh,
            "ended": prices.ended,
            "unplugged_at": _time(prices.unplugged_at),
            "tell": prices.tell_unplugged,
            "user": None if prices.user is None else pricing_json.text_to_json(prices.user),
            "running": None if cost is None else pricing_json.running_to_json(cost.basis),
            "register_wh": None if cost is None else cost.register_wh,
            "idle_since": None if cost is None else _time(cost.idle_since),
            "ended_at": None if cost is None else _time(cost.ended_at),
            "by_default": cost is not None and cost.by_default,
            "final": None if prices.final is None else pricing_json.final_to_json(prices.final),
        }
    )


def restored(text: str | None) -> EvsePrices:
    """Inverse of `text_of`; what cannot be read is forgotten."""
    if text is None:
        return EvsePrices()
    try:
        return _restored(text)
    except (ValueError, KeyError, TypeError) as error:
        _log.error("prices: what was stored cannot be read (%s): %.200s", error, text)
        return EvsePrices()


def _restored(text: str) -> EvsePrices:
    body = pricing_json.object_in(text)
    iso = pricing_json.iso_time
    prices = EvsePrices(
        transaction_id=body["tx"],
        start_wh=float(body["start_wh"]),
        user=None if body["user"] is None else pricing_json.price_text(body["user"]),
        final=None if body["final"] is None else pricing_json.final_cost(body["final"]),
        ended=body["ended"],
        unplugged_at=iso(body["unplugged_at"]),
        tell_unplugged=body["tell"],
        shown_until_s=0.0 if body["unplugged_at"] else None,
    )
    if body["running"] is not None:
        basis = pricing_json.running_cost(body["running"], iso)
        prices.cost = SessionCost(
            basis=basis,
            register_wh=float(body["register_wh"]),
            idle_since=iso(body["idle_since"]),
            ended_at=iso(body["ended_at"]),
            by_default=body["by_default"],
        )
        consumed = basis.meter_wh - prices.start_wh
        prices.watch.arm(basis.triggers, basis_at=basis.at, basis_consumed_wh=consumed)
    return prices


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
