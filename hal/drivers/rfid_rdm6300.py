"""RDM6300: 125 kHz reader for EM4100 cards on a UART.

Reference: Seeed/ITead RDM6300 data sheet (9600 8N1, output only): STX, ten hexadecimal digits
(version, four bytes of id), two of checksum (XOR of the five bytes), ETX; repeated while a card is
there. Being output-only, the reader cannot be asked whether it lives: it is lost when its port is.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import reduce
from operator import xor

from hal.bus import bus_of
from hal.card_reading import CardSource, Presence, uid_text
from hal.registry import driver
from hal.serial_line import SerialLine
from hal.settings import setting
from hal.types import CardRead
from hal.wires import Wires

BAUDRATE = 9600
STX, ETX = 0x02, 0x03
FRAME_BYTES = 14
DIGITS = frozenset(b"0123456789ABCDEFabcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the reader is."""

    port: str = setting("serial port, best by /dev/serial/by-id/…")
    reverse: bool = setting("bytes of the uid in reverse order", default=False)
    absent_s: float = setting(
        "how long a card must be away to count again, s", default=2.0, minimum=0.2, maximum=60
    )
    evses: tuple[int, ...] = setting("EVSEs the reader stands at; empty = any", default=())


class FrameParser:
    """Bytes in, checked cards out; anything else is skipped."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The five-byte cards that are complete now."""
        self._buffer += data
        cards: list[bytes] = []
        while (start := self._buffer.find(STX)) >= 0:
            frame = self._buffer[start : start + FRAME_BYTES]
            if len(frame) < FRAME_BYTES:
                self._buffer = frame
                return cards
            card = _card(frame)
            self._buffer = self._buffer[start + (FRAME_BYTES if card else 1) :]
            if card:
                cards.append(card)
        self._buffer = b""
        return cards


@driver("rfid", "rdm6300", Settings)
class Rdm6300Reader:
    """One event per presentation. `clock`: monotonic ns."""

    def __init__(
        self,
        settings: Settings,
        wires: Wires,
        evse: int,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        path = wires.serial_port(evse, "rfid", settings.port)
        self._claim = bus_of(wires).claim(("serial", path), f"serial port {settings.port}", "rfid")
        self._settings = settings
        self._clock = clock
        self._line = SerialLine(path, BAUDRATE)
        self._presence = Presence(settings.absent_s)
        self._source = CardSource(self._line, self._poll)

    @property
    def is_answering(self) -> bool:
        """True while the port is there."""
        return self._source.is_answering

    def cards(self) -> AsyncIterator[CardRead]:
        """Cards as they are shown. Raises ReaderSilent once when the port is lost."""
        return self._source.cards()

    async def close(self) -> None:
        """Release the port."""
        self._line.close()
        self._claim.release()

    async def _poll(self) -> AsyncIterator[CardRead]:
        parser = FrameParser()
        self._line.open()
        self._source.answers()
        while True:
            for card in parser.feed(await self._line.read()):
                now = self._clock()
                if self._presence.is_new(card, now):
                    uid = uid_text(card, reverse=self._settings.reverse)
                    yield CardRead(uid=uid, taken_at_ns=now, evses=self._settings.evses)


def _card(frame: bytes) -> bytes | None:
    """The card in a frame of 14 bytes, or None if anything in it is wrong."""
    if frame[-1] != ETX or not DIGITS.issuperset(frame[1:13]):
        return None
    data = bytes.fromhex(frame[1:13].decode("ascii"))
    return data[:5] if reduce(xor, data) == 0 else None
