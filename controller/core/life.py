"""When the last moment of life of a transaction is stored: soon after its begin, then about once a minute.

After a power loss the transaction ends at that moment. A short one must not end where it began, a long one must
not wear out the card: each write costs some kilobytes, however little is in it.
"""

from __future__ import annotations

LIFE_S = 65.0
"""The longest time between two stored moments."""
FIRST_S = 5.0
"""The first one; from then on the times double."""
SPREAD_S = 7.0
"""A meter value that is sampled so much earlier takes the moment along; while the times double, half of one."""


class LifeRhythm:
    """Of one transaction; times are monotonic seconds. `due_s` None = no transaction lives."""

    def __init__(self) -> None:
        self.due_s: float | None = None
        self._began_s = 0.0
        self._wait_s = FIRST_S

    def end(self) -> None:
        """Nothing is to be stored any more."""
        self.due_s = None

    def tick(self, now_s: float) -> bool:
        """The transaction lives; True = store this moment."""
        if self.due_s is None:
            self._began_s, self._wait_s = now_s, FIRST_S
            self.due_s = now_s + FIRST_S
        if now_s < self.due_s:
            return False
        self._next(now_s)
        return True

    def sampled(self, now_s: float) -> bool:
        """A value was sampled; True = store this moment with it, so that no value is younger than the end."""
        spread_s = SPREAD_S if self._wait_s >= LIFE_S else self._wait_s / 2
        if self.due_s is None or now_s < self.due_s - spread_s:
            return False
        self._next(now_s)
        return True

    def _next(self, now_s: float) -> None:
        self._wait_s = min(max(now_s - self._began_s, FIRST_S), LIFE_S)
        self.due_s = now_s + self._wait_s
