"""The WebSocket to the backend: kept up for ever, watched, and explained in one sentence.

The only product module that imports websockets. Frames go to and come from the caller as text or bytes;
what they mean is decided in `rpc.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, NegotiationError, WebSocketException
from websockets.typing import Subprotocol

from controller.ocpp import tls
from controller.ocpp.backoff import BackOff
from controller.ocpp.endpoint import Attempts, Endpoint, NoEndpoint, OneEndpoint, Problem
from controller.ocpp.link_problems import explain, problem

log = logging.getLogger(__name__)

MAX_FRAME_BYTES = 8 * 1024 * 1024
"""what the largest backends send; more is closed with 1009 before it fills the memory (RPC-12)"""
OPEN_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 2.0
PONG_TIMEOUT_S = 10.0
LIVED_S = 2.0
"""a connection that lived this long, or on which a message came in, worked"""
LARGE_FRAME = 100_000


class _Connection(ClientConnection):
    """Notes when bytes last came in: a pong behind a large frame is late, not missing."""

    heard_at_s = 0.0
    not_before_floor: datetime | None = None
    _broken: Exception | None = None

    def data_received(self, data: bytes) -> None:
        self.heard_at_s = self.loop.time()
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._broken = exc
        super().connection_lost(exc)

    async def handshake(self, *args: Any, **kwargs: Any) -> None:
        """As usual; before the password goes out the certificate's time is looked at."""
        if self.not_before_floor is not None:
            tls.check_time(self.transport, self.not_before_floor)
        try:
            await super().handshake(*args, **kwargs)
        except Exception:
            # TLS 1.3: the server says only now that it does not like our certificate.
            if isinstance(self._broken, ssl.SSLError):
                raise self._broken from None
            raise


class _Connect(connect):
    """Goes nowhere else: a redirect must not get our credentials (RPC-17)."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Link:
    """Connects, watches and reconnects until `disconnect`; `why` says in one sentence how it stands."""

    def __init__(
        self,
        attempts: Attempts | Endpoint,
        back_off: BackOff,
        *,
        on_up: Callable[[], None],
        on_down: Callable[[], None],
        on_frame: Callable[[bytes | str], None],
        ping_interval_s: Callable[[], float],
        pong_timeout_s: float = PONG_TIMEOUT_S,
        open_timeout_s: float = OPEN_TIMEOUT_S,
    ) -> None:
        self._attempts = OneEndpoint(attempts) if isinstance(attempts, Endpoint) else attempts
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
        self._proven = False
        self._closing: asyncio.Task[None] | None = None
        self._renewed = False
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

    def renew(self) -> None:
        """What was sent goes out, then the connection is closed and the next one follows at once."""
        self._back_off.worked()
        self._wake.set()
        connection = self._connection
        if connection is not None and self._closing is None:
            self._renewed = True
            self._closing = asyncio.get_running_loop().create_task(self._renew(connection))

    async def _renew(self, connection: _Connection) -> None:
        try:
            with contextlib.suppress(TimeoutError, WebSocketException):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._send_all(connection)
            await self._close(connection)
        finally:
            self._closing = None

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
        self._proven = self._renewed = False
        try:
            endpoint = self._attempts.next()
            connection = await self._open(endpoint)
        except Exception as error:  # noqa: BLE001 - whatever a server, proxy or file does: try again
            self._failed(problem(error), explain(error))
            return
        if not self._wanted:
            await self._close(connection)
            return
        self._attempts.opened(tls.peer(connection.transport))
        self.subprotocol = connection.subprotocol or endpoint.subprotocols[0]
        started_s = loop.time()
        reason = await self._live(connection)
        if not self._proven and loop.time() - started_s >= LIVED_S:
            self._prove()
        if self._proven:
            self._back_off.worked()
            if self._wanted and not self._renewed:
                self._lost(reason)
        elif self._wanted and not self._renewed:
            self._failed(Problem.CLOSED, reason)

    def _prove(self) -> None:
        """The backend spoke, or the connection lasted: it works."""
        self._proven = True
        self._back_off.worked()
        self._found()
        self._attempts.worked()

    def _failed(self, kind: Problem, reason: str) -> None:
        self._lost(reason)
        if self._attempts.failed(kind, reason):
            self._back_off.worked()

    async def _open(self, endpoint: Endpoint) -> _Connection:
        options: dict[str, Any] = {}
        floor = None
        if endpoint.is_tls:
            if endpoint.tls is None:
                raise NoEndpoint("nothing is known about whom to trust")
            options["ssl"] = tls.context(endpoint.tls)
            floor = endpoint.tls.not_before_floor

        def make(*args: Any, **kwargs: Any) -> _Connection:
            connection = _Connection(*args, **kwargs)
            connection.not_before_floor = floor
            return connection

        connection = await _Connect(
            endpoint.address,
            subprotocols=[Subprotocol(name) for name in endpoint.subprotocols],
            additional_headers=endpoint.headers(),
            user_agent_header=endpoint.user_agent,
            compression=None,
            proxy=None,
            max_size=MAX_FRAME_BYTES,
            ping_interval=None,
            open_timeout=self._open_timeout_s,
            close_timeout=CLOSE_TIMEOUT_S,
            create_connection=cast("type[ClientConnection]", make),
            logger=_quiet(),
            **options,
        )
        assert isinstance(connection, _Connection)
        if connection.subprotocol is None and not endpoint.any_subprotocol:
            await self._close(connection)
            offered = ", ".join(endpoint.subprotocols)
            raise NegotiationError(f"the backend accepts none of the sub-protocols {offered}")
        return connection

    async def _live(self, connection: _Connection) -> str:
        self._connection = connection
        self._outgoing.clear()
        self.why = f"connected with {self.subprotocol}"
        self._on_up()
        helpers = [
            asyncio.create_task(self._write(connection)),
            asyncio.create_task(self._watch(connection)),
            asyncio.create_task(self._last()),
        ]
        try:
            while True:
                raw = await connection.recv(decode=False)
                if not self._proven:
                    self._prove()
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
            return explain(closed)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            self._down()

    async def _last(self) -> None:
        """A backend that has nothing to say is as good as one that speaks, if it stays."""
        await asyncio.sleep(LIVED_S)
        if not self._proven:
            self._prove()

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

    def _found(self) -> None:
        if self._lost_at_s is not None:
            away_s = asyncio.get_running_loop().time() - self._lost_at_s
            log.info("backend back after %.0f s", away_s)
        else:
            log.info("backend connected with %s", self.subprotocol)
        self._lost_at_s = None
        self._loss = ""

    def _lost(self, reason: str) -> None:
        self.why = reason
        if self._lost_at_s is None:
            self._lost_at_s = asyncio.get_running_loop().time()
        # Once per loss, and again only when the reason is another one.
        if reason != self._loss:
            self._loss = reason
            log.warning("backend not reachable: %s", reason)


def _quiet() -> logging.Logger:
    """websockets logs per connection; loss and recovery are logged here, once."""
    logger = logging.getLogger("websockets.client")
    logger.setLevel(logging.CRITICAL)
    return logger
