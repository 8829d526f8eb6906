"""Windows of the pilot: decision levels, asymmetric debounce, diode (hardware.md §1.1, §1.3; DESIGN §2)."""

from __future__ import annotations

import pytest

from controller.core.pilot_window import DiodeCheck, Level, PilotFilter, classify, diode_present

TICK = 10_000_000
A, B, C, D, E = Level


@pytest.mark.parametrize(
    ("volts", "level"),
    [(11, A), (13, A), (10.5, None), (10, B), (8, B), (7.5, None), (7, C), (5, C), (4.5, None),
     (4, D), (2, D), (1.5, None), (1, E), (-1, E), (-1.1, None), (-12, None), (13.1, None),
     (float("nan"), None)],
)  # fmt: skip
def test_windows_of_one_volt(volts: float, level: Level | None) -> None:
    assert classify(volts) is level


class Feeder:
    def __init__(self, start: Level | None, *, ventilated: bool = False) -> None:
        self.filter = PilotFilter(ventilated)
        self.now = 0
        if start is not None:
            self(start, 60)

    def __call__(self, level: Level | None, windows: int = 1, step: int = TICK) -> Level | None:
        for _ in range(windows):
            self.now += step
            self.filter.feed(level, self.now)
        return self.filter.level


@pytest.mark.parametrize("leaving", [A, B, E, D])
def test_leaving_c_counts_after_three_windows(leaving: Level) -> None:
    feed = Feeder(C)
    assert feed(leaving, 2) is C
    assert feed(leaving) is leaving


@pytest.mark.parametrize("asking", [C, D])
def test_asking_for_power_counts_after_half_a_second(asking: Level) -> None:
    feed = Feeder(B)
    assert feed(asking, 50) is B
    assert feed(asking) is asking


def test_pulse_of_250_ms_is_no_request() -> None:
    feed = Feeder(B)
    assert feed(C, 25) is B
    assert feed(B, 5) is B
    assert feed(C, 45) is B


def test_glitches_and_bursts_of_20_ms_never_leave_c() -> None:
    feed = Feeder(C)
    for other in (A, B, D, E, None):
        for _ in range(200):
            assert feed(other, 2) is C
            assert feed(C) is C


def test_three_crowded_windows_within_20_ms_do_not_count() -> None:
    feed = Feeder(C)
    assert feed(B, 3, step=6_000_000) is C


def test_out_of_window_keeps_the_state_for_three_windows() -> None:
    feed = Feeder(C)
    assert feed(None, 3) is C
    assert feed(None) is None


def test_a_mixture_of_other_levels_opens_after_three_windows() -> None:
    feed = Feeder(C)
    for seen in (A, B, None):
        assert feed(seen) is C
    assert feed(A) is None


def test_noise_in_b_is_lost_only_by_bad_windows() -> None:
    feed = Feeder(B)
    for _ in range(10):
        assert feed(None, 3) is B
        assert feed(C) is B
    assert feed(None, 4) is None
    assert feed(None, 4) is None
    assert feed(C, 30) is None
    assert feed(B, 3) is B


def test_ventilated_place_moves_between_c_and_d_quickly() -> None:
    feed = Feeder(D, ventilated=True)
    assert feed(C, 3) is C
    assert Feeder(D)(C, 3) is D


def test_board_that_classifies_is_believed() -> None:
    pilot = PilotFilter(ventilated=False)
    assert pilot.adopt(C, 0)
    assert not pilot.adopt(C, 0)
    assert pilot.adopt(None, 0)
    assert pilot.settling


def test_diode_is_proven_by_minus_twelve_volts_in_pwm() -> None:
    assert diode_present(-12.0)
    assert not diode_present(-9.0)
    check = DiodeCheck()
    check.feed(False, B, -12.0, 0)
    assert not check.seen
    check.feed(True, B, -12.0, TICK)
    assert not check.seen, "the first window may hold edges of the time before"
    check.feed(True, B, -12.0, 2 * TICK)
    assert check.seen
    check.forget()
    assert not check.seen


def test_missing_diode_is_reported_after_three_windows() -> None:
    check = DiodeCheck()
    found = [check.feed(True, C, -6.0, n * TICK) for n in range(5)]
    assert found == [False, False, False, True, False]
    assert not check.seen
