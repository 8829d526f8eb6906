"""Time of the virtual world: CLOCK_MONOTONIC ns and calls at an instant; replaceable in tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Handle(Protocol):
    """A call that has not happened yet."""

    def cancel(self) -> None:
        """Do not call."""
        ...


class Timers(Protocol):
    """The world's clock."""

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        ...

    def at(self, at_ns: int, call: Callable[[], None]) -> Handle:
        """Call at that instant, or as soon as possible when it has passed."""
        ...


class LoopTimers:
    """On the running asyncio loop, whose clock is CLOCK_MONOTONIC too."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def at(self, at_ns: int, call: Callable[[], None]) -> Handle:
        """By `loop.call_at`."""
        return self._loop.call_at(at_ns / 1e9, call)
