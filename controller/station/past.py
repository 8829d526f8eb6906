"""What happened before the time was known is told with corrected times (R16-BOOT-8, RPC-15).

A computer without a battery starts with a wrong clock. Until the backend tells the time, how the clock
stands is compared with the monotonic one: whoever sets it (the backend, the network's time service, a
person) moves what was stamped since the start with it. An earlier start is part of that past when it was
under the same boot and nobody had confirmed the clock either; of other starts nobody can know.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta

from controller.clock import Clock
from controller.core.hindsight import MARK, Hindsight, stamps
from controller.station.evse import EvseActor
from controller.station.stores import StationStore
from controller.station.waiting import Tasks

_log = logging.getLogger(__name__)

LEAST_S = 3.0
"""A clock that was wrong by less was right."""


class Past:
    """Of one process, until the backend has told the time."""

    def __init__(
        self,
        store: StationStore,
        clock: Clock,
        tasks: Tasks,
        actors: Callable[[], Iterable[EvseActor]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._tasks = tasks
        self._actors = actors
        self._known = True
        self._boot_id = ""
        self._first_n = 0
        self._anchor_s = 0.0
        self._kept: frozenset[datetime] = frozenset()

    async def load(self, boot_id: str) -> None:
        """Before anything is stamped, and before open transactions are read: nobody knows the time yet."""
        self._boot_id, self._known = boot_id, False
        if self._goes_on(await self._store.values.get(MARK)):
            self._move(self._mark)  # the store does it before it answers what is asked next
            return
        running = await self._store.transactions.open_transactions()
        self._kept = frozenset[datetime]().union(*map(stamps, running.values()))
        self._first_n, self._anchor_s = self._store.outbox.next_n, self._now_s()
        await self._store.values.put(MARK, self._mark())

    def look(self) -> None:
        """Somebody may have set the computer's clock."""
        if not self._known:
            self._move(self._mark)

    def adopted(self) -> None:
        """The backend has told the time, and the clock goes by it."""
        if self._known:
            return
        self._known = True
        if self._move(lambda: None) is None:
            self._tasks.aside(self._store.values.put(MARK, None), "time is known")

    def _move(self, mark: Callable[[], str | None]) -> Awaitable[None] | None:
        now_s = self._now_s()
        by_s = now_s - self._anchor_s
        if abs(by_s) < LEAST_S:
            return None
        self._anchor_s = now_s
        _log.info("what happened since the start is told %+.0f s later", by_s)
        hindsight = Hindsight(by=timedelta(seconds=by_s), kept=self._kept)
        for actor in self._actors():
            actor.correct(hindsight)
        return self._store.outbox.correct(self._first_n, hindsight, mark())

    def _mark(self) -> str:
        return json.dumps(
            {
                "boot": self._boot_id,
                "first": self._first_n,
                "anchor_s": self._anchor_s,
                "kept": sorted(at.isoformat() for at in self._kept),
            }
        )

    def _goes_on(self, text: str | None) -> bool:
        """The start before was under this boot and did not learn the time."""
        if text is None or self._boot_id in ("", "unknown"):
            return False
        try:
            mark = json.loads(text)
            if mark["boot"] != self._boot_id:
                return False
            kept = frozenset(datetime.fromisoformat(at) for at in mark["kept"])
            first_n, anchor_s = int(mark["first"]), float(mark["anchor_s"])
        except (ValueError, LookupError, TypeError):
            return False
        self._first_n, self._anchor_s, self._kept = first_n, anchor_s, kept
        return True

    def _now_s(self) -> float:
        """UTC less monotonic time: the same for as long as nobody sets a clock."""
        return self._clock.utc().timestamp() - self._clock.monotonic_ns() / 1e9
