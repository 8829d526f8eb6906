"""The bolt that holds the plug in a socket; the guard moves it."""

from __future__ import annotations

from collections.abc import Callable

from controller.clock import Clock
from controller.core.guard_messages import EvseSnapshot
from controller.core.installation import EvseInstallation
from controller.core.session import EvseSession
from controller.ports import GuardLink
from controller.station.waiting import within
from hal.types import LockState

LOCK_WAIT_S = 8.0
"""How long a start waits for the bolt; the guard tries five times within 6 s."""
LOOK_EVERY_S = 0.05


class Bolt:
    """Of one EVSE. Where the cable is fixed there is none, and nothing is asked of the guard."""

    def __init__(
        self,
        evse: EvseInstallation,
        session: EvseSession,
        guard: GuardLink,
        clock: Clock,
        look: Callable[[], EvseSnapshot | None],
    ) -> None:
        """`look` gives the guard's newest state of this EVSE; None = the guard is gone."""
        self.exists = evse.lock is not None
        self._evse = evse.id
        self._session = session
        self._guard = guard
        self._clock = clock
        self._look = look

    @property
    def state(self) -> str:
        """LockState value as the guard told it."""
        seen = self._look()
        return seen.lock if seen is not None else LockState.UNKNOWN.value

    @property
    def is_closed(self) -> bool:
        """The guard sees it in its place."""
        return self.state == LockState.LOCKED.value

    def close(self) -> None:
        """Ask the guard for it."""
        if self.exists:
            keep = not self._session.rules.unlock_on_ev_side_disconnect
            self._guard.lock(self._evse, keep=keep)

    def open(self) -> None:
        """Ask the guard for it."""
        if self.exists:
            self._guard.unlock(self._evse)

    async def closes(self) -> bool:
        """Close it and wait; False = it is jammed, or takes too long."""
        self.close()
        return bool(await within(self._closed(), self._clock, LOCK_WAIT_S))

    async def _closed(self) -> bool:
        while not self.is_closed:
            seen = self._look()
            if seen is not None and any(fault.name == "lock_jam" for fault in seen.faults):
                return False
            await self._clock.sleep(LOOK_EVERY_S)
        return True
