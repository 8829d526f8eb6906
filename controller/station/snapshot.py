"""The station's state as JSON for page, CLI and API: the SnapshotSource of `controller/ports.py`."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from controller.core.faults import clears, kind_of
from controller.core.model import EvseView, Transaction
from controller.core.sharing_values import LimitedBy

if TYPE_CHECKING:
    from controller.station.station import Station


class Snapshots:
    """Derives everything when asked; keeps its listeners and one count that only the store knows."""

    def __init__(self, station: Station, version: str) -> None:
        self._station = station
        self._version = version
        self._listeners: list[Callable[[], None]] = []
        self._undelivered = 0

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` at each change; returns the function that ends it."""
        self._listeners.append(changed)
        return lambda: self._listeners.remove(changed)

    def changed(self) -> None:
        """Something changed."""
        for listener in list(self._listeners):
            listener()

    async def count_undelivered(self) -> None:
        """Look how many reports the backend refused to the end."""
        count = await self._station.store.undelivered.count()
        if count != self._undelivered:
            self._undelivered = count
            self.changed()

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
                **({"state": state} if (state := station.backend.why) else {}),
            },
            "guard": {
                "connected": station.guard.connected,
                "id": station.guard.guard_id,
                "tick_late_ms_max": _late(station),
            },
            "queue": station.store.outbox.waiting,
            "undelivered": self._undelivered,
            "store": {
                "durable": station.store.database.durable,
                "note": station.store.database.note,
            },
            "reader": {"present": station.has_reader, "lost": station.reader_lost},
            "last_card": station.cards.last_card,
            "card": _card(station),
            "asked": _asked(station),
            "evses": [
                {
                    **view_to_json(station.control.view(evse)),
                    "transaction": _transaction(actor.session.transaction),
                    "price": station.prices.view(evse),
                    "meter_public_key": actor.signer.policy.printed_key if actor.signer else "",
                    "limit": _limit(station, evse),
                }
                for evse, actor in station.actors.items()
            ],
            "frames": [list(frame) for frame in station.backend.frames()],
        }


def view_to_json(view: EvseView) -> dict[str, Any]:
    """One EVSE; faults with what to do about them."""
    body = asdict(view)
    body["phase"], body["charging_state"] = view.phase.value, view.charging_state.value
    body["id_token"] = view.id_token.value if view.id_token is not None else None
    body["amps"] = list(view.amps)
    until = view.reserved_until
    body["reserved_until"] = until.isoformat() if until is not None else None
    body["faults"] = [
        {
            "name": fault.name,
            "detail": fault.detail,
            "latched": fault.latched,
            "severity": kind_of(fault.name).severity.value,
            "installer": kind_of(fault.name).installer,
            "driver": kind_of(fault.name).driver,
            "clears": clears(kind_of(fault.name)),
        }
        for fault in view.faults
    ]
    return body


def _limit(station: Station, evse: int) -> dict[str, Any] | None:
    """What may be offered there and what decides it; None = no transaction."""
    if station.running(evse) is None:
        return None
    grant = station.grant(evse)
    body: dict[str, Any] = {"amps": grant.amps, "by": grant.by.value}
    if station.profiles is not None and grant.by in (LimitedBy.PROFILE, LimitedBy.STATION_PROFILE):
        own = grant.by is LimitedBy.PROFILE
        found = station.profiles.limit(evse) if own else station.profiles.station_limit()
        body["profile"] = {
            "id": found.profile_id,
            "purpose": found.purpose.value if found.purpose is not None else None,
            "amps": found.amps,
            "until": found.until.isoformat() if found.until is not None else None,
        }
    return body


def _transaction(running: Transaction | None) -> dict[str, Any] | None:
    if running is None:
        return None
    known = running.last_meter_wh
    return {
        "id": running.id,
        "energy_wh": None if known is None else max(known - running.meter_start_wh, 0.0),
        "started_at": running.started_at.isoformat(),
        "id_token": running.id_token.value,
    }


def _card(station: Station) -> dict[str, Any] | None:
    cards = station.cards
    if cards.last_at is None:
        return None
    return {
        "uid": cards.last_card,
        "at": cards.last_at.isoformat(),
        "result": cards.last_result,
    }


def _asked(station: Station) -> dict[str, Any] | None:
    """The card of which somebody must say which EVSE it is for; None = nothing is to be answered."""
    question = station.cards.question
    if question is None:
        return None
    return {
        "uid": question.id_token.value,
        "for": question.meaning.value,
        "evses": list(question.evses),
        "question": question.text,
        "until": question.until.isoformat(),
    }


def _late(station: Station) -> float:
    snapshot = station.guard.snapshot
    return snapshot.tick_late_ms_max if snapshot is not None else 0.0
