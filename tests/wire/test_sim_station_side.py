"""Meter and card reader drivers, the station's link, and the API's shapes, against a bench process."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from hal import registry
from hal.errors import MeterGarbage, MeterSilent
from hal.sim.client import (
    CardCommand,
    HintCommand,
    LinkCommand,
    OtherFaultCommand,
    WorldLink,
    open_wires,
)
from hal.sim.faults import NAMES
from tests.wire.sim_bench import Bench, evse, wait_for


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("bench"), evse(1, 3, "rcd", "meter"), evse(2))
    open_wires(bench.installation, "station").close()
    yield bench
    bench.stop()


async def first_reading(meter):
    """The bench loads its Modbus server in the background."""
    for _ in range(20):
        try:
            return await meter.read()
        except MeterSilent:
            await asyncio.sleep(0.05)
    raise AssertionError("the meter stays silent")


@pytest.fixture
async def meter(bench):
    wires = open_wires(bench.installation, "station")
    meter = registry.open("meter", bench.installation["evses"][0]["meter"], wires, 1)
    await first_reading(meter)
    yield meter
    await meter.close()
    wires.close()


async def call(bench, *arguments):
    return await asyncio.to_thread(bench.done, *arguments)


async def test_the_meter_driver_reads_the_register(bench, meter):
    await call(bench, "PUT", "/evses/1/meter", {"energy_wh": 4321.0})
    await asyncio.sleep(0.21)
    reading = await meter.read()
    assert reading.energy_wh == pytest.approx(4321, abs=0.01)
    assert reading.volts == (230, 230, 230)
    assert (await meter.identify()).serial_number == "20260001"


@pytest.mark.parametrize(
    ("fault", "error"), [("meter_silent", MeterSilent), ("meter_garbage", MeterGarbage)]
)
async def test_meter_faults(bench, meter, fault, error):
    await call(bench, "PUT", f"/evses/1/faults/{fault}", {})
    with pytest.raises(error):
        await meter.read()
    await call(bench, "DELETE", f"/evses/1/faults/{fault}")
    await first_reading(meter)


async def test_another_address_is_not_answered(bench, meter):
    wires = open_wires(bench.installation, "station")
    table = {**bench.installation["evses"][0]["meter"], "address": 2}
    other = registry.open("meter", table, wires, 1)
    with pytest.raises(MeterSilent):
        await other.read()
    await other.close()


async def test_backwards(bench, meter):
    await call(bench, "PUT", "/evses/1/meter", {"energy_wh": 5000.0})
    await call(bench, "PUT", "/evses/1/faults/meter_backwards", {})
    await asyncio.sleep(0.21)
    assert (await meter.read()).energy_wh == pytest.approx(4000)
    await call(bench, "DELETE", "/evses/1/faults/meter_backwards")


@pytest.fixture
async def commands(bench):
    """A connected station and what it was told."""
    told = []
    link = WorldLink(bench.installation)
    link.tell_backend(True)
    task = asyncio.create_task(link.run(told.append))
    await asyncio.to_thread(wait_for, lambda: bench.done("GET", "")["backend"]["connected"])
    yield told
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.to_thread(wait_for, lambda: bench.done("GET", "")["processes"]["station"] is None)


async def test_cards_go_over_the_wire_and_texts_above_it(bench, commands):
    wires = open_wires(bench.installation, "station")
    reader = registry.open("rfid", bench.installation["rfid"], wires, 0)
    cards = reader.cards()
    waiting = asyncio.ensure_future(anext(cards))
    await asyncio.sleep(0.2)
    before = time.monotonic_ns()
    await call(bench, "POST", "/rfid", {"uid": "04a2b3c4", "evses": [2]})
    card = await asyncio.wait_for(waiting, 2)
    assert card.uid == "04A2B3C4"
    assert card.taken_at_ns - before < 200_000_000
    await call(bench, "POST", "/rfid", {"uid": "not a card"})
    await asyncio.sleep(0.05)
    assert commands == [
        HintCommand(uid="04A2B3C4", evses=(2,)),
        CardCommand(text="not a card", evses=()),
    ]
    await cards.aclose()
    await reader.close()


async def test_link_and_other_fault_reach_the_station(bench, commands):
    assert (await call(bench, "GET", ""))["processes"]["station"] == os.getpid()
    await call(bench, "POST", "/backend/disconnect", {})
    await call(bench, "POST", "/backend/connect", {})
    await call(bench, "PUT", "/evses/1/faults/other", {"code": "MREC6UnderVoltage"})
    assert (await call(bench, "GET", ""))["evses"][0]["faults"] == ["other"]
    await call(bench, "DELETE", "/evses/1/faults/other")
    await asyncio.sleep(0.05)
    assert commands == [
        LinkCommand(connect=False),
        LinkCommand(connect=True),
        OtherFaultCommand(evse=1, code="MREC6UnderVoltage", active=True),
        OtherFaultCommand(evse=1, code="MREC6UnderVoltage", active=False),
    ]


def test_whole_state(bench):
    state = bench.done("GET", "")
    assert [e["id"] for e in state["evses"]] == [1, 2]
    first = state["evses"][0]
    assert set(first) == {"id", "pilot", "contactor", "lock", "meter", "vehicle", "faults"}
    assert set(first["pilot"]) == {"state", "volts_high", "volts_low", "duty", "changed_at_ns"}
    assert set(first["contactor"]) == {
        "commanded", "closed", "mirror", "changed_at_ns", "commanded_at_ns"
    }  # fmt: skip
    assert first["lock"] == "none"
    assert first["vehicle"] == {"plugged": False, "wants": False, "amps": 0.0, "phases": 1}
    assert state["backend"] == {"connected": False}
    assert state["processes"]["station"] is None


BAD = [
    ("POST", "/evses/9/plug", {}, 404),
    ("POST", "/evses/x/plug", {}, 404),
    ("PUT", "/evses/1/faults/nonsense", {}, 404),
    ("DELETE", "/evses/1/faults/nonsense", None, 404),
    ("GET", "/nothing", None, 404),
    ("POST", "/evses/1/plug", b"{", 400),
    ("POST", "/evses/1/plug", b"[]", 400),
    ("POST", "/evses/1/plug", {"curent": 16}, 400),
    ("POST", "/evses/1/plug", {"current": "16"}, 400),
    ("POST", "/evses/1/plug", {"current": True}, 400),
    ("POST", "/evses/1/plug", {"current": -1}, 400),
    ("POST", "/evses/1/plug", {"phases": 4}, 400),
    ("POST", "/evses/1/plug", {"phases": 1.5}, 400),
    ("POST", "/evses/1/plug", {"vehicle": "batmobile"}, 400),
    ("POST", "/evses/1/pulse", {"state": "G"}, 400),
    ("POST", "/evses/1/pulse", {"state": "C", "seconds": 0}, 400),
    ("PUT", "/evses/1/meter", {"energy_wh": -1}, 400),
    ("PUT", "/evses/1/meter", b'{"energy_wh": NaN}', 400),
    ("PUT", "/evses/1/faults/other", {}, 400),
    ("POST", "/rfid", {}, 400),
    ("POST", "/rfid", {"uid": ""}, 400),
    ("POST", "/rfid", {"uid": "04A2B3C4", "evses": [9]}, 404),
    ("GET", "/events?since=x", None, 400),
    ("GET", "/events?since=" + "9" * 5000, None, 400),
    ("POST", "/evses/" + "1" * 5000 + "/plug", {}, 404),
    ("POST", "/evses/1/plug", b"[" * 100_000, 400),
    ("POST", "/evses/1/plug", b'{"current": 1' + b"0" * 400 + b"}", 400),
    ("PUT", "/evses/2/meter", {}, 409),
    ("PUT", "/evses/2/faults/rcd", {}, 409),
    ("PUT", "/evses/2/faults/meter_silent", {}, 409),
    ("PUT", "/evses/1/faults/lock_jam", {}, 409),
    ("POST", "/evses/1/pause", {}, 409),
    ("POST", "/evses/1/resume", {}, 409),
    ("POST", "/rfid", {"uid": "04A2B3C4"}, 503),
    ("POST", "/rfid", {"uid": "some text"}, 503),
    ("POST", "/backend/disconnect", {}, 503),
    ("PUT", "/evses/1/faults/other", {"code": "X"}, 503),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), BAD)
def test_refusals_are_json_and_change_nothing(bench, method, path, body, status):
    before = bench.done("GET", "")["evses"][0]["vehicle"], bench.last_event()
    got, answer = bench.call(method, path, body)
    assert got == status
    assert set(answer) == {"error"}
    assert (bench.done("GET", "")["evses"][0]["vehicle"], bench.last_event()) == before


@pytest.mark.parametrize("name", NAMES)
def test_every_fault_name_is_known(bench, name):
    status, _ = bench.call("PUT", f"/evses/1/faults/{name}", {"code": "X"})
    assert status in (200, 409, 501, 503)
    removed, _ = bench.call("DELETE", f"/evses/1/faults/{name}")
    assert removed in (200, 409, 501)
    assert bench.evse()["faults"] == []


def test_plug_twice_is_impossible_and_unplug_always_works(bench):
    bench.done("POST", "/evses/1/unplug")
    bench.done("POST", "/evses/1/plug", b"")
    assert bench.call("POST", "/evses/1/plug", {})[0] == 409
    bench.done("POST", "/evses/1/unplug", {})
    bench.done("POST", "/evses/1/unplug", {})


def test_calls_act_in_order_and_at_once(bench):
    since = bench.last_event()
    for _ in range(20):
        bench.done("POST", "/evses/2/plug")
        bench.done("POST", "/evses/2/unplug")
    events = bench.done("GET", f"/events?since={since}")
    stamps = [e["at_ns"] for e in events["events"]]
    assert stamps == sorted(stamps)
    assert events["next"] == since + len(stamps)


def test_sigkill_loses_no_energy_and_the_port_is_back_at_once(tmp_path):
    bench = Bench(tmp_path, evse(1, 1, "meter"))
    open_wires(bench.installation, "station").close()
    bench.done("PUT", "/evses/1/meter", {"energy_wh": 777.25})
    bench.restart_after_sigkill()
    started = time.monotonic()
    open_wires(bench.installation, "station").close()
    assert bench.evse()["meter"]["energy_wh"] == 777.25
    assert time.monotonic() - started < 5
    bench.stop()


def test_a_world_of_its_own_keeps_the_car_when_the_station_comes_again(bench):
    bench.done("POST", "/evses/2/plug")
    open_wires(bench.installation, "guard").close()
    open_wires(bench.installation, "guard").close()
    assert bench.evse(2)["vehicle"]["plugged"] is True
    bench.done("POST", "/evses/2/unplug")
    wait_for(lambda: bench.done("GET", "")["processes"]["guard"] is None)
