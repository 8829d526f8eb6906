"""Modbus meters over a pty: what can go wrong on the line is told apart (DESIGN §9, hardware §6)."""

from __future__ import annotations

import asyncio
import logging
import os
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hal.drivers.meter_modbus as meter_modbus
from hal import registry
from hal.errors import MeterGarbage, MeterRefused, MeterSilent, Misconfigured, WireInUse
from hal.register_map import built_in, load
from tests.wire.wires import TestWires, pty_pair

pytestmark = pytest.mark.asyncio


def with_crc(frame: bytes) -> bytes:
    """The frame with its CRC-16/MODBUS."""
    crc = 0xFFFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return frame + bytes((crc & 0xFF, crc >> 8))


class Slave:
    """The far end of the line: hears requests and answers with `answer(request)`."""

    def __init__(self) -> None:
        self.fd, self.path = pty_pair()
        self.keep = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
        self.answer: Callable[[bytes], bytes] = lambda request: b""
        self.requests: list[bytes] = []
        self._buffer = b""

    def readable(self) -> None:
        self._buffer += os.read(self.fd, 4096)
        while len(self._buffer) >= 8:
            request, self._buffer = self._buffer[:8], self._buffer[8:]
            self.requests.append(request)
            if answer := self.answer(request):
                os.write(self.fd, answer)

    def close(self) -> None:
        os.close(self.fd)
        os.close(self.keep)


@pytest_asyncio.fixture
async def slave(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Slave]:
    monkeypatch.setattr(meter_modbus, "ANSWER_S", 0.15)
    made = Slave()
    loop = asyncio.get_running_loop()
    loop.add_reader(made.fd, made.readable)
    yield made
    loop.remove_reader(made.fd)
    made.close()


@pytest_asyncio.fixture
async def meter(slave: Slave, tmp_path: Path) -> AsyncIterator[Any]:
    wires = TestWires(tmp_path, {"meter": slave.path})
    made = registry.open("meter", table(), wires, 1)
    yield made
    await made.close()


def table(**more: Any) -> dict[str, Any]:
    return {"driver": "modbus", "map": "eastron-sdm120", "port": "meter", "address": 1} | more


def registers(request: bytes, values: dict[int, float]) -> bytes:
    """A right answer with float32 values by address, everything else 0."""
    unit, function, start, count = struct.unpack(">BBHH", request[:6])
    data = bytearray(2 * count)
    for address, value in values.items():
        if start <= address < start + count:
            struct.pack_into(">f", data, 2 * (address - start), value)
    return with_crc(bytes((unit, function, 2 * count)) + bytes(data))


def good(request: bytes) -> bytes:
    return registers(request, {0: 230.0, 6: 16.0, 0x0C: 3680.0, 0x46: 50.0, 0x48: 1.5})


@pytest.mark.parametrize("name", built_in())
async def test_each_map_reads_its_frames(slave: Slave, tmp_path: Path, name: str) -> None:
    register_map = load(name)
    answers = {frame.request: frame.answer for frame in register_map.frames}
    assert answers, "a map without frames is untested"
    slave.answer = lambda request: answers[request]
    wires = TestWires(tmp_path, {"meter": slave.path})
    # A pty has no parity bit.
    meter = registry.open("meter", table(map=name, parity="N"), wires, 1)
    reading = await meter.read()
    got: dict[str, Any] = {
        "energy_wh": reading.energy_wh,
        "energy_export_wh": reading.energy_export_wh,
        "power_w": reading.power_w,
        "power_factor": reading.power_factor,
        "frequency_hz": reading.frequency_hz,
    }
    for phase in range(3):
        got[f"amps_l{phase + 1}"] = reading.amps[phase]
        got[f"volts_l{phase + 1}"] = reading.volts[phase]
    wanted: dict[str, float] = {}
    for frame in register_map.frames:
        assert with_crc(frame.request[:-2]) == frame.request
        assert with_crc(frame.answer[:-2]) == frame.answer
        wanted |= frame.values
    # What the meter does not tell is None, never 0.
    assert {k: v for k, v in got.items() if v is not None} == pytest.approx(wanted)
    assert reading.refresh_ms == register_map.refresh_ms
    assert len(slave.requests) == len(register_map.frames)
    await meter.close()


async def test_reads_a_good_answer(slave: Slave, meter: Any) -> None:
    slave.answer = good
    reading = await meter.read()
    assert (reading.energy_wh, reading.power_w, reading.amps) == (
        1500.0,
        3680.0,
        (16.0, None, None),
    )


