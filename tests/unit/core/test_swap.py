"""DESIGN §1.3: whenever the cable could have changed vehicles unseen, it counts as a new plug-in."""

from __future__ import annotations

import pytest

from controller.core.guard_messages import FactKind
from controller.core.guard_values import GuardInputs
from hal.types import PilotReading
from tests.property.guard_world import MS, World

from .test_evse_guard import SECOND, charging, faults, plugged


def waking(world: World) -> World:
    """Until the first pulse of the wake-up begins."""
    world.offering = 16.0
    for _ in range(40 * SECOND):
        world.tick()
        if world.was.duty == 0.0:
            return world
    raise AssertionError("no wake-up")


@pytest.mark.parametrize("begin", range(0, 400, 23))
def test_swap_during_the_wake_up_is_a_new_plug_in(begin: int) -> None:
    world = waking(plugged())
    first = world.guard.plug_id
    world.offering = None
    world.ticks(begin)
    world.set_level("A")
    world.ticks(SECOND)
    world.set_level("B")
    world.ticks(5 * SECOND)
    assert world.guard.plug_id == first + 1
    assert world.was.duty == 1.0
    assert world.guard.offers.amps is None


def test_wake_up_of_a_sleeping_vehicle_keeps_plug_in_and_offer() -> None:
    world = waking(plugged())
    first = world.guard.plug_id
    world.ticks(5 * SECOND)
    assert world.guard.plug_id == first
    assert 0.0 < world.was.duty < 1.0
    world.set_level("C")
    world.ticks(80)
    assert world.was.closed


def test_vehicle_that_wakes_up_is_served_before_the_last_pulse() -> None:
    world = waking(plugged())
    world.set_level("C")
    world.ticks(2 * SECOND)
    assert world.guard.snapshot().state == "C1"
    world.ticks(4 * SECOND)  # IEC 61851-1 A.6 seq. 6: PWM ended with the wake-up
    assert world.was.closed


def test_wake_up_of_a_noisy_pilot_ends() -> None:
    world = waking(plugged())
    world.disturbed = 10 * SECOND
    world.ticks(3 * SECOND)
    assert world.guard.snapshot().state == "unknown"
    world.ticks(3 * SECOND)
    assert faults(world) == ["cp_noise"]


@pytest.mark.parametrize("level", ["B", "C"])
def test_after_a_second_without_a_level_the_cable_counts_as_new(level: str) -> None:
    world = charging()
    first = world.guard.plug_id
    facts = []
    world.offering = None
    world.disturbed = 2 * SECOND
    world.set_level(level)
    for _ in range(3 * SECOND):
        world.tick()
        facts.append((world.guard.plug_id, world.was.closed))
    assert world.guard.plug_id == first + 1
    assert (first + 1, True) not in facts
    assert world.guard.offers.amps is None


@pytest.mark.parametrize("ticks", [5, 50, 90])
def test_a_shorter_disturbance_keeps_the_plug_in(ticks: int) -> None:
    world = charging()
    first = world.guard.plug_id
    world.disturbed = ticks
    world.ticks(7 * SECOND)
    assert world.guard.plug_id == first
    assert world.was.closed


def test_a_shorted_pilot_hides_the_vehicle_too() -> None:
    world = charging()
    first = world.guard.plug_id
    world.set_level("E")
    world.ticks(2 * SECOND)
    world.set_level("B")
    world.ticks(10)
    assert world.guard.plug_id == first + 1


def test_pilot_of_a_fault_keeps_the_plug_in() -> None:
    world = charging()
    first = world.guard.plug_id
    world.raise_fault("door")
    world.ticks(SECOND)
    assert world.guard.plug_id == first


def test_lost_board_is_told_as_unplugged_and_plugged() -> None:
    world = charging()
    first = world.guard.plug_id
    facts = []
    for n in range(3 * SECOND):
        now = world.now + n * 10 * MS
        lost = n < 2 * SECOND
        reading = PilotReading(volts_high=9.0, volts_low=9.0, taken_at_ns=now)
        world.guard.tick(
            GuardInputs(
                reading=None if lost else reading,
                pilot_error="no SPI" if lost else "",
                mirror=False,
            ),
            now,
        )
        facts += world.guard.take_facts()
    told = [(f.kind, f.plug_id) for f in facts if f.kind in (FactKind.PLUGGED, FactKind.UNPLUGGED)]
    assert told == [(FactKind.UNPLUGGED, first), (FactKind.PLUGGED, first + 1)]


def test_fault_until_unplug_stays_when_the_unplugging_was_not_seen() -> None:
    world = charging()
    world.raise_fault("over_current")
    world.disturbed = 2 * SECOND
    world.ticks(3 * SECOND)
    assert "over_current" in faults(world)


def test_socket_lets_go_of_a_cable_that_may_be_another_ones() -> None:
    world = charging(socket=True)
    world.offering = None
    world.disturbed = 2 * SECOND
    world.ticks(4 * SECOND)
    assert world.lock.value == "unlocked"
