"""The bench's Unix socket: JSON lines from guard, station, run and safe-outputs."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from hal.sim.world import World

log = logging.getLogger(__name__)

Furnish = Callable[[Mapping[str, Any]], None]


class BenchConnection(asyncio.Protocol):
    """One process. Until its hello it is nobody."""

    def __init__(self, world: World, furnish: Furnish) -> None:
        self.role = ""
        self.pid = 0
        self.wires = False
        self._world = world
        self._furnish = furnish
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody dialled."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """The process hung up or died."""
        self._transport = None
        if self.role:
            self._world.goodbye(self)

    def data_received(self, data: bytes) -> None:
        """Handle whole lines at once and in order."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            try:
                self._feed(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                log.warning("bench: bad line from %s: %r", self.role or "nobody", error)
                self.send({"error": f"bad line: {error!r}"})

    def send(self, message: Mapping[str, Any]) -> None:
        """Queue one line."""
        if self._transport is not None:
            self._transport.write(json.dumps(message).encode() + b"\n")

    def _feed(self, message: Mapping[str, Any]) -> None:
        if "pin" in message:
            evse, pin, level, at_ns = message["pin"]
            self._world.pin(self, int(evse), int(pin), bool(level), int(at_ns))
        elif "backend" in message:
            self._world.set_backend(bool(message["backend"]))
        elif "hello" in message:
            hello = message["hello"]
            self.role = str(hello["role"])
            self.pid = int(hello["pid"])
            self.wires = bool(hello.get("wires"))
            if self.role != "safe-outputs":  # it knows outputs alone: no world is made of that
                self._furnish(hello)
            self.send({"welcome": self._world.welcome(self)})
