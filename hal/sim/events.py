"""The bench's record of what happened, for whoever asks later."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

RING = 100_000


class Events:
    """A ring of numbered events; the first has number 1."""

    def __init__(self, size: int = RING) -> None:
        self._ring: deque[tuple[int, int, int | None, str, Any]] = deque(maxlen=size)
        self._last = 0

    @property
    def last(self) -> int:
        """Number of the newest event; 0 = none yet."""
        return self._last

    def add(self, at_ns: int, evse: int | None, what: str, value: Any) -> None:
        """Record that `what` became `value` at CLOCK_MONOTONIC `at_ns`."""
        self._last += 1
        self._ring.append((self._last, at_ns, evse, what, value))

    def since(self, n: int) -> list[dict[str, Any]]:
        """All events that are kept with a number above `n`."""
        first = self._last - len(self._ring)
        return [
            {"n": number, "at_ns": at_ns, "evse": evse, "what": what, "value": value}
            for number, at_ns, evse, what, value in islice(self._ring, max(0, n - first), None)
        ]
