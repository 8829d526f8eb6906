"""A strict OCPP 1.6 backend inside the process, for the demo and the tests; loopback only.

It validates every frame both ways, keeps books of transactions (`rules`), knows cards, and does on demand
what real backends do: answers late, never, with errors, with garbage; closes, breaks or refuses connections.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import ssl
import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from controller.demo.csms_rules import Rules
from controller.ocpp.validation import validators_16

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card as the backend knows it."""

    status: str = "Accepted"
    parent: str | None = None
    expires: datetime | None = None

    def info(self) -> Payload:
        """As idTagInfo."""
        info: Payload = {"status": self.status}
        if self.parent is not None:
            info["parentIdTag"] = self.parent
        if self.expires is not None:
            info["expiryDate"] = stamp(self.expires)
        return info


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A scripted answer. `payload` None = the usual one; `raw` is sent instead of any frame."""

    payload: Payload | None = None
    delay_s: float = 0.0
    silent: bool = False
    error: tuple[str, str] | None = None
    raw: str | bytes | None = None


class CallFailed(Exception):
    """The station answered CALLERROR."""

    def __init__(self, code: str, description: str) -> None:
        self.code, self.description = code, description
        super().__init__(f"{code} {description}")


class Csms:
    """One server, any number of connections of one station after each other."""

    def __init__(
        self,
        *,
        port: int = 0,
        password: str | bytes | None = None,
        tls: ssl.SSLContext | None = None,
        subprotocols: tuple[str, ...] = ("ocpp1.6",),
        patience_s: float = 30.0,
        utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.port = port
        self.password = password
        self.tls = tls
        self.subprotocols = subprotocols
        self.cards: dict[str, Card] = {}
        self.unknown_card = Card(status="Invalid")
        self.boot_status = "Accepted"
        self.interval_s = 300
        self.refuse_with: int | None = None
        self.close_at_once = False
        self.silent = False
        self.next_transaction_id = 1
        self.frames: list[tuple[str, list[Any]]] = []
        self.handshakes: list[tuple[float, str]] = []
        self.credentials: list[bytes | None] = []
        """user:password of each handshake, None = none were sent"""
        self.malformed: list[str] = []
        self.utc = utc
        self.rules = Rules(
            validators_16(),
            patience_s=patience_s,
            monotonic_s=lambda: asyncio.get_running_loop().time(),
            utc=lambda: self.utc(),
        )
        self.on_frame: Callable[[str, list[Any]], None] = lambda _direction, _frame: None
        self._scripts: dict[str, deque[Reply]] = defaultdict(deque)
        self._always: dict[str, Reply] = {}
        self._answers: dict[str, list[Any]] = {}
        self._asked: dict[str, asyncio.Future[Payload]] = {}
        self._changed = asyncio.Event()
        self._connection: ServerConnection | None = None
        self._server: Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what tests use ---------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen on loopback; `url` is known afterwards."""
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            ssl=self.tls,
            subprotocols=[Subprotocol(name) for name in self.subprotocols] or None,
            process_request=self._handshake,
            compression=None,
            max_size=None,
            ping_interval=None,
            close_timeout=1.0,
            logger=_quiet(),
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Close everything."""
        for task in list(self._tasks):
            task.cancel()
        if self._connection is not None:
            # A station that does not answer the closing handshake must not hold us up.
            self._connection.transport.abort()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    @property
    def url(self) -> str:
        """What goes into `[backend] url`."""
        return f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}/ocpp"

    @property
    def client_name(self) -> str:
        """The common name in the certificate that the station showed; "" = none."""
        tls = self._connection and self._connection.transport.get_extra_info("ssl_object")
        subject = (tls.getpeercert() or {}).get("subject", ()) if tls else ()
        return str(dict(part[0] for part in subject).get("commonName", ""))

    @property
    def violations(self) -> list[str]:
        """What the station did wrong so far."""
        return self.rules.violations

    @property
    def connected(self) -> bool:
        """A station is connected now."""
        return self._connection is not None

    def script(self, action: str, *replies: Reply) -> None:
        """The next answers to this action; afterwards the usual ones again."""
        self._scripts[action].extend(replies)

    def always(self, action: str, reply: Reply | None) -> None:
        """Every answer to this action from now on ("*" = any); None = as usual again."""
        if reply is None:
            self._always.pop(action, None)
        else:
            self._always[action] = reply

    async def call(self, action: str, payload: Payload, timeout_s: float = 5.0) -> Payload:
        """Ask the station. Raises CallFailed, TimeoutError or ConnectionError."""
        message_id = str(uuid.uuid4())
        future: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        self._asked[message_id] = future
        self.rules.backend_calls(message_id, action, payload)
        await self._send([2, message_id, action, payload])
        return await asyncio.wait_for(future, timeout_s)

    async def send_raw(self, raw: str | bytes) -> None:
        """Send anything as a text frame."""
        if self._connection is None:
            raise ConnectionError("no station is connected")
        await self._connection.send(raw, text=True)

    def calls(self, action: str | None = None) -> list[tuple[str, Payload]]:
        """What the station called so far, repetitions included."""
        return [
            (frame[2], frame[3])
            for direction, frame in self.frames
            if direction == "out" and frame[0] == 2 and action in (None, frame[2])
        ]

    async def wait_for(self, action: str, count: int = 1, timeout_s: float = 5.0) -> Payload:
        """The `count`-th call of this action, waiting for it."""
        await self.until(lambda: len(self.calls(action)) >= count, timeout_s)
        return self.calls(action)[count - 1][1]

    async def until(self, condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
        """Wait until frames or connections make `condition` true. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def go_silent(self) -> None:
        """Half-open: the socket stays, nothing is read or answered any more, not even a ping."""
        if self._connection is not None:
            self._connection.transport.pause_reading()

    def drop(self) -> None:
        """Break the connection without a goodbye."""
        if self._connection is not None:
            self._connection.transport.abort()

    async def close(self, code: int = 1001, reason: str = "") -> None:
        """Close the connection properly."""
        if self._connection is not None:
            await self._connection.close(code, reason)

    # --- the server -------------------------------------------------------------------------------

    def _handshake(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append((asyncio.get_running_loop().time(), unquote(request.path)))
        self._changed.set()
        if self.refuse_with is not None:
            return connection.respond(self.refuse_with, "refused\n")
        given = _credentials(request)
        self.credentials.append(given)
        if self.password is not None:
            password = self.password
            secret = password if isinstance(password, bytes) else password.encode()
            if given != unquote(request.path.rsplit("/", 1)[-1]).encode() + b":" + secret:
                return connection.respond(401, "wrong password\n")
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        if self.close_at_once:
            await connection.close(1011, "not now")
            return
        self._connection = connection
        self.rules.connected()
        self._changed.set()
        try:
            async for raw in connection:
                if not self.silent:
                    self._receive(raw)
        except ConnectionClosed:
            pass
        finally:
            if self._connection is connection:
                self._connection = None
            self._changed.set()

    def _receive(self, raw: str | bytes) -> None:
        try:
            frame = json.loads(raw)
            kind, message_id = frame[0], frame[1]
        except (ValueError, LookupError, TypeError):
            self.malformed.append(str(raw)[:200])
            self.rules.violations.append(f"malformed frame {str(raw)[:80]}")
            return
        self._record("out", frame)
        if kind == 2:
            self._called(message_id, frame[2], frame[3])
        elif kind == 3:
            self.rules.station_answers(message_id, frame[2])
            self._settle(message_id, result=frame[2])
        elif kind == 4:
            self.rules.station_fails(message_id)
            self._settle(message_id, error=CallFailed(frame[2], frame[3]))

    def _settle(
        self, message_id: str, result: Payload | None = None, error: CallFailed | None = None
    ) -> None:
        future = self._asked.pop(message_id, None)
        if future is None or future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result or {})

    def _called(self, message_id: str, action: str, payload: Payload) -> None:
        repeated = self.rules.station_calls(message_id, action, payload)
        script = self._scripts[action]
        reply = script.popleft() if script else None
        reply = reply or self._always.get(action) or self._always.get("*") or Reply()
        answer = self._answers.get(message_id) if repeated else None
        if answer is None:
            answer = self._answer(message_id, action, payload, reply)
        if reply.silent:
            return
        if reply.delay_s:
            self._spawn(self._later(reply.delay_s, answer, action, reply))
        else:
            self._spawn(self._respond(answer, action, reply))

    def _answer(self, message_id: str, action: str, payload: Payload, reply: Reply) -> list[Any]:
        if reply.error is not None:
            return [4, message_id, reply.error[0], reply.error[1], {}]
        usual = self._usual(action, payload, reply.payload)
        answer = [3, message_id, usual if reply.payload is None else reply.payload]
        self._answers[message_id] = answer
        return answer

    def _usual(self, action: str, payload: Payload, scripted: Payload | None) -> Payload:
        if action == "BootNotification":
            return {
                "status": self.boot_status,
                "currentTime": stamp(self.utc()),
                "interval": self.interval_s,
            }
        if action == "SignCertificate":
            return {"status": "Accepted"}
        if action == "Heartbeat":
            return {"currentTime": stamp(self.utc())}
        if action == "Authorize":
            return {"idTagInfo": self._card(payload["idTag"]).info()}
        if action == "StartTransaction":
            given = (scripted or {}).get("transactionId")
            transaction_id = self.next_transaction_id if given is None else given
            if given is None:
                self.next_transaction_id += 1
            if scripted is None or given is not None:
                self.rules.started(transaction_id, payload)
            return {
                "transactionId": transaction_id,
                "idTagInfo": self._card(payload["idTag"]).info(),
            }
        if action == "StopTransaction":
            self.rules.stopped(payload)
            if "idTag" in payload:
                return {"idTagInfo": self._card(payload["idTag"]).info()}
            return {}
        if action == "MeterValues":
            self.rules.metered(payload)
        if action == "DataTransfer":
            return {"status": "UnknownVendorId"}
        return {}

    def _card(self, id_tag: str) -> Card:
        by_name = {name.casefold(): card for name, card in self.cards.items()}
        return by_name.get(id_tag.casefold(), self.unknown_card)

    async def _later(self, delay_s: float, answer: list[Any], action: str, reply: Reply) -> None:
        await asyncio.sleep(delay_s)
        await self._respond(answer, action, reply)

    async def _respond(self, answer: list[Any], action: str, reply: Reply) -> None:
        with contextlib.suppress(ConnectionClosed, ConnectionError):
            if reply.raw is not None:
                await self.send_raw(reply.raw)
                return
            if answer[0] == 3:
                self.rules.backend_answers(answer[1], action, answer[2])
            else:
                self.rules.backend_fails(answer[1])
            await self._send(answer)

    async def _send(self, frame: list[Any]) -> None:
        if self._connection is None:
            raise ConnectionError("no station is connected")
        self._record("in", frame)
        await self._connection.send(json.dumps(frame))

    def _record(self, direction: str, frame: list[Any]) -> None:
        self.frames.append((direction, frame))
        self.on_frame(direction, frame)
        self._changed.set()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def stamp(at: datetime) -> str:
    """As many backends write it: microseconds and Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _credentials(request: Request) -> bytes | None:
    kind, _, coded = request.headers.get("Authorization", "").partition(" ")
    if kind != "Basic":
        return None
    try:
        return base64.b64decode(coded, validate=True)
    except ValueError:
        return None


def _quiet() -> logging.Logger:
    logger = logging.getLogger("controller.demo.csms.websockets")
    logger.setLevel(logging.CRITICAL)
    return logger
