"""The station's end of the guard's socket: offers down every second, facts up in order, once each.

After a reconnect to the same guard the facts that were missed are asked for; a snapshot is handed on
only when every fact before it was. A guard with another id starts a new count.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

from controller.clock import Clock
from controller.core.faults import kind_of
from controller.core.guard_messages import (
    VERSION,
    ClearFault,
    Down,
    Fact,
    FactsSince,
    Hello,
    Lock,
    Offer,
    RaiseFault,
    Snapshot,
    Unlock,
    Welcome,
    Withdraw,
    decode,
    encode,
)
from controller.errors import GuardUnavailable
from controller.station.waiting import cancel

_log = logging.getLogger(__name__)

OFFER_EVERY_S = 1.0
RETRY_S = 0.2
UNLOCK_WANTED_S = 6.0
"""so long an answer to UnlockConnector waits; later it would surprise somebody else"""
LINE_LIMIT = 1 << 20


class GuardSocket:
    """The GuardLink of `controller/ports.py` over a Unix stream socket."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._writer: asyncio.StreamWriter | None = None
        self._welcome: Welcome | None = None
        self._seen_n = 0
        self._caught_up = False
        self._snapshot: Snapshot | None = None
        self._offers: dict[int, Offer] = {}
        self._withdrawn: dict[int, Withdraw] = {}
        self._raised: dict[tuple[int, str], RaiseFault] = {}
        self._locks: dict[int, tuple[Lock | Unlock, int]] = {}
        self._up: asyncio.Queue[Fact | Snapshot] = asyncio.Queue()
        self._lost_ns: int | None = None

    # --- GuardLink --------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """The socket is up and Welcome was received."""
        return self._writer is not None and self._welcome is not None

    @property
    def guard_id(self) -> str:
        """Identity of the guard process; "" before the first Welcome."""
        return self._welcome.guard_id if self._welcome is not None else ""

    @property
    def boot_id(self) -> str:
        """Identity of the host's boot as the guard told it."""
        return self._welcome.boot_id if self._welcome is not None else ""

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest snapshot."""
        return self._snapshot

    def offer(self, evse: int, plug_id: int, max_amps: float, phases: int) -> None:
        """Permit this plug-in; sent at once and then every second."""
        offer = Offer(evse=evse, plug_id=plug_id, max_amps=max_amps, phases=phases)
        self._offers[evse] = offer
        self._withdrawn.pop(evse, None)
        self._send(offer)

    def withdraw(self, evse: int, plug_id: int, why: str = "") -> None:
        """End the permission; told again to the same guard when its socket comes back."""
        self._offers.pop(evse, None)
        message = Withdraw(evse=evse, plug_id=plug_id, why=why)
        self._withdrawn[evse] = message
        self._send(message)

    def raise_fault(self, evse: int, name: str, detail: str = "") -> None:
        """Tell a fault only the station sees; repeated to each new guard until its cause is gone."""
        message = RaiseFault(evse=evse, name=name, detail=detail)
        if not kind_of(name).momentary:
            self._raised[(evse, name)] = message
        self._send(message)

    def clear_fault(self, evse: int, name: str, by: str = "cause") -> None:
        """The cause is gone, or (by="command") a person clears the latch."""
        if by == "cause":
            self._raised.pop((evse, name), None)
        self._send(ClearFault(evse=evse, name=name, by=by))

    def lock(self, evse: int, *, keep: bool = False) -> None:
        """Lock the connector. `keep`: unplugging at the vehicle does not unlock it."""
        self._tell_lock(Lock(evse=evse, keep=keep))

    def unlock(self, evse: int) -> None:
        """Unlock the connector."""
        self._tell_lock(Unlock(evse=evse))

    async def facts(self) -> AsyncIterator[Fact | Snapshot]:
        """All facts in order (also those missed while the station was down), and snapshots."""
        while True:
            yield await self._up.get()

    async def run(self) -> None:
        """Keep the socket up for ever."""
        beat = asyncio.ensure_future(self._repeat_offers())
        try:
            while True:
                try:
                    await self._serve()
                except (OSError, ValueError, GuardUnavailable) as error:
                    self._lost(error)
                await self._clock.sleep(RETRY_S)
        finally:
            await cancel(beat)
            self._drop()

    # --- inside -----------------------------------------------------------------------------------

    async def _serve(self) -> None:
        reader, writer = await asyncio.open_unix_connection(str(self._path), limit=LINE_LIMIT)
        try:
            writer.write(encode(Hello(role="station", pid=os.getpid())))
            welcome = decode(await _line(reader))
            if not isinstance(welcome, Welcome):
                raise GuardUnavailable("the guard did not begin with Welcome")
            if welcome.version != VERSION or welcome.error:
                raise GuardUnavailable(f"guard speaks version {welcome.version}: {welcome.error}")
            self._joined(welcome, writer)
            while True:
                self._take(await _line(reader))
        finally:
            self._drop()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _joined(self, welcome: Welcome, writer: asyncio.StreamWriter) -> None:
        if welcome.guard_id != self.guard_id:
            self._seen_n, self._snapshot = 0, None
            self._offers.clear()
            self._withdrawn.clear()
            self._locks.clear()
        self._welcome, self._writer = welcome, writer
        self._caught_up = False
        if self._lost_ns is not None:
            lost_s = (self._clock.monotonic_ns() - self._lost_ns) / 1e9
            _log.warning("guard back after %.1f s", lost_s)
            self._lost_ns = None
        self._send(FactsSince(n=self._seen_n))
        for fault in self._raised.values():
            self._send(fault)
        for withdrawn in self._withdrawn.values():
            self._send(withdrawn)
        for message, told_ns in self._locks.values():
            if self._still_wanted(message, told_ns):
                self._send(message)
        for offer in self._offers.values():
            self._send(offer)
        # Facts that fell out of the ring will never come.
        self._seen_n = max(self._seen_n, welcome.first_n - 1)

    def _tell_lock(self, message: Lock | Unlock) -> None:
        self._locks[message.evse] = (message, self._clock.monotonic_ns())
        self._send(message)

    def _still_wanted(self, message: Lock | Unlock, told_ns: int) -> bool:
        """Told while the socket was going down: a lock belongs to the offer that stands, an unlock to
        a person who still waits for it.
        """
        if isinstance(message, Lock):
            return message.evse in self._offers
        return self._clock.monotonic_ns() - told_ns <= UNLOCK_WANTED_S * 1e9

    def _take(self, line: bytes) -> None:
        message = decode(line)
        if isinstance(message, Fact):
            if message.n > self._seen_n:
                self._seen_n = message.n
                self._up.put_nowait(message)
        elif isinstance(message, Snapshot):
            self._caught_up = self._caught_up or message.last_n <= self._seen_n
            if self._caught_up:
                self._snapshot = message
                self._up.put_nowait(message)

    def _send(self, message: Down) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(message))

    async def _repeat_offers(self) -> None:
        while True:
            await self._clock.sleep(OFFER_EVERY_S)
            for offer in self._offers.values():
                self._send(offer)

    def _lost(self, error: Exception) -> None:
        if self._lost_ns is None:
            self._lost_ns = self._clock.monotonic_ns()
            _log.warning("guard lost: %s", error)

    def _drop(self) -> None:
        self._writer = None


async def _line(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise GuardUnavailable("the guard closed its socket")
    return line
