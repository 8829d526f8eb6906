"""The real drivers of the guard's side on virtual wires, against a bench process."""

from __future__ import annotations

import os
import time

import pytest

from hal import registry
from hal.sim.client import open_wires
from hal.sim.hello import stay
from tests.wire.sim_bench import Bench, evse, wait_for

MS = 1_000_000


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    bench = Bench(
        tmp_path_factory.mktemp("bench"),
        evse(1, 3, "rcd", "meter", lock=None),
        evse(2, 1, "lock", "proximity"),
    )
    yield bench
    bench.stop()


class Header:
    """The guard's drivers of one EVSE."""

    def __init__(self, bench, number=1, role="guard"):
        self.wires = open_wires(bench.installation, role)
        self.tables = next(e for e in bench.installation["evses"] if e["id"] == number)
        self.number = number
        self.opened = []
        self.pilot = self.open("pilot")
        self.contactor = self.open("contactor")

    def open(self, part):
        device = registry.open(part, self.tables[part], self.wires, self.number)
        self.opened.append(device)
        return device

    def close(self):
        for device in self.opened:
            device.close()
        self.wires.close()


@pytest.fixture
def header(bench):
    header = Header(bench)
    header.pilot.set_duty(1.0)
    wait_for(lambda: bench.evse()["pilot"]["duty"] == 1.0)
    yield header
    bench.done("POST", "/evses/1/unplug")
    for name in bench.evse()["faults"]:
        bench.done("DELETE", f"/evses/1/faults/{name}")
    header.contactor.permit(False)
    wait_for(lambda: not bench.evse()["contactor"]["mirror"])
    header.close()


def read(pilot):
    """The next window that is not mixed, as a pair of rounded volts."""
    for _ in range(5):
        reading = pilot.read()
        if not reading.mixed:
            return round(reading.volts_high), round(reading.volts_low)
    raise AssertionError("mixed windows only")


@pytest.mark.parametrize("amps", [6, 32])
def test_the_pilot_driver_sees_a_b_c_through_noise(bench, header, amps):
    """DESIGN 2: at 10 % and 53 % duty; at most a few spikes in 100 windows."""
    bench.done("POST", "/evses/1/plug", {"ready_after": 0.05})
    assert read(header.pilot) == (9, 9)
    header.pilot.set_duty(amps / 60)
    assert read(header.pilot) == (9, -12)
    wait_for(lambda: bench.evse()["pilot"]["state"] == "C2")
    readings = [header.pilot.read() for _ in range(100)]
    clear = [r for r in readings if abs(r.volts_high - 6) < 0.5 and abs(r.volts_low + 12) < 0.5]
    assert len(clear) >= 95
    bench.done("POST", "/evses/1/unplug")
    assert read(header.pilot) == (12, -12)


def test_faults_of_the_pilot_circuit(bench, header):
    header.pilot.set_duty(0.2)
    bench.done("POST", "/evses/1/plug", {"ready_after": 0})
    bench.done("PUT", "/evses/1/faults/diode", {})
    assert read(header.pilot) == (6, -6)
    bench.done("DELETE", "/evses/1/faults/diode")
    bench.done("PUT", "/evses/1/faults/cp_short", {})
    assert read(header.pilot) == (0, 0)
    assert bench.evse()["pilot"]["state"] == "E"
    bench.done("DELETE", "/evses/1/faults/cp_short")
    bench.done("PUT", "/evses/1/faults/ventilation", {})
    assert read(header.pilot) == (3, -12)
    bench.done("DELETE", "/evses/1/faults/ventilation")
    bench.done("PUT", "/evses/1/faults/cp_noise", {})
    readings = [header.pilot.read() for _ in range(20)]
    assert sum(r.mixed or abs(r.volts_high - 6) > 1 for r in readings) >= 10


def test_static_minus_12_is_state_f(bench, header):
    header.pilot.set_duty(0.0)
    assert read(header.pilot) == (-12, -12)
    wait_for(lambda: bench.evse()["pilot"]["state"] == "F")


def test_pulse_is_exact_and_goes_back(bench, header):
    since = bench.last_event()
    answer = bench.done("POST", "/evses/1/pulse", {"state": "C", "seconds": 0.02})
    wait_for(lambda: len(bench.events(since, "pilot")) == 2)
    there, back = bench.events(since, "pilot")
    assert (there["value"], back["value"]) == ("C1", "A1")
    assert there["at_ns"] == answer["at_ns"]
    assert back["at_ns"] - there["at_ns"] == 20 * MS


