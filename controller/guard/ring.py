"""The last 1,000 facts, numbered without a gap since the guard's start."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from controller.core.guard_messages import Fact

SIZE = 1000


class FactRing:
    """Numbers facts and keeps the newest."""

    def __init__(self, size: int = SIZE) -> None:
        self._facts: deque[Fact] = deque(maxlen=size)
        self.last_n = 0

    @property
    def first_n(self) -> int:
        """Number of the oldest fact that is kept; `last_n` + 1 when there is none."""
        return self.last_n - len(self._facts) + 1

    def add(self, facts: Iterable[Fact]) -> list[Fact]:
        """Give each its number; returns them numbered."""
        numbered = []
        for fact in facts:
            self.last_n += 1
            numbered.append(replace(fact, n=self.last_n))
        self._facts.extend(numbered)
        return numbered

    def since(self, n: int) -> list[Fact]:
        """All kept facts with a number greater than `n`; all there are when `n` is not of this guard."""
        skip = n - self.first_n + 1 if n <= self.last_n else 0
        return list(islice(self._facts, max(0, skip), None))
