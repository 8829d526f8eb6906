"""What maintenance asks of the station: the `Upkeep` of `controller/ports_maintenance.py`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from controller.core.model import EvseView, SessionPhase

if TYPE_CHECKING:
    from controller.station.evse import EvseActor
    from controller.station.station import Station

_log = logging.getLogger(__name__)

RESTART_CODE = 4
"""As after a hard reset: the guard starts again as well."""
_BUSY = (SessionPhase.PREPARING, SessionPhase.TRANSACTION)


class StationUpkeep:
    """Free EVSEs go out of service at once, the others when they get free; nothing of it is stored."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._held = ""
        self._listeners: list[Callable[[], None]] = []
        self._watchers: list[Callable[[EvseView], None]] = []

    @property
    def busy(self) -> bool:
        """Somebody charges or is about to."""
        return any(_busy(actor) for actor in self._station.actors.values())

    def hold(self, why: str) -> None:
        """No new transactions, until `release`."""
        if not self._held:
            _log.warning("no new transactions: %s", why)
        self._held = why
        for actor in self._station.actors.values():
            if not _busy(actor):
                actor.hold(why)

    def release(self) -> None:
        """Everything as before `hold`."""
        self._held = ""
        for actor in self._station.actors.values():
            actor.hold("")

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call `changed` when `busy` may have changed."""
        self._listeners.append(changed)

    def watch(self, watcher: Callable[[EvseView], None]) -> None:
        """Show `watcher` each new view."""
        self._watchers.append(watcher)

    def restart(self) -> None:
        """Stop and start again; nothing charges."""
        self._station.stop(RESTART_CODE)

    def view_changed(self, view: EvseView) -> None:
        """An EVSE may have got free."""
        actor = self._station.actors[view.evse]
        if self._held and not _busy(actor):
            actor.hold(self._held)
        for watcher in self._watchers:
            watcher(view)
        for changed in self._listeners:
            changed()


def _busy(actor: EvseActor) -> bool:
    # A transaction that ends is not over before its end value is stored.
    return actor.session.phase in _BUSY or actor.session.transaction is not None
