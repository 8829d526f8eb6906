"""A backend with real TLS on loopback that notes how each handshake went."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from tests.unit.security.pki import Holder


def server_context(
    holder: Holder,
    directory: Path,
    *,
    client_roots: str = "",
    low: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    high: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ciphers: str = "",
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if ciphers:
        context.set_ciphers(ciphers)
    context.load_cert_chain(holder.write(directory, f"server-{id(holder)}"))
    context.minimum_version, context.maximum_version = low, high
    if client_roots:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_roots)
    return context


class Server:
    """`users`: accepted passwords by name, None = anybody. Frames are answered as a heartbeat would be."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.context = context
        self.passwords: set[bytes] | None = None
        self.subprotocols: tuple[str, ...] = ("ocpp1.6",)
        self.redirect = ""
        self.close_at_once = False
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.peers: list[str] = []
        self.ciphers: list[str] = []
        self.sni: list[str | None] = []
        self.open = 0
        self.most_open = 0
        self.connections: list[ServerConnection] = []
        self.heard: Callable[[str], object] = lambda _text: None
        self.port = 0
        self._server: Any = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Server:
        if self.context is not None:
            self.context.sni_callback = lambda _s, name, _c: self.sni.append(name)
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            ssl=self.context,
            subprotocols=[Subprotocol(name) for name in self.subprotocols] or None,
            process_request=self._handshake,
            compression="deflate",
            ping_interval=None,
            close_timeout=0.5,
            logger=_quiet(),
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self.connections:
            connection.transport.abort()
        self._server.close()
        await self._server.wait_closed()

    def url(self, host: str = "localhost") -> str:
        return f"{'wss' if self.context else 'ws'}://{host}:{self.port}/ocpp"

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(8):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def say(self, text: str) -> None:
        await self.connections[-1].send(text)

    def _handshake(self, connection: ServerConnection, request: Request) -> Response | None:
        self.headers.append(dict(request.headers.raw_items()))
        self.paths.append(request.path)
        self._changed.set()
        if self.redirect:
            answer = connection.respond(302, "elsewhere\n")
            answer.headers["Location"] = self.redirect
            return answer
        if self.passwords is not None:
            header = request.headers.get("Authorization", "")
            given = base64.b64decode(header.removeprefix("Basic ") or "").partition(b":")[2]
            if given not in self.passwords:
                return connection.respond(401, "no\n")
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        tls = connection.transport.get_extra_info("ssl_object")
        if tls is not None:
            self.ciphers.append(tls.cipher()[0])
            subject = dict(rdn[0] for rdn in (tls.getpeercert() or {}).get("subject", ()))
            self.peers.append(subject.get("commonName", ""))
        self.connections.append(connection)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self._changed.set()
        try:
            if self.close_at_once:
                await connection.close(1008, "not you")
            async for text in connection:
                self.heard(str(text))
                self._changed.set()
        except ConnectionClosed:
            pass
        finally:
            self.open -= 1
            self._changed.set()


class Blunt:
    """A TLS server in a thread; unlike asyncio's it tells with an alert why it refuses a handshake."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"wss://localhost:{self.port}/ocpp"
        self.heard = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Blunt:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(2)
                if self._context is None:
                    connection.recv(100)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    continue
                with self._context.wrap_socket(connection, server_side=True) as tls:
                    self.heard += tls.recv(100)


def _quiet() -> logging.Logger:
    logger = logging.getLogger("tests.server")
    logger.setLevel(logging.CRITICAL + 1)
    return logger
