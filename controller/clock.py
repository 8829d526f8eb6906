"""Time as an argument: everything that needs a clock gets one of these."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Monotonic time for timers, UTC for what is reported, and sleeping."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        ...

    def utc(self) -> datetime:
        """Now, time-zone aware, corrected by what the backend told."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait in this clock's time."""
        ...


class SystemClock:
    """The machine's clocks; `offset_s` is the correction learnt from the backend."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def utc(self) -> datetime:
        """Corrected UTC."""
        return datetime.fromtimestamp(time.time() + self.offset_s, UTC)

    def set_utc(self, now: datetime) -> float:
        """Adopt the backend's time; returns the step in seconds. The host's clock is not touched."""
        step = (now - self.utc()).total_seconds()
        self.offset_s += step
        return step

    async def sleep(self, seconds: float) -> None:
        """asyncio.sleep."""
        await asyncio.sleep(seconds)
