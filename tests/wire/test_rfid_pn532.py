"""PN532 over a pty: frames, held cards, silence (hardware §7)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

import hal.card_reading as card_reading
import hal.drivers.rfid_pn532 as pn532
from hal import registry
from hal.errors import ReaderSilent, WireInUse
from hal.ports import ReaderHealth
from hal.types import CardRead
from tests.wire.wires import TestWires, pty_pair

SAM_FRAME = bytes.fromhex("0000FF05FBD4140100011600")
"""From the reader's manual, as hardware.md quotes it."""
LIST_FRAME = bytes.fromhex("0000FF04FCD44A0100E100")


def answer_frame(data: bytes) -> bytes:
    """A frame from the reader."""
    return bytes((0, 0, 0xFF, len(data), -len(data) & 0xFF)) + data + bytes((-sum(data) & 0xFF, 0))


def card_frame(uid: bytes) -> bytes:
    """One listed card."""
    head = bytes((0xD5, 0x4B, 1, 1, 0x00, 0x04, 0x08, len(uid)))
    return answer_frame(head + uid)


class Reader:
    """The far end of the line: a PN532 with a card in its field, or none."""

    def __init__(self) -> None:
        self.fd, self.path = pty_pair()
        self.keep = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
        self.dead = False
        self.uid: bytes | None = None
        self.waiting = False
        self.heard = b""
        self.lists = 0

    def readable(self) -> None:
        data = os.read(self.fd, 4096)
        if self.dead:
            return
        self.heard += data
        while True:
            at = self.heard.find(b"\x00\xff")
            if at < 0 or len(self.heard) < at + 4:
                return
            length = self.heard[at + 2]
            end = at + 4 + (length + 1 if length else 0)
            if len(self.heard) < end:
                return
            body, self.heard = self.heard[at + 4 : at + 4 + length], self.heard[end:]
            if not body:
                self.waiting = False
            elif body[1] == 0x14:
                self.send(pn532.ACK + answer_frame(b"\xd5\x15"))
            elif body[1] == 0x4A:
                self.lists += 1
                self.send(pn532.ACK)
                self.waiting = True
                self.look()

    def look(self) -> None:
        if self.waiting and self.uid is not None:
            self.waiting = False
            self.send(card_frame(self.uid))

    def show(self, uid: bytes | None) -> None:
        self.uid = uid
        self.look()

    def send(self, data: bytes) -> None:
        os.write(self.fd, data)

    def close(self) -> None:
        os.close(self.fd)
        os.close(self.keep)


@pytest_asyncio.fixture
async def far(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reader]:
    monkeypatch.setattr(pn532, "ACK_S", 0.03)
    monkeypatch.setattr(pn532, "ANSWER_S", 0.05)
    monkeypatch.setattr(pn532, "RENEW_S", 0.1)
    monkeypatch.setattr(pn532, "HELD_POLL_S", 0.01)
    monkeypatch.setattr(card_reading, "RETRY_S", 0.02)
    made = Reader()
    loop = asyncio.get_running_loop()
    loop.add_reader(made.fd, made.readable)
    yield made
    loop.remove_reader(made.fd)
    made.close()


class Listener:
    """Collects what a reader yields, as the station does."""

    def __init__(self, reader: Any) -> None:
        self.reader = reader
        self.cards: list[CardRead] = []
        self.losses = 0
        self.arrived = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            try:
                async for card in self.reader.cards():
                    self.cards.append(card)
                    self.arrived.set()
            except ReaderSilent:
                self.losses += 1
                self.arrived.set()

    async def next(self, timeout_s: float = 2.0) -> None:
        async with asyncio.timeout(timeout_s):
            await self.arrived.wait()
        self.arrived.clear()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.reader.close()


def open_reader(far: Reader, tmp_path: Path, **more: Any) -> Any:
    wires = TestWires(tmp_path, {"rfid": far.path})
    return registry.open("rfid", {"driver": "pn532", "port": "rfid"} | more, wires, 0)


async def until(what: Any, timeout_s: float = 2.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not what():
            await asyncio.sleep(0.002)


def test_command_frames_are_those_of_the_manual() -> None:
    assert pn532.command_frame(pn532.SAM_CONFIGURATION) == SAM_FRAME
    assert pn532.command_frame(pn532.LIST_ONE_CARD) == LIST_FRAME


@pytest.mark.parametrize("uid", ["04A2B3C4", "04A2B3C4D5E680", "04112233445566778899"])
def test_a_listed_card_of_each_length(uid: str) -> None:
    (frame,) = pn532.FrameParser().feed(card_frame(bytes.fromhex(uid)))
    assert pn532.listed_uid(frame) == bytes.fromhex(uid)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xd5\x4b\x00",
        b"\xd5\x15",
        b"\x7f",
        b"\xd5\x4b\x01\x01\x00\x04\x08\x07\x01\x02",
        b"\xd5\x4b\x01\x01\x00\x04\x08\x05\x01\x02\x03\x04\x05",
    ],
)
def test_no_card_in_other_answers(frame: bytes) -> None:
    assert pn532.listed_uid(frame) is None


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_noise_neither_crashes_nor_makes_a_card_nor_deafens(noise: list[bytes]) -> None:
    parser = pn532.FrameParser()
    for chunk in noise:
        parser.feed(chunk)
    got = [f for _ in range(12) for f in parser.feed(card_frame(b"\x04\xa2\xb3\xc4"))]
    assert pn532.listed_uid(got[-1]) == b"\x04\xa2\xb3\xc4"


