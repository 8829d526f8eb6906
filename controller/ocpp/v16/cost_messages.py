"""Prices and costs over 1.6: DataTransfer of "OCPP & California Pricing Requirements" (COST-1 to COST-8).

The backend sends SetUserPrice, RunningCost and FinalCost; ConnectorUnplugged goes to it (`translate.py`). What
cannot be understood is Rejected with the reason, and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from controller.core import pricing_json
from controller.core.model import IdToken, RequestStatus
from controller.core.settings import Settings
from controller.ocpp.calls import Answer
from controller.ocpp.v16.blocks import Block, BlockMaker, Payload, Reply, Sender, status_answer
from controller.ocpp.v16.translate import COST_VENDOR, ID_TAG_LENGTH
from controller.ocpp.wire_time import parse_time
from controller.ports import OutboxStore
from controller.ports_prices import Prices

ID_LOOK_S = 0.05
ID_LOOKS = 20
"""A cost may overtake our own reading of the answer to StartTransaction."""


def cost_messages(prices: Prices, outbox: OutboxStore) -> BlockMaker:
    """The block of stations that show prices."""

    def make(sender: Sender, settings: Settings) -> Block:
        return Block(vendors={COST_VENDOR: CostMessages(prices, outbox).transfer})

    return make


class CostMessages:
    """One DataTransfer each."""

    def __init__(self, prices: Prices, outbox: OutboxStore) -> None:
        self._prices = prices
        self._outbox = outbox
        self._messages: Mapping[str, Callable[[pricing_json.Json], Awaitable[RequestStatus]]] = {
            "SetUserPrice": self._user_price,
            "RunningCost": self._running_cost,
            "FinalCost": self._final_cost,
        }

    def transfer(self, request: Payload) -> Reply:
        """Accepted, Rejected, or UnknownMessageId."""
        message = self._messages.get(request.get("messageId", ""))
        if message is None:
            return status_answer("UnknownMessageId")
        return self._answer(message, request)

    async def _answer(
        self,
        message: Callable[[pricing_json.Json], Awaitable[RequestStatus]],
        request: Payload,
    ) -> Answer:
        try:
            status = await message(pricing_json.object_in(request.get("data")))
        except ValueError as error:
            return Answer(payload={"status": "Rejected", "data": str(error)})
        return status_answer(status)

    async def _user_price(self, body: pricing_json.Json) -> RequestStatus:
        token = body.get("idToken")
        if not isinstance(token, str) or not 0 < len(token) <= ID_TAG_LENGTH:
            raise ValueError(f"idToken must be a text of 1 to {ID_TAG_LENGTH} characters")
        return await self._prices.user_price(IdToken(token), pricing_json.price_text(body))

    async def _running_cost(self, body: pricing_json.Json) -> RequestStatus:
        cost = pricing_json.running_cost(body, parse_time)
        return await self._prices.running_cost(await self._transaction(body), cost)

    async def _final_cost(self, body: pricing_json.Json) -> RequestStatus:
        cost = pricing_json.final_cost(body)
        return await self._prices.final_cost(await self._transaction(body), cost)

    async def _transaction(self, body: pricing_json.Json) -> str:
        """Our id of the transaction. Raises ValueError when there is none of that number."""
        number: Any = body.get("transactionId")
        if isinstance(number, bool) or not isinstance(number, int):
            raise ValueError("transactionId must be a whole number")
        for _ in range(ID_LOOKS):
            waiting = False
            for ours in self._prices.transactions():
                known = await self._outbox.backend_transaction_id(ours)
                if known == number:
                    return ours
                waiting = waiting or known is None
            if not waiting:
                break
            await asyncio.sleep(ID_LOOK_S)
        raise ValueError(f"no transaction {number} is shown here")
