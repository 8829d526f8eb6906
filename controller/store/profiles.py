"""Installed charging profiles: each request of a backend is one commit (R16-SC-7)."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from controller.core.charging_profile import (
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from controller.core.charging_profile_book import InstalledProfile
from controller.store.database import Database

_log = logging.getLogger(__name__)


class StoredProfiles:
    """The ProfileStore of `controller/ports_charging.py`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> list[InstalledProfile]:
        """All of them; what cannot be read is left out and told."""

        def read(connection: sqlite3.Connection) -> list[tuple[int, str, str]]:
            return connection.execute(
                "SELECT evse, installed_at, body FROM charging_profiles ORDER BY installed_at, id"
            ).fetchall()

        found = []
        for evse, installed_at, body in await self._database.write(read):
            try:
                found.append(
                    InstalledProfile(
                        evse=evse,
                        installed_at=datetime.fromisoformat(installed_at),
                        profile=_profile(json.loads(body)),
                    )
                )
            except (ValueError, LookupError, TypeError, AttributeError):
                _log.error("store: a charging profile cannot be read: %.200s", body)
        return found

    def change(
        self, removed: Sequence[int], added: InstalledProfile | None
    ) -> asyncio.Future[None]:
        """Remove and add in one commit."""
        row = None
        if added is not None:
            body = json.dumps(_plain(added.profile), separators=(",", ":"))
            row = (added.profile.id, added.evse, added.installed_at.isoformat(), body)

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "DELETE FROM charging_profiles WHERE id = ?", [(n,) for n in removed]
            )
            if row is not None:
                connection.execute(
                    "INSERT OR REPLACE INTO charging_profiles VALUES (?, ?, ?, ?)", row
                )

        return self._database.write(write)


def _plain(value: Any) -> Any:
    """Dataclasses as objects, without what is None."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        named = ((f.name, getattr(value, f.name)) for f in fields(value))
        return {name: _plain(item) for name, item in named if item is not None}
    return value


def _profile(body: dict[str, Any]) -> ChargingProfile:
    schedule = body["schedule"]
    recurrency = body.get("recurrency")
    return ChargingProfile(
        id=body["id"],
        stack_level=body["stack_level"],
        purpose=Purpose(body["purpose"]),
        kind=ProfileKind(body["kind"]),
        recurrency=Recurrency(recurrency) if recurrency is not None else None,
        valid_from=_time(body.get("valid_from")),
        valid_to=_time(body.get("valid_to")),
        transaction_id=body.get("transaction_id"),
        schedule=ChargingSchedule(
            rate_unit=RateUnit(schedule["rate_unit"]),
            start=_time(schedule.get("start")),
            duration_s=schedule.get("duration_s"),
            min_charging_rate=schedule.get("min_charging_rate"),
            periods=tuple(
                SchedulePeriod(
                    start_s=period["start_s"],
                    limit=period["limit"],
                    number_phases=period.get("number_phases"),
                )
                for period in schedule["periods"]
            ),
        ),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