def test_a_burst_of_20_ms_fills_at_most_two_windows_of_a_10_ms_tick(bench, header):
    """DESIGN 7: bursts of 20 ms cause no opening."""
    bench.done("POST", "/evses/1/plug", {"ready_after": 0})
    header.pilot.set_duty(0.3)
    wait_for(lambda: bench.evse()["pilot"]["state"] == "C2")
    bench.done("POST", "/evses/1/pulse", {"state": "A", "seconds": 0.02})
    full = 0
    tick = time.monotonic()
    for _ in range(12):
        reading = header.pilot.read()
        full += reading.volts_high > 11 and not reading.mixed
        tick += 0.01
        time.sleep(max(0.0, tick - time.monotonic()))
    assert full <= 2


def test_contacts_move_at_exact_instants_and_the_mirror_is_read(bench, header):
    since = bench.last_event()
    header.contactor.permit(True)
    wait_for(header.contactor.is_closed)
    before = time.monotonic_ns()
    header.contactor.permit(False)
    after = time.monotonic_ns()
    wait_for(lambda: not header.contactor.is_closed())
    events = bench.events(since)
    assert [(e["what"], e["value"]) for e in events] == [
        ("contactor", "closed"),
        ("mirror", "closed"),
        ("contactor", "open"),
        ("mirror", "open"),
    ]
    assert events[1]["at_ns"] - events[0]["at_ns"] == MS
    assert before + 3 * MS <= events[2]["at_ns"] <= after + 3 * MS


def test_weld_and_fail_to_close(bench, header):
    bench.done("PUT", "/evses/1/faults/fail_to_close", {})
    header.contactor.permit(True)
    time.sleep(0.05)
    assert header.contactor.is_closed() is False
    bench.done("DELETE", "/evses/1/faults/fail_to_close")
    wait_for(header.contactor.is_closed)
    bench.done("PUT", "/evses/1/faults/weld", {})
    header.contactor.permit(False)
    time.sleep(0.05)
    assert header.contactor.is_closed() is True
    assert bench.evse()["contactor"]["closed"] is True
    assert bench.evse()["contactor"]["commanded"] is False


def test_emergency_stop_and_rcd_act_and_wake(bench, header):
    rcd = header.open("rcd")
    woken = []
    header.contactor.on_edge(lambda: woken.append(time.monotonic_ns()))
    rcd.on_edge(lambda: woken.append(time.monotonic_ns()))
    bench.done("PUT", "/evses/1/faults/emergency_stop", {})
    wait_for(header.contactor.is_pressed)
    bench.done("PUT", "/evses/1/faults/rcd", {})
    wait_for(rcd.is_tripped)
    assert len(woken) >= 2
    bench.done("DELETE", "/evses/1/faults/rcd")
    wait_for(lambda: not rcd.is_tripped())


def test_rcd_self_test_trips_while_the_test_output_is_on(bench, header):
    rcd = header.open("rcd")
    assert rcd.start_self_test()
    wait_for(rcd.is_tripped)
    rcd.end_self_test()
    wait_for(lambda: not rcd.is_tripped())
    bench.done("PUT", "/evses/1/faults/rcd_self_test", {})
    rcd.start_self_test()
    time.sleep(0.05)
    assert not rcd.is_tripped()
    rcd.end_self_test()


def test_energy_is_exact_between_the_contactor_events(bench, header):
    bench.done("PUT", "/evses/1/meter", {"energy_wh": 100.0})
    bench.done("POST", "/evses/1/plug", {"ready_after": 0, "current": 16, "phases": 3})
    header.pilot.set_duty(0.5)
    wait_for(lambda: bench.evse()["pilot"]["state"] == "C2")
    since = bench.last_event()
    header.contactor.permit(True)
    wait_for(header.contactor.is_closed)
    assert bench.evse()["meter"]["amps"] == [16, 16, 16]
    time.sleep(0.3)
    header.contactor.permit(False)
    wait_for(lambda: not header.contactor.is_closed())
    closed, opened = bench.events(since, "contactor")
    seconds = (opened["at_ns"] - closed["at_ns"]) / 1e9
    meter = bench.evse()["meter"]
    assert meter["power_w"] == 0
    assert meter["energy_wh"] == pytest.approx(100 + 3 * 16 * 230 * seconds / 3600, abs=1e-6)


