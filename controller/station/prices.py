"""What the driver of each EVSE is shown about money, and the meter values that the operator asked for.

The service behind `ports_prices.Prices`: it binds the operator's words (`core/pricing.py`) to transactions,
keeps them over a restart, and takes a meter value when a trigger of the operator comes true.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from controller import ports_prices
from controller.core.model import (
    ConnectorUnplugged,
    EvseView,
    IdToken,
    MeterSample,
    MeterValuesTaken,
    ReadingContext,
    RequestStatus,
    SessionPhase,
    Transaction,
)
from controller.core.pricing import (
    FinalCost,
    PriceText,
    RunningCost,
    SessionCost,
    offline_cost,
    usage_of,
)
from controller.station import prices_memory
from controller.station.prices_memory import EvsePrices
from controller.station.prices_shown import default_texts, shown
from controller.station.waiting import within

if TYPE_CHECKING:
    from controller.station.station import Station

_log = logging.getLogger(__name__)

FINAL_SHOWN_S = 300.0
"""How long a cost stays on the page after the cable is out."""
STORED_EVERY_S = 900.0
"""A running cost with unchanged prices is stored this often; the estimate goes on from an older one."""
TOKENS = 50
"""Prices of so many drivers who have not started yet."""


class Prices:
    """Implements `ports_prices.Prices` and `no_prices.StationPrices`."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._evses: dict[int, EvsePrices] = {}
        self._users: dict[str, PriceText] = {}
        self._asked: dict[str, asyncio.Event] = {}
        self._last_shown: dict[int, dict[str, Any] | None] = {}

    @property
    def service(self) -> ports_prices.Prices | None:
        """What a backend may use."""
        return self

    async def load(self) -> None:
        """What was known when the station stopped."""
        for evse in self._station.actors:
            stored = await self._station.store.values.get(_name(evse))
            self._evses[evse] = prices_memory.restored(stored)
            prices = self._evses[evse]
            last = await self._station.store.transactions.last(evse)
            if last is None:
                continue
            if last.id != prices.transaction_id:
                self._evses[evse] = _of(last)
            elif last.ended_at is not None and not prices.ended:
                self._end(evse, prices, last.ended_at)

    # --- what the operator tells ------------------------------------------------------------------

    def transactions(self) -> tuple[str, ...]:
        """Of each EVSE the running or the last one."""
        return tuple(e.transaction_id for e in self._evses.values() if e.transaction_id)

    async def user_price(self, token: IdToken, text: PriceText) -> RequestStatus:
        """Kept for the token, and shown at once where it is in use."""
        name = token.value.casefold()
        self._users.pop(name, None)
        while len(self._users) >= TOKENS:
            self._users.pop(next(iter(self._users)))
        self._users[name] = text
        for evse, prices in self._evses.items():
            view = self._station.control.view(evse)
            if view.transaction_id == prices.transaction_id and token.same_as(view.id_token):
                prices.user = text
                await self._store(evse, prices)
        if name in self._asked:
            self._asked[name].set()
        self._station.snapshots.changed()
        return RequestStatus.ACCEPTED

    async def running_cost(self, transaction_id: str, cost: RunningCost) -> RequestStatus:
        """The new word replaces the estimate; its triggers replace the old ones."""
        evse = self._evse_of(transaction_id)
        if evse is None:
            return RequestStatus.REJECTED
        prices, before = self._evses[evse], self._evses[evse].cost
        if before is None:
            fresh = SessionCost(basis=cost, register_wh=cost.meter_wh).told(cost)
            prices.cost = fresh.ended(self._utc()) if prices.ended else fresh
        else:
            prices.cost = before.told(cost)
        prices.watch.arm(
            cost.triggers,
            basis_at=cost.at,
            basis_consumed_wh=cost.meter_wh - prices.start_wh,
        )
        if before is None or _terms(before.basis) != _terms(cost) or self._store_due(prices):
            await self._store(evse, prices)
        self.view_changed(self._station.control.view(evse))
        self._station.snapshots.changed()
        return RequestStatus.ACCEPTED

    async def final_cost(self, transaction_id: str, cost: FinalCost) -> RequestStatus:
        """Shown until the driver is gone for a while, or the next one comes."""
        evse = self._evse_of(transaction_id)
        if evse is None:
            return RequestStatus.REJECTED
        prices = self._evses[evse]
        prices.final = cost
        if prices.unplugged_at is not None:
            prices.shown_until_s = self._now_s() + FINAL_SHOWN_S
        await self._store(evse, prices)
        self._station.snapshots.changed()
        return RequestStatus.ACCEPTED

    # --- what happens here ------------------------------------------------------------------------

    def asking(self, token: IdToken) -> None:
        """The backend is about to be asked about a token: an older price of it does not count."""
        name = token.value.casefold()
        self._users.pop(name, None)
        self._asked[name] = asyncio.Event()

    async def answered(self, token: IdToken, *, accepted: bool) -> None:
        """Give an accepted driver's price WaitForSetUserPriceTimeout to arrive."""
        name = token.value.casefold()
        arrived = self._asked.get(name)
        if arrived is None:
            return
        wait_s = self._station.settings.integer("WaitForSetUserPriceTimeout") / 1000
        if accepted and wait_s > 0:
            await within(_set(arrived), self._station.clock, wait_s)
        if self._asked.get(name) is arrived:
            del self._asked[name]

    def view_changed(self, view: EvseView) -> None:
        """Follow the transaction; look whether a trigger came true."""
        prices = self._evses.get(view.evse)
        if prices is None or not self._station.actors[view.evse].joined:
            return  # before the guard has spoken nobody knows whether a cable is in
        if view.transaction_id is not None and view.transaction_id != prices.transaction_id:
            prices = self._begun(view)
        elif view.transaction_id is None and not prices.ended and prices.transaction_id:
            self._end(view.evse, prices, self._utc())
        if prices.ended and not view.plugged and prices.unplugged_at is None:
            self._unplugged(view, prices)
        if prices.ended and view.phase is SessionPhase.PREPARING:
            prices.next_driver = True  # who must not see it
        running = view.transaction_id is not None
        if prices.cost is not None and running and view.energy_wh is not None:
            prices.cost = prices.cost.seen(view.energy_wh, self._utc())
        self._look(view, prices)

    def tick(self) -> None:
        """Every second: times that came, and a page that shows another amount."""
        for evse, prices in self._evses.items():
            if prices.cost is None and prices.final is None and not prices.tell_unplugged:
                continue
            if self._hidden(prices):
                prices.cost = prices.final = None
            self.view_changed(self._station.control.view(evse))
            now = self.view(evse)
            if now != self._last_shown.get(evse):
                self._last_shown[evse] = now
                self._station.snapshots.changed()

    def view(self, evse: int) -> dict[str, Any] | None:
        """What the page shows of one EVSE; None = nothing is known, or there is no display."""
        prices = self._evses.get(evse)
        if prices is None:
            return None
        view, station = self._station.control.view(evse), self._station
        hidden = self._hidden(prices)
        own = prices.user
        if hidden or (prices.ended and view.id_token is not None):
            own = None
        if own is None:
            own = self._of_token(view.id_token)
        return shown(
            settings=station.settings,
            online=station.online,
            now=self._utc(),
            own=own,
            cost=None if hidden else prices.cost,
            final=None if hidden else prices.final,
            until=prices.unplugged_at,
        )

    def tariff_text(self, token: IdToken) -> str:
        """The driver's own price, or the default one."""
        settings = self._station.settings
        own, (default, _) = self._of_token(token), default_texts(settings)
        if own is not None:
            return own.in_language(settings.text("Language"))
        return default.text if default is not None else ""

    # --- inside -----------------------------------------------------------------------------------

    def _hidden(self, prices: EvsePrices) -> bool:
        """The driver is gone for a while, or another one is here."""
        until_s = prices.shown_until_s
        return prices.next_driver or (until_s is not None and until_s <= self._now_s())

    def _begun(self, view: EvseView) -> EvsePrices:
        running = self._station.actors[view.evse].session.transaction
        prices = EvsePrices(transaction_id=view.transaction_id or "")
        if running is not None:
            prices = _of(running)
            prices.ended = False
            prices.user = self._users.pop(running.id_token.value.casefold(), None)
            _, unit_prices = default_texts(self._station.settings)
            if running.offline and unit_prices is not None:
                prices.cost = offline_cost(unit_prices, running.started_at, running.meter_start_wh)
        self._evses[view.evse] = prices
        follows = self._station.settings.boolean("CustomIdleFeeAfterStop")
        if prices.user is not None or prices.cost is not None or follows:
            self._store_aside(view.evse, prices)
        return prices

    def _end(self, evse: int, prices: EvsePrices, at: datetime) -> None:
        prices.ended = True
        if prices.cost is not None:
            prices.cost = prices.cost.ended(at)
        prices.tell_unplugged = (
            self._station.settings.boolean("CustomIdleFeeAfterStop") and self._station.tells_backend
        )
        if prices.cost is not None or prices.tell_unplugged:
            self._store_aside(evse, prices)

    def _unplugged(self, view: EvseView, prices: EvsePrices) -> None:
        prices.unplugged_at = self._utc()
        prices.shown_until_s = self._now_s() + FINAL_SHOWN_S
        if prices.tell_unplugged:
            self._station.tasks.aside(self._tell_unplugged(view.evse, prices), "unplugged")

    async def _tell_unplugged(self, evse: int, prices: EvsePrices) -> None:
        at = prices.unplugged_at or self._utc()
        report = ConnectorUnplugged(transaction_id=prices.transaction_id, evse=evse, at=at)
        try:
            await self._station.store.outbox.append(report)
        except Exception as error:  # noqa: BLE001 - a full disk: the next look tries again
            _log.error("evse=%d the unplugging is not stored: %s", evse, error)
            prices.unplugged_at = None
            return
        prices.tell_unplugged = False
        await self._store(evse, prices)
        self._station.reports_waiting()

    def _look(self, view: EvseView, prices: EvsePrices) -> None:
        consumed = None
        if view.transaction_id is not None and view.energy_wh is not None:
            consumed = view.energy_wh - prices.start_wh
        due = prices.watch.check(
            self._utc(), consumed_wh=consumed, power_w=view.power_w, usage=usage_of(view)
        )
        if due:
            self._take(view)

    def _take(self, view: EvseView) -> None:
        """A meter value that the operator asked for (context Other)."""
        measurands = self._station.settings.text("MeterValuesSampledData")
        sample = self._station.control.sample(view.evse, measurands)
        if sample is None or not sample.values or not self._station.tells_backend:
            return
        taken = MeterSample(at=sample.at, context=ReadingContext.OTHER, values=sample.values)
        self._station.store.outbox.append_volatile(
            MeterValuesTaken(
                evse=view.evse,
                sample=taken,
                transaction_id=view.transaction_id,
                offline=not self._station.online,
            )
        )
        self._station.reports_waiting()

    def _evse_of(self, transaction_id: str) -> int | None:
        found = (n for n, e in self._evses.items() if e.transaction_id == transaction_id)
        return next(found, None) if transaction_id else None

    def _of_token(self, token: IdToken | None) -> PriceText | None:
        return None if token is None else self._users.get(token.value.casefold())

    def _store_due(self, prices: EvsePrices) -> bool:
        return self._now_s() - prices.stored_s >= STORED_EVERY_S

    def _store_aside(self, evse: int, prices: EvsePrices) -> None:
        self._station.tasks.aside(self._store(evse, prices), "prices")

    async def _store(self, evse: int, prices: EvsePrices) -> None:
        prices.stored_s = self._now_s()
        try:
            await self._station.store.values.put(_name(evse), prices_memory.text_of(prices))
        except Exception as error:  # noqa: BLE001 - it is shown all the same, until a restart
            _log.error("evse=%d prices not stored: %s", evse, error)

    def _utc(self) -> datetime:
        return self._station.clock.utc()

    def _now_s(self) -> float:
        return self._station.clock.monotonic_ns() / 1e9


def _of(transaction: Transaction) -> EvsePrices:
    return EvsePrices(
        transaction_id=transaction.id,
        start_wh=transaction.meter_start_wh,
        ended=transaction.ended_at is not None,
        unplugged_at=transaction.ended_at,
        shown_until_s=0.0 if transaction.ended_at is not None else None,
    )


def _terms(basis: RunningCost) -> object:
    return (basis.idle, basis.charging, basis.idle_price, basis.next_period, basis.triggers)


def _name(evse: int) -> str:
    return f"price/{evse}"


async def _set(event: asyncio.Event) -> None:
    await event.wait()
