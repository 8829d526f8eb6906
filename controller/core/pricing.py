"""Prices and costs as the operator tells them, and what a charge costs in between; pure.

Version-neutral: 1.6 brings these values by DataTransfer ("OCPP & California Pricing Requirements"), 2.x by
CostUpdated and tariff texts. The operator calculates; the station shows and goes on counting by the unit
prices it was told, until the operator's next word corrects it. Money is Decimal, energy Wh, times aware UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from controller.core.model import ChargingState, EvseView, SessionPhase

HOUR_S = Decimal(3600)
KWH = Decimal(1000)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceText:
    """A text for the driver. `other`: (RFC 5646 language, text) pairs; `offline`: instead, without the backend."""

    text: str
    offline: str = ""
    other: tuple[tuple[str, str], ...] = ()

    def in_language(self, language: str) -> str:
        """In that language, or in its base language, or as it stands."""
        wanted = language.replace("_", "-").casefold()
        known = {name.replace("_", "-").casefold(): text for name, text in self.other}
        return known.get(wanted) or known.get(wanted.partition("-")[0]) or self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingPrice:
    """Unit prices while the vehicle charges; None = this component is not charged."""

    per_kwh: Decimal | None = None
    per_hour: Decimal | None = None
    flat_fee: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdlePrice:
    """What occupying the EVSE costs after a time of grace."""

    grace_minutes: int = 0
    per_hour: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextPeriod:
    """Prices that hold from `at` on."""

    at: datetime
    charging: ChargingPrice
    idle: IdlePrice | None = None


class Usage(StrEnum):
    """What an EVSE is doing, as a trigger may ask for it."""

    AVAILABLE = "available"
    PREPARING = "preparing"
    CHARGING = "charging"
    SUSPENDED_EV = "suspended_ev"
    SUSPENDED_EVSE = "suspended_evse"
    FINISHING = "finishing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggers:
    """When a meter value is wanted besides the sampled ones. `consumed_wh`: energy of this transaction."""

    at: datetime | None = None
    consumed_wh: float | None = None
    power_w: float | None = None
    usage: frozenset[Usage] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCost:
    """The operator's word about a transaction: what it cost up to a meter value, and what it costs from there."""

    at: datetime
    meter_wh: float
    cost: Decimal
    idle: bool = False
    charging: ChargingPrice | None = None
    idle_price: IdlePrice | None = None
    next_period: NextPeriod | None = None
    triggers: Triggers | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalCost:
    """What the transaction cost in the end. `qr`: text of a QR code, for example of an invoice; "" = none."""

    cost: Decimal
    text: PriceText
    qr: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCost:
    """What one transaction costs. `idle_since`: when the operator first called it idle.

    `register_wh`: the last register seen; `ended_at`: when it stopped to charge, None = it runs.
    `by_default`: the operator has said nothing yet, the default unit prices count.
    """

    basis: RunningCost
    register_wh: float
    idle_since: datetime | None = None
    ended_at: datetime | None = None
    by_default: bool = False

    def told(self, running: RunningCost) -> SessionCost:
        """The operator's new word replaces the estimate."""
        since = None
        if running.idle:
            since = self.idle_since if self.idle_since is not None else running.at
        return replace(
            self,
            basis=running,
            idle_since=since,
            by_default=False,
            register_wh=max(self.register_wh, running.meter_wh),
        )

    def seen(self, register_wh: float, now: datetime) -> SessionCost:
        """A newer register, or just a later time; the next period's prices begin when it does."""
        upcoming = self.basis.next_period
        if upcoming is None or now < upcoming.at or self.ended_at is not None:
            return replace(self, register_wh=max(self.register_wh, register_wh))
        known = replace(self, register_wh=max(self.register_wh, register_wh))
        begins_at = max(upcoming.at, self.basis.at)  # what came before is in the cost already
        begun = replace(
            self.basis,
            at=begins_at,
            meter_wh=known.register_wh,
            cost=known.estimate(begins_at),
            charging=upcoming.charging,
            idle_price=upcoming.idle,
            next_period=None,
        )
        return replace(known, basis=begun)

    def ended(self, at: datetime) -> SessionCost:
        """The transaction is over; only idle time may still cost."""
        return self if self.ended_at is not None else replace(self, ended_at=at)

    def estimate(self, now: datetime) -> Decimal:
        """The cost up to now, by the unit prices last told."""
        if self.basis.idle:
            return self.basis.cost + self._idle(now)
        return self.basis.cost + self._charging(now)

    def _charging(self, now: datetime) -> Decimal:
        price = self.basis.charging
        if price is None:
            return ZERO
        until = now if self.ended_at is None else min(now, self.ended_at)
        wh = max(Decimal(str(self.register_wh)) - Decimal(str(self.basis.meter_wh)), ZERO)
        energy = (price.per_kwh or ZERO) * wh / KWH
        return energy + _per_hour(price.per_hour or ZERO, self.basis.at, until)

    def _idle(self, now: datetime) -> Decimal:
        price = self.basis.idle_price
        if price is None or price.per_hour is None:
            return ZERO
        since = self.idle_since or self.basis.at
        free_until = since + timedelta(minutes=price.grace_minutes)
        return _per_hour(price.per_hour, max(self.basis.at, free_until), now)


