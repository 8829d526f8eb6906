"""The station process: the one place that knows every class and puts them together.

`python -m controller.app --installation F`. Exit: 0 ended by SIGTERM or SIGINT, 1 a failure, 2 wrong usage or
configuration, 3 soft reset asked for, 4 hard reset asked for (`run` and systemd start it again).

The order is the start-up time: first settings and link, because BootNotification needs neither sessions nor
hardware (`app_opening.py`); the station, then meters, reader and page follow while the backend thinks.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from controller import __version__, log
from controller.app_opening import Opening, opened
from controller.clock import Clock, SystemClock
from controller.core.installation import Installation
from controller.errors import ChargepostError, PermanentError
from hal.errors import HalError

if TYPE_CHECKING:
    from controller.core.settings import Settings
    from controller.hardware import Hardware
    from controller.maintenance.service import MaintenanceService
    from controller.ports import Backend, GuardLink, Services
    from controller.station.station import Station
    from controller.store.store import Store
    from controller.web.server import WebServer
    from hal.ports import CardReader, Meter

_log = logging.getLogger(__name__)

USAGE = "usage: python -m controller.app --installation FILE"
BOOT_WAIT_S = 1.0
"""Hardware and page wait for the first registration, but never longer than this."""
BOOT_LOOK_S = 0.02


def main(argv: list[str]) -> int:
    """Run the station until a signal or a reset ends it."""
    if len(argv) != 2 or argv[0] != "--installation":
        print(USAGE, file=sys.stderr)
        return 2
    gc.disable()  # until the boot message is out
    try:
        data = json.loads(Path(argv[1]).read_bytes())
        installation = Installation.from_dict(data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"station: {argv[1]} is not a compiled installation: {error}", file=sys.stderr)
        return 2
    password = installation.backend.password if installation.backend else None
    log.setup("station", secrets=[password] if password else [])
    try:
        return asyncio.run(_serve(installation, data))
    except PermanentError as error:
        print(f"station: {error}", file=sys.stderr)
        return 1
    except (ChargepostError, HalError) as error:
        _log.error("%s", error)
        return 1


class StationClock(Clock, Protocol):
    """A clock that the backend may correct."""

    def set_utc(self, now: datetime) -> float:
        """Adopt the backend's time; returns the step in seconds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a station is put between: everything that is not its own."""

    clock: StationClock
    guard: GuardLink
    meters: Mapping[int, Meter]
    reader: CardReader | None
    control_socket: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """A station that is ready for `station.run()`; `close` when that has returned."""

    store: Store
    settings: Settings
    station: Station
    backend: Backend
    maintenance: MaintenanceService

    async def close(self) -> None:
        """Make durable what is not, and close the store."""
        await self.maintenance.close()
        await self.store.close()


async def compose(installation: Installation, around: Surroundings) -> Composition:
    """Every part of the station with every other; the only place that does it."""
    return await completed(await opened(installation, around.clock), around)


async def completed(opening: Opening, around: Surroundings) -> Composition:
    """The second stage: everything that BootNotification does not need, so its imports stand here."""
    from controller.app_maintenance import maintenance_of
    from controller.energy.limits import Limits
    from controller.energy.profiles import Profiles
    from controller.ports import Services
    from controller.station.station import Station
    from controller.store.store import Store

    installation, settings = opening.installation, opening.settings
    store = await Store.over(opening.database, opening.values)
    profiles = Profiles(
        installation=installation,
        settings=settings,
        store=store.charging_profiles,
        guard=around.guard,
        clock=around.clock,
    )
    limits = Limits(
        installation=installation,
        settings=settings,
        guard=around.guard,
        clock=around.clock,
        profiles=profiles,
    )
    station = Station(
        installation=installation,
        settings=settings,
        store=store,
        limits=limits,
        profiles=profiles,
        guard=around.guard,
        meters=around.meters,
        reader=around.reader,
        clock=around.clock,
        version=__version__,
        control_socket=around.control_socket,
    )
    await station.prepare()
    maintenance = await maintenance_of(
        installation, settings, store, around.clock, station, opening.installer
    )
    opening.events.hand_over(maintenance.events.raise_event)
    services = Services(
        charging_profiles=profiles,
        local_list=station.local_list,
        reservations=station.reservations,
        prices=station.prices.service,
        maintenance=maintenance.for_backend,
    )
    backend = _backend(opening, store, around.clock, station, services)
    station.attach(backend)
    maintenance.started(station.boot_reason(), store.database.note)
    return Composition(
        store=store, settings=settings, station=station, backend=backend, maintenance=maintenance
    )


