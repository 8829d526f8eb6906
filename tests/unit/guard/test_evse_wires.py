"""One EVSE's drivers under its guard: a driver that raises opens the contactor and becomes a fault."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from controller.core.evse_guard import EvseGuard
from controller.core.guard_messages import Offer
from controller.core.guard_values import EvseGuardSettings, GuardInputs, GuardOutputs
from controller.guard.evse_wires import EvseParts, EvseWires, tick_together
from hal.errors import WireMissing
from hal.types import PilotAbilities, PilotReading

TICK = 10_000_000


class Wire:
    """Pilot, contactor and RCD in one; `broken` names the methods that raise."""

    abilities = PilotAbilities(sees_state=True, checks_diode=True)

    def __init__(self) -> None:
        self.volts, self.duty, self.coil, self.tripped, self.pressed = (
            12.0,
            1.0,
            False,
            False,
            False,
        )
        self.broken: dict[str, Exception] = {}
        self.beats = 0
        self.log: list[str] = []
        self.now = 0
        self.closed = False
        self.wakers: list[Callable[[], None]] = []

    def _check(self, name: str) -> None:
        self.log.append(name)
        if name in self.broken:
            raise self.broken[name]

    def read(self) -> PilotReading:
        self._check("read")
        low = -12.0 if 0 < self.duty < 1 else self.volts
        return PilotReading(volts_high=self.volts, volts_low=low, taken_at_ns=self.now)

    def set_duty(self, duty: float) -> None:
        self._check("set_duty")
        self.duty = duty

    def permit(self, closed: bool) -> None:
        self._check("permit")
        self.coil = closed

    def is_closed(self) -> bool:
        self._check("is_closed")
        return self.coil

    def beat(self) -> None:
        self.beats += 1

    def is_pressed(self) -> bool:
        return self.pressed

    def on_edge(self, wake: Callable[[], None]) -> None:
        self.wakers.append(wake)

    def is_tripped(self) -> bool:
        self._check("is_tripped")
        return self.tripped

    def start_self_test(self) -> bool:
        return False

    def end_self_test(self) -> None:
        self._check("end_self_test")

    def close(self) -> None:
        self._check("close")


class Bed:
    def __init__(self, guard: type[EvseGuard] = EvseGuard) -> None:
        self.wire: Any = Wire()
        self.guard = guard(
            EvseGuardSettings(evse=1, abilities=Wire.abilities, has_rcd=True), first_plug_id=1
        )
        parts = EvseParts(pilot=self.wire, contactor=self.wire, rcd=self.wire)
        self.evse = EvseWires(parts, self.guard, lambda: self.wire.now)

    def ticks(self, n: int, *, fresh: bool = True) -> None:
        for _ in range(n):
            self.wire.now += TICK
            if self.wire.now % (100 * TICK) == 0:
                offer = Offer(evse=1, plug_id=self.guard.plug_id, max_amps=16)
                self.guard.feed(offer, self.wire.now)
            self.evse.tick(fresh)

    def charge(self) -> None:
        for volts in (12.0, 9.0, 6.0):
            self.wire.volts = volts
            self.ticks(120)
        assert self.wire.coil


@pytest.fixture
def charging() -> Bed:
    bed = Bed()
    bed.charge()
    return bed


def faults(bed: Bed) -> list[str]:
    return [view.name for view in bed.guard.faults.views()]


@pytest.mark.parametrize(
    ("method", "error", "fault"),
    [
        ("read", WireMissing("SPI gone"), "pilot_board_lost"),
        ("read", RuntimeError("bug"), "pilot_board_lost"),
        ("is_closed", OSError("pin gone"), "internal"),
        ("is_tripped", KeyError("bug"), "internal"),
    ],
)
def test_driver_that_raises_opens_at_once_and_recovers(
    charging: Bed, method: str, error: Exception, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    charging.wire.broken = {method: error}
    charging.ticks(50)
    assert not charging.wire.coil
    assert faults(charging) == [fault]
    assert len(caplog.records) == 1, "told once, not at every tick"
    charging.wire.broken = {}
    charging.ticks(1500)
    assert charging.wire.coil


def test_output_that_raises_makes_everything_safe(charging: Bed) -> None:
    charging.wire.broken = {"set_duty": OSError("PWM gone")}
    charging.wire.volts = 9.0
    charging.ticks(3)
    charging.guard.offers.withdraw()
    charging.ticks(3)
    assert not charging.wire.coil
    assert faults(charging) == ["internal"]


class Crashing(EvseGuard):
    crash = False

    def tick(self, inputs: GuardInputs, now_ns: int) -> GuardOutputs:
        if self.crash:
            raise ZeroDivisionError
        return super().tick(inputs, now_ns)


def test_guard_that_crashes_opens_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    bed = Bed(Crashing)
    bed.charge()
    bed.guard.crash = True  # type: ignore[attr-defined]
    bed.ticks(5)
    assert not bed.wire.coil
    assert bed.wire.duty == 1.0
    assert faults(bed) == ["internal"]
    bed.guard.crash = False  # type: ignore[attr-defined]
    bed.ticks(1500)
    assert bed.wire.coil


@pytest.mark.parametrize("cause", ["tripped", "pressed"])
def test_trip_opens_before_the_pilot_is_read_also_between_ticks(charging: Bed, cause: str) -> None:
    setattr(charging.wire, cause, True)
    charging.wire.log.clear()
    charging.ticks(1, fresh=False)
    assert not charging.wire.coil
    assert charging.wire.log[:2] == ["is_tripped", "permit"]
    assert "read" not in charging.wire.log


def test_every_step_to_safety_is_tried(charging: Bed) -> None:
    charging.wire.broken = {"permit": OSError("x"), "set_duty": OSError("y")}
    charging.evse.close()
    assert charging.wire.log[-6:].count("close") == 3
    assert "end_self_test" in charging.wire.log


def test_heartbeat_beats_with_every_tick_and_edges_wake(charging: Bed) -> None:
    beats = charging.wire.beats
    charging.ticks(7)
    assert charging.wire.beats == beats + 7
    charging.evse.on_edge(lambda: None)
    assert len(charging.wire.wakers) == 3


def test_failing_output_is_logged_once_not_at_every_tick(
    charging: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    charging.wire.broken = {name: OSError("gone") for name in ("permit", "set_duty", "read")}
    charging.ticks(300)
    assert 1 <= len(caplog.records) <= 6
    charging.wire.broken = {}
    charging.ticks(10)
    caplog.clear()
    charging.wire.broken = {"permit": OSError("gone")}
    charging.ticks(10)
    assert caplog.records, "a new trouble is told again"


class WireInSteps(Wire):
    """Its window waits twice; `steps` is shared by all, so their order shows."""

    def __init__(self, name: str, steps: list[str]) -> None:
        super().__init__()
        self.name, self.steps = name, steps

    def read_steps(self) -> Generator[float, None, PilotReading]:
        self.steps.append(f"{self.name} begins")
        yield 0.0001
        if "read_steps" in self.broken:
            raise self.broken["read_steps"]
        self.steps.append(f"{self.name} goes on")
        yield 0.0001
        self.steps.append(f"{self.name} ends")
        return self.read()


def evse_in_steps(number: int, wire: WireInSteps) -> EvseWires:
    guard = EvseGuard(EvseGuardSettings(evse=number, abilities=Wire.abilities), first_plug_id=1)
    return EvseWires(EvseParts(pilot=wire, contactor=wire), guard, lambda: wire.now)


def test_pilot_windows_of_several_evses_run_side_by_side() -> None:
    steps: list[str] = []
    wires = [WireInSteps(name, steps) for name in "abcd"]
    evses = [evse_in_steps(n, wire) for n, wire in enumerate(wires, start=1)]
    tick_together(evses, fresh=True)
    assert steps == [f"{n} {what}" for what in ("begins", "goes on", "ends") for n in "abcd"]
    steps.clear()
    tick_together(evses, fresh=False)
    assert not steps


def test_a_pilot_that_fails_in_its_window_leaves_the_others_theirs() -> None:
    steps: list[str] = []
    wires = [WireInSteps(name, steps) for name in "ab"]
    wires[0].broken["read_steps"] = OSError("no answer")
    evses = [evse_in_steps(n, wire) for n, wire in enumerate(wires, start=1)]
    for _ in range(60):
        for wire in wires:
            wire.now += TICK
        tick_together(evses, fresh=True)
    assert [f.name for f in evses[0].guard.faults.views()] == ["pilot_board_lost"]
    assert not evses[1].guard.faults.views()
