"""An event loop whose clock stands still while there is work and jumps when there is none.

Sockets, threads and the store are real. A connection to a server of the same loop is a socket pair: what one
side wrote is there for the other at once, so a jump never overtakes a frame.
"""

from __future__ import annotations

import asyncio
import math
import os
import selectors
import socket
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

START_S = 1000.0
START_UTC = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FOREIGN_GRACE_S = 0.003
"""Real time that a socket outside this loop gets before virtual time goes on."""
STUCK_S = 1.0
"""A thread that takes longer may be waiting for virtual time itself."""


class Standstill(RuntimeError):
    """Nothing can happen any more."""


class _Selector(selectors.EpollSelector):
    """Asks the loop before it waits."""

    loop: VirtualLoop

    def __init__(self) -> None:
        super().__init__()
        self._foreign: set[int] = set()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        if _is_foreign(key.fd):
            self._foreign.add(key.fd)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        self._foreign.discard(key.fd)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or (timeout is not None and timeout <= 0):
            return found
        waited_s = 0.0
        while self.loop.busy() and waited_s < STUCK_S:
            found = super().select(0.05)
            if found:
                return found
            waited_s += 0.05
        if self._foreign:
            found = super().select(FOREIGN_GRACE_S)
            if found:
                return found
        if timeout is None:
            found = super().select(5.0)
            if not found:
                raise Standstill("nothing is scheduled and nothing comes in")
            return found
        self.loop.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` is virtual. `outstanding`: functions that tell how much work threads still have."""

    def __init__(self) -> None:
        self._now_s = START_S
        self._threads = 0
        self._servers: dict[int, tuple[Any, Any, Any]] = {}
        self.outstanding: list[Callable[[], int]] = []
        self.frozen = False
        """True: time waits for a thread that nobody counts."""
        self.network = True
        """False: nobody can connect to anybody."""
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def now_ns(self) -> int:
        """Virtual nanoseconds."""
        return round(self._now_s * 1e9)

    def call_at(
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Who asks for next to no time gets it at once: `while left > 0: wait(left)` must end."""
        if abs(when - self._now_s) <= 1e-6:
            self._now_s = math.nextafter(max(when, self._now_s), math.inf)
        return super().call_at(when, callback, *args, context=context)

    def jump(self, seconds: float) -> None:
        """Nothing happens before that; at least to the next timer."""
        target_s = self._now_s + seconds
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if scheduled and abs(scheduled[0].when() - target_s) < 1e-6:
            target_s = max(target_s, scheduled[0].when())
        self._now_s = target_s

    def busy(self) -> bool:
        """A thread works for us: time must not pass."""
        return self.frozen or self._threads > 0 or any(count() > 0 for count in self.outstanding)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """Time stands still while the function runs."""
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: object) -> None:
        self._threads -= 1

    async def create_server(
        self,
        protocol_factory: Any,
        host: Any = None,
        port: Any = None,
        *,
        ssl: Any = None,
        **options: Any,
    ) -> Any:
        """A real listening socket, and a short way to it for clients of this loop."""
        server = await super().create_server(protocol_factory, host, port, ssl=ssl, **options)
        for sock in server.sockets:
            if sock.family == socket.AF_INET:
                self._servers[sock.getsockname()[1]] = (server, protocol_factory, ssl)
        return server

    async def create_connection(
        self,
        protocol_factory: Any,
        host: Any = None,
        port: Any = None,
        *,
        ssl: Any = None,
        sock: Any = None,
        server_hostname: Any = None,
        **options: Any,
    ) -> Any:
        """To a server of this loop through a socket pair, to others as usual."""
        if not self.network and sock is None:
            raise OSError(101, "Network is unreachable")
        known = self._servers.get(port) if sock is None else None
        if known is None:
            return await super().create_connection(
                protocol_factory,
                host,
                port,
                ssl=ssl,
                sock=sock,
                server_hostname=server_hostname,
                **options,
            )
        server, server_factory, server_ssl = known
        if not server.is_serving():
            raise ConnectionRefusedError(111, "Connection refused")
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        accepting = self.create_task(
            self.connect_accepted_socket(server_factory, far, ssl=server_ssl)
        )
        accepting.add_done_callback(lambda task: task.cancelled() or task.exception())
        if ssl and server_hostname is None:
            server_hostname = host
        for name in ("happy_eyeballs_delay", "interleave", "all_errors", "local_addr"):
            options.pop(name, None)
        try:
            return await super().create_connection(
                protocol_factory, sock=near, ssl=ssl, server_hostname=server_hostname, **options
            )
        except BaseException:
            near.close()
            raise


class LabClock:
    """A station's clocks in virtual time. `host_error_s`: by how much the host's UTC is wrong."""

    def __init__(self, loop: VirtualLoop, host_error_s: float = 0.0) -> None:
        self._loop = loop
        self.host_error_s = host_error_s
        self.offset_s = 0.0

    def monotonic_ns(self) -> int:
        return self._loop.now_ns()

    def utc(self) -> datetime:
        return true_utc(self._loop) + timedelta(seconds=self.host_error_s + self.offset_s)

    def set_utc(self, now: datetime) -> float:
        step_s = (now - self.utc()).total_seconds()
        self.offset_s += step_s
        return step_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class LabTimers:
    """`hal.sim.timers.Timers` in virtual time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now_ns(self) -> int:
        return self._loop.now_ns()

    def at(self, at_ns: int, call: Callable[[], None]) -> asyncio.TimerHandle:
        return self._loop.call_at(at_ns / 1e9, call)


def true_utc(loop: VirtualLoop) -> datetime:
    """What an atomic clock would show."""
    return START_UTC + timedelta(microseconds=round((loop.time() - START_S) * 1e6))


def _is_foreign(fd: int) -> bool:
    """A TCP socket that does not listen: its other end may be outside this loop."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return False
    with socket.socket(fileno=os.dup(fd)) as sock:
        return sock.family in (socket.AF_INET, socket.AF_INET6) and not sock.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        )
