"""The local page. Listens only where the configuration says; takes nothing from elsewhere."""

from __future__ import annotations

import hashlib
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from controller.errors import PermanentError
from controller.ports import SnapshotSource
from controller.web.api import StateApi, refusal
from controller.web.bench_proxy import MAX_BODY_BYTES, BenchProxy
from controller.web.card_question import CardQuestion

STATIC = Path(__file__).with_name("static")
CONTENT_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
SHUTDOWN_S = 0.5
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticFile:
    """One file of the page, kept in memory: no path of a request ever reaches the disk."""

    body: bytes
    content_type: str
    etag: str


class WebServer:
    """Page, state, event stream and, on virtual hardware (`bench_url`), the buttons."""

    def __init__(
        self,
        source: SnapshotSource,
        listen: str,
        bench_url: str | None = None,
        clear_fault: Callable[[int, str], None] | None = None,
        choose_evse: Callable[[int], bool] | None = None,
    ) -> None:
        self._host, self._port = parse_listen(listen)
        self._api = StateApi(source, virtual=bench_url is not None)
        self._bench = BenchProxy(bench_url, clear_fault) if bench_url else None
        self._question = CardQuestion(choose_evse) if choose_evse is not None else None
        self._files = load_static(STATIC)
        self._names = _own_names(self._host)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where to look, for a browser on this machine."""
        host = self._host
        if not host or ipaddress_or_none(host) in _WILDCARDS:
            host = "127.0.0.1"
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self._port}/"

    async def start(self) -> None:
        """Serve. Raises PermanentError if the address cannot be had."""
        app = web.Application(middlewares=[self._guarded], client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(_add_headers)
        app.add_routes([web.get("/", self._file), web.get("/static/{name}", self._file)])
        app.add_routes(self._api.routes())
        if self._question is not None:
            app.add_routes(self._question.routes())
        if self._bench is not None:
            app.add_routes(self._bench.routes())
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host or None, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            raise PermanentError(
                f"the page cannot listen on {self._host}:{self._port}: {error.strerror or error}"
            ) from error
        self._port = self._runner.addresses[0][1]
        self._api.open()

    async def stop(self) -> None:
        """End streams and connections; the port is free afterwards."""
        self._api.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._bench is not None:
            await self._bench.close()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        # DNS rebinding: a foreign page can make its own name point here, but the browser then
        # sends that name. Addresses and our own names cannot be such a page.
        if not self._is_own(request.host):
            return refusal(421, "This station is not known by that name; use its address.")
        try:
            return await handler(request)
        except web.HTTPException as error:
            return refusal(error.status, _SENTENCES.get(error.status, f"{error.reason}."))

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name is not None and (ipaddress_or_none(name) is not None or name in self._names)

    async def _file(self, request: web.Request) -> web.Response:
        file = self._files.get(request.match_info.get("name", "index.html"))
        if file is None:
            return refusal(404, _SENTENCES[404])
        headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == file.etag:
            return web.Response(status=304, headers=headers)
        return web.Response(
            body=file.body, content_type=file.content_type, charset="utf-8", headers=headers
        )


_WILDCARDS = (ipaddress.ip_address("0.0.0.0"), ipaddress.ip_address("::"))
_SENTENCES = {
    404: "There is nothing here.",
    405: "That cannot be done here.",
    413: "That is too much at once.",
}


def parse_listen(listen: str) -> tuple[str, int]:
    """Read "HOST:PORT" or "[IPv6]:PORT". Raises ValueError; port 0 = any free one."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"listen = {listen!r}: HOST:PORT is needed, for example 127.0.0.1:8080")
    return host.removeprefix("[").removesuffix("]"), int(port)


def load_static(folder: Path) -> dict[str, StaticFile]:
    """The page's files by name."""
    return {path.name: _load(path) for path in folder.iterdir() if path.suffix in CONTENT_TYPES}


def ipaddress_or_none(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, or None for a name."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _load(path: Path) -> StaticFile:
    body = path.read_bytes()
    etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    return StaticFile(body=body, content_type=CONTENT_TYPES[path.suffix], etag=etag)


def _own_names(listen_host: str) -> frozenset[str]:
    host = socket.gethostname().casefold()
    short = host.partition(".")[0]
    return frozenset({"localhost", listen_host.casefold(), host, short, f"{short}.local"} - {""})


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
