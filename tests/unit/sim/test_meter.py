from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.register_map import Register, load
from hal.sim.grid import Grid
from hal.sim.meter import HISTORY, EnergyMeter
from hal.sim.meter_face import MeterFace, encode
from tests.unit.sim.world_clock import MS, FakeTimers, S

VOLTS = (230.0, 230.0, 230.0)


def make(energy_wh=0.0, at_ns=0):
    return EnergyMeter(energy_wh, at_ns, lambda energy_wh, at_rest: None)


def test_integrates_between_the_instants_of_change():
    meter = make()
    meter.set_load((16.0, 0.0, 0.0), VOLTS, 10 * S)
    meter.set_load((0.0, 0.0, 0.0), VOLTS, 46 * S)
    assert meter.energy_wh(100 * S) == pytest.approx(3680 * 36 / 3600, abs=1e-9)


def test_a_change_that_arrives_late_counts_from_its_instant():
    meter = make()
    meter.set_load((10.0, 10.0, 10.0), VOLTS, 1 * S)
    meter.energy_wh(2 * S)
    meter.set_load((0.0, 0.0, 0.0), VOLTS, 1 * S + 500 * MS)
    assert meter.energy_wh(9 * S) == pytest.approx(6900 * 0.5 / 3600)


@given(
    st.lists(st.tuples(st.integers(0, 3600 * S), st.floats(0, 80)), max_size=HISTORY - 2),
    st.floats(0, 1e7),
)
def test_energy_is_the_sum_of_all_stretches_and_never_falls(steps, start):
    meter = make(start)
    at, expected, power = 0, start, 0.0
    for pause, amps in steps:
        at += pause
        expected += power * pause / 3.6e12
        meter.set_load((amps, 0.0, 0.0), VOLTS, at)
        power = amps * 230
        assert meter.energy_wh(at) == pytest.approx(expected, rel=1e-9)
        assert meter.energy_wh(at + 1) >= meter.energy_wh(at)


def face(name, meter, timers, phases=3):
    return MeterFace(load(name), meter, Grid(), timers, evse=1, phases=phases)


def values(shown):
    found = {}
    for register in shown.map.registers:
        words = shown.words()[register.address]
        found[register.name] = register.decode(words)
    return found


@pytest.mark.parametrize("name", ["eastron-sdm120", "eastron-sdm630", "abb-b23"])
def test_every_map_shows_what_flows(name):
    timers = FakeTimers()
    meter = make(1000.0, timers.ns)
    meter.set_load((16.0, 15.0, 14.0), VOLTS, timers.ns)
    timers.run(3600 * S)
    seen = values(face(name, meter, timers))
    assert seen["energy_wh"] == pytest.approx(1000 + 45 * 230, abs=10)
    assert seen["power_w"] == pytest.approx(45 * 230, abs=0.1)
    assert seen["amps_l1"] == pytest.approx(16)
    assert seen["volts_l1"] == pytest.approx(230)
    assert seen["frequency_hz"] == pytest.approx(50)


def test_values_are_as_old_as_the_meter_s_refresh():
    timers = FakeTimers()
    timers.ns = 10 * S
    meter = make(0.0, timers.ns)
    meter.set_load((20.0, 0.0, 0.0), VOLTS, timers.ns)
    shown = face("eastron-sdm120", meter, timers)
    timers.run(399 * MS)
    at_200 = values(shown)["energy_wh"]
    assert at_200 == pytest.approx(4600 * 0.2 / 3600, rel=1e-6)
    meter.set_load((0.0, 0.0, 0.0), VOLTS, timers.ns)
    assert values(shown)["energy_wh"] == at_200
    assert values(shown)["power_w"] == 4600
    timers.run(1 * MS)
    assert values(shown)["energy_wh"] == pytest.approx(4600 * 0.399 / 3600, rel=1e-6)
    assert values(shown)["power_w"] == 0


def test_abb_counts_in_steps_of_10_wh_once_a_second():
    timers = FakeTimers()
    shown = face("abb-b23", make(1239.99, timers.ns), timers, phases=1)
    assert values(shown)["energy_wh"] == 1230
    assert values(shown)["volts_l2"] is None
    assert shown.map.refresh_ms == 1000


def test_backwards_loses_energy_and_gets_it_back():
    timers = FakeTimers()
    shown = face("eastron-sdm120", make(5000.0, timers.ns), timers)
    shown.run_backwards(True)
    assert values(shown)["energy_wh"] == 4000
    shown.run_backwards(False)
    assert values(shown)["energy_wh"] == 5000


def test_backwards_of_a_small_register_stays_positive():
    timers = FakeTimers()
    shown = face("eastron-sdm120", make(4.0, timers.ns), timers)
    shown.run_backwards(True)
    assert values(shown)["energy_wh"] == pytest.approx(2)


@given(
    st.sampled_from(["int16", "uint32", "int32", "uint64", "float32", "float64"]),
    st.booleans(),
    st.integers(0, 3000),
)
def test_encode_is_the_inverse_of_decode(kind, low_first, value):
    register = Register(
        name="power_w",
        function=4,
        address=0,
        type=kind,
        scale=0.1,
        low_word_first=low_first,
        absent=frozenset(),
    )
    assert register.decode(encode(register, value)) == pytest.approx(value, abs=0.06)
