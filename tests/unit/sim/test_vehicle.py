from __future__ import annotations

import pytest

from hal.sim.pilot_circuit import Load
from hal.sim.vehicle import Vehicle, VehicleSettings
from tests.unit.sim.world_clock import MS, FakeTimers


class Street:
    def __init__(self):
        self.timers = FakeTimers()
        self.vehicle = Vehicle(self.timers, lambda at_ns: None)

    def plug(self, **settings):
        self.vehicle.plug(VehicleSettings(**settings), self.timers.ns)

    def offer(self, amps):
        self.vehicle.offered(amps, self.timers.ns)

    def power(self, closed):
        self.vehicle.powered(closed, self.timers.ns)

    def run(self, ms):
        self.timers.run(ms * MS)

    def charging(self, amps=16.0, **settings):
        self.plug(ready_after=0, **settings)
        self.offer(amps)
        self.power(True)
        return self


@pytest.fixture
def street():
    return Street()


def test_asks_ready_after_s_after_pwm_is_offered(street):
    street.plug(ready_after=1.0)
    street.run(5000)
    assert street.vehicle.load is Load.READY_NOT
    street.offer(16)
    street.run(999)
    assert street.vehicle.load is Load.READY_NOT
    street.run(1)
    assert street.vehicle.load is Load.READY


def test_plugged_into_a_running_offer_it_asks_too(street):
    street.offer(16)
    street.plug(ready_after=0.5)
    street.run(500)
    assert street.vehicle.load is Load.READY


def test_draws_the_smaller_of_wish_and_offer_and_only_with_closed_contacts(street):
    street.plug(current=20, ready_after=0)
    street.offer(16)
    assert street.vehicle.amps == 0
    street.power(True)
    assert street.vehicle.amps == 16
    street.offer(32)
    street.run(1000)
    assert street.vehicle.amps == 20
    street.power(False)
    assert street.vehicle.amps == 0


def test_follows_a_changed_offer_after_one_second(street):
    street.charging(16)
    street.offer(10)
    street.run(999)
    assert street.vehicle.amps == 16
    street.run(1)
    assert street.vehicle.amps == 10


def test_leaves_c_stop_after_s_when_pwm_ends(street):
    street.charging(16, stop_after=0.5)
    street.offer(0)
    street.run(499)
    assert (street.vehicle.load, street.vehicle.amps) == (Load.READY, 16)
    street.run(1)
    assert (street.vehicle.load, street.vehicle.amps) == (Load.READY_NOT, 0)


def test_one_that_ignores_the_end_of_the_offer_goes_on(street):
    street.charging(16, ignores_end_of_offer=True)
    street.offer(0)
    street.run(10_000)
    assert (street.vehicle.load, street.vehicle.amps) == (Load.READY, 16)


def test_offer_that_returns_in_time_goes_on(street):
    street.charging(16, stop_after=0.5)
    street.offer(0)
    street.run(300)
    street.offer(16)
    street.run(2000)
    assert (street.vehicle.load, street.vehicle.amps) == (Load.READY, 16)


def test_pause_and_resume_move_s2_at_once(street):
    street.charging(16)
    street.vehicle.pause(street.timers.ns)
    assert (street.vehicle.load, street.vehicle.amps) == (Load.READY_NOT, 0)
    street.run(5000)
    assert street.vehicle.load is Load.READY_NOT
    street.vehicle.resume(10.0, 3, street.timers.ns)
    assert (street.vehicle.load, street.vehicle.amps, street.vehicle.phases) == (Load.READY, 10, 3)


def test_unplug_ends_everything(street):
    street.charging(16)
    street.offer(0)
    street.vehicle.unplug(street.timers.ns)
    street.run(5000)
    assert (street.vehicle.load, street.vehicle.amps) == (Load.OPEN, 0)


def test_over_current_draws_half_as_much_again(street):
    street.charging(16, current=10)
    street.vehicle.over_current = True
    assert street.vehicle.amps == 24


def test_ventilation_asks_for_d(street):
    street.charging(16)
    street.vehicle.ventilation = True
    assert street.vehicle.load is Load.READY_VENTILATED
