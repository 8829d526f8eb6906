from __future__ import annotations

import pytest

from hal.sim.pilot_circuit import Load, offered_amps, plateau_volts, seen_volts, state_name


@pytest.mark.parametrize(
    ("load", "volts"),
    [
        (Load.OPEN, (12, -12)),
        (Load.READY_NOT, (9, -12)),
        (Load.READY, (6, -12)),
        (Load.READY_VENTILATED, (3, -12)),
        (Load.SHORT, (0, 0)),
        (Load.NEGATIVE, (-12, -12)),
    ],
)
def test_plateaus_of_annex_a(load, volts):
    assert plateau_volts(load) == volts


def test_without_diode_the_load_shows_on_both_sides():
    assert plateau_volts(Load.READY, diode=False) == (6, -6)
    assert plateau_volts(Load.OPEN, diode=False) == (12, -12)


@pytest.mark.parametrize(
    ("load", "duty", "name"),
    [
        (Load.OPEN, 1.0, "A1"),
        (Load.OPEN, 0.1, "A2"),
        (Load.READY_NOT, 1.0, "B1"),
        (Load.READY, 0.5333, "C2"),
        (Load.READY, 0.0, "F"),
        (Load.SHORT, 0.1, "E"),
        (Load.NEGATIVE, 1.0, "F"),
    ],
)
def test_state_names(load, duty, name):
    assert state_name(load, duty) == name


def test_without_pwm_only_one_plateau_occurs():
    assert seen_volts(9, -12, 1.0) == (9, 9)
    assert seen_volts(9, -12, 0.0) == (-12, -12)
    assert seen_volts(9, -12, 0.5) == (9, -12)


@pytest.mark.parametrize(
    ("duty", "amps"),
    [
        (0.0, 0),
        (0.05, 0),
        (0.079, 0),
        (0.08, 6),
        (0.1, 6),
        (0.266666, 16),
        (0.533333, 32),
        (0.85, 51),
        (0.892, 63),
        (0.96, 80),
        (0.97, 80),
        (0.98, 0),
        (1.0, 0),
    ],
)
def test_offer_that_a_vehicle_reads(duty, amps):
    assert offered_amps(duty) == pytest.approx(amps, abs=0.001)
