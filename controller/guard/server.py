"""The guard's Unix socket: several clients, never waits for any of them; a slow one is dropped."""

from __future__ import annotations

import logging
import os
import selectors
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from controller.core.guard_messages import (
    VERSION,
    Down,
    Fact,
    FactsSince,
    Hello,
    Message,
    Offer,
    Snapshot,
    Up,
    Welcome,
    Withdraw,
    decode,
    encode,
)
from controller.guard.ring import FactRing

logger = logging.getLogger(__name__)

MAX_LINE_BYTES = 16 * 1024
MAX_WAITING_BYTES = 1024 * 1024
READ_BYTES = 64 * 1024
MAX_CLIENTS = 32
STATION = "station"


class _Client:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.role = ""
        self.live = False
        """facts are sent as they come"""
        self.incoming = b""
        self.waiting = bytearray()


class GuardServer:
    """`handle(message)` is called for every message that is not about the connection itself."""

    def __init__(
        self,
        path: Path,
        ring: FactRing,
        *,
        guard_id: str,
        boot_id: str,
        handle: Callable[[Down], None],
        snapshot: Callable[[], Snapshot],
    ) -> None:
        self._path = path
        self._ring = ring
        self._guard_id = guard_id
        self._boot_id = boot_id
        self._handle = handle
        self._snapshot = snapshot
        self._clients: set[_Client] = set()
        self._selector = selectors.DefaultSelector()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._wake_fd, selectors.EVENT_READ)
        self._listener = _listen(path)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def wake(self) -> None:
        """End `wait` early; from any thread, never blocks."""
        os.eventfd_write(self._wake_fd, 1)

    def wait(self, timeout_s: float) -> bool:
        """Serve the clients until something happened or `timeout_s` is over; True = woken by `wake`."""
        woken = False
        for key, events in self._selector.select(max(0.0, timeout_s)):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fd == self._wake_fd:
                os.eventfd_read(self._wake_fd)
                woken = True
            elif key.data in self._clients:
                self._serve(key.data, events)
        return woken

    def tell_facts(self, facts: Iterable[Fact]) -> None:
        """Send numbered facts to all who follow them."""
        lines = b"".join(encode(fact) for fact in facts)
        for client in [c for c in self._clients if c.live]:
            self._send(client, lines)

    def tell_snapshot(self) -> None:
        """Send a snapshot to all who said Hello."""
        listeners = [c for c in self._clients if c.role]
        if listeners:
            line = encode(self._snapshot())
            for client in listeners:
                self._send(client, line)

    def close(self) -> None:
        """Hang up and remove the socket."""
        for client in list(self._clients):
            self._drop(client)
        self._selector.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)
        os.close(self._wake_fd)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        if len(self._clients) >= MAX_CLIENTS:
            sock.close()
            return
        client = _Client(sock)
        self._clients.add(client)
        self._selector.register(sock, selectors.EVENT_READ, client)

    def _serve(self, client: _Client, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._send(client, b"")
        if not events & selectors.EVENT_READ or client not in self._clients:
            return
        try:
            data = client.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        *lines, client.incoming = (client.incoming + data).split(b"\n")
        if len(client.incoming) > MAX_LINE_BYTES:
            logger.warning("a client of the guard sent an endless line and was dropped")
            self._drop(client)
            return
        for line in lines:
            if client not in self._clients:
                return
            self._feed(client, line)

    def _feed(self, client: _Client, line: bytes) -> None:
        try:
            message: Message = decode(line)
            if isinstance(message, Hello):
                self._greet(client, message)
            elif isinstance(message, (Welcome, Fact, Snapshot)) or not client.role:
                raise ValueError(f"{type(message).__name__} is not expected here")
            elif isinstance(message, FactsSince):
                client.live = True
                self._send(client, b"".join(encode(f) for f in self._ring.since(message.n)))
                self._send(client, encode(self._snapshot()))
            elif isinstance(message, (Offer, Withdraw)) and client.role != STATION:
                raise ValueError("only the station may offer")
            else:
                self._handle(message)
        except (ValueError, TypeError) as error:
            logger.warning("a client of the guard was dropped: %s", error)
            self._send(client, encode(self._welcome(str(error))))
            self._drop(client)

    def _greet(self, client: _Client, hello: Hello) -> None:
        if hello.version != VERSION:
            error = f"this guard speaks version {VERSION}, not {hello.version}"
            self._send(client, encode(self._welcome(error)))
            self._drop(client)
            return
        client.role = str(hello.role) or "unknown"
        self._send(client, encode(self._welcome("")) + encode(self._snapshot()))

    def _welcome(self, error: str) -> Up:
        return Welcome(
            guard_id=self._guard_id,
            boot_id=self._boot_id,
            last_n=self._ring.last_n,
            first_n=self._ring.first_n,
            error=error,
        )

    def _send(self, client: _Client, data: bytes) -> None:
        """Send what fits, keep the rest; too much of a rest ends the connection."""
        if client not in self._clients:
            return
        client.waiting += data
        try:
            while client.waiting:
                sent = client.sock.send(client.waiting[:READ_BYTES])
                del client.waiting[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        if len(client.waiting) > MAX_WAITING_BYTES:
            logger.warning("a client of the guard (%s) does not read and was dropped", client.role)
            self._drop(client)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.waiting else 0)
        if self._selector.get_key(client.sock).events != events:
            self._selector.modify(client.sock, events, client)

    def _drop(self, client: _Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client.sock)
            client.sock.close()


def _listen(path: Path) -> socket.socket:
    """A listening socket at `path`; a left-over file is removed, a living guard is not disturbed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            path.unlink(missing_ok=True)
        else:
            raise OSError(f"another guard is running: {path} answers")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    listener.bind(str(path))
    path.chmod(0o660)
    listener.listen(8)
    return listener
