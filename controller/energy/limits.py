"""Shares the supply among the EVSEs: feeds `core/sharing.py` with guard, meters and profiles."""

from __future__ import annotations

import logging
from collections.abc import Callable

from controller.clock import Clock
from controller.core.duty import MIN_AMPS
from controller.core.guard_messages import EvseSnapshot
from controller.core.installation import EvseInstallation, Installation
from controller.core.settings import Settings
from controller.core.sharing import Sharing
from controller.core.sharing_values import (
    NO_LIMIT,
    UNLIMITED,
    Asking,
    Grant,
    Measured,
    Phases,
    Seen,
    lines_of,
)
from controller.core.turns import TURN_S
from controller.ports import GuardLink
from controller.ports_charging import ProfileLimit, ProfileLimits
from hal.types import MeterReading

_log = logging.getLogger(__name__)


class Limits:
    """The CurrentSharing of `controller/ports_sharing.py`. `profiles` None = no charging profiles."""

    def __init__(
        self,
        *,
        installation: Installation,
        settings: Settings,
        guard: GuardLink,
        clock: Clock,
        profiles: ProfileLimits | None = None,
        turn_s: float = TURN_S,
    ) -> None:
        self._evses = {evse.id: evse for evse in installation.evses}
        self._lines = _lines(installation, settings)
        self._guard = guard
        self._clock = clock
        self._profiles = profiles
        self._sharing = Sharing(turn_s=turn_s)
        site = installation.site.max_amps
        self._site: Phases = NO_LIMIT if site is None else (site, site, site)
        self._wanting: set[int] = set()
        self._grants = {evse: Grant() for evse in self._evses}
        self._reading: Callable[[int], MeterReading | None] = lambda evse: None
        self._changed: Callable[[int], None] = lambda evse: None
        if profiles is not None:
            profiles.on_change(self.look)

    def bind(
        self, reading: Callable[[int], MeterReading | None], changed: Callable[[int], None]
    ) -> None:
        """Where readings come from, and who hears of grants that change."""
        self._reading, self._changed = reading, changed

    def wants(self, evse: int, wanting: bool) -> None:
        """A transaction permits current there, or not any more."""
        if wanting is (evse in self._wanting):
            return
        if wanting:
            self._wanting.add(evse)
        else:
            self._wanting.discard(evse)
        self._share()

    def grant(self, evse: int) -> Grant:
        """What it may offer now."""
        return self._grants[evse]

    def look(self) -> None:
        """Share anew; costs nothing while nobody wants current."""
        if self._wanting:
            self._share()

    # --- inside -----------------------------------------------------------------------------------

    def _share(self) -> None:
        snapshot = self._guard.snapshot
        seen = {evse.evse: evse for evse in snapshot.evses} if snapshot is not None else {}
        at_s = snapshot.at_ns / 1e9 if snapshot is not None else 0.0
        station = self._station_limit()
        whole = UNLIMITED if station is None or station.amps is None else station.amps
        least_amps = MIN_AMPS if station is None else max(station.least_amps, MIN_AMPS)
        grants = self._sharing.step(
            [
                self._asking(evse, seen.get(evse.id), at_s, least_amps)
                for evse in self._evses.values()
            ],
            self._clock.monotonic_ns() / 1e9,
            site=self._site,
            profile=(whole, whole, whole),
        )
        before, self._grants = self._grants, grants
        for evse, grant in grants.items():
            if grant != before[evse]:
                if grant.amps != before[evse].amps:
                    _log.info("evse=%d may offer %g A (%s)", evse, grant.amps, grant.by)
                self._changed(evse)

    def _asking(
        self,
        evse: EvseInstallation,
        seen: EvseSnapshot | None,
        at_s: float,
        least_amps: float,
    ) -> Asking:
        most_amps = evse.max_amps
        if seen is not None and seen.plugged and seen.cable_amps is not None:
            most_amps = min(most_amps, seen.cable_amps)
        profile_amps = None
        wants = evse.id in self._wanting
        if wants and self._profiles is not None:
            own = self._profiles.limit(evse.id)
            profile_amps, least_amps = own.amps, max(own.least_amps, least_amps)
        return Asking(
            evse=evse.id,
            lines=self._lines[evse.id],
            max_amps=most_amps,
            profile_amps=profile_amps,
            least_amps=least_amps,
            wants=wants,
            seen=_seen(seen, at_s) if seen is not None else None,
            measured=self._measured(evse.id),
        )

    def _measured(self, evse: int) -> Measured | None:
        reading = self._reading(evse)
        if reading is None:
            return None
        known = [amps for amps in reading.amps if amps is not None]
        if not known:
            return None
        return Measured(at_s=reading.taken_at_ns / 1e9, amps=max(known))

    def _station_limit(self) -> ProfileLimit | None:
        if self._profiles is None or not self._wanting:
            return None
        return self._profiles.station_limit()


def _lines(installation: Installation, settings: Settings) -> dict[int, tuple[int, ...]]:
    """The phases of the supply behind each EVSE, as the installer said (configuration, first boot).

    What a backend writes into ConnectorPhaseRotation later is only told back: it knows no wires, and a
    wrong value would load one phase with more than the supply has (DESIGN §1.7).
    """
    declared = settings.declared("ConnectorPhaseRotation")
    told: dict[int, set[str]] = {}
    for item in declared.default.split(",") if declared is not None else ():
        evse, _, rotation = item.strip().partition(".")
        if evse.isdecimal():
            told.setdefault(int(evse), set()).add(rotation)
    return {
        evse.id: lines_of(evse.phases, "".join(told.get(evse.id, ())))
        for evse in installation.evses
    }


def _seen(evse: EvseSnapshot, at_s: float) -> Seen:
    return Seen(
        at_s=at_s,
        offered_amps=evse.offered_amps,
        permitted_amps=evse.permitted_amps,
        contactor_closed=evse.contactor_closed or evse.contactor_commanded,
    )
