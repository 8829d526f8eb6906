"""Sampled values, and whether a register can be true (R16-MV-4)."""

from __future__ import annotations

import pytest

from controller.core.metering import (
    OverCurrentWatch,
    RegisterJudge,
    Verdict,
    sampled_values,
    split_phase,
)
from hal.types import MeterReading

S = 1_000_000_000
READING = MeterReading(
    energy_wh=1234.5,
    taken_at_ns=0,
    power_w=7360.0,
    amps=(16.0, 15.9, None),
    volts=(230.0, 231.0, None),
    frequency_hz=50.01,
)


def names(*measurands: str) -> list[tuple[str, str, float]]:
    values = sampled_values(measurands, READING, 16.0, 230.0, 3)
    return [(v.measurand, v.phase, v.value) for v in values]


def test_all_phases_that_the_meter_has() -> None:
    assert names("Current.Import") == [
        ("Current.Import", "L1", 16.0),
        ("Current.Import", "L2", 15.9),
    ]
    assert names("Voltage") == [("Voltage", "L1-N", 230.0), ("Voltage", "L2-N", 231.0)]


def test_a_named_phase_alone() -> None:
    assert names("Current.Import.L2") == [("Current.Import", "L2", 15.9)]
    assert names("Voltage.L1-N") == [("Voltage", "L1-N", 230.0)]
    assert names("Voltage.L3") == []
    assert split_phase("Energy.Active.Import.Register") == ("Energy.Active.Import.Register", "")


def test_what_the_meter_does_not_have_is_left_out() -> None:
    """0 is never invented."""
    assert names("Power.Factor", "Energy.Active.Export.Register", "SoC") == []


def test_register_power_frequency_and_offer() -> None:
    found = sampled_values(
        ["Energy.Active.Import.Register", "Power.Active.Import", "Frequency", "Power.Offered"],
        READING,
        16.0,
        230.0,
        3,
    )
    assert [(v.value, v.unit) for v in found] == [
        (1234.5, "Wh"),
        (7360.0, "W"),
        (50.01, ""),
        (11040.0, "W"),
    ]


def reading(wh: float, at_s: float) -> MeterReading:
    return MeterReading(energy_wh=wh, taken_at_ns=int(at_s * S))


@pytest.mark.parametrize("in_transaction", [True, False])
def test_a_register_that_rises_as_the_contactor_allows_is_good(in_transaction: bool) -> None:
    judge = RegisterJudge(max_power_w=5000)
    for second in range(100):
        verdict = judge.judge(reading(1000 + second, second), in_transaction=in_transaction).verdict
        assert verdict is Verdict.GOOD


def test_a_coarse_register_is_good() -> None:
    """Steps of 10 Wh."""
    judge = RegisterJudge(max_power_w=5000)
    for wh, at_s in ((1000, 0), (1000, 1), (1010, 2), (1010, 3), (1020, 4)):
        assert judge.judge(reading(wh, at_s), in_transaction=True).verdict is Verdict.GOOD


def test_inside_a_transaction_steps_are_faults_and_the_belief_stays() -> None:
    judge = RegisterJudge(max_power_w=5000)
    judge.judge(reading(1000, 0), in_transaction=True)
    assert judge.judge(reading(900, 1), in_transaction=True).verdict is Verdict.BACKWARDS
    assert judge.judge(reading(90_000, 2), in_transaction=True).verdict is Verdict.JUMPED
    assert judge.judge(reading(1002, 3), in_transaction=True).verdict is Verdict.GOOD


def test_outside_a_transaction_a_step_is_another_meter() -> None:
    judge = RegisterJudge(max_power_w=5000)
    judge.judge(reading(1000, 0), in_transaction=False)
    for wh in (5, 77_000):
        assert judge.judge(reading(wh, 1), in_transaction=False).verdict is Verdict.METER_CHANGED
        assert judge.judge(reading(wh, 2), in_transaction=False).verdict is Verdict.GOOD


def test_outside_a_transaction_a_meter_that_keeps_falling_is_broken() -> None:
    judge = RegisterJudge(max_power_w=5000)
    verdicts = [judge.judge(reading(1000 - n, n), in_transaction=False).verdict for n in range(5)]
    assert verdicts[-2:] == [Verdict.BACKWARDS, Verdict.BACKWARDS]


def test_over_current_needs_7_seconds() -> None:
    watch = OverCurrentWatch()

    def check(amps: float, at_s: float, offer: float = 16.0) -> str:
        drawn = MeterReading(energy_wh=0, taken_at_ns=int(at_s * S), amps=(amps, None, None))
        return watch.check(drawn, offer)

    assert [check(20, n) for n in range(7)] == [""] * 7
    assert check(20, 7) == "20.0 A drawn, 16.0 A offered"
    assert [check(18.0, n) for n in range(10, 30)] == [""] * 20


def test_a_smaller_offer_gives_the_vehicle_its_time_again() -> None:
    watch = OverCurrentWatch()
    drawn = [
        MeterReading(energy_wh=0, taken_at_ns=n * S, amps=(32.0, None, None)) for n in range(30)
    ]
    for n in range(6):
        assert watch.check(drawn[n], 16.0) == ""
    for n in range(6, 13):
        assert watch.check(drawn[n], 10.0) == ""
    assert watch.check(drawn[13], 10.0)
