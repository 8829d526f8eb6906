"""A station that says what the test wants, a small bench, and the real web server on loopback."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import pytest
from aiohttp import web

from controller.web.server import WebServer

EVSE: dict[str, Any] = {
    "evse": 1,
    "phase": "idle",
    "charging_state": "Idle",
    "why": "Ready: plug in your vehicle.",
    "pilot_state": "A1",
    "plugged": False,
    "operative": True,
    "inoperative_by_fault": False,
    "contactor_closed": False,
    "offered_amps": 0.0,
    "amps": [0.0, None, None],
    "power_w": 0.0,
    "energy_wh": 1234500.0,
    "transaction_id": None,
    "transaction_energy_wh": None,
    "id_token": None,
    "faults": [],
}
STATE: dict[str, Any] = {
    "station": {"id": "CP-1", "vendor": "chargepost", "model": "demo", "version": "0.1.0"},
    "backend": {
        "configured": True,
        "url": "ws://127.0.0.1:9000/ocpp",
        "protocols": ["ocpp1.6"],
        "connected": True,
    },
    "queue": 0,
    "guard": {"connected": True},
    "store": {"durable": True, "note": ""},
    "evses": [EVSE],
    "last_card": "",
    "frames": [],
}
CHARGING: dict[str, Any] = {
    "phase": "transaction",
    "charging_state": "Charging",
    "why": "The vehicle takes 15.9 A of the 16 A offered.",
    "pilot_state": "C2",
    "plugged": True,
    "contactor_closed": True,
    "offered_amps": 16.0,
    "amps": [15.9, None, None],
    "power_w": 3657.0,
    "energy_wh": 1235120.0,
    "transaction_id": "7",
    "transaction_energy_wh": 620.0,
    "id_token": "04A2B3C4",
}


class FakeStation:
    """SnapshotSource whose state the test sets."""

    def __init__(self) -> None:
        self.state = copy.deepcopy(STATE)
        self.listeners: list[Callable[[], None]] = []
        self.asked = 0

    def snapshot(self) -> Mapping[str, Any]:
        """A copy, as the real one makes."""
        self.asked += 1
        return copy.deepcopy(self.state)

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """As the port says."""
        self.listeners.append(changed)
        return lambda: self.listeners.remove(changed)

    def change(self, evse: Mapping[str, Any] | None = None, **state: Any) -> None:
        """Change the first EVSE and/or the whole, and tell."""
        self.state.update(state)
        if evse is not None:
            self.state["evses"][0].update(evse)
        for changed in self.listeners:
            changed()


class FakeBench:
    """Remembers what the page asked; refuses what it is told to refuse."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Any]] = []
        self.refuse: tuple[int, str] | None = None
        self.faults: list[str] = []
        self.runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        """Listen on a free port."""
        app = web.Application()
        app.add_routes([web.route("*", "/{path:.*}", self._any)])
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Gone."""
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    async def _any(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response({"evses": [{"id": 1, "faults": self.faults}]})
        if self.refuse is not None:
            return web.json_response({"error": self.refuse[1]}, status=self.refuse[0])
        self.calls.append((request.method, request.path, await request.json()))
        name = request.path.rpartition("/")[2]
        if request.method == "PUT":
            self.faults.append(name)
        if request.method == "DELETE" and name in self.faults:
            self.faults.remove(name)
        return web.Response(status=204)


class World:
    """Station, bench and web server in a thread with its own loop; calls from a test are safe."""

    def __init__(self) -> None:
        self.station = FakeStation()
        self.bench = FakeBench()
        self.server: WebServer | None = None
        self.cleared: list[tuple[int, str]] = []
        self.chosen: list[int] = []
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run in the loop and wait."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def start(self) -> None:
        """Everything up."""
        self._thread.start()
        self.call(self.bench.start())
        self.serve("127.0.0.1:0")

    def serve(self, listen: str, *, virtual: bool = True) -> None:
        """Start the web server."""
        bench_url = self.bench.url if virtual else None
        self.server = WebServer(self.station, listen, bench_url, self._clear, self._choose)
        self.call(self.server.start())

    def stop_serving(self) -> None:
        """The station's page is gone."""
        assert self.server is not None
        self.call(self.server.stop())

    def stop(self) -> None:
        """Everything down."""
        self.stop_serving()
        self.call(self.bench.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()

    def _clear(self, evse: int, name: str) -> None:
        self.cleared.append((evse, name))

    def _choose(self, evse: int) -> bool:
        if evse not in (self.station.state.get("asked") or {}).get("evses", []):
            return False
        self.chosen.append(evse)
        return True

    @property
    def url(self) -> str:
        """The page."""
        assert self.server is not None
        return self.server.url

    def change(self, evse: Mapping[str, Any] | None = None, **state: Any) -> None:
        """Change the station's state in its loop."""

        async def work() -> None:
            self.station.change(evse, **state)

        self.call(work())


@pytest.fixture
def world() -> Iterator[World]:
    """A running world."""
    world = World()
    world.start()
    yield world
    world.stop()


@pytest.fixture
def charging() -> dict[str, Any]:
    """An EVSE that charges."""
    return copy.deepcopy(CHARGING)


@pytest.fixture
def station() -> FakeStation:
    """A station for tests that start a server in their own loop."""
    return FakeStation()


@pytest.fixture
def bench() -> FakeBench:
    """A bench that is not started yet."""
    return FakeBench()
