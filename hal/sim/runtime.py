"""Everything of the bench that waits: sockets, PWM watch, meters, card reader and the API."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import signal
import socket
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hal.sim.evse import VirtualEvse
from hal.sim.faults import MeterFaults
from hal.sim.hello import compose_hello
from hal.sim.pwm_tree import Watch
from hal.sim.socket_server import BenchConnection
from hal.sim.timers import LoopTimers
from hal.sim.world import World

if TYPE_CHECKING:
    from hal.sim.api import BenchApi, Reader

log = logging.getLogger(__name__)


class Runtime:
    """One world on the running loop."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._loop = asyncio.get_running_loop()
        self._watch = Watch()
        self._loop.add_reader(self._watch.fileno(), self._watch.dispatch)
        self._tasks: set[asyncio.Task[None]] = set()
        self._api: BenchApi | None = None
        self.reader: Reader | None = None

    @classmethod
    async def serve(
        cls,
        *,
        unix: socket.socket,
        tcp: socket.socket | None,
        directory: Path,
        state_dir: Path,
        installation: Mapping[str, Any],
        outputs_on_death: str,
        coil_gate: bool,
    ) -> None:
        """Serve until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        world = World(
            directory=directory,
            state_dir=state_dir,
            timers=LoopTimers(),
            outputs_on_death=outputs_on_death,
            coil_gate=coil_gate,
        )
        runtime = cls(world)
        if installation.get("evses"):
            runtime.furnish(compose_hello(installation, "bench"))
        server = await loop.create_unix_server(
            lambda: BenchConnection(world, runtime.furnish), sock=unix
        )
        try:
            if tcp is not None:
                runtime.start_api(tcp)
            await ended.wait()
        finally:
            server.close()
            await runtime.close()

    def furnish(self, hello: Mapping[str, Any]) -> None:
        """Make what a hello asks for, with its wires."""
        for evse in self.world.furnish(hello):
            self._watch.add(evse.chip, lambda name, evse=evse: self._chip_written(evse, name))  # type: ignore[misc]

    def _chip_written(self, evse: VirtualEvse, name: str) -> None:
        directory = evse.chip / f"pwm{evse.channel}"
        if name != "export" or directory.exists():
            return
        evse.export_pwm()
        self._watch.add(directory, lambda _: evse.pwm_written())
        evse.pwm_written()

    def start_api(self, tcp: socket.socket) -> None:
        """Serve the bench API once aiohttp is loaded; the wires work meanwhile."""
        self._spawn(self._serve_api(tcp))

    async def _serve_api(self, tcp: socket.socket) -> None:
        module = await asyncio.to_thread(importlib.import_module, "hal.sim.api")
        self._api = module.BenchApi(self.world, self)
        await self._api.start(tcp)

    def meter(self, evse: int) -> MeterFaults | None:
        """The virtual meter of that EVSE; None = it has none."""
        return None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("bench: %r", error, exc_info=error)

    async def close(self) -> None:
        """Stop everything and keep the registers."""
        for task in list(self._tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._api is not None:
            await self._api.stop()
        self._loop.remove_reader(self._watch.fileno())
        self._watch.close()
        self.world.close()
