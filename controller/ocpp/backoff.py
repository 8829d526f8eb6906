"""How long to wait before the next connection attempt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class BackOff:
    """wait_minimum · 2^min(n, repeat_times) + random part (RPC-9). `random()` is in [0, 1).

    After a connection that worked the first attempt follows within `quick_s`, spread at random so that
    a thousand stations do not knock at the same instant.
    """

    wait_minimum_s: float
    random_range_s: float
    repeat_times: int
    random: Callable[[], float]
    quick_s: float = 1.0
    _failures: int = -1

    def worked(self) -> None:
        """The connection worked: the next wait is the quick one."""
        self._failures = -1

    def next_s(self) -> float:
        """The wait before the next attempt; each call counts as one more failure."""
        n, self._failures = self._failures, self._failures + 1
        if n < 0:
            return self.random() * self.quick_s
        doubled = self.wait_minimum_s * 2.0 ** min(n, self.repeat_times)
        return float(doubled) + self.random() * self.random_range_s
