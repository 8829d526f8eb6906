"""Contactor, RCD, lock, proximity and pilot relay over mock pins (R16-faults, hardware §2 to §4)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hal import registry
from hal.drivers.lock_gpio import GpioLock
from hal.drivers.lock_gpio import Settings as LockSettings
from hal.errors import Misconfigured, WireInUse, WireMissing
from hal.ports import EdgeSource, EmergencyStop, Heartbeat
from hal.types import CpState, LockState
from tests.wire.wires import TestWires

CONTACTOR = {
    "driver": "gpio",
    "pin": 17,
    "mirror_pin": 27,
    "heartbeat_pin": 22,
    "emergency_stop_pin": 24,
}


@pytest.fixture
def wires(tmp_path: Path) -> TestWires:
    return TestWires(tmp_path)


def cut(wires: TestWires, pin: int) -> None:
    """A broken wire: the pin follows its own pull."""
    line = wires.factory.pin(pin)
    if line.pull == "up":
        line.drive_high()
    else:
        line.drive_low()


class TestContactor:
    """`contactor_gpio`."""

    def test_the_coil_is_low_until_permitted_and_after_close(self, wires: TestWires) -> None:
        contactor = registry.open("contactor", CONTACTOR, wires, 1)
        coil = wires.factory.pin(17)
        assert (coil.function, bool(coil.state)) == ("output", False)
        contactor.permit(True)
        assert coil.state
        contactor.permit(False)
        assert not coil.state
        contactor.permit(True)
        contactor.close()
        # Let go: an input, held by the external pull-down.
        assert (coil.function, bool(coil.state)) == ("input", False)

    def test_the_coil_never_blips_at_open(self, wires: TestWires) -> None:
        registry.open("contactor", CONTACTOR, wires, 1)
        assert not any(state.state for state in wires.factory.pin(17).states)

    def test_a_normally_closed_mirror_contact(self, wires: TestWires) -> None:
        contactor = registry.open("contactor", CONTACTOR, wires, 1)
        mirror = wires.factory.pin(27)
        mirror.drive_low()
        assert contactor.is_closed() is False
        mirror.drive_high()
        assert contactor.is_closed() is True
        mirror.drive_low()
        cut(wires, 27)
        assert contactor.is_closed() is True  # a broken wire reads as welded

    def test_a_normally_open_mirror_contact(self, wires: TestWires) -> None:
        contactor = registry.open("contactor", CONTACTOR | {"mirror": "no"}, wires, 1)
        wires.factory.pin(27).drive_low()
        assert contactor.is_closed() is True
        wires.factory.pin(27).drive_high()
        assert contactor.is_closed() is False

    def test_without_a_mirror_contact_nothing_is_known(self, wires: TestWires) -> None:
        contactor = registry.open("contactor", {"driver": "gpio", "pin": 17}, wires, 1)
        assert contactor.is_closed() is None
        assert contactor.is_pressed() is False
        contactor.beat()

    @pytest.mark.parametrize(("healthy", "level"), [("low", 0), ("high", 1)])
    def test_a_broken_emergency_stop_wire_reads_as_pressed(
        self, wires: TestWires, healthy: str, level: int
    ) -> None:
        contactor = registry.open(
            "contactor", CONTACTOR | {"emergency_stop_healthy": healthy}, wires, 1
        )
        assert isinstance(contactor, EmergencyStop)
        assert contactor.is_pressed()  # nothing wired yet
        line = wires.factory.pin(24)
        if level:
            line.drive_high()
        else:
            line.drive_low()
        assert not contactor.is_pressed()
        cut(wires, 24)
        assert contactor.is_pressed()

    def test_each_beat_toggles(self, wires: TestWires) -> None:
        contactor = registry.open("contactor", CONTACTOR, wires, 1)
        assert isinstance(contactor, Heartbeat)
        levels = []
        for _ in range(4):
            contactor.beat()
            levels.append(bool(wires.factory.pin(22).state))
        assert levels == [True, False, True, False]

    def test_mirror_and_stop_wake_the_tick_at_both_edges(self, wires: TestWires) -> None:
        contactor = registry.open("contactor", CONTACTOR, wires, 1)
        assert isinstance(contactor, EdgeSource)
        for pin in (27, 24):
            wires.factory.pin(pin).drive_low()
        woken: list[int] = []
        contactor.on_edge(lambda: woken.append(1))
        for pin in (27, 24):
            wires.factory.pin(pin).drive_high()
            wires.factory.pin(pin).drive_low()
        assert len(woken) == 4

    def test_a_pin_used_twice_names_both_owners(self, wires: TestWires) -> None:
        registry.open("contactor", CONTACTOR, wires, 1)
        both = r"GPIO27 is used by EVSE 1 contactor mirror contact and by EVSE 1 rcd"
        with pytest.raises(WireInUse, match=both):
            registry.open("rcd", {"driver": "gpio", "trip_pin": 27}, wires, 1)

    def test_a_failed_open_releases_what_was_open(self, wires: TestWires) -> None:
        with pytest.raises(WireInUse):
            registry.open("contactor", CONTACTOR | {"emergency_stop_pin": 27}, wires, 1)
        registry.open("contactor", CONTACTOR, wires, 1).close()
        registry.open("contactor", CONTACTOR, wires, 1)

    def test_a_pin_that_does_not_exist_is_named(self, wires: TestWires) -> None:
        with pytest.raises(Misconfigured, match="EVSE 1 contactor, GPIO53"):
            registry.open("contactor", {"driver": "gpio", "pin": 53}, wires, 1)

    def test_a_computer_without_gpio_says_what_to_do(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        import gpiozero
        from gpiozero.exc import BadPinFactory

        def none(*args: Any, **kwargs: Any) -> None:
            raise BadPinFactory("Unable to load any default pin factory!")

        monkeypatch.setattr(gpiozero, "OutputDevice", none)
        with pytest.raises(WireMissing, match=r"no usable GPIO.*python3-lgpio"):
            registry.open("contactor", CONTACTOR, TestWires(tmp_path), 1)


class TestResidualCurrent:
    """`rcd_gpio`."""

    @pytest.mark.parametrize("healthy", ["low", "high"])
    def test_a_broken_wire_reads_as_tripped(self, wires: TestWires, healthy: str) -> None:
        rcd = registry.open("rcd", {"driver": "gpio", "trip_pin": 23, "healthy": healthy}, wires, 1)
        line = wires.factory.pin(23)
        if healthy == "low":
            line.drive_low()
        else:
            line.drive_high()
        assert not rcd.is_tripped()
        cut(wires, 23)
        assert rcd.is_tripped()
        rcd.close()

    def test_the_test_output(self, wires: TestWires) -> None:
        table = {"driver": "gpio", "trip_pin": 23, "test_pin": 18}
        rcd = registry.open("rcd", table, wires, 1)
        assert not wires.factory.pin(18).state
        assert rcd.start_self_test()
        assert wires.factory.pin(18).state
        rcd.end_self_test()
        assert not wires.factory.pin(18).state
        rcd.start_self_test()
        rcd.close()
        assert not wires.factory.pin(18).state

    def test_without_a_test_output_there_is_no_self_test(self, wires: TestWires) -> None:
        rcd = registry.open("rcd", {"driver": "gpio", "trip_pin": 23}, wires, 1)
        assert rcd.start_self_test() is False
        rcd.end_self_test()

    def test_a_trip_wakes_the_tick(self, wires: TestWires) -> None:
        rcd = registry.open("rcd", {"driver": "gpio", "trip_pin": 23}, wires, 1)
        wires.factory.pin(23).drive_low()
        woken: list[int] = []
        rcd.on_edge(lambda: woken.append(1))
        wires.factory.pin(23).drive_high()
        assert woken == [1]


class TestLock:
    """`lock_gpio`."""

    def open(self, wires: TestWires) -> tuple[GpioLock, list[int]]:
        now = [0]
        settings = LockSettings(lock_pin=5, unlock_pin=6, feedback_pin=13)
        return GpioLock(settings, wires, 1, clock=lambda: now[0] * 1_000_000), now

    def test_one_bounded_pulse_then_the_feedback_counts(self, wires: TestWires) -> None:
        lock, now_ms = self.open(wires)
        motor = (wires.factory.pin(5), wires.factory.pin(6))
        assert lock.state() is LockState.UNLOCKED  # broken wire, pulled up
        lock.lock()
        assert [bool(pin.state) for pin in motor] == [True, False]
        wires.factory.pin(13).drive_low()
        now_ms[0] = 599
        assert lock.state() is LockState.MOVING
        now_ms[0] = 600
        assert lock.state() is LockState.MOVING
        assert [bool(pin.state) for pin in motor] == [False, False]
        now_ms[0] = 700
        assert lock.state() is LockState.LOCKED
        lock.unlock()
        assert [bool(pin.state) for pin in motor] == [False, True]
        wires.factory.pin(13).drive_high()
        now_ms[0] = 1300
        lock.state()
        now_ms[0] = 1400
        assert lock.state() is LockState.UNLOCKED

    def test_never_both_directions(self, wires: TestWires) -> None:
        lock, _ = self.open(wires)
        motor = (wires.factory.pin(5), wires.factory.pin(6))
        for order in (lock.lock, lock.unlock, lock.lock):
            order()
            assert sum(bool(pin.state) for pin in motor) == 1
        lock.close()
        assert not any(pin.state for pin in motor)


class TestProximity:
    """`proximity_adc`."""

    TABLE: ClassVar[dict[str, Any]] = {"driver": "adc", "spi_bus": 0, "spi_device": 0, "channel": 3}

    @pytest.mark.parametrize("ohms", [50, 100, 220, 680, 1500])
    def test_reads_each_coding_resistor(self, wires: TestWires, ohms: float) -> None:
        proximity = registry.open("proximity", self.TABLE, wires, 1)
        wires.spi_device.pp_volts = 3.3 * ohms / (ohms + 1000)
        assert proximity.read_ohms() == pytest.approx(ohms, rel=0.02)

    def test_open_and_unreadable(self, wires: TestWires) -> None:
        proximity = registry.open("proximity", self.TABLE, wires, 1)
        assert proximity.read_ohms() == math.inf
        wires.spi_device.dead = True
        assert proximity.read_ohms() is None

    def test_shares_the_converter_with_the_pilot_but_no_channel(self, wires: TestWires) -> None:
        wires.add_pwm()
        pilot = {"driver": "pwm", "chip": "pwmchip0", "hold_reset_pin": 25}
        registry.open("pilot", pilot, wires, 1)
        first = registry.open("proximity", self.TABLE, wires, 1)
        assert wires.spi_opened == 1
        first.close()
        with pytest.raises(WireInUse, match=r"channel 1 of the converter.*pilot and by"):
            registry.open("proximity", self.TABLE | {"channel": 1}, wires, 1)


class TestPilotRelay:
    """`pilot_relay`."""

    TABLE: ClassVar[dict[str, Any]] = {"driver": "relay", "pin": 26, "current": 16.0}
    STATUS: ClassVar[dict[str, Any]] = TABLE | {"connected_pin": 20, "charging_pin": 21}

    def test_says_what_it_can_do(self, wires: TestWires) -> None:
        abilities = registry.open("pilot", self.TABLE, wires, 1).abilities
        assert (abilities.sees_state, abilities.drives_contactor) == (False, True)
        assert (abilities.checks_diode, abilities.currents_amps) == (True, (16.0,))

    def test_connects_only_when_the_boards_current_is_permitted(self, wires: TestWires) -> None:
        pilot = registry.open("pilot", self.TABLE, wires, 1)
        relay = wires.factory.pin(26)
        seen = []
        for duty in (1.0, 10 / 60, 0.2666, 32 / 60, 0.0, 0.05, 0.9):
            pilot.set_duty(duty)
            seen.append(bool(relay.state))
        assert seen == [False, False, True, True, False, False, True]
        pilot.close()
        assert not relay.state

    def test_unknown_without_status_inputs(self, wires: TestWires) -> None:
        pilot = registry.open("pilot", self.TABLE, wires, 1)
        pilot.set_duty(0.2666)
        reading = pilot.read()
        assert reading.state is CpState.UNKNOWN
        assert math.isnan(reading.volts_high)

    def test_states_from_the_status_inputs(self, wires: TestWires) -> None:
        pilot = registry.open("pilot", self.STATUS, wires, 1)
        assert pilot.abilities.sees_state
        connected, charging = wires.factory.pin(20), wires.factory.pin(21)
        pilot.set_duty(0.2666)
        assert pilot.read().state is CpState.A2
        connected.drive_high()
        assert pilot.read().state is CpState.B2
        charging.drive_high()
        assert pilot.read().state is CpState.C2
        pilot.set_duty(1.0)
        assert pilot.read().state is CpState.UNKNOWN  # cut: the board sees nothing

    def test_a_plug_contact_counts_while_cut(self, wires: TestWires) -> None:
        pilot = registry.open("pilot", self.STATUS | {"plug_contact": True}, wires, 1)
        assert pilot.read().state is CpState.A1
        wires.factory.pin(20).drive_high()
        assert pilot.read().state is CpState.B1
