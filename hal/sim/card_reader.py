"""The virtual card readers: a card held at one for a moment goes over its serial line."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from hal.sim import reader_frames
from hal.sim.timers import Handle, Timers

SHOWN_NS = 300_000_000
"""How long a card is held at the reader, at least until it has been read."""
UNREAD_NS = 3_000_000_000
GAP_NS = 50_000_000
REPEAT_NS = 65_000_000
TRY_NS = 10_000_000
"""How long the PN532 looks for a card in one of its tries."""
FOR_EVER = 0xFF

GET_FIRMWARE, SAM_CONFIGURATION, RF_CONFIGURATION, LIST_TARGET = 0x02, 0x14, 0x32, 0x4A
RELEASE, DESELECT, POWER_DOWN = 0x52, 0x44, 0x16
MAX_RETRIES_ITEM = 0x05
_PLAIN = {
    GET_FIRMWARE: b"\x32\x01\x06\x07",
    SAM_CONFIGURATION: b"",
    RF_CONFIGURATION: b"",
    RELEASE: b"\x00",
    DESELECT: b"\x00",
    POWER_DOWN: b"\x00",
}

Send = Callable[[bytes], None]


class CardReader:
    """Cards shown one after the other; subclasses speak the reader's language."""

    lengths: tuple[int, ...] = ()
    """Bytes of the UIDs that the reader carries."""

    def __init__(self, timers: Timers, send: Send) -> None:
        self._timers = timers
        self._send = send
        self._waiting: deque[bytes] = deque()
        self._card: bytes | None = None
        self._read = False
        self._shown_ns = 0
        self.dead = False

    def carries(self, text: str) -> bool:
        """Whether this text is the UID of a card that fits the reader."""
        return bool(re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", text)) and len(text) // 2 in self.lengths

    def show(self, text: str) -> None:
        """Hold this card at the reader, after the one that is there now."""
        self._waiting.append(bytes.fromhex(text))
        if self._card is None:
            self._next()

    def received(self, data: bytes) -> None:
        """The driver wrote to the reader."""

    def _appeared(self) -> None:
        """A card came into the field."""

    def _next(self) -> None:
        if not self._waiting:
            return
        self._card = self._waiting.popleft()
        self._read = False
        self._shown_ns = self._timers.now_ns()
        self._timers.at(self._shown_ns + SHOWN_NS, self._maybe_gone)
        self._appeared()

    def _maybe_gone(self) -> None:
        """Take the card away once it was read or nobody seems to read."""
        now = self._timers.now_ns()
        if not self._read and now < self._shown_ns + UNREAD_NS:
            self._timers.at(now + REPEAT_NS, self._maybe_gone)
            return
        self._card = None
        if self._waiting:
            self._timers.at(now + GAP_NS, self._next_if_free)

    def _next_if_free(self) -> None:
        if self._card is None:
            self._next()


class Pn532(CardReader):
    """NXP PN532 on its high-speed UART."""

    lengths = (4, 7, 10)

    def __init__(self, timers: Timers, send: Send) -> None:
        super().__init__(timers, send)
        self._buffer = b""
        self._retries = FOR_EVER
        self._listing = False
        self._give_up: Handle | None = None

    def received(self, data: bytes) -> None:
        """Bytes of the host: wake-up, commands, ACK (which ends a running command)."""
        if self.dead:
            self._buffer = b""
            self._end_listing()
            return
        frames, self._buffer = reader_frames.split(self._buffer + data)
        for body in frames:
            self._end_listing()
            if len(body) >= 2 and body[0] == reader_frames.TO_READER:
                self._send(reader_frames.ACK)
                self._command(body[1], body[2:])

    def _command(self, command: int, data: bytes) -> None:
        if (
            command == RF_CONFIGURATION
            and data[:1] == bytes((MAX_RETRIES_ITEM,))
            and len(data) >= 4
        ):
            self._retries = data[3]
        if command == LIST_TARGET:
            self._listing = True
            if self._retries != FOR_EVER:
                ends = self._timers.now_ns() + (self._retries + 1) * TRY_NS
                self._give_up = self._timers.at(ends, self._nothing_found)
            self._appeared()
        elif command in _PLAIN:
            self._send(reader_frames.frame(command, _PLAIN[command]))
        else:
            self._send(reader_frames.ERROR)

    def _appeared(self) -> None:
        if self._listing and self._card is not None and not self.dead:
            self._end_listing()
            self._read = True
            self._send(reader_frames.frame(LIST_TARGET, reader_frames.target(self._card)))

    def _nothing_found(self) -> None:
        self._end_listing()
        if not self.dead:
            self._send(reader_frames.frame(LIST_TARGET, b"\x00"))

    def _end_listing(self) -> None:
        self._listing = False
        if self._give_up is not None:
            self._give_up.cancel()
            self._give_up = None


class Rdm6300(CardReader):
    """125 kHz reader that repeats the card's frame while it is there."""

    lengths = (5,)

    def _appeared(self) -> None:
        self._repeat(self._shown_ns)

    def _repeat(self, shown_ns: int) -> None:
        if self._card is None or shown_ns != self._shown_ns:
            return
        self._read = True
        if not self.dead:
            self._send(reader_frames.rdm6300(self._card))
        self._timers.at(self._timers.now_ns() + REPEAT_NS, lambda: self._repeat(shown_ns))


READERS: dict[str, type[CardReader]] = {"pn532": Pn532, "rdm6300": Rdm6300}
