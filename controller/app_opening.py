"""The first stage of the composition: as little as BootNotification needs; see `app.py`.

Whom the link tells and asks is made later: what it tells before is kept, what it asks for is made at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from controller.core.settings import STORED_PREFIX, Settings
from controller.core.settings_list import settings_for
from controller.errors import PermanentError
from controller.store.database import FILE, Database
from controller.store.values import StoredValues

if TYPE_CHECKING:
    from controller.clock import Clock
    from controller.core.installation import Installation
    from controller.core.security_events import SecurityEventType
    from controller.maintenance.virtual_installer import VirtualInstaller
    from controller.ocpp.v16.first_contact import FirstContact
    from controller.ports_security import Peer, TlsMaterial
    from controller.security.certificates import CertificateService
    from controller.security.time_floor import TimeFloor

HEAD_START_S = 0.5
"""The rest of the station waits at most this long for BootNotification to leave."""


class EarlyEvents:
    """Security events that are noticed before there is a log for them."""

    def __init__(self) -> None:
        self._kept: list[tuple[SecurityEventType, str]] = []
        self._tell: Callable[[SecurityEventType, str], None] | None = None

    def raise_event(self, event: SecurityEventType, info: str) -> None:
        """Tell it, or keep it until somebody can be told."""
        if self._tell is None:
            self._kept.append((event, info))
        else:
            self._tell(event, info)

    def hand_over(self, tell: Callable[[SecurityEventType, str], None]) -> None:
        """From now on `tell` hears them; at once those that were kept."""
        self._tell = tell
        kept, self._kept = self._kept, []
        for event, info in kept:
            tell(event, info)


class LateTrust:
    """Implements `ports_security.Trust`; certificates are looked at when TLS needs them."""

    def __init__(self, make: Callable[[], CertificateService]) -> None:
        self._make = make
        self._service: CertificateService | None = None

    @property
    def service(self) -> CertificateService:
        """Made at the first use."""
        if self._service is None:
            self._service = self._make()
        return self._service

    def material(self, *, with_certificate: bool) -> TlsMaterial | None:
        """As the service."""
        return self.service.material(with_certificate=with_certificate)

    def worked(self, peer: Peer) -> None:
        """As the service."""
        self.service.worked(peer)

    def refused(self) -> None:
        """As the service."""
        self.service.refused()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The way to the backend."""

    contact: FirstContact
    trust: LateTrust
    floor: TimeFloor


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What the second stage goes on with. `line`: None = stand-alone."""

    installation: Installation
    installer: VirtualInstaller | None
    database: Database
    values: StoredValues
    settings: Settings
    events: EarlyEvents
    line: Line | None

    async def reach(self) -> None:
        """BootNotification goes out; then what the second stage needs is loaded, aside.

        Loading takes seconds on a small computer, and when an answer comes is needed for its time.
        """
        if self.line is not None:
            await self.line.contact.reach(HEAD_START_S)
            await asyncio.to_thread(_load, "controller.ocpp.v16.adapter")
        await asyncio.to_thread(_load, "controller.app_maintenance", "controller.station.station",
            "controller.energy.limits", "controller.energy.profiles", "controller.hardware")  # fmt: skip


async def opened(installation: Installation, clock: Clock) -> Opening:
    """Store, settings and the way to the backend. Raises PermanentError, StoreCorrupt."""
    installer = _installer(installation)
    version = "" if installer is None else installer.boot()
    if version:  # what was installed over the backend is what the station says it runs
        station = replace(installation.station, firmware_version=version)
        installation = replace(installation, station=station)
    database = Database(Path(installation.state_dir) / FILE)
    database.open()
    values = StoredValues(database)
    await values.load()
    changed = {
        name.removeprefix(STORED_PREFIX): text
        for name, text in (await values.all(STORED_PREFIX)).items()
    }
    settings = settings_for(installation, changed)
    events = EarlyEvents()
    return Opening(
        installation=installation,
        installer=installer,
        database=database,
        values=values,
        settings=settings,
        events=events,
        line=_line(installation, settings, clock, events),
    )


def _load(*modules: str) -> None:
    for name in modules:
        import_module(name)


def _installer(installation: Installation) -> VirtualInstaller | None:
    """The one installer of this station; None = firmware cannot be installed over the backend."""
    if installation.bench is None:
        return None
    from controller.maintenance.virtual_installer import FIRMWARE_DIR, VirtualInstaller

    return VirtualInstaller(Path(installation.state_dir) / FIRMWARE_DIR)


def _line(
    installation: Installation, settings: Settings, clock: Clock, events: EarlyEvents
) -> Line | None:
    """Only the configured protocol is imported."""
    backend = installation.backend
    if backend is None:
        return None
    if "ocpp1.6" not in backend.protocols:
        raise PermanentError(
            f"[backend] protocol = {', '.join(backend.protocols)}: this version speaks ocpp1.6 only"
        )
    from controller.ocpp.v16.connection import network_16
    from controller.ocpp.v16.first_contact import FirstContact
    from controller.security.network_file import NetworkFile
    from controller.security.time_floor import TimeFloor

    state_dir = Path(installation.state_dir)
    floor = TimeFloor(state_dir, clock.utc, lambda: datetime.now(UTC))

    def certificates() -> CertificateService:
        from controller.security.certificates import CertificateService

        return CertificateService(installation, settings, floor, events.raise_event)

    trust = LateTrust(certificates)
    network = network_16(
        installation,
        settings,
        store=NetworkFile(state_dir),
        trust=trust,
        tell=events.raise_event,
    )
    contact = FirstContact(
        installation=installation, settings=settings, network=network, clock=clock
    )
    return Line(contact=contact, trust=trust, floor=floor)
