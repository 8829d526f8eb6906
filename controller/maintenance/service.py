"""All of maintenance put together. `app.py` hands it what belongs to others."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.clock import Clock
from controller.core.installation import Installation
from controller.core.model import BootReason
from controller.core.settings import Settings
from controller.maintenance.diagnostics import Diagnostics
from controller.maintenance.firmware import FirmwareService
from controller.maintenance.logs import LogService
from controller.maintenance.recent_log import RecentLog
from controller.maintenance.security_log import SecurityLog
from controller.maintenance.transfer import Transfer, protocols
from controller.maintenance.virtual_installer import FIRMWARE_DIR
from controller.maintenance.watch import Watch
from controller.ports import ValueStore
from controller.ports_maintenance import (
    Installer,
    Maintenance,
    SecurityEventKeeper,
    SignatureCheck,
    Upkeep,
)

KNOWN_HOSTS = "known_hosts"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What maintenance needs of the rest. `trust` makes the TLS context of file transfers."""

    installation: Installation
    settings: Settings
    version: str
    clock: Clock
    values: ValueStore
    keeper: SecurityEventKeeper
    signatures: SignatureCheck
    trust: Callable[[], ssl.SSLContext]
    upkeep: Upkeep
    snapshot: Callable[[], Mapping[str, Any]]
    undelivered: Callable[[], Awaitable[Sequence[Mapping[str, object]]]]
    secrets: Sequence[str] = ()


class MaintenanceService:
    """`load`, then `started` and `run` once the station runs, `close` at its end."""

    def __init__(self, needs: Needs, installer: Installer | None) -> None:
        installation, state_dir = needs.installation, Path(needs.installation.state_dir)
        self._state_dir = state_dir
        has_backend = installation.backend is not None
        security_log = SecurityLog(
            needs.keeper, needs.settings, needs.clock, has_backend=has_backend
        )
        self.events = security_log
        self.recent = RecentLog("station")
        self.recent.install(needs.secrets)
        self.watch = Watch(
            events=security_log, settings=needs.settings, clock=needs.clock, state_dir=state_dir
        )
        transfer = Transfer(needs.trust, state_dir / KNOWN_HOSTS)
        diagnostics = Diagnostics(
            installation=installation,
            settings=needs.settings,
            version=needs.version,
            snapshot=needs.snapshot,
            undelivered=needs.undelivered,
            recent=self.recent,
            security_log=security_log,
        )
        self.logs = LogService(
            station_id=installation.station.id,
            folder=Path(installation.runtime_dir),
            diagnostics=diagnostics,
            security_log=security_log,
            transfer=transfer,
            clock=needs.clock,
        )
        self.firmware = FirmwareService(
            values=needs.values,
            clock=needs.clock,
            transfer=transfer,
            signatures=needs.signatures,
            installer=installer,
            upkeep=needs.upkeep,
            events=security_log,
            folder=state_dir / FIRMWARE_DIR,
        )
        self.for_backend = Maintenance(
            events=security_log,
            queue=security_log,
            logs=self.logs,
            firmware=self.firmware,
            clock=needs.clock,
            clock_set=self.watch.clock_set,
        )
        needs.settings.learn("SupportedFileTransferProtocols", ",".join(protocols()))
        self._tasks: list[asyncio.Task[None]] = []

    async def load(self) -> None:
        """What survives a restart."""
        await self.events.load()
        await self.firmware.load()

    def started(self, reason: BootReason, store_note: str) -> None:
        """The station runs: note it, and go on with an update that was under way."""
        self.watch.started(reason, store_note)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self.events.run()), loop.create_task(self.watch.run())]
        self.firmware.start()

    async def close(self) -> None:
        """Stop; what is under way goes on after the next start."""
        for task in self._tasks:
            task.cancel()
        for end in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(end, Exception):
                # What comes after, the store above all, is closed all the same.
                _log.error("maintenance: a task had ended: %r", end)
        await self.logs.close()
        await self.firmware.close()
        await self.events.flush()
        self.recent.remove()
        self.recent.save(self._state_dir)
