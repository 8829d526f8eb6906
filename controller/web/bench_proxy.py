"""What the page's buttons may do, on virtual hardware only: the bench API, and clearing a latch."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from controller.web.api import refusal

TIMEOUT_S = 5.0
MAX_BODY_BYTES = 16_384


class BenchProxy:
    """Forwards `/bench…` to `base_url`. Writes only from our own page (Origin = Host).

    `clear_fault(evse, name)`: lifts the latch of a fault, as an installer's command does.
    """

    def __init__(
        self, base_url: str, clear_fault: Callable[[int, str], None] | None = None
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._clear_fault = clear_fault
        self._session: ClientSession | None = None

    def routes(self) -> list[web.RouteDef]:
        """Reading the whole bench state, and every write."""
        return [
            web.get("/bench", self._forward, allow_head=False),
            web.post("/bench/{path:.+}", self._forward_write),
            web.put("/bench/{path:.+}", self._forward_write),
            web.delete("/bench/{path:.+}", self._forward_write),
            web.post(r"/api/evses/{evse:\d{1,3}}/clear-fault/{name:\w+}", self._clear),
        ]

    async def close(self) -> None:
        """Drop the connections to the bench."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _forward_write(self, request: web.Request) -> web.Response:
        if not same_origin(request):
            return refusal(403, "Only this station's own page may use the virtual hardware.")
        return await self._forward(request)

    async def _clear(self, request: web.Request) -> web.Response:
        if not same_origin(request):
            return refusal(403, "Only this station's own page may clear a fault.")
        if self._clear_fault is None:
            return refusal(501, "use the command chargepost clear-fault")
        self._clear_fault(int(request.match_info["evse"]), request.match_info["name"])
        return web.Response(status=204)

    async def _forward(self, request: web.Request) -> web.Response:
        if self._session is None:
            self._session = ClientSession(timeout=ClientTimeout(total=TIMEOUT_S))
        body = await request.read()
        url = self._base_url + request.rel_url.raw_path
        try:
            async with self._session.request(
                request.method,
                url,
                data=body or b"{}",
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
            ) as answer:
                return web.Response(
                    status=answer.status,
                    body=await answer.read(),
                    content_type=answer.content_type,
                )
        except (ClientError, TimeoutError, OSError):
            return refusal(503, "The virtual hardware does not answer.")


def same_origin(request: web.Request) -> bool:
    """The browser says that the request comes from a page of this very host and port."""
    origin = request.headers.get("Origin", "")
    return urlsplit(origin).netloc.casefold() == request.host.casefold() != ""