async def test_a_dead_slave_is_silent_once_repeated(slave: Slave, meter: Any) -> None:
    with pytest.raises(MeterSilent, match="no answer from address 1"):
        await meter.read()
    assert len(slave.requests) == 2


async def test_a_wrong_crc_is_garbage(slave: Slave, meter: Any) -> None:
    slave.answer = lambda request: good(request)[:-1] + bytes((good(request)[-1] ^ 1,))
    with pytest.raises(MeterGarbage, match="damaged answer"):
        await meter.read()


async def test_half_an_answer_is_garbage(slave: Slave, meter: Any) -> None:
    slave.answer = lambda request: good(request)[:20]
    with pytest.raises(MeterGarbage):
        await meter.read()


async def test_noise_is_garbage(slave: Slave, meter: Any) -> None:
    slave.answer = lambda request: bytes(range(40))
    with pytest.raises(MeterGarbage):
        await meter.read()


async def test_an_answer_of_another_address_is_garbage(slave: Slave, meter: Any) -> None:
    slave.answer = lambda request: with_crc(b"\x07" + good(request)[1:-2])
    with pytest.raises(MeterGarbage):
        await meter.read()


async def test_an_answer_of_the_wrong_length_is_garbage(slave: Slave, meter: Any) -> None:
    slave.answer = lambda request: with_crc(b"\x01\x04\x04\x00\x00\x00\x00")
    with pytest.raises(MeterGarbage):
        await meter.read()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
async def test_an_impossible_energy_is_garbage(slave: Slave, meter: Any, bad: float) -> None:
    slave.answer = lambda request: registers(request, {0: 230.0, 0x48: bad})
    with pytest.raises(MeterGarbage, match="energy_wh"):
        await meter.read()


async def test_impossible_volts_are_garbage(slave: Slave, meter: Any) -> None:
    slave.answer = lambda request: registers(request, {0: 70_000.0, 0x48: 1.0})
    with pytest.raises(MeterGarbage, match="volts_l1 = 70000"):
        await meter.read()


async def test_a_modbus_exception_is_a_refusal(slave: Slave, meter: Any) -> None:
    slave.answer = lambda request: with_crc(b"\x01\x84\x02")
    with pytest.raises(MeterRefused, match=r"0x0000 to 0x004b \(exception 2\)"):
        await meter.read()


async def test_recovers_by_itself(slave: Slave, meter: Any) -> None:
    with pytest.raises(MeterSilent):
        await meter.read()
    slave.answer = good
    assert (await meter.read()).energy_wh == 1500.0


async def test_a_late_answer_is_not_taken_for_the_next_one(slave: Slave, meter: Any) -> None:
    """The answer to a given-up request arrives afterwards; the next poll must not use it."""
    late: list[bytes] = []
    slave.answer = lambda request: late.append(registers(request, {0x48: 99.0})) or b""  # type: ignore[func-returns-value]
    with pytest.raises(MeterSilent):
        await meter.read()
    os.write(slave.fd, late[0])
    slave.answer = good
    assert (await meter.read()).energy_wh == 1500.0


async def test_a_port_without_parity_is_silent(slave: Slave, tmp_path: Path) -> None:
    wires = TestWires(tmp_path, {"meter": slave.path})
    meter = registry.open("meter", table(parity="E"), wires, 1)
    with pytest.raises(MeterSilent):
        await meter.read()
    await meter.close()


async def test_a_missing_port_is_silent(tmp_path: Path) -> None:
    meter = registry.open("meter", table(port="/dev/serial/by-id/none"), TestWires(tmp_path), 1)
    with pytest.raises(MeterSilent, match="cannot be opened"):
        await meter.read()
    await meter.close()


async def test_the_port_may_go_and_come_back(slave: Slave, tmp_path: Path) -> None:
    link = tmp_path / "port"
    link.symlink_to(slave.path)
    meter = registry.open("meter", table(port=str(link)), TestWires(tmp_path), 1)
    slave.answer = good
    await meter.read()
    loop = asyncio.get_running_loop()
    loop.remove_reader(slave.fd)
    slave.close()
    with pytest.raises(MeterSilent):
        await meter.read()
    slave.fd, path = pty_pair()
    slave.keep = os.open(path, os.O_RDWR | os.O_NOCTTY)
    link.unlink()
    link.symlink_to(path)
    loop.add_reader(slave.fd, slave.readable)
    assert (await meter.read()).energy_wh == 1500.0
    await meter.close()