async def _serve(installation: Installation, data: Mapping[str, Any]) -> int:
    from controller.security.time_floor import RELEASED_AT

    clock = SystemClock(RELEASED_AT)
    opening = await opened(installation, clock)
    await opening.reach()
    from controller.hardware import Hardware
    from controller.station.guard_link import GuardSocket

    installation = opening.installation
    runtime_dir = Path(installation.runtime_dir)
    hardware = Hardware(installation, data)
    around = Surroundings(
        clock=clock,
        guard=GuardSocket(runtime_dir / "guard.sock", clock),
        meters=hardware.meters,
        reader=hardware.reader,
        control_socket=runtime_dir / "station.sock",
    )
    composition = await completed(opening, around)
    station, backend = composition.station, composition.backend
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, station.stop)
    world = hardware.world(station, backend)
    later = asyncio.create_task(_later(installation, hardware, station, backend))
    try:
        return await station.run()
    finally:
        for task in (later, world):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await hardware.close()
        await composition.close()


def _backend(
    opening: Opening, store: Store, clock: StationClock, station: Station, services: Services
) -> Backend:
    """The adapter of the configured protocol over the line that was opened; only its version is imported."""
    line = opening.line
    if line is None:
        from controller.ocpp.none import NullBackend

        return NullBackend()
    from controller.ocpp.v16.adapter import Adapter
    from controller.ports_security import Security

    maintenance = services.maintenance
    assert maintenance is not None
    tls = opening.installation.tls
    security = Security(
        network=line.contact.network,
        certificates=line.trust.service,
        utc=line.floor.now,
        expiry_check_delay_s=float(tls.get("client_expiry_check_delay", 60)),
        expiry_check_interval_s=float(tls.get("client_expiry_check_interval", 43_200)),
    )
    adapter = Adapter(
        installation=opening.installation,
        settings=opening.settings,
        outbox=store.outbox,
        values=store.values,
        clock=clock,
        set_utc=lambda now: maintenance.clock_set(clock.set_utc(now)),
        time_told=station.past.adopted,
        contact=line.contact,
    )
    adapter.bind(station.control, replace(services, security=security))
    return adapter


async def _later(
    installation: Installation, hardware: Hardware, station: Station, backend: Backend
) -> None:
    """What waits for the boot message: meters and reader, and the page, whose library is the largest of all."""
    for _ in range(round(BOOT_WAIT_S / BOOT_LOOK_S)):
        if backend.connected or installation.backend is None:
            break
        await asyncio.sleep(BOOT_LOOK_S)
    hardware.may_open.set()
    gc.collect()
    gc.freeze()  # what start-up made lives as long as the process
    gc.enable()
    if installation.web_listen:
        await _page(installation, station)


async def _page(installation: Installation, station: Station) -> None:
    from controller.web.server import WebServer

    bench = installation.bench
    bench_url = f"http://{bench.listen}" if bench is not None and bench.listen else None

    def clear_fault(evse: int, name: str) -> None:
        station.guard.clear_fault(evse, name, by="command")

    server: WebServer = WebServer(
        station.snapshots,
        installation.web_listen,
        bench_url,
        clear_fault=clear_fault,
        choose_evse=station.cards.answer,
    )
    try:
        await server.start()
    except PermanentError as error:
        _log.error("no page: %s", error)
        return
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
