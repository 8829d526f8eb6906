"""Moving to another backend: waits for its moment, gives the other one its time, and comes back if it must.

What happened under the old backend is reported to the old backend first; the rest is put aside as undelivered
only once the new one has accepted the station.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from controller.core.network_profile import MoveWhen, Trial
from controller.core.settings import Settings
from controller.ocpp.network import Network
from controller.ports import OutboxStore, StationControl

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""how often a station that waits to move looks whether it is idle"""
NOW_S = 60.0
"""`Now` waits so long for the ends of transactions and for their delivery"""
LEFT_BEHIND = "the station has moved to another backend"


class Mover:
    """One task for the whole life of the station."""

    def __init__(self, network: Network, outbox: OutboxStore, settings: Settings) -> None:
        self._network = network
        self._outbox = outbox
        self._settings = settings
        self._wanted = asyncio.Event()
        self._arrived = asyncio.Event()

    def look(self) -> None:
        """A move may be wanted."""
        self._wanted.set()

    async def arrived(self, control: StationControl) -> None:
        """The backend accepted the station, and nothing was reported to it yet."""
        leftover = self._network.registered()
        if leftover is None:
            leftover = self._network.state.leftover if self._network.state.trial is None else 0
        else:
            self._arrived.set()
            await control.clear_cache()  # the cards of the operator before
        while leftover > 0:
            entry = await self._outbox.head()
            if entry is None:
                break
            await self._outbox.undeliverable(entry.n, LEFT_BEHIND)
            leftover -= 1
        self._network.leftover_done()

    async def run(self, control: StationControl) -> None:
        """For ever."""
        while True:
            state = self._network.state
            if state.trial is Trial.BACKEND:
                await self._trial()
            elif state.move is not None:
                await self._begin(control)
            else:
                self._wanted.clear()
                await self._wanted.wait()

    async def _begin(self, control: StationControl) -> None:
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + NOW_S
        if self._network.state.move_when is MoveWhen.NOW:
            for transaction_id in _running(control):
                await control.remote_stop(transaction_id)
        while self._network.state.move is not None:
            waiting = await self._outbox.count()
            running = _running(control)
            late = self._network.state.move_when is MoveWhen.NOW and loop.time() >= ends_s
            if not running and (waiting == 0 or late):
                try:
                    self._network.begin_move(waiting)
                except OSError as error:
                    log.error("the move to another backend could not be saved: %s", error)
                else:
                    self._network.reconnect()
                    return
            await asyncio.sleep(LOOK_S)

    async def _trial(self) -> None:
        self._arrived.clear()
        trial_s = self._settings.integer("BackendTrialTime")
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + trial_s
        while self._network.state.trial is Trial.BACKEND and loop.time() < ends_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), min(LOOK_S, trial_s))
        if self._network.state.trial is Trial.BACKEND:
            self._network.give_up_move(f"it did not accept the station within {trial_s} s")
            self._network.reconnect()


def _running(control: StationControl) -> list[str]:
    views = [control.view(evse) for evse in control.evses()]
    return [view.transaction_id for view in views if view.transaction_id is not None]
