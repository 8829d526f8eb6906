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
    """The machine's clocks. What the backend told goes on by the monotonic one: a time service that sets
    the machine's clock later would correct a second time what is right already.
    """

    def __init__(self, not_before: datetime | None = None) -> None:
        """`not_before`: until the backend told the time, no earlier one can be right."""
        self._floor_s = 0.0 if not_before is None else not_before.timestamp()
        self._told_s: float | None = None

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def utc(self) -> datetime:
        """Corrected UTC."""
        mono_s = time.monotonic()
        if self._told_s is not None:
            return datetime.fromtimestamp(self._told_s + mono_s, UTC)
        # From the floor on time passes since the boot: two starts under one boot stay comparable.
        return datetime.fromtimestamp(max(time.time(), self._floor_s + mono_s), UTC)

    def set_utc(self, now: datetime) -> float:
        """Adopt the backend's time; returns the step in seconds. The host's clock is not touched."""
        step = (now - self.utc()).total_seconds()
        self._told_s = now.timestamp() - time.monotonic()
        return step

    async def sleep(self, seconds: float) -> None:
        """asyncio.sleep."""
        await asyncio.sleep(seconds)
