"""Virtual time for the virtual world."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

MS = 1_000_000
S = 1_000_000_000


class Call:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class FakeTimers:
    """`hal.sim.timers.Timers` that moves when told."""

    def __init__(self) -> None:
        self.ns = 1000 * S
        self._heap: list[tuple[int, int, Call]] = []
        self._number = itertools.count()

    def now_ns(self) -> int:
        return self.ns

    def at(self, at_ns: int, call: Callable[[], None]) -> Call:
        handle = Call(call)
        heapq.heappush(self._heap, (at_ns, next(self._number), handle))
        return handle

    def run(self, duration_ns: int) -> None:
        end = self.ns + duration_ns
        while self._heap and self._heap[0][0] <= end:
            at_ns, _, handle = heapq.heappop(self._heap)
            self.ns = max(self.ns, at_ns)
            if handle.call is not None:
                handle.call()
        self.ns = end
