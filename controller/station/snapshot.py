"""The station's state as JSON for page, CLI and API: the SnapshotSource of `controller/ports.py`."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from controller.core.faults import kind_of
from controller.core.model import EvseView

if TYPE_CHECKING:
    from controller.station.station import Station


class Snapshots:
    """Derives everything when asked; keeps nothing but its listeners."""

    def __init__(self, station: Station, version: str) -> None:
        self._station = station
        self._version = version
        self._listeners: list[Callable[[], None]] = []

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` at each change; returns the function that ends it."""
        self._listeners.append(changed)
        return lambda: self._listeners.remove(changed)

    def changed(self) -> None:
        """Something changed."""
        for listener in list(self._listeners):
            listener()

    def snapshot(self) -> dict[str, Any]:
        """JSON-able state of everything."""
        station = self._station
        identity, backend = station.installation.station, station.installation.backend
        return {
            "station": {
                "id": identity.id,
                "vendor": identity.vendor,
                "model": identity.model,
                "serial_number": identity.serial_number,
                "version": self._version,
                "python": platform.python_version(),
                "boot_reason": station.boot_reason().value,
                "at": station.clock.utc().isoformat(),
            },
            "backend": {
                "configured": backend is not None,
                "url": backend.url if backend is not None else "",
                "protocols": list(backend.protocols) if backend is not None else [],
                "connected": station.online,
            },
            "guard": {
                "connected": station.guard.connected,
                "id": station.guard.guard_id,
                "tick_late_ms_max": _late(station),
            },
            "queue": station.store.outbox.waiting,
            "store": {
                "durable": station.store.database.durable,
                "note": station.store.database.note,
            },
            "reader": {"present": station.has_reader, "lost": station.reader_lost},
            "last_card": station.cards.last_card,
            "evses": [view_to_json(station.control.view(evse)) for evse in station.actors],
            "frames": [list(frame) for frame in station.backend.frames()],
        }


def view_to_json(view: EvseView) -> dict[str, Any]:
    """One EVSE; faults with what to do about them."""
    body = asdict(view)
    body["phase"], body["charging_state"] = view.phase.value, view.charging_state.value
    body["id_token"] = view.id_token.value if view.id_token is not None else None
    body["amps"] = list(view.amps)
    body["faults"] = [
        {
            "name": fault.name,
            "detail": fault.detail,
            "latched": fault.latched,
            "severity": kind_of(fault.name).severity.value,
            "installer": kind_of(fault.name).installer,
            "driver": kind_of(fault.name).driver,
        }
        for fault in view.faults
    ]
    return body


def _late(station: Station) -> float:
    snapshot = station.guard.snapshot
    return snapshot.tick_late_ms_max if snapshot is not None else 0.0
