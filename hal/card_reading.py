"""What card readers share: a held card is one event, a lost reader is told once and tried again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable

from hal.errors import ReaderSilent
from hal.serial_line import SerialLine
from hal.types import CardRead

RETRY_S = 3.0
"""Between two attempts to find a lost reader."""


class Presence:
    """Tells a new card from one that is still there. Times are monotonic ns."""

    def __init__(self, absent_s: float) -> None:
        self._absent_ns = int(absent_s * 1e9)
        self._seen_ns: dict[Hashable, int] = {}

    def is_new(self, card: Hashable, now_ns: int) -> bool:
        """Note that `card` is seen now; True if it was absent before."""
        self._seen_ns = {c: ns for c, ns in self._seen_ns.items() if now_ns - ns < self._absent_ns}
        new = card not in self._seen_ns
        self._seen_ns[card] = now_ns
        return new


class CardSource:
    """Reads cards for ever. `poll` starts the reader, calls `answers()` and yields cards."""

    def __init__(self, line: SerialLine, poll: Callable[[], AsyncIterator[CardRead]]) -> None:
        self._line = line
        self._poll = poll
        self._told = False
        self.is_answering = False

    def answers(self) -> None:
        """The reader has just proved to be alive."""
        self.is_answering = True
        self._told = False

    async def cards(self) -> AsyncIterator[CardRead]:
        """Raises ReaderSilent once per loss; called again, it tries quietly until it answers."""
        while True:
            try:
                async for card in self._poll():
                    yield card
            except ReaderSilent:
                self.is_answering = False
                self._line.close()
                if not self._told:
                    self._told = True
                    raise
            await asyncio.sleep(RETRY_S)


def uid_text(uid: bytes, *, reverse: bool) -> str:
    """Upper-case hexadecimal in transmission order, or reversed byte by byte."""
    return (uid[::-1] if reverse else uid).hex().upper()
