"""The answer to "which EVSE is this card for?", from a person who stands in front of the station."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from controller.web.api import refusal
from controller.web.bench_proxy import same_origin


class CardQuestion:
    """`choose(evse)` gets what was chosen; False = that cannot be chosen now."""

    def __init__(self, choose: Callable[[int], bool]) -> None:
        self._choose = choose

    def routes(self) -> list[web.RouteDef]:
        """Where it answers."""
        return [web.post(r"/api/card/evse/{evse:\d{1,3}}", self._chosen)]

    async def _chosen(self, request: web.Request) -> web.Response:
        if not same_origin(request):
            return refusal(403, "Only this station's own page may choose an EVSE.")
        evse = int(request.match_info["evse"])
        if not self._choose(evse):
            return refusal(409, f"EVSE {evse} cannot be chosen any more.")
        return web.Response(status=204)
