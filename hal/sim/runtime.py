"""Everything of the bench that waits: sockets, PWM watch, meters, card reader and the API."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hal.errors import HalError
from hal.sim.card_reader import READERS, CardReader
from hal.sim.defaults import THREE_PHASE_METER
from hal.sim.evse import VirtualEvse
from hal.sim.faults import MeterFaults
from hal.sim.hello import compose_hello
from hal.sim.pty_port import PtyPort
from hal.sim.pwm_tree import Watch
from hal.sim.socket_server import BenchConnection
from hal.sim.timers import LoopTimers
from hal.sim.world import World

if TYPE_CHECKING:
    from hal.sim.api import BenchApi
    from hal.sim.meter_face import MeterFace
    from hal.sim.meter_server import MeterServer

log = logging.getLogger(__name__)

GREETING_S = 0.3
NICE = 10


class Runtime:
    """One world on the running loop."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._loop = asyncio.get_running_loop()
        self._watch = Watch()
        self._loop.add_reader(self._watch.fileno(), self._watch.dispatch)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loading = asyncio.Lock()
        self._greeted = asyncio.Event()
        self._api: BenchApi | None = None
        self._ports: list[PtyPort] = []
        self._faces: dict[int, MeterFace] = {}
        self._meters: dict[int, MeterServer] = {}
        self.reader: CardReader | None = None

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
        if tcp is not None:
            runtime.start_api(tcp)
        if installation.get("evses"):
            runtime.furnish(compose_hello(installation, "bench"))
        server = await loop.create_unix_server(
            lambda: BenchConnection(world, runtime.furnish), sock=unix
        )
        try:
            await ended.wait()
        finally:
            server.close()
            await runtime.close()

    def furnish(self, hello: Mapping[str, Any]) -> None:
        """Make what a hello asks for, with its wires."""
        for evse in self.world.furnish(hello):
            self._watch.add(evse.chip, lambda name, evse=evse: self._chip_written(evse, name))  # type: ignore[misc]
            if evse.tables.get("meter"):
                self._wire_meter(evse, evse.tables["meter"])
        if self.world.rfid_table and self.reader is None:
            self._wire_reader(str(self.world.rfid_table.get("driver")))
        if hello.get("role") in ("guard", "station"):
            self._greeted.set()

    def meter(self, evse: int) -> MeterFaults | None:
        """The virtual meter of that EVSE; None = it has none."""
        return self._faces.get(evse)

    def _wire_meter(self, evse: VirtualEvse, table: Mapping[str, Any]) -> None:
        port = PtyPort(lambda data: self._meter_request(evse.id, data))
        self._ports.append(port)
        self.world.serial[f"meter:{evse.id}"] = port.path
        self._spawn(self._serve_meter(evse, table, port))

    def _meter_request(self, evse: int, data: bytes) -> None:
        server = self._meters.get(evse)
        if server is not None:
            server.request(data)

    async def _serve_meter(
        self, evse: VirtualEvse, table: Mapping[str, Any], port: PtyPort
    ) -> None:
        await self._first_greeting()
        from hal.register_map import load
        from hal.sim.meter_face import MeterFace

        face = MeterFace(
            load(str(table.get("map", THREE_PHASE_METER))),
            evse.meter,
            self.world.grid,
            self.world.timers,
            evse=evse.id,
            phases=evse.phases,
        )
        self._faces[evse.id] = face
        module = await self._load("hal.sim.meter_server")
        server: MeterServer = module.MeterServer(face, int(table.get("address", 1)), port)
        await server.start()
        self._meters[evse.id] = server

    async def _first_greeting(self) -> None:
        """Whoever starts gets its wires before this process loads what is heavy."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._greeted.wait(), GREETING_S)

    async def _load(self, name: str) -> ModuleType:
        """Import in a thread that leaves the processor to the others."""

        def load() -> ModuleType:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
            return importlib.import_module(name)

        async with self._loading:
            return await asyncio.to_thread(load)

    def _wire_reader(self, driver: str) -> None:
        kind = READERS.get(driver)
        if kind is None:
            log.warning("bench: no virtual card reader for the driver %r", driver)
            return
        port = PtyPort(lambda data: reader.received(data))
        reader = kind(self.world.timers, port.write)
        self._ports.append(port)
        self.reader = reader
        self.world.serial["rfid:0"] = port.path

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
        await self._first_greeting()
        module = await self._load("hal.sim.api")
        self._api = module.BenchApi(self.world, self)
        await self._api.start(tcp)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A wrong setting is for the person who wrote it: no traceback.
            known = isinstance(error, HalError)
            log.error(
                "bench: %s", error if known else repr(error), exc_info=None if known else error
            )

    async def close(self) -> None:
        """Stop everything and keep the registers."""
        for task in list(self._tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._api is not None:
            await self._api.stop()
        for server in self._meters.values():
            await server.stop()
        for port in self._ports:
            port.close()
        self._loop.remove_reader(self._watch.fileno())
        self._watch.close()
        self.world.close()
