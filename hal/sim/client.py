"""The bench seen from guard, station and safe-outputs."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hal.sim.hello import bench_socket, compose_hello, dial, welcomed
from hal.sim.virtual_wires import VirtualWires

if TYPE_CHECKING:
    import asyncio  # the guard opens wires too and must stay small

THREAD_STACK_BYTES = 128 * 1024
RECONNECT_S = 0.5


def open_wires(
    installation: Mapping[str, Any],
    role: str,
    *,
    timeout_s: float = 5.0,
    lost: Callable[[], None] | None = None,
    called: socket.socket | None = None,
) -> VirtualWires:
    """Dial the bench and hand out its wires. `role`: "guard", "safe-outputs" or "station".

    Guard and safe-outputs stay connected; for the station ports are enough. `lost` is called on another
    thread when the bench ends; inputs then keep their level. Without `lost` they float. `called`: the
    bench was called already and told that the coils' pins are low. Raises WireMissing.
    """
    hello = compose_hello(installation, role)
    hello["wires"] = True
    path = bench_socket(installation)
    if called is not None:
        welcome, rest = welcomed(called, path, timeout_s)
        return _Connection(called, hello, welcome, rest, lost, claimed=True).wires
    sock, welcome, rest = dial(path, hello, timeout_s)
    if role == "station":
        sock.close()
        return VirtualWires({}, welcome["serial"], lambda: None)
    return _Connection(sock, hello, welcome, rest, lost).wires


class _Connection:
    """Pin traffic: outputs go out from the caller's thread, inputs arrive on a small thread."""

    def __init__(
        self,
        sock: socket.socket,
        hello: Mapping[str, Any],
        welcome: Mapping[str, Any],
        rest: bytes,
        lost: Callable[[], None] | None,
        *,
        claimed: bool = False,
    ) -> None:
        from hal.sim.wires import EvseWires  # with gpiozero, which the station does without

        self._sock = sock
        self._gone = False
        self._hung_up = False
        self._lost = lost
        self._send_lock = threading.Lock()
        self._unsent = b""
        world = Path(welcome["dir"])
        self._evses = {
            int(number): EvseWires(
                world / f"evse{number}",
                tables,
                {int(p): bool(v) for p, v in welcome["pins"].get(number, {}).items()},
                self._sender(int(number)),
                lambda: self._gone,
            )
            for number, tables in hello["evses"].items()
        }
        if claimed:
            for number, tables in hello["evses"].items():
                contactor = tables.get("contactor") or {}
                if contactor.get("driver") == "gpio":
                    self._evses[int(number)].factory.low = contactor["pin"]
        self.wires = VirtualWires(self._evses, welcome["serial"], self._hang_up)
        before = threading.stack_size(THREAD_STACK_BYTES)
        try:
            thread = threading.Thread(target=self._read, args=(rest,), name="wires", daemon=True)
            thread.start()
        finally:
            threading.stack_size(before)
        self._thread = thread

    def _sender(self, evse: int) -> Callable[[int, bool, int], None]:
        def changed(pin: int, level: bool, at_ns: int) -> None:
            self._send(b'{"pin":[%d,%d,%d,%d]}\n' % (evse, pin, level, at_ns))

        return changed

    def _send(self, line: bytes) -> None:
        """Never waits and never drops: what does not fit now goes first the next time."""
        with self._send_lock:
            self._unsent += line
            try:
                sent = self._sock.send(self._unsent, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                self._unsent = self._unsent[sent:]
            except BlockingIOError:
                return
            except OSError:
                self._gone = True

    def _read(self, buffer: bytes) -> None:
        while True:
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                self._feed(json.loads(line))
            try:
                data = self._sock.recv(65536)
            except OSError:
                data = b""
            if not data:
                break
            buffer += data
        self._gone = True
        if self._hung_up:
            return
        if self._lost is not None:
            self._lost()  # a vanished world presses no button and trips no RCD: nothing may latch
            return
        for wires in self._evses.values():
            for pin in list(wires.factory.levels):
                wires.factory.drive(pin, None)

    def _feed(self, message: Mapping[str, Any]) -> None:
        if "pin" in message:
            evse, pin, level = message["pin"]
            self._evses[evse].factory.drive(pin, bool(level))

    def _hang_up(self) -> None:
        self._hung_up = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=1.0)
        self._sock.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCommand:
    """Drop the backend link and stay off, or connect at once."""

    connect: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CardCommand:
    """A card that enters above the reader. `evses`: meant for these; empty = not known."""

    text: str
    evses: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HintCommand:
    """The card `uid` (upper-case hex) that the reader is about to report is meant for `evses`."""

    uid: str
    evses: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherFaultCommand:
    """Raise or clear the guard's fault `other` with detail `code`."""

    evse: int
    code: str
    active: bool


Command = LinkCommand | CardCommand | HintCommand | OtherFaultCommand


class WorldLink:
    """The station's connection to the bench (asyncio)."""

    def __init__(self, installation: Mapping[str, Any]) -> None:
        self._installation = installation
        self._connected = False
        self._writer: asyncio.StreamWriter | None = None

    def tell_backend(self, connected: bool) -> None:
        """Report whether BootNotification is accepted on the present connection."""
        self._connected = connected
        if self._writer is not None:
            self._writer.write(json.dumps({"backend": connected}).encode() + b"\n")

    async def run(self, handler: Callable[[Command], None]) -> None:
        """Stay connected for ever and call `handler` with each command; end by cancelling."""
        import asyncio

        while True:
            with suppress(OSError, ValueError):
                await self._once(handler)
            await asyncio.sleep(RECONNECT_S)

    async def _once(self, handler: Callable[[Command], None]) -> None:
        import asyncio

        reader, writer = await asyncio.open_unix_connection(bench_socket(self._installation))
        try:
            hello = compose_hello(self._installation, "station")
            writer.write(json.dumps({"hello": hello}).encode() + b"\n")
            self._writer = writer
            self.tell_backend(self._connected)
            while line := await reader.readline():
                command = parse_command(json.loads(line))
                if command is not None:
                    handler(command)
        finally:
            self._writer = None
            writer.close()


def parse_command(message: Mapping[str, Any]) -> Command | None:
    """One line of the bench; None = nothing to do."""
    evses = tuple(int(evse) for evse in message.get("evses") or ())
    if "link" in message:
        return LinkCommand(connect=message["link"] == "connect")
    if "card" in message:
        return CardCommand(text=str(message["card"]), evses=evses)
    if "hint" in message:
        return HintCommand(uid=str(message["hint"]), evses=evses)
    if "other" in message:
        evse, code, active = message["other"]
        return OtherFaultCommand(evse=int(evse), code=str(code), active=bool(active))
    return None
