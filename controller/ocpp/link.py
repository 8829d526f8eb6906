"""The WebSocket to the backend: kept up for ever, watched, and explained in one sentence.

The only product module that imports websockets. Frames go to and come from the caller as text or bytes;
what they mean is decided in `rpc.py`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)
from websockets.typing import Subprotocol

from controller.ocpp.backoff import BackOff

log = logging.getLogger(__name__)

MAX_FRAME_BYTES = 64 * 1024 * 1024
OPEN_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 2.0
PONG_TIMEOUT_S = 10.0
LIVED_S = 2.0
"""a connection that lived this long, or on which a message came in, worked"""
LARGE_FRAME = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where and as whom to connect. `password` bytes go into the Basic header as they are."""

    url: str
    station_id: str
    subprotocols: tuple[str, ...]
    password: bytes | None = field(default=None, repr=False)
    verify_hostname: bool = True
    use_system_trust: bool = True
    csms_roots: str = ""
    client_certificate: str = ""
    client_key: str = ""
    user_agent: str = "chargepost"

    @property
    def address(self) -> str:
        """The URL with the percent-encoded identity as last part of the path (RPC-1)."""
        parts = urlsplit(self.url)
        path = f"{parts.path.rstrip('/')}/{quote(self.station_id, safe='')}"
        return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))

    def headers(self) -> dict[str, str]:
        """Authorization on every handshake, if there is a password; never logged (RPC-16)."""
        if self.password is None:
            return {}
        pair = self.station_id.encode() + b":" + self.password
        return {"Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}

    def tls(self) -> ssl.SSLContext | None:
        """TLS 1.2 or newer with the trusted roots; None for ws://."""
        if urlsplit(self.url).scheme != "wss":
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION
        context.check_hostname = self.verify_hostname
        if self.use_system_trust:
            context.load_default_certs()
        if self.csms_roots:
            context.load_verify_locations(cafile=self.csms_roots)
        if self.client_certificate:
            context.load_cert_chain(self.client_certificate, self.client_key or None)
        return context


class _Connection(ClientConnection):
    """Notes when bytes last came in: a pong behind a large frame is late, not missing."""

    heard_at_s = 0.0

    def data_received(self, data: bytes) -> None:
        self.heard_at_s = self.loop.time()
        super().data_received(data)


class Link:
    """Connects, watches and reconnects until `disconnect`; `why` says in one sentence how it stands."""

    def __init__(
        self,
        endpoint: Endpoint,
        back_off: BackOff,
        *,
        on_up: Callable[[], None],
        on_down: Callable[[], None],
        on_frame: Callable[[bytes | str], None],
        ping_interval_s: Callable[[], float],
        pong_timeout_s: float = PONG_TIMEOUT_S,
        open_timeout_s: float = OPEN_TIMEOUT_S,
    ) -> None:
        self._endpoint = endpoint
        self._back_off = back_off
        self._on_up = on_up
        self._on_down = on_down
        self._on_frame = on_frame
        self._ping_interval_s = ping_interval_s
        self._pong_timeout_s = pong_timeout_s
        self._open_timeout_s = open_timeout_s
        self._wanted = True
        self._wake = asyncio.Event()
        self._probe = asyncio.Event()
        self._outgoing: deque[str] = deque()
        self._flush = asyncio.Event()
        self._in_frame = False
        self._connection: _Connection | None = None
        self._lost_at_s: float | None = None
        self._loss = ""
        self.subprotocol = ""
        self.why = "not connected yet"

    @property
    def up(self) -> bool:
        """The WebSocket is open and speaks one of our sub-protocols."""
        return self._connection is not None

    def send(self, text: str) -> None:
        """Queue a frame; without a connection it is dropped (its call ends with the link)."""
        if self._connection is not None:
            self._outgoing.append(text)
            if not self._in_frame:
                self._flush.set()

    def probe(self) -> None:
        """Something is odd (no answer in time): ping now."""
        self._probe.set()

    def drop(self) -> None:
        """Break this connection; the next one follows as after any loss."""
        if self._connection is not None:
            self._connection.transport.abort()

    async def connect(self) -> None:
        """Connect at once, no back-off left."""
        self._wanted = True
        self._back_off.worked()
        self._wake.set()

    async def disconnect(self) -> None:
        """Close and stay off until `connect`."""
        self._wanted = False
        self.why = "disconnected on request"
        self._wake.set()
        connection = self._connection
        if connection is not None:
            self._down()
            await self._close(connection)

    async def run(self) -> None:
        """Keep the link up for ever."""
        try:
            while True:
                self._wake.clear()
                if self._wanted:
                    await self._attempt()
                    # A wish that came meanwhile has set `_wake`: the pause ends at once.
                    await self._pause(self._back_off.next_s())
                else:
                    await self._wake.wait()
        finally:
            if self._connection is not None:
                self._connection.transport.abort()
                self._down()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    async def _attempt(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            connection = await self._open()
        except Exception as error:  # noqa: BLE001 - whatever a server, proxy or file does: try again
            self._lost(explain(error))
            return
        if not self._wanted:
            await self._close(connection)
            return
        if connection.subprotocol is None:
            await self._close(connection)
            self._lost("the backend accepts none of the sub-protocols " + self._offered())
            return
        started_s = loop.time()
        reason, heard = await self._live(connection)
        if heard or loop.time() - started_s >= LIVED_S:
            self._back_off.worked()
        if self._wanted:
            self._lost(reason)

    async def _open(self) -> _Connection:
        options: dict[str, Any] = {}
        context = self._endpoint.tls()
        if context is not None:
            options["ssl"] = context
        connection = await connect(
            self._endpoint.address,
            subprotocols=[Subprotocol(name) for name in self._endpoint.subprotocols],
            additional_headers=self._endpoint.headers(),
            user_agent_header=self._endpoint.user_agent,
            compression=None,
            proxy=None,
            max_size=MAX_FRAME_BYTES,
            ping_interval=None,
            open_timeout=self._open_timeout_s,
            close_timeout=CLOSE_TIMEOUT_S,
            create_connection=_Connection,
            logger=_quiet(),
            **options,
        )
        assert isinstance(connection, _Connection)
        return connection

    async def _live(self, connection: _Connection) -> tuple[str, bool]:
        self._connection = connection
        self.subprotocol = connection.subprotocol or ""
        self._outgoing.clear()
        self._found()
        self._on_up()
        helpers = [
            asyncio.create_task(self._write(connection)),
            asyncio.create_task(self._watch(connection)),
        ]
        heard = False
        try:
            while True:
                raw = await connection.recv(decode=False)
                heard = True
                self._in_frame = True
                try:
                    self._on_frame(raw)
                finally:
                    self._in_frame = False
                await self._answer(connection)
                if len(raw) > LARGE_FRAME:
                    # Large frames back to back must not starve the rest of the station.
                    await asyncio.sleep(0.001)
        except ConnectionClosed as closed:
            return explain(closed), heard
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            self._down()

    def _down(self) -> None:
        if self._connection is None:
            return
        self._connection = None
        self._outgoing.clear()
        self._on_down()

    async def _answer(self, connection: _Connection) -> None:
        """Send what the frame caused without a detour, unless the backend does not read at the moment."""
        if self._outgoing and connection.transport.get_write_buffer_size() == 0:
            await self._send_all(connection)
        elif self._outgoing:
            self._flush.set()

    async def _write(self, connection: _Connection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._flush.wait()
                self._flush.clear()
                await self._send_all(connection)

    async def _send_all(self, connection: _Connection) -> None:
        while self._outgoing:
            await connection.send(self._outgoing.popleft())

    async def _watch(self, connection: _Connection) -> None:
        """Ping; without a pong or other bytes in time the connection is cut hard (RPC-10)."""
        loop = asyncio.get_running_loop()
        while True:
            interval_s = self._ping_interval_s()
            with contextlib.suppress(TimeoutError):
                # Without pings the interval is still looked at now and then: it may be switched on.
                await asyncio.wait_for(self._probe.wait(), interval_s if interval_s > 0 else 60.0)
            probed = self._probe.is_set()
            self._probe.clear()
            if interval_s <= 0 and not probed:
                continue
            try:
                pong = cast("asyncio.Future[float]", await connection.ping())
            except ConnectionClosed:
                return
            asked_s = loop.time()
            while not pong.done():
                quiet_s = loop.time() - max(asked_s, connection.heard_at_s)
                if quiet_s >= self._pong_timeout_s:
                    connection.transport.abort()
                    return
                await asyncio.wait([pong], timeout=self._pong_timeout_s - quiet_s)
            if not pong.cancelled() and pong.exception() is not None:
                return

    async def _close(self, connection: _Connection) -> None:
        with contextlib.suppress(TimeoutError, WebSocketException, OSError):
            await asyncio.wait_for(connection.close(), CLOSE_TIMEOUT_S * 2)
        connection.transport.abort()

    def _offered(self) -> str:
        return ", ".join(self._endpoint.subprotocols)

    def _found(self) -> None:
        if self._lost_at_s is not None:
            away_s = asyncio.get_running_loop().time() - self._lost_at_s
            log.info("backend back after %.0f s", away_s)
        else:
            log.info("backend connected with %s", self.subprotocol)
        self._lost_at_s = None
        self._loss = ""
        self.why = f"connected with {self.subprotocol}"

    def _lost(self, reason: str) -> None:
        self.why = reason
        if self._lost_at_s is None:
            self._lost_at_s = asyncio.get_running_loop().time()
        # Once per loss, and again only when the reason is another one.
        if reason != self._loss:
            self._loss = reason
            log.warning("backend not reachable: %s", reason)


_STATUS: Mapping[int, str] = {
    401: "the backend refused the password (HTTP 401)",
    403: "the backend forbids the connection (HTTP 403)",
    404: "the backend does not know this URL or station id (HTTP 404)",
    429: "the backend asks for fewer attempts (HTTP 429)",
}


def explain(error: BaseException) -> str:
    """One sentence for page and log."""
    if isinstance(error, InvalidStatus):
        code = error.response.status_code
        return _STATUS.get(code, f"the backend answered HTTP {code} instead of a WebSocket")
    if isinstance(error, InvalidURI):
        return "the backend's URL is not valid"
    if isinstance(error, ConnectionClosed):
        close = error.rcvd
        if close is None:
            return "the connection broke without a goodbye"
        return f"the backend closed the connection ({close.code} {close.reason}".rstrip() + ")"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the backend's certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS with the backend failed: {error.reason or error}"
    if isinstance(error, InvalidHandshake):
        return f"the backend's answer is not a WebSocket handshake: {error}"
    if isinstance(error, TimeoutError):
        return "the backend did not answer the connection attempt in time"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens at the backend's address"
    if isinstance(error, OSError):
        return f"the backend cannot be reached: {error.strerror or error}"
    return f"the connection attempt failed: {type(error).__name__}: {error}"


def _quiet() -> logging.Logger:
    """websockets logs per connection; loss and recovery are logged here, once."""
    logger = logging.getLogger("websockets.client")
    logger.setLevel(logging.CRITICAL)
    return logger
