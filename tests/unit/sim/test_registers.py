from __future__ import annotations

import shutil

import pytest

from hal.sim.registers import Registers


@pytest.fixture
def places(tmp_path):
    (tmp_path / "shm").mkdir()
    return tmp_path / "state", tmp_path / "shm"


def open_registers(places):
    return Registers(places[0], shared=places[1])


def kept(places):
    return (places[0] / "bench" / "meters").read_bytes()


def test_a_new_state_directory_starts_at_zero(places):
    assert open_registers(places).get(1) == 0


def test_killed_without_close_nothing_is_lost(places):
    dead = open_registers(places)
    dead.set(1, 1234.5, keep=False)
    assert open_registers(places).get(1) == 1234.5


def test_while_charging_the_state_directory_is_left_alone(places):
    registers = open_registers(places)
    before = kept(places)
    for step in range(100):
        registers.set(1, float(step), keep=False)
    assert kept(places) == before
    registers.set(1, 100.0, keep=True)
    assert kept(places) != before


def test_closed_properly_nothing_stays_in_shared_memory(places):
    registers = open_registers(places)
    registers.set(3, 7.25, keep=False)
    registers.close()
    assert list(places[1].iterdir()) == []
    assert open_registers(places).get(3) == 7.25


def test_an_emptied_state_directory_is_factory_new(places):
    open_registers(places).set(1, 99.0, keep=True)
    shutil.rmtree(places[0])
    assert open_registers(places).get(1) == 0


def test_a_register_can_be_set_lower(places):
    registers = open_registers(places)
    registers.set(1, 500.0, keep=True)
    registers.set(1, 10.0, keep=True)
    assert open_registers(places).get(1) == 10