@given(st.data())
def test_one_damaged_byte_never_gives_another_card(data: st.DataObject) -> None:
    good = card_frame(b"\x04\xa2\xb3\xc4")
    at = data.draw(st.integers(0, len(good) - 1))
    broken = good[:at] + bytes((data.draw(st.integers(0, 255)),)) + good[at + 1 :]
    uids = {pn532.listed_uid(frame) for frame in pn532.FrameParser().feed(broken)}
    assert uids <= {None, b"\x04\xa2\xb3\xc4"}


@given(st.integers(1, 30))
def test_frames_may_come_in_pieces(size: int) -> None:
    stream = pn532.ACK + answer_frame(b"\xd5\x15") + card_frame(b"\x04\xa2\xb3\xc4")
    parser = pn532.FrameParser()
    frames = [f for i in range(0, len(stream), size) for f in parser.feed(stream[i : i + size])]
    assert frames[:2] == [b"", b"\xd5\x15"]
    assert pn532.listed_uid(frames[2]) == b"\x04\xa2\xb3\xc4"


@pytest.mark.asyncio
async def test_a_shown_card_is_one_event_with_upper_case_hex(far: Reader, tmp_path: Path) -> None:
    listener = Listener(open_reader(far, tmp_path, evses=[1]))
    await until(lambda: far.waiting)
    far.show(bytes.fromhex("04a2b3c4d5e680"))
    await listener.next()
    await until(lambda: far.lists > 8)  # held: listed again and again
    far.show(None)
    assert [(c.uid, c.evses) for c in listener.cards] == [("04A2B3C4D5E680", (1,))]
    await listener.stop()


@pytest.mark.asyncio
async def test_the_same_card_counts_again_after_it_was_away(far: Reader, tmp_path: Path) -> None:
    listener = Listener(open_reader(far, tmp_path, absent_s=0.5))
    await until(lambda: far.waiting)
    for _ in range(2):
        far.show(b"\x04\xa2\xb3\xc4")
        await listener.next()
        far.show(None)
        await asyncio.sleep(0.6)
    assert len(listener.cards) == 2
    await listener.stop()


@pytest.mark.asyncio
async def test_another_card_counts_at_once(far: Reader, tmp_path: Path) -> None:
    listener = Listener(open_reader(far, tmp_path, reverse=True))
    await until(lambda: far.waiting)
    far.show(b"\x04\xa2\xb3\xc4")
    await listener.next()
    far.show(b"\x14\xa2\xb3\xc4")
    await listener.next()
    assert [c.uid for c in listener.cards] == ["C4B3A204", "C4B3A214"]
    await listener.stop()


@pytest.mark.asyncio
async def test_a_random_uid_is_refused_once(
    far: Reader, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener(open_reader(far, tmp_path))
    await until(lambda: far.waiting)
    for last in range(5):
        far.show(bytes((0x08, 0x11, 0x22, last)))
        await asyncio.sleep(0.03)
    assert not listener.cards
    assert [r.message for r in caplog.records if "random" in r.message] == [
        "card refused: its uid is random (a phone or a passport), it names nobody"
    ]
    await listener.stop()


@pytest.mark.asyncio
async def test_each_new_card_is_one_event(far: Reader, tmp_path: Path) -> None:
    """The pending request of the chip brings the card; nothing is polled, so nothing waits for a poll."""
    listener = Listener(open_reader(far, tmp_path))
    for number in range(20):
        await until(lambda: far.waiting)
        far.show(bytes((0x04, 0xA2, 0xB3, number)))
        await listener.next()
        far.show(None)
    assert len(listener.cards) == 20
    await listener.stop()


@pytest.mark.asyncio
async def test_a_silent_reader_is_told_once_and_found_again(far: Reader, tmp_path: Path) -> None:
    reader = open_reader(far, tmp_path)
    listener = Listener(reader)
    assert isinstance(reader, ReaderHealth)
    await until(lambda: far.waiting and reader.is_answering)
    far.dead = True
    await listener.next()
    await asyncio.sleep(0.4)
    assert (listener.losses, reader.is_answering) == (1, False)
    far.dead = False
    await until(lambda: reader.is_answering)
    far.show(b"\x04\xa2\xb3\xc4")
    await until(lambda: listener.cards)
    assert listener.losses == 1
    await listener.stop()


@pytest.mark.asyncio
async def test_a_reader_that_is_not_there_is_told_once(tmp_path: Path, far: Reader) -> None:
    wires = TestWires(tmp_path, {"rfid": str(tmp_path / "none")})
    listener = Listener(registry.open("rfid", {"driver": "pn532", "port": "rfid"}, wires, 0))
    await asyncio.sleep(0.1)
    assert listener.losses == 1
    await listener.stop()


@pytest.mark.asyncio
async def test_a_vanished_port_is_told_once(far: Reader, tmp_path: Path) -> None:
    reader = open_reader(far, tmp_path)
    listener = Listener(reader)
    await until(lambda: reader.is_answering)
    asyncio.get_running_loop().remove_reader(far.fd)
    far.close()
    await listener.next()
    await asyncio.sleep(0.1)
    assert listener.losses == 1
    await listener.stop()
    far.fd, far.path = pty_pair()
    far.keep = os.open(far.path, os.O_RDWR | os.O_NOCTTY)


@pytest.mark.asyncio
async def test_two_readers_on_one_port_are_refused(far: Reader, tmp_path: Path) -> None:
    wires = TestWires(tmp_path, {"rfid": far.path})
    table = {"driver": "pn532", "port": "rfid"}
    reader = registry.open("rfid", table, wires, 0)
    with pytest.raises(WireInUse, match="serial port rfid"):
        registry.open("rfid", table, wires, 0)
    await reader.close()
