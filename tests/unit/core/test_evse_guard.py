"""The guard of one EVSE, rule by rule, on a world of volts and pins (DESIGN §1, hardware.md §1.4, §1.5)."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.evse_guard import EvseGuard
from controller.core.guard_messages import (
    ClearFault,
    FactKind,
    Lock,
    RaiseFault,
    SelfTest,
    Unlock,
)
from controller.core.guard_values import EvseGuardSettings, GuardInputs, GuardOutputs
from hal.types import CpState, LockState, PilotAbilities, PilotReading
from tests.property.guard_world import MS, World

SECOND = 100
"""ticks"""


def plugged(level: str = "B", *, socket: bool = False) -> World:
    world = World(socket=socket)
    world.ticks(10)
    world.set_level(level)
    world.ticks(80)
    return world


def charging(amps: float = 16.0, *, socket: bool = False) -> World:
    world = plugged(socket=socket)
    world.offering = amps
    world.ticks(10)
    world.set_level("C")
    world.ticks(80)
    assert world.mirror
    return world


def faults(world: World) -> list[str]:
    return [view.name for view in world.guard.faults.views()]


def ticks_until(world: World, closed: bool, most: int = 1000) -> int:
    for n in range(most):
        if world.was.closed is closed:
            return n
        world.tick()
    raise AssertionError("never")


def test_one_charge_from_plug_to_unplug() -> None:
    world = plugged()
    assert world.was.duty == 1.0
    world.offering = 16.0
    world.ticks(2)
    assert world.was.duty == 0.266666
    world.set_level("C")
    assert 48 <= ticks_until(world, True) <= 60
    world.set_level("A")
    assert ticks_until(world, False) <= 3
    assert world.was.duty == 1.0
    assert world.guard.snapshot().refusal == "not_plugged"


def test_normal_end_gives_the_vehicle_six_seconds() -> None:
    world = charging()
    world.offering = 0.0
    world.next_offer = 0
    world.tick()
    assert world.was == GuardOutputs(closed=True, duty=1.0)
    assert 598 <= ticks_until(world, False) <= 601


def test_normal_end_opens_as_soon_as_the_vehicle_leaves_c() -> None:
    world = charging()
    world.withdraw()
    world.ticks(50)
    assert world.was.closed
    world.set_level("B")
    assert ticks_until(world, False) == 3


def test_offer_that_returns_within_the_six_seconds_keeps_the_contactor_closed() -> None:
    world = charging()
    world.offering = None
    world.withdraw()
    world.ticks(SECOND)
    world.offering = 16.0
    world.ticks(10 * SECOND)
    assert world.was.closed
    assert world.count["opens"] == 0


def test_silence_of_the_station_holds_at_failsafe_amps_then_ends() -> None:
    world = charging()
    world.offering = None
    world.ticks(3 * SECOND)
    assert world.guard.snapshot().hold
    assert world.guard.signal.amps == 8.0
    world.ticks(30 * SECOND)
    assert not world.was.closed
    assert world.guard.snapshot().refusal == "no_offer"


def test_the_snapshot_tells_what_is_permitted_before_it_is_signalled() -> None:
    """DESIGN §1.7: an increase that waits for its 5 s is taken already."""
    world = charging(10.0)
    world.offering = 8.0
    world.ticks(SECOND)
    world.offering = 16.0
    world.ticks(SECOND)
    seen = world.guard.snapshot()
    assert (seen.offered_amps, seen.permitted_amps) == (8.0, 16.0)
    world.offering = None
    world.ticks(4 * SECOND)
    assert world.guard.snapshot().permitted_amps == 8.0
    world.withdraw()
    assert world.guard.snapshot().permitted_amps == 0.0


@pytest.mark.parametrize("cause", ["rcd", "stop"])
def test_trip_opens_at_the_next_tick_and_is_latched(cause: str) -> None:
    world = charging()
    setattr(world, cause, True)
    world.tick()
    assert not world.was.closed
    assert world.was.duty == 0.0
    f_ticks = 0
    while world.was.duty == 0.0:
        f_ticks += 1
        world.tick()
    assert 30 <= f_ticks <= 33
    assert world.was.duty == 1.0
    setattr(world, cause, False)
    world.set_level("A")
    world.ticks(20)
    name = {"rcd": "rcd", "stop": "emergency_stop"}[cause]
    assert name in faults(world)
    world.die()
    assert name in faults(world)
    world.clear(name)
    assert faults(world) == []


def test_fault_with_its_cause_present_cannot_be_cleared() -> None:
    world = plugged()
    world.stop = True
    world.tick()
    assert not world.guard.feed(ClearFault(evse=1, name="emergency_stop"), world.now)


def test_medium_fault_ends_normally_warning_changes_nothing() -> None:
    world = charging()
    world.raise_fault("meter_silent")
    world.ticks(5)
    assert world.was.duty < 1.0
    world.raise_fault("over_voltage")
    world.ticks(5)
    assert world.was == GuardOutputs(closed=True, duty=1.0)
    assert ticks_until(world, False) > 500


def test_unknown_fault_of_the_station_is_other() -> None:
    world = charging()
    world.guard.feed(RaiseFault(evse=1, name="MREC99", detail="x"), world.now)
    world.tick()
    assert world.guard.faults.views()[0].detail == "MREC99 x"
    assert not world.was.closed


def test_missing_diode_never_closes() -> None:
    world = plugged()
    world.diode = False
    world.offering = 16.0
    world.set_level("C")
    world.ticks(SECOND)
    assert "diode" in faults(world)
    assert world.count["closes"] == 0
    world.set_level("A")
    world.ticks(5)
    assert faults(world) == []


def test_short_of_the_pilot_opens_and_clears_on_b() -> None:
    world = charging()
    world.set_level("E")
    assert ticks_until(world, False) == 3
    assert "cp_short" in faults(world)
    world.ticks(50)
    world.set_level("B")
    world.ticks(5)
    assert faults(world) == []


def test_ventilation_is_refused_and_clears_on_leaving_d() -> None:
    world = charging()
    world.set_level("D")
    assert ticks_until(world, False) == 3
    assert faults(world) == ["ventilation"]
    world.ticks(50)
    world.set_level("B")
    world.ticks(5)
    assert faults(world) == ["ventilation"], "the vehicle left D only because PWM ended"
    world.ticks(5 * SECOND)
    assert faults(world) == []


def test_noise_keeps_three_windows_then_opens_and_is_a_fault_after_3_s() -> None:
    world = charging()
    world.disturbed = 3
    world.ticks(4)
    assert world.was.closed
    world.disturbed = 302
    world.ticks(4)
    assert not world.was.closed
    world.ticks(290)
    assert faults(world) == []
    world.ticks(10)
    assert faults(world) == ["cp_noise"]
    world.ticks(60)
    assert faults(world) == ["cp_noise"]
    world.ticks(3 * SECOND)
    assert faults(world) == []


def test_wake_up_pulse_once_after_30_s_in_b2() -> None:
    world = plugged()
    world.offering = 16.0
    low = [0]
    for _ in range(100 * SECOND):
        world.tick()
        low.append(low[-1] + (world.was.duty == 0.0))
    assert low[29 * SECOND] == 0
    assert 300 <= low[-1] <= 400
    assert low[-1] == low[40 * SECOND]
    assert 0 < world.was.duty < 1


def test_no_wake_up_for_a_vehicle_that_has_charged() -> None:
    world = charging()
    world.set_level("B")
    for _ in range(60 * SECOND):
        world.tick()
        assert world.was.duty > 0.0


def test_socket_is_locked_before_pwm_and_unlocked_after_unplug() -> None:
    world = plugged(socket=True)
    world.offering = 16.0
    for _ in range(20):
        world.tick()
        assert world.was.duty == 1.0 or world.lock is LockState.LOCKED
    assert world.was.duty < 1.0
    world.set_level("A")
    world.ticks(10)
    assert world.lock is LockState.UNLOCKED


def test_lock_that_does_not_close_is_a_fault_after_five_tries() -> None:
    world = plugged(socket=True)
    world.lock_broken = True
    world.offering = 16.0
    world.ticks(7 * SECOND)
    assert faults(world) == ["lock_jam"]
    assert world.was.duty == 1.0
    world.set_level("A")
    world.ticks(5)
    assert faults(world) == []


def test_unlocking_is_refused_while_closed() -> None:
    world = charging(socket=True)
    assert not world.guard.feed(Unlock(evse=1), world.now)
    assert not world.guard.feed(SelfTest(evse=1), world.now)
    world.ticks(10)
    assert world.lock is LockState.LOCKED


def test_cable_limits_the_offer_and_a_bad_one_blocks() -> None:
    world = World(socket=True)
    world.ohms = 1500.0
    world.ticks(10)
    world.set_level("B")
    world.ticks(80)
    world.offering = 32.0
    world.ticks(10)
    assert world.guard.signal.amps == 13.0
    world.set_level("A")
    world.ohms = 20.0
    world.ticks(10)
    world.set_level("B")
    world.ticks(150)
    assert faults(world) == ["pp_invalid"]


def test_weld_is_seen_also_right_after_the_start_and_survives() -> None:
    world = World(socket=False)
    world.weld = world.mirror = True
    world.ticks(25)
    assert faults(world) == ["weld"]
    world.weld = False
    world.ticks(10)
    world.die()
    assert faults(world) == ["weld"]


def test_three_failed_closings_are_latched_until_unplug() -> None:
    world = plugged()
    world.coil_broken = True
    world.offering = 16.0
    world.set_level("C")
    world.ticks(6 * SECOND)
    assert faults(world) == ["fail_to_close"]
    assert world.count["closes"] == 3
    world.set_level("A")
    world.ticks(10)
    assert faults(world) == []


def test_failed_self_test_blocks_until_cleared_and_repeated() -> None:
    world = World(socket=False)
    world.deaf_test = True
    world.ticks(10)
    world.set_level("B")
    world.ticks(2 * SECOND)
    assert faults(world) == ["rcd_self_test"]
    world.deaf_test = False
    world.clear("rcd_self_test")
    world.ticks(80)
    assert world.guard.snapshot().self_test == "passed"
    assert faults(world) == []


def test_foreign_and_late_offers_are_void() -> None:
    world = plugged()
    for shift in (-1, 1):
        world.offer(16.0, plug_id=world.guard.plug_id + shift)
    world.ticks(5)
    assert world.was.duty == 1.0
    old = world.guard.plug_id
    world.set_level("A")
    world.ticks(5)
    world.offer(16.0, plug_id=old)
    world.set_level("B")
    world.ticks(80)
    assert world.guard.plug_id == old + 1
    world.offer(16.0, plug_id=old)
    world.ticks(5)
    assert world.was.duty == 1.0


def test_driver_that_fails_opens_and_recovers() -> None:
    world = charging()
    out = world.guard.tick(GuardInputs(mirror=True, pilot_error="no SPI"), world.now + 10 * MS)
    assert not out.closed
    assert faults(world) == ["pilot_board_lost"]
    world.guard.take_facts()


def test_guard_starts_blocked_without_its_state() -> None:
    world = World(socket=False)
    world.stored = {"guard_state_lost": "missing"}
    world.start_guard()
    world.set_level("B")
    world.ticks(80)
    world.offering = 16.0
    world.set_level("C")
    world.ticks(SECOND)
    assert world.guard.snapshot().refusal == "fault"
    world.clear("guard_state_lost")
    world.ticks(SECOND)
    assert world.was.closed


def board(**abilities: Any) -> EvseGuard:
    return EvseGuard(
        EvseGuardSettings(evse=1, abilities=PilotAbilities(**abilities)), first_plug_id=5
    )


def test_board_that_sees_nothing_is_never_guessed_about() -> None:
    from controller.core.guard_messages import Offer

    for drives, closed in ((False, False), (True, True)):
        guard = board(sees_state=False, checks_diode=False, drives_contactor=drives)
        for n in range(20):
            guard.feed(Offer(evse=1, plug_id=5, max_amps=16), n * 10 * MS)
            out = guard.tick(GuardInputs(), n * 10 * MS)
        assert out.closed is closed
        assert guard.snapshot().state == "unknown"
        assert not guard.snapshot().plugged
        if drives:
            times = [n for n in range(20, 1200) if guard.tick(GuardInputs(), n * 10 * MS).closed]
            assert times, "hold offer"


def test_fixed_current_board_pauses_below_its_lowest_step() -> None:
    from controller.core.guard_messages import Offer

    guard = board(sees_state=True, checks_diode=False, currents_amps=(10.0, 16.0))
    for n in range(100):
        now = n * 10 * MS
        if n > 10:
            guard.feed(Offer(evse=1, plug_id=guard.plug_id, max_amps=15.0 if n < 60 else 8.0), now)
        out = guard.tick(
            GuardInputs(
                reading=PilotReading(
                    volts_high=float("nan"),
                    volts_low=float("nan"),
                    taken_at_ns=now,
                    state=CpState.B1,
                )
            ),
            now,
        )
        if n == 50:
            assert out.duty == 0.166666
    assert out.duty == 1.0


def test_facts_tell_the_story() -> None:
    guard = board(sees_state=True, checks_diode=True)
    for n in range(20):
        volts = 12.0 if n < 8 else 9.0
        guard.tick(
            GuardInputs(
                reading=PilotReading(volts_high=volts, volts_low=volts, taken_at_ns=n * 10 * MS)
            ),
            n * 10 * MS,
        )
    facts = [(fact.kind, fact.value) for fact in guard.take_facts()]
    assert facts == [
        (FactKind.PILOT, "A1"),
        (FactKind.PILOT, "B1"),
        (FactKind.PLUGGED, None),
        (FactKind.SELF_TEST, "passed"),
    ]
    assert guard.idle is False


@pytest.mark.parametrize("level", "AB")
def test_fault_until_unplug_of_an_earlier_life_ends_when_nothing_is_plugged(level: str) -> None:
    world = charging()
    world.raise_fault("over_current")
    world.tick()
    world.die()
    world.set_level(level)
    world.ticks(20)
    assert faults(world) == ([] if level == "A" else ["over_current"])


@pytest.mark.parametrize("keep", [False, True])
def test_cable_unplugged_at_the_vehicle_stays_locked_when_asked(keep: bool) -> None:
    """UnlockConnectorOnEVSideDisconnect = false."""
    world = plugged(socket=True)
    world.guard.feed(Lock(evse=1, keep=keep), world.now)
    world.offering = 16.0
    world.ticks(20)
    world.set_level("A")
    world.ticks(20)
    assert (world.lock is LockState.LOCKED) is keep
    assert world.guard.feed(Unlock(evse=1), world.now)
    world.ticks(10)
    assert world.lock is LockState.UNLOCKED
