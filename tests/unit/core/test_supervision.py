"""Contactor by its mirror contact, RCD by its self-test, temperature (hardware.md §3.1, §3.2)."""

from __future__ import annotations

import pytest

from controller.core.fault_book import FaultBook
from controller.core.interlock import SelfTestState
from controller.core.supervision import ContactorWatch, SelfTest, derated_amps, watch_temperature

MS = 1_000_000


def test_open_commanded_but_mirror_closed_is_a_weld_after_200_ms() -> None:
    watch = ContactorWatch()
    for ms in range(0, 200, 10):
        watch.tick(False, True, ms * MS)
        assert not watch.welded
    watch.tick(False, True, 200 * MS)
    assert watch.welded
    watch.tick(False, False, 210 * MS)
    assert not watch.welded


def test_release_time_is_no_weld() -> None:
    watch = ContactorWatch()
    watch.tick(True, True, 0)
    watch.tick(False, True, 10 * MS)
    watch.tick(False, False, 20 * MS)
    watch.tick(False, True, 500 * MS)
    assert not watch.welded


def test_three_failed_closings() -> None:
    watch, tries = ContactorWatch(), []
    for ms in range(0, 6000, 10):
        commanded = not watch.failed and not watch.resting(ms * MS)
        watch.tick(commanded, False, ms * MS)
        if watch.tries > len(tries):
            tries.append(ms)
    assert watch.failed
    assert len(tries) == 3
    assert tries[1] - tries[0] >= 1000
    watch.new_tries()
    assert not watch.failed


def test_without_a_mirror_contact_the_command_counts() -> None:
    watch = ContactorWatch()
    watch.tick(True, None, 0)
    assert watch.closed
    watch.tick(False, None, 10**12)
    assert not (watch.closed or watch.welded or watch.failed)


def run_test(trip_ms: tuple[int, int] | None) -> SelfTestState:
    test = SelfTest()
    test.start(0)
    for ms in range(0, 5000, 10):
        tripped = trip_ms is not None and trip_ms[0] <= ms < trip_ms[1]
        test.tick(tripped, False, ms * MS)
        if not test.running:
            break
    assert not test.line
    return test.state


@pytest.mark.parametrize(
    ("trip_ms", "state"),
    [((50, 120), SelfTestState.PASSED), (None, SelfTestState.FAILED), ((50, 9999), SelfTestState.FAILED),
     ((800, 900), SelfTestState.FAILED)],
)  # fmt: skip
def test_self_test_trips_and_recovers(
    trip_ms: tuple[int, int] | None, state: SelfTestState
) -> None:
    assert run_test(trip_ms) is state


def test_device_without_test_input_passes() -> None:
    test = SelfTest()
    test.start(0)
    test.tick(False, True, 0)
    assert test.state is SelfTestState.PASSED


@pytest.mark.parametrize(("celsius", "amps"), [(20, 32), (60, 32), (65, 19), (70, 6), (74, 6)])
def test_derating(celsius: float, amps: float) -> None:
    assert derated_amps(32.0, celsius) == amps


def test_temperature_faults() -> None:
    faults = FaultBook()
    assert watch_temperature(None, 32, faults, 0) == 32
    assert faults.stands("temperature_sensor")
    assert watch_temperature(66, 32, faults, 1) < 32
    assert faults.stands("temperature_derate")
    watch_temperature(76, 32, faults, 2)
    assert faults.blocking
    watch_temperature(59, 32, faults, 3)
    faults.tick(3 + 120 * 1000 * MS)
    assert not faults.blocking
