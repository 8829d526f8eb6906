"""The station's clock: never before the release, and the backend's word beats the machine's (RPC-15)."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from controller.clock import SystemClock

RELEASED = datetime(2026, 11, 1, tzinfo=UTC)
TOLD = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Machine:
    """What the operating system shows."""

    def __init__(self) -> None:
        self.utc_s = 5.0
        self.mono_s = 100.0

    def passes(self, seconds: float) -> None:
        self.utc_s += seconds
        self.mono_s += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(time, "time", lambda: made.utc_s)
    monkeypatch.setattr(time, "monotonic", lambda: made.mono_s)
    return made


def test_a_machine_in_1970_shows_no_time_before_the_release(machine: Machine) -> None:
    clock = SystemClock(RELEASED)
    first = clock.utc()
    machine.passes(60)
    assert first >= RELEASED
    assert clock.utc() - first == timedelta(seconds=60)


def test_a_machine_that_is_set_right_is_believed(machine: Machine) -> None:
    clock = SystemClock(RELEASED)
    machine.utc_s = TOLD.timestamp()
    assert clock.utc() == TOLD


def test_the_backend_tells_the_time(machine: Machine) -> None:
    clock = SystemClock(RELEASED)
    before = clock.utc()
    assert clock.set_utc(TOLD) == (TOLD - before).total_seconds()
    machine.passes(60)
    assert clock.utc() == TOLD + timedelta(seconds=60)


def test_a_time_service_that_comes_after_the_backend_does_not_correct_twice(
    machine: Machine,
) -> None:
    clock = SystemClock(RELEASED)
    clock.set_utc(TOLD)
    machine.utc_s = TOLD.timestamp()
    assert clock.utc() == TOLD
