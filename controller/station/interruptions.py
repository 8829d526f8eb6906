"""Interruption.Begin and .End around a time without meter values inside a transaction (R16-MV-3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from controller.core.model import ReadingContext, Transaction
from hal.types import MeterReading

Tell = Callable[[Transaction, ReadingContext, datetime, float], None]


class Interruptions:
    """Of one EVSE; `tell` queues a register with its context."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._open: str | None = None

    def begin(self, running: Transaction | None, at: datetime | None, energy_wh: float) -> None:
        """The last value before the gap; a second cause in the same gap changes nothing."""
        if running is None or self._open == running.id:
            return
        self._open = running.id
        self._tell(running, ReadingContext.INTERRUPTION_BEGIN, at or running.started_at, energy_wh)

    def read(self, running: Transaction | None, at: datetime, reading: MeterReading) -> bool:
        """The first believed value after it; True = there is something new to send."""
        opened, self._open = self._open, None
        if opened is None or running is None or running.id != opened:
            return False
        self._tell(running, ReadingContext.INTERRUPTION_END, at, reading.energy_wh)
        return True
