"""PN532: 13.56 MHz reader for ISO 14443-A cards on its high-speed UART (HSU).

Reference: NXP UM0701-02 PN532 User Manual: 6.2.1 frames, 6.3.2 dialogue, 7.2.10 SAMConfiguration,
7.3.5 InListPassiveTarget. The module's switches must stand on HSU. A card list command waits in the
reader until a card comes; it is renewed every few seconds, and the reader must acknowledge that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from hal.bus import bus_of
from hal.card_reading import CardSource, Presence, uid_text
from hal.errors import ReaderSilent
from hal.registry import driver
from hal.serial_line import SerialLine
from hal.settings import setting
from hal.types import CardRead
from hal.wires import Wires

BAUDRATE = 115_200
WAKE_UP = b"\x55\x55" + bytes(14)
ACK = b"\x00\x00\xff\x00\xff\x00"
"""From the host it also ends a command that is still waiting (UM0701-02 6.2.1.3)."""
START = b"\x00\xff"
TO_READER, FROM_READER = 0xD4, 0xD5
SAM_CONFIGURATION = bytes((0x14, 0x01, 0x00, 0x01))
LIST_ONE_CARD = bytes((0x4A, 0x01, 0x00))
"""At most one target, 106 kbps type A."""
UID_BYTES = (4, 7, 10)
RANDOM_UID_BYTE = 0x08
"""First of four bytes: a new random uid at each touch (ISO 14443-3; phones and passports)."""
ACK_S = 0.2
ANSWER_S = 0.5
RENEW_S = 3.0
HELD_POLL_S = 0.2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the reader is."""

    port: str = setting("serial port, best by /dev/serial/by-id/…")
    reverse: bool = setting("bytes of the uid in reverse order", default=False)
    absent_s: float = setting(
        "how long a card must be away to count again, s", default=1.0, minimum=0.5, maximum=60
    )
    evses: tuple[int, ...] = setting("EVSEs the reader stands at; empty = any", default=())


class FrameParser:
    """Bytes in, checked frames out: ACK is b"", anything else the data after the length bytes."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now; what is no frame is skipped."""
        self._buffer += data
        frames: list[bytes] = []
        while (start := self._buffer.find(START)) >= 0:
            rest = self._buffer[start:]
            if len(rest) < 4:
                self._buffer = rest
                return frames
            length, check = rest[2], rest[3]
            if (length, check) == (0x00, 0xFF):
                frames.append(b"")
                self._buffer = rest[4:]
            elif (length + check) & 0xFF or not length:
                self._buffer = rest[1:]
            elif len(rest) < length + 5:
                self._buffer = rest
                return frames
            elif sum(rest[4 : length + 5]) & 0xFF:
                self._buffer = rest[1:]
            else:
                frames.append(rest[4 : length + 4])
                self._buffer = rest[length + 5 :]
        self._buffer = self._buffer[-1:]
        return frames


def command_frame(command: bytes) -> bytes:
    """A command as the reader wants it on the wire."""
    data = bytes((TO_READER,)) + command
    head = bytes((0x00, 0x00, 0xFF, len(data), -len(data) & 0xFF))
    return head + data + bytes((-sum(data) & 0xFF, 0x00))


def listed_uid(frame: bytes) -> bytes | None:
    """The uid in an answer to LIST_ONE_CARD; None = no card, or an answer that is not whole."""
    if frame[:3] != bytes((FROM_READER, LIST_ONE_CARD[0] + 1, 1)) or len(frame) < 8:
        return None
    length = frame[7]
    uid = frame[8 : 8 + length]
    return uid if length in UID_BYTES and len(uid) == length else None


@driver("rfid", "pn532", Settings)
class Pn532Reader:
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
        self._parser = FrameParser()
        self._frames: deque[bytes] = deque()
        self._presence = Presence(settings.absent_s)
        self._source = CardSource(self._line, self._poll)

    @property
    def is_answering(self) -> bool:
        """True while the reader acknowledges."""
        return self._source.is_answering

    def cards(self) -> AsyncIterator[CardRead]:
        """Cards as they are shown. Raises ReaderSilent once when the reader is lost."""
        return self._source.cards()

    async def close(self) -> None:
        """Release the port."""
        self._line.close()
        self._claim.release()

    async def _poll(self) -> AsyncIterator[CardRead]:
        await self._start()
        self._source.answers()
        while True:
            early = await self._command(ACK + command_frame(LIST_ONE_CARD))
            frame = early or await self._frame(RENEW_S)
            if frame is None:
                continue
            uid = listed_uid(frame)
            if uid is not None:
                card = self._shown(uid)
                if card is not None:
                    yield card
            await asyncio.sleep(HELD_POLL_S)

    def _shown(self, uid: bytes) -> CardRead | None:
        """An event, unless the card is still the same one or has no uid of its own."""
        now = self._clock()
        random = len(uid) == UID_BYTES[0] and uid[0] == RANDOM_UID_BYTE
        if not self._presence.is_new("random" if random else uid, now):
            return None
        if random:
            log.warning("card refused: its uid is random (a phone or a passport), it names nobody")
            return None
        text = uid_text(uid, reverse=self._settings.reverse)
        return CardRead(uid=text, taken_at_ns=now, evses=self._settings.evses)

    async def _start(self) -> None:
        """Open, wake up, normal mode. Raises ReaderSilent."""
        self._line.open()
        self._parser = FrameParser()
        self._frames.clear()
        # The ACK ends what an earlier program may have left waiting.
        await self._command(WAKE_UP + ACK + command_frame(SAM_CONFIGURATION))
        if await self._frame(ANSWER_S) != bytes((FROM_READER, SAM_CONFIGURATION[0] + 1)):
            raise ReaderSilent(f"no PN532 answers on {self._line.path}")

    async def _command(self, data: bytes) -> bytes | None:
        """Send and wait for the ACK; returns a card that came in between. Raises ReaderSilent."""
        early: bytes | None = None
        for _ in range(2):
            self._line.write(data)
            while (frame := await self._frame(ACK_S)) is not None:
                if not frame:
                    return early
                if listed_uid(frame) is not None:
                    early = frame
            self._parser = FrameParser()  # a torn frame must not swallow the next answer
        raise ReaderSilent(f"no PN532 answers on {self._line.path}")

    async def _frame(self, timeout_s: float) -> bytes | None:
        """The next frame; None = none in that time. Noise does not prolong it."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while not self._frames:
            left_s = end - loop.time()
            if left_s <= 0:
                return None
            self._frames.extend(self._parser.feed(await self._line.read(left_s)))
        return self._frames.popleft()
