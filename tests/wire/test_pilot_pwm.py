"""The PWM pilot over a PWM tree and a converter that knows the PWM phase (R16-pilot, DESIGN §2)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import hal.drivers.pilot_pwm as pilot_pwm
from hal import registry
from hal.errors import Misconfigured, WireInUse, WireMissing
from hal.types import PilotReading
from tests.wire.wires import PERIOD_NS, TestWires

TABLE = {"driver": "pwm", "chip": "pwmchip0", "channel": 0, "hold_reset_pin": 25}


@pytest.fixture
def wires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestWires:
    made = TestWires(tmp_path)
    made.add_pwm()
    made.hold_reset_on(25)
    monkeypatch.setattr("hal.drivers.pilot_pwm.time", made.clock)
    return made


class LastRawSample:
    """A deliberately bad pilot driver: returns the last raw sample as both plateaus."""

    def __init__(self, wires: TestWires) -> None:
        self._wires = wires

    def read(self) -> PilotReading:
        self._wires.clock.sleep(pilot_pwm.SUB_WINDOW_S)
        _, high, low = self._wires.spi_device.xfer2([0x06, 2 << 6, 0])
        volts = (((high & 15) << 8 | low) * 3.3 / 4096 - 1.65) * 10
        return PilotReading(
            volts_high=volts, volts_low=volts, taken_at_ns=self._wires.clock.monotonic_ns()
        )


def burst_of_b(burst: range) -> Callable[[int], tuple[float, float]]:
    """State C with state B in between."""
    return lambda ns: (9.0, -12.0) if ns in burst else (6.0, -12.0)


def sees_every_pulse(driver: object, wires: TestWires) -> bool:
    """Whether 200 windows at any phase all show B2 at the smallest duty: +9 V and -12 V."""
    wires.spi_device.plateaus = lambda ns: (9.0, -12.0)
    for _ in range(200):
        wires.clock.ns += 10_137_000  # a tick that drifts through all phases
        reading = driver.read()  # type: ignore[attr-defined]
        if reading.mixed or abs(reading.volts_high - 9) > 0.1 or abs(reading.volts_low + 12) > 0.1:
            return False
    return True


def test_sees_a_ten_percent_pulse_at_every_phase(wires: TestWires) -> None:
    pilot = registry.open("pilot", TABLE, wires, 1)
    pilot.set_duty(0.10)
    assert sees_every_pulse(pilot, wires)


def test_a_driver_that_returns_the_last_raw_sample_fails_the_same_test(wires: TestWires) -> None:
    pilot = registry.open("pilot", TABLE, wires, 1)
    pilot.set_duty(0.10)
    assert not sees_every_pulse(LastRawSample(wires), wires)


@pytest.mark.parametrize("amps", [6, 10, 16, 32])
@pytest.mark.parametrize("high", [12.0, 9.0, 6.0, 3.0])
def test_plateaus_of_each_state_at_each_duty(wires: TestWires, amps: float, high: float) -> None:
    pilot = registry.open("pilot", TABLE, wires, 1)
    pilot.set_duty(amps / 60)
    wires.spi_device.plateaus = lambda ns: (high, -12.0)
    wires.clock.ns += 333_000
    reading = pilot.read()
    assert not reading.mixed
    assert reading.volts_high == pytest.approx(high, abs=0.02)
    assert reading.volts_low == pytest.approx(-12.0, abs=0.02)


def test_static_levels_have_one_plateau(wires: TestWires) -> None:
    pilot = registry.open("pilot", TABLE, wires, 1)
    wires.spi_device.plateaus = lambda ns: (9.0, -12.0)
    reading = pilot.read()
    assert (round(reading.volts_high), round(reading.volts_low)) == (9, 9)
    pilot.set_duty(0.0)
    reading = pilot.read()
    assert (round(reading.volts_high), round(reading.volts_low)) == (-12, -12)


def test_a_change_within_the_window_is_mixed(wires: TestWires) -> None:
    pilot = registry.open("pilot", TABLE, wires, 1)
    pilot.set_duty(16 / 60)
    start = wires.clock.ns
    change = start + 2_000_000  # behind the first sub-window
    wires.spi_device.plateaus = lambda ns: (6.0, -12.0) if ns < change else (9.0, -12.0)
    assert pilot.read().mixed


def test_a_burst_of_20_ms_fills_at_most_two_windows_of_a_10_ms_tick(wires: TestWires) -> None:
    pilot = registry.open("pilot", TABLE, wires, 1)
    pilot.set_duty(16 / 60)
    for shift_ns in range(0, 10_000_000, 250_000):
        first = wires.clock.ns = (wires.clock.ns // 10_000_000 + 2) * 10_000_000
        burst = range(first + shift_ns, first + shift_ns + 20_000_000)
        wires.spi_device.plateaus = burst_of_b(burst)
        wrong = 0
        for tick in range(5):
            # Ticks may come 0.3 ms late and then on time: closer together than planned.
            wires.clock.ns = first + tick * 10_000_000 + (300_000 if tick % 2 == 0 else 0)
            reading = pilot.read()
            wrong += not reading.mixed and reading.volts_high > 8
        assert wrong <= 2, shift_ns


def test_a_dead_converter_gives_no_reading(wires: TestWires) -> None:
    pilot = registry.open("pilot", TABLE, wires, 1)
    wires.spi_device.dead = True
    assert pilot.read() is None


@pytest.mark.parametrize(
    ("amps", "duty_ns"), [(6, 100_000), (10, 166_666), (16, 266_666), (32, 533_333)]
)
def test_duty_is_written_in_whole_ns_rounded_down(
    wires: TestWires, amps: float, duty_ns: int
) -> None:
    pilot = registry.open("pilot", TABLE, wires, 1)
    pilot.set_duty(amps / 60)
    assert wires.duty_ns() == duty_ns


def test_every_duty_in_steps_of_a_thousandth_is_exact(wires: TestWires) -> None:
    pilot = registry.open("pilot", TABLE, wires, 1)
    for thousandth in range(1001):
        pilot.set_duty(thousandth / 1000)
        assert wires.duty_ns() == thousandth * 1000


def test_an_inverting_level_shifter_gets_the_complement(wires: TestWires) -> None:
    pilot = registry.open("pilot", TABLE | {"inverted": True}, wires, 1)
    assert wires.duty_ns() == 0  # x1
    pilot.set_duty(0.1)
    assert wires.duty_ns() == 900_000


def test_starts_and_ends_at_x1(wires: TestWires) -> None:
    pilot = registry.open("pilot", TABLE, wires, 1)
    assert (wires.read("period"), wires.duty_ns(), wires.read("enable")) == (
        PERIOD_NS,
        PERIOD_NS,
        1,
    )
    pilot.set_duty(0.5)
    pilot.close()
    assert (wires.duty_ns(), wires.read("enable")) == (PERIOD_NS, 1)
    pilot.close()


@pytest.mark.parametrize(("period", "duty"), [(2_000_000, 1_500_000), (500_000, 1), (0, 0)])
def test_takes_over_a_running_channel_with_duty_never_above_period(
    wires: TestWires, period: int, duty: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (wires.root / "pwmchip0/pwm0/period").write_text(f"{period}\n")
    (wires.root / "pwmchip0/pwm0/duty_cycle").write_text(f"{duty}\n")
    seen = []
    write = os.pwrite

    def noted(fd: int, data: bytes, offset: int) -> int:
        done = write(fd, data, offset)
        seen.append((wires.read("period"), wires.duty_ns()))
        return done

    monkeypatch.setattr(os, "pwrite", noted)
    registry.open("pilot", TABLE, wires, 1)
    assert all(d <= p for p, d in seen)
    assert seen[-1] == (PERIOD_NS, PERIOD_NS)


def test_finds_the_chip_by_its_device(wires: TestWires) -> None:
    wires.add_pwm("pwmchip2", "3f20c000.pwm")
    registry.open("pilot", TABLE | {"chip": "3f20c000"}, wires, 1)
    assert wires.read("enable", "pwmchip2") == 1
    assert wires.read("enable", "pwmchip0") == 0


def test_names_the_chips_there_are(wires: TestWires) -> None:
    with pytest.raises(WireMissing, match=r"pwmchip0 \(1f00098000.pwm\).*dtoverlay"):
        registry.open("pilot", TABLE | {"chip": "pwmchip7"}, wires, 1)


def test_waits_for_udev_a_second_and_then_says_what_to_do(wires: TestWires) -> None:
    before = wires.clock.ns
    with pytest.raises(WireMissing, match=r"pwmchip0 channel 1.*group gpio"):
        registry.open("pilot", TABLE | {"channel": 1}, wires, 1)
    assert wires.clock.ns - before >= 1_000_000_000
    assert (wires.root / "pwmchip0/export").read_text() == "1"


def test_two_pilots_on_one_channel_are_refused_with_both_names(wires: TestWires) -> None:
    registry.open("pilot", TABLE, wires, 1)
    same = r"PWM pwmchip0 channel 0 is used by EVSE 1 pilot and by EVSE 1 pilot"
    with pytest.raises(WireInUse, match=same):
        registry.open("pilot", TABLE, wires, 1)


def test_a_failed_open_gives_everything_back(wires: TestWires) -> None:
    with pytest.raises(Misconfigured, match="hold_reset_pin"):
        registry.open("pilot", {"driver": "pwm", "chip": "pwmchip0"}, wires, 1)
    with pytest.raises(WireInUse):
        registry.open("pilot", TABLE | {"valley_channel": 0}, wires, 1)
    registry.open("pilot", TABLE, wires, 1).close()
    registry.open("pilot", TABLE, wires, 1).close()


def test_calibration_applies_gain_and_offset(wires: TestWires) -> None:
    pilot = registry.open("pilot", TABLE | {"gain": 1.05, "offset": -0.5}, wires, 1)
    assert pilot.read().volts_high == pytest.approx(12.0 * 1.05 - 0.5, abs=0.02)
