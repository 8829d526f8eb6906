"""RDM6300 over a pty (hardware §7)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hal.card_reading as card_reading
from hal.drivers.rfid_rdm6300 import FrameParser, Rdm6300Reader, Settings
from tests.wire.test_rfid_pn532 import Listener, until
from tests.wire.wires import TestWires, pty_pair

FRAME = b"\x02100086F44426\x03"
"""A frame as published for this reader: printed number 0008844356."""
OTHER = b"\x02010063E9AE25\x03"


def test_the_published_frames() -> None:
    (card,) = FrameParser().feed(FRAME)
    assert card.hex().upper() == "100086F444"
    assert int.from_bytes(card[1:], "big") == 8844356
    (other,) = FrameParser().feed(OTHER)
    assert int.from_bytes(other[1:], "big") == 6547886


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_noise_neither_crashes_nor_deafens(noise: list[bytes]) -> None:
    parser = FrameParser()
    for chunk in noise:
        parser.feed(chunk)
    got = [card for _ in range(3) for card in parser.feed(FRAME)]
    assert bytes.fromhex("100086F444") in got


@given(st.data())
def test_one_damaged_byte_never_gives_another_card(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(FRAME) - 1))
    broken = FRAME[:at] + bytes((data.draw(st.integers(0, 255)),)) + FRAME[at + 1 :]
    assert set(FrameParser().feed(broken)) <= {bytes.fromhex("100086F444")}


@given(st.integers(1, 20))
def test_frames_may_come_in_pieces(size: int) -> None:
    stream = b"\x03\x02" + FRAME + OTHER
    parser = FrameParser()
    cards = [c for i in range(0, len(stream), size) for c in parser.feed(stream[i : i + size])]
    assert [card.hex().upper() for card in cards] == ["100086F444", "010063E9AE"]


@pytest.mark.asyncio
async def test_a_held_card_is_one_event_until_absent_for_two_seconds(tmp_path: Path) -> None:
    fd, path = pty_pair()
    now_ns = [10**9]
    reader = Rdm6300Reader(
        Settings(port="rfid"), TestWires(tmp_path, {"rfid": path}), 0, clock=lambda: now_ns[0]
    )
    listener = Listener(reader)
    await until(lambda: reader.is_answering)

    async def send(frame: bytes, after_s: float) -> int:
        now_ns[0] += int(after_s * 1e9)
        os.write(fd, frame)
        await asyncio.sleep(0.02)
        return len(listener.cards)

    assert await send(FRAME, 0) == 1
    for _ in range(5):
        assert await send(FRAME, 1.9) == 1
    assert await send(OTHER, 0.1) == 2
    assert await send(FRAME, 0.1) == 2
    assert await send(FRAME, 2.1) == 3
    assert [card.uid for card in listener.cards] == ["100086F444", "010063E9AE", "100086F444"]
    await listener.stop()
    os.close(fd)


@pytest.mark.asyncio
async def test_a_vanished_port_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card_reading, "RETRY_S", 0.02)
    fd, path = pty_pair()
    reader = Rdm6300Reader(Settings(port="rfid"), TestWires(tmp_path, {"rfid": path}), 0)
    listener = Listener(reader)
    await until(lambda: reader.is_answering)
    os.close(fd)
    await listener.next()
    await asyncio.sleep(0.1)
    assert (listener.losses, reader.is_answering) == (1, False)
    await listener.stop()