def offline_cost(price: ChargingPrice, started_at: datetime, meter_wh: float) -> SessionCost:
    """A transaction that began without the backend, by the default unit prices."""
    basis = RunningCost(
        at=started_at, meter_wh=meter_wh, cost=price.flat_fee or ZERO, charging=price
    )
    return SessionCost(basis=basis, register_wh=meter_wh, by_default=True)


def money(amount: Decimal, decimals: int) -> str:
    """For people: rounded to `decimals`, at least two of them shown."""
    text = str(amount.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP))
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def usage_of(view: EvseView) -> Usage | None:
    """What the EVSE does now; None = out of service or faulted."""
    if view.inoperative_by_fault:
        return None
    if view.phase is SessionPhase.TRANSACTION:
        return _IN_TRANSACTION[view.charging_state]
    if not view.operative:
        return None
    return _OUTSIDE[view.phase]


_IN_TRANSACTION = {
    ChargingState.CHARGING: Usage.CHARGING,
    ChargingState.SUSPENDED_EV: Usage.SUSPENDED_EV,
    ChargingState.SUSPENDED_EVSE: Usage.SUSPENDED_EVSE,
    ChargingState.EV_CONNECTED: Usage.PREPARING,
    ChargingState.IDLE: Usage.SUSPENDED_EV,
}
_OUTSIDE = {
    SessionPhase.IDLE: Usage.AVAILABLE,
    SessionPhase.PREPARING: Usage.PREPARING,
    SessionPhase.FINISHING: Usage.FINISHING,
}

POWER_BAND = 0.05
"""Power must pass the threshold by this part of it, so that a value around it does not trigger for ever."""


@dataclass(slots=True, kw_only=True)
class TriggerWatch:
    """Tells when the meter value that the operator asked for is due.

    Time and energy are compared with the meter value that the operator based its cost on: what it has
    seen already does not trigger again, what happened since then does.
    """

    triggers: Triggers = field(default_factory=Triggers)
    _time_due: bool = False
    _energy_due: bool = False
    _above: bool | None = None
    _usage: Usage | None = None

    def arm(
        self, triggers: Triggers | None, *, basis_at: datetime, basis_consumed_wh: float
    ) -> None:
        """The operator's new wishes; the side of an unchanged power threshold is remembered."""
        wanted = triggers or Triggers()
        if wanted.power_w != self.triggers.power_w:
            self._above = None
        self.triggers = wanted
        self._time_due = wanted.at is not None and basis_at < wanted.at
        self._energy_due = wanted.consumed_wh is not None and basis_consumed_wh < wanted.consumed_wh

    def check(
        self,
        now: datetime,
        *,
        consumed_wh: float | None,
        power_w: float | None,
        usage: Usage | None,
    ) -> bool:
        """Whether something that was asked for has happened since the last look."""
        wanted, fired = self.triggers, False
        if self._time_due and wanted.at is not None and now >= wanted.at:
            self._time_due, fired = False, True
        if self._energy_due and wanted.consumed_wh is not None and consumed_wh is not None:
            if consumed_wh >= wanted.consumed_wh:
                self._energy_due, fired = False, True
        if wanted.power_w is not None and power_w is not None:
            fired = self._power_passed(wanted.power_w, power_w) or fired
        if usage is not self._usage:
            self._usage = usage
            fired = usage in wanted.usage or fired
        return fired

    def _power_passed(self, threshold_w: float, power_w: float) -> bool:
        was = self._above
        if power_w > threshold_w * (1 + POWER_BAND):
            self._above = True
        elif power_w <= threshold_w * (1 - POWER_BAND):
            self._above = False
        elif was is None:
            self._above = power_w >= threshold_w
        return was is not None and was is not self._above


def _per_hour(price: Decimal, since: datetime, until: datetime) -> Decimal:
    return price * Decimal(str(max((until - since).total_seconds(), 0.0))) / HOUR_S
