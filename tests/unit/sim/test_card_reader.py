from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hal.sim import reader_frames
from hal.sim.card_reader import Pn532, Rdm6300
from tests.unit.sim.world_clock import MS, FakeTimers

WAKE = b"\x55\x55" + bytes(14)
FIRMWARE = bytes.fromhex("0000FF02FED4022A00")
LIST = bytes.fromhex("0000FF04FCD44A0100E100")


def host(*body):
    data = bytes((0xD4, *body))
    return (
        reader_frames.PREAMBLE
        + bytes((len(data), -len(data) & 255))
        + data
        + bytes((-sum(data) & 255, 0))
    )


class Desk:
    def __init__(self, kind):
        self.timers = FakeTimers()
        self.sent: list[bytes] = []
        self.reader = kind(self.timers, self.sent.append)

    def take(self):
        sent, self.sent[:] = list(self.sent), []
        return sent


def test_firmware_is_acknowledged_and_answered():
    desk = Desk(Pn532)
    desk.reader.received(WAKE + FIRMWARE)
    assert desk.take() == [
        bytes.fromhex("0000FF00FF00"),
        bytes.fromhex("0000FF06FAD50332010607E800"),
    ]


def test_a_card_answers_the_waiting_request_at_once():
    desk = Desk(Pn532)
    desk.reader.received(LIST)
    assert desk.take() == [reader_frames.ACK]
    desk.reader.show("04a2b3c4")
    (answer,) = desk.take()
    body = reader_frames.split(answer)[0][0]
    assert body == bytes.fromhex("D54B0101000408" + "04" + "04A2B3C4")


def test_cards_follow_each_other():
    desk = Desk(Pn532)
    seen = []
    desk.reader.show("01020304")
    desk.reader.show("11121314151617")
    for _ in range(20):
        desk.reader.received(LIST)
        seen += [f[-4:] for f in desk.take() if f != reader_frames.ACK]
        desk.timers.run(50 * MS)
    assert len(set(seen)) == 2


def test_an_unread_card_is_held_until_it_is_read():
    desk = Desk(Pn532)
    desk.reader.show("01020304")
    desk.timers.run(2000 * MS)
    desk.reader.received(LIST)
    assert len(desk.take()) == 2
    desk.timers.run(500 * MS)
    desk.reader.received(LIST)
    assert desk.take() == [reader_frames.ACK]


def test_limited_retries_end_with_no_target():
    desk = Desk(Pn532)
    desk.reader.received(host(0x32, 0x05, 0xFF, 0x01, 0x02))
    desk.take()
    desk.reader.received(LIST)
    desk.timers.run(100 * MS)
    assert reader_frames.split(desk.take()[-1])[0] == [b"\xd5\x4b\x00"]


def test_an_ack_of_the_host_ends_the_request():
    desk = Desk(Pn532)
    desk.reader.received(LIST)
    desk.reader.received(reader_frames.ACK)
    desk.take()
    desk.reader.show("01020304")
    assert desk.take() == []


def test_a_dead_reader_is_silent():
    desk = Desk(Pn532)
    desk.reader.dead = True
    desk.reader.received(FIRMWARE)
    desk.reader.show("01020304")
    assert desk.take() == []


def test_which_texts_are_cards():
    pn532, rdm6300 = Desk(Pn532).reader, Desk(Rdm6300).reader
    for text in ("04A2B3C4", "04a2b3c4d5e6f7", "00112233445566778899"):
        assert pn532.carries(text)
        assert not rdm6300.carries(text)
    assert rdm6300.carries("010063E9AE")
    for text in ("04A2B3", "TAG-1", "04A2B3C4 ", "04 A2 B3 C4", "", "04A2B3C", "١٢٣٤٥٦٧٨"):
        assert not pn532.carries(text)


def test_rdm6300_repeats_its_frame_while_the_card_is_there():
    desk = Desk(Rdm6300)
    desk.reader.show("100086F444")
    desk.timers.run(1000 * MS)
    sent = desk.take()
    assert set(sent) == {b"\x02100086F44426\x03"}
    assert 4 <= len(sent) <= 6


@given(st.binary(max_size=60), st.integers(0, 60))
def test_frames_survive_any_noise_and_any_cut(noise, cut):
    """Whatever stood before and wherever the bytes are cut, a frame behind two wake-ups is found."""
    stream = noise + WAKE * 20 + FIRMWARE
    first, rest = reader_frames.split(stream[:cut])
    second, _ = reader_frames.split(rest + stream[cut:])
    assert (first + second)[-1:] == [b"\xd4\x02"]
