"""The status of connector 0: the station as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from controller.core.model import EvseView
from controller.ocpp.v16 import translate
from controller.ocpp.v16.statuses import StatusReporter
from controller.ports import ValueStore

STATION_INOPERATIVE = "ocpp16.station_inoperative"


class StationStatus:
    """Made of the views of all EVSEs and of ChangeAvailability for connector 0, which is durable."""

    def __init__(self, statuses: StatusReporter, values: ValueStore) -> None:
        self._statuses = statuses
        self._values = values
        self._operative = True
        self._error_code, self._info = "NoError", ""
        self._views: dict[int, EvseView] = {}
        self._came = asyncio.Event()

    async def load(self) -> None:
        """Read what survives a restart."""
        self._operative = await self._values.get(STATION_INOPERATIVE) is None

    async def set_operative(self, operative: bool) -> None:
        """Durable when this returns."""
        self._operative = operative
        await self._values.put(STATION_INOPERATIVE, None if operative else "1")
        self.update()

    def set_error(self, code: str, info: str) -> None:
        """What is wrong with the station as a whole; "NoError" = nothing."""
        self._error_code, self._info = code, info
        self.update()

    def show(self, view: EvseView) -> None:
        """One EVSE changed."""
        self._views[view.evse] = view
        self._came.set()
        self.update()

    async def unseen(self, evses: Iterable[int], wait_s: float) -> list[int]:
        """Wait until each was seen, at most this long; returns those that still were not."""
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + wait_s
        while missing := [evse for evse in evses if evse not in self._views]:
            left_s = ends_s - loop.time()
            if left_s <= 0:
                break
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), left_s)
            except TimeoutError:
                break
        return missing

    def update(self) -> None:
        """Tell the backend if its picture of the station changed."""
        views = list(self._views.values())
        word = translate.station_status_16(views, self._operative)
        self._statuses.update(0, replace(word, error_code=self._error_code, info=self._info))