async def test_two_meters_share_one_line(slave: Slave, tmp_path: Path) -> None:
    wires = TestWires(tmp_path, {"meter": slave.path})
    one = registry.open("meter", table(address=1), wires, 1)
    two = registry.open("meter", table(address=2), wires, 2)
    slave.answer = lambda request: registers(request, {0x48: float(request[0])})
    readings = await asyncio.gather(*(m.read() for m in (one, two) * 3))
    assert [r.energy_wh for r in readings] == [1000.0, 2000.0] * 3
    await one.close()
    assert (await two.read()).energy_wh == 2000.0
    await two.close()


async def test_a_dead_meter_does_not_harm_its_neighbour(slave: Slave, tmp_path: Path) -> None:
    wires = TestWires(tmp_path, {"meter": slave.path})
    dead = registry.open("meter", table(address=1), wires, 1)
    alive = registry.open("meter", table(address=2), wires, 2)
    slave.answer = lambda request: good(request) if request[0] == 2 else b""
    results = await asyncio.gather(dead.read(), alive.read(), return_exceptions=True)
    assert isinstance(results[0], MeterSilent)
    assert not isinstance(results[1], BaseException) and results[1].energy_wh == 1500.0
    await dead.close()
    await alive.close()


async def test_one_address_twice_is_refused_with_both_owners(slave: Slave, tmp_path: Path) -> None:
    wires = TestWires(tmp_path, {"meter": slave.path})
    meter = registry.open("meter", table(), wires, 1)
    with pytest.raises(WireInUse, match=r"address 1 on meter.*EVSE 1 meter and by EVSE 2 meter"):
        registry.open("meter", table(), wires, 2)
    with pytest.raises(WireInUse, match="all settings must be the same"):
        registry.open("meter", table(address=2, baudrate=19200), wires, 2)
    await meter.close()
    again = registry.open("meter", table(), wires, 2)
    await again.close()


async def test_identifies_itself(slave: Slave, tmp_path: Path) -> None:
    wires = TestWires(tmp_path, {"meter": slave.path})
    meter = registry.open("meter", table(map="eastron-sdm630"), wires, 1)
    answers = {0xFC00: b"\x04\x01\x5a\x3c\x21", 0xFC02: b"\x02\x00\x79"}

    def answer(request: bytes) -> bytes:
        return with_crc(b"\x01\x03" + answers[int.from_bytes(request[2:4], "big")])

    slave.answer = answer
    identity = await meter.identify()
    assert (identity.vendor, identity.model, identity.serial_number) == (
        "Eastron",
        "SDM630MCT",
        str(0x015A3C21),
    )
    slave.answer = lambda request: with_crc(b"\x01\x83\x02")
    identity = await meter.identify()
    assert (identity.model, identity.serial_number) == ("SDM630", "")
    await meter.close()


async def test_short_reads_for_meters_that_refuse_long_ones(slave: Slave, tmp_path: Path) -> None:
    wires = TestWires(tmp_path, {"meter": slave.path})
    meter = registry.open("meter", table(max_registers=10), wires, 1)
    slave.answer = good
    reading = await meter.read()
    assert (reading.energy_wh, reading.power_w) == (1500.0, 3680.0)
    assert max(int.from_bytes(request[4:6], "big") for request in slave.requests) <= 10
    await meter.close()


async def test_a_map_of_ones_own(slave: Slave, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'vendor="V"\nmodel="M"\nsource="S"\nfunction=3\nmax_registers=10\nrefresh_ms=1\n'
        'word_order="little"\n[[block]]\nstart=0\ncount=2\n'
        '[values]\nenergy_wh={address=0,type="int32",scale=100}\n'
    )
    meter = registry.open(
        "meter", table(map=str(path)), TestWires(tmp_path, {"meter": slave.path}), 1
    )
    slave.answer = lambda request: with_crc(b"\x01\x03\x04\x00\x07\x00\x01")
    assert (await meter.read()).energy_wh == (65536 + 7) * 100
    await meter.close()


async def test_an_unknown_map_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"abb-b23, eastron-sdm120, eastron-sdm630"):
        registry.open("meter", table(map="sdm"), TestWires(tmp_path), 1)


async def test_the_library_logs_nothing(
    slave: Slave, meter: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(MeterSilent):
        await meter.read()
    slave.answer = lambda request: b"\x01\x04\x02"
    with pytest.raises(MeterGarbage):
        await meter.read()
    assert not caplog.records


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(noise=st.binary(min_size=1, max_size=300), valid_crc=st.booleans())
async def test_no_bytes_crash_the_loop_or_become_values(
    slave: Slave, meter: Any, noise: bytes, valid_crc: bool
) -> None:
    problems: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    slave.answer = lambda request: with_crc(b"\x01\x04" + noise) if valid_crc else noise
    with pytest.raises((MeterGarbage, MeterRefused)):
        await meter.read()
    assert not problems
