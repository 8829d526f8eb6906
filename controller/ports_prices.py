"""Prices and costs: what a backend tells for the driver to see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from controller.core.model import IdToken, RequestStatus
    from controller.core.pricing import FinalCost, PriceText, RunningCost


class Prices(Protocol):
    """The driver's view of money. Transactions are named by our ids."""

    def transactions(self) -> tuple[str, ...]:
        """Those whose cost can be shown: of each EVSE the running or the last one."""
        ...

    async def user_price(self, token: IdToken, text: PriceText) -> RequestStatus:
        """The price of one driver; shown where that token is used."""
        ...

    async def running_cost(self, transaction_id: str, cost: RunningCost) -> RequestStatus:
        """What a transaction cost so far; Rejected = no such transaction, nothing changed."""
        ...

    async def final_cost(self, transaction_id: str, cost: FinalCost) -> RequestStatus:
        """What it cost in the end; kept over a restart."""
        ...