def test_lock_moves_and_jams(bench):
    header = Header(bench, 2)
    lock = header.open("lock")

    def becomes(value):
        wait_for(lambda: lock.state().value == value)

    becomes("unlocked")
    lock.lock()
    becomes("locked")
    assert bench.evse(2)["lock"] == "locked"
    bench.done("PUT", "/evses/2/faults/unlock_jam", {})
    lock.unlock()
    becomes("moving")
    becomes("locked")
    bench.done("DELETE", "/evses/2/faults/unlock_jam")
    lock.unlock()
    becomes("unlocked")
    header.close()


def test_proximity_shows_the_cable(bench):
    header = Header(bench, 2)
    proximity = header.open("proximity")
    assert proximity.read_ohms() == float("inf")
    bench.done("POST", "/evses/2/plug")
    assert proximity.read_ohms() == pytest.approx(220, abs=10)
    bench.done("POST", "/evses/2/unplug")
    header.close()


def test_processes_are_known_while_they_are_connected(bench):
    header = Header(bench)
    run = stay(bench.installation, "run")
    processes = bench.done("GET", "")["processes"]
    assert processes == {
        "run": os.getpid(),
        "guard": os.getpid(),
        "station": None,
        "bench": bench.process.pid,
    }
    run.close()
    header.close()
    wait_for(lambda: bench.done("GET", "")["processes"]["run"] is None)
    wait_for(lambda: bench.done("GET", "")["processes"]["guard"] is None)


def test_when_the_bench_vanishes_the_wires_are_cut(tmp_path):
    bench = Bench(tmp_path, evse(1, 1, "rcd"))
    header = Header(bench)
    rcd = header.open("rcd")
    assert header.pilot.read() is not None
    bench.process.kill()
    bench.process.wait()
    wait_for(lambda: header.pilot.read() is None)
    assert rcd.is_tripped()
    assert header.contactor.is_pressed()
    header.close()


def test_energy_that_flowed_is_kept_though_nobody_read_the_meter(tmp_path):
    """DESIGN 6.3, 7: SIGKILL of everything at any moment loses less than 1 Wh of the register."""
    bench = Bench(tmp_path, evse(1, 3, "meter"))
    header = Header(bench)
    header.pilot.set_duty(0.96)
    wait_for(lambda: bench.evse()["pilot"]["duty"] == 0.96)
    bench.done("POST", "/evses/1/plug", {"current": 80, "phases": 3, "ready_after": 0})
    header.contactor.permit(True)
    wait_for(lambda: bench.evse()["meter"]["energy_wh"] > 5)
    seen = bench.evse()["meter"]["energy_wh"]
    bench.restart_after_sigkill()
    header.close()
    header = Header(bench)
    assert bench.evse()["meter"]["energy_wh"] > seen - 2
    header.close()
    bench.stop()


@pytest.mark.parametrize(("outputs", "closed"), [("kept", True), ("released", False)])
def test_outputs_after_the_death_of_the_guard(tmp_path, outputs, closed):
    bench = Bench(tmp_path, evse(1), outputs_on_death=outputs)
    dead = Header(bench)
    dead.contactor.permit(True)
    wait_for(dead.contactor.is_closed)
    dead.pilot.set_duty(0.25)
    dead.wires._hang_up()  # as the kernel does at SIGKILL: nothing is said
    time.sleep(0.1)
    state = bench.evse()
    assert state["contactor"]["closed"] is closed
    assert state["pilot"]["duty"] == 0.25
    safe = Header(bench, role="safe-outputs")
    safe.close()
    wait_for(lambda: bench.evse()["pilot"]["duty"] == 1.0)
    wait_for(lambda: not bench.evse()["contactor"]["closed"])
    bench.stop()


def test_coil_gate_drops_the_contactor_without_heartbeat(tmp_path):
    """DESIGN 7: with gate, guard stopped, open within 0.2 s."""
    bench = Bench(tmp_path, evse(1), coil_gate=True)
    header = Header(bench)
    header.contactor.permit(True)
    for _ in range(30):
        header.contactor.beat()
        time.sleep(0.01)
    last = time.monotonic_ns()
    assert header.contactor.is_closed()
    wait_for(lambda: not header.contactor.is_closed())
    state = bench.evse()["contactor"]
    assert (state["commanded"], state["closed"]) == (True, False)
    assert state["changed_at_ns"] <= last + 153 * MS
    header.close()
    bench.stop()
