"""The part of the composition that is about maintenance; see `app.py`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from controller import __version__
from controller.core.installation import Installation
from controller.maintenance.service import MaintenanceService, Needs
from controller.security.signatures import Signatures

if TYPE_CHECKING:
    import ssl

    from controller.clock import Clock
    from controller.core.settings import Settings
    from controller.maintenance.virtual_installer import VirtualInstaller
    from controller.station.station import Station
    from controller.store.store import Store


async def maintenance_of(
    installation: Installation,
    settings: Settings,
    store: Store,
    clock: Clock,
    station: Station,
    installer: VirtualInstaller | None,
) -> MaintenanceService:
    """All of maintenance, ready; what it needs of the others is handed over here."""
    backend = installation.backend
    service = MaintenanceService(
        Needs(
            installation=installation,
            settings=settings,
            version=__version__,
            clock=clock,
            values=store.values,
            keeper=store.security_events,
            signatures=Signatures(lambda: _bundle(installation, "manufacturer_roots")),
            trust=lambda: trust_of(installation),
            upkeep=station.upkeep,
            snapshot=station.snapshots.snapshot,
            undelivered=store.undelivered.as_text,
            secrets=[backend.password] if backend is not None and backend.password else [],
        ),
        installer,
    )
    await service.load()
    if service.firmware.restarted:
        station.recovery.started_by_update()
    station.upkeep.watch(service.watch.view_changed)
    return service


def trust_of(installation: Installation) -> ssl.SSLContext:
    """Whom file transfers trust: the operator's and the manufacturer's roots, and the system's if configured."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if installation.backend is None or installation.backend.use_system_trust:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    for name in ("csms_roots", "manufacturer_roots"):
        bundle = _bundle(installation, name).decode("ascii", errors="ignore")
        if "BEGIN CERTIFICATE" in bundle:
            context.load_verify_locations(cadata=bundle)
    return context


def _bundle(installation: Installation, name: str) -> bytes:
    from controller.security.certificates import DIRECTORY

    home = Path(installation.state_dir) / DIRECTORY
    path = installation.tls.get(name) or home / f"{name.replace('_', '-')}.pem"
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
