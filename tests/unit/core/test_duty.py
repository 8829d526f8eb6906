"""hardware.md §1.2: amps to duty and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.duty import amps_read_by_vehicle, duty_for, high_ns, signalled_amps


@pytest.mark.parametrize(
    ("amps", "ns"),
    [
        (6, 100_000), (10, 166_666), (13, 216_666), (16, 266_666), (20, 333_333), (25, 416_666),
        (32, 533_333), (51, 850_000), (51.7, 850_000), (52.5, 850_000), (63, 892_000),
        (80, 960_000), (100, 960_000),
    ],
)  # fmt: skip
def test_high_time_of_one_period(amps: float, ns: int) -> None:
    assert high_ns(amps) == ns


@pytest.mark.parametrize("amps", [0, 5.9, -1, float("nan")])
def test_below_six_amps_there_is_no_pwm(amps: float) -> None:
    assert duty_for(amps) == 1.0
    assert signalled_amps(amps) == 0.0


def test_six_amps_survive_a_division_by_shares() -> None:
    assert high_ns(18 / 3 - 1e-12) == 100_000
    assert signalled_amps(6 - 1e-12) == 6.0


@given(st.floats(6, 200))
def test_the_vehicle_never_reads_more_than_offered(amps: float) -> None:
    read = amps_read_by_vehicle(duty_for(amps))
    assert read <= amps + 1e-4
    assert read >= min(amps, 80) - (1.6 if 51 < amps <= 52.6 else 0.001)


@pytest.mark.parametrize(
    ("duty", "amps"),
    [(0, 0), (0.05, 0), (0.075, 0), (0.08, 6), (0.1, 6), (0.5, 30), (0.85, 51), (0.9, 65),
     (0.96, 80), (0.965, 80), (0.98, 0), (1.0, 0)],
)  # fmt: skip
def test_what_a_vehicle_reads(duty: float, amps: float) -> None:
    assert amps_read_by_vehicle(duty) == pytest.approx(amps)
