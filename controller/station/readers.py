"""Listens to the card reader for ever; a lost reader is told once and tried again with back-off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from controller.clock import Clock
from controller.station.waiting import cancel
from hal.errors import HalTransientError
from hal.ports import CardReader
from hal.types import CardRead

_log = logging.getLogger(__name__)

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 5.0
SILENT_S = 2.0
"""A reader that listens this long without complaint is back, also when nobody shows a card."""


class ReaderLoop:
    """`card` gets each card; `lost` gets why the reader is gone, and "" when it is back."""

    def __init__(
        self,
        reader: CardReader,
        clock: Clock,
        card: Callable[[CardRead], None],
        lost: Callable[[str], None],
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._card = card
        self._lost = lost
        self._lost_ns: int | None = None

    async def run(self) -> None:
        """Listen for ever."""
        wait_s = FIRST_RETRY_S
        while True:
            listening = asyncio.ensure_future(self._back_after(SILENT_S))
            try:
                async for card in self._reader.cards():
                    self._back()
                    wait_s = FIRST_RETRY_S
                    self._card(card)
            except HalTransientError as error:
                self._gone(str(error))
            finally:
                await cancel(listening)
            await self._clock.sleep(wait_s)
            wait_s = min(wait_s * 2, LAST_RETRY_S)

    async def _back_after(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._back()

    def _gone(self, why: str) -> None:
        if self._lost_ns is None:
            self._lost_ns = self._clock.monotonic_ns()
            _log.warning("card reader lost: %s", why)
            self._lost(why)

    def _back(self) -> None:
        if self._lost_ns is not None:
            lost_s = (self._clock.monotonic_ns() - self._lost_ns) / 1e9
            _log.warning("card reader back after %.0f s", lost_s)
            self._lost_ns = None
            self._lost("")
