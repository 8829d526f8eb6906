"""Amps to duty cycle and back (IEC 61851-1 Table A.8), 1 kHz pilot; hardware.md §1.2.

Rounding is always down: a vehicle never reads more than it was offered.
"""

from __future__ import annotations

from math import floor, inf

PERIOD_NS = 1_000_000
STATIC_HIGH = 1.0
"""No PWM: A1, B1, C1."""
STATIC_LOW = 0.0
"""State F."""
MIN_AMPS = 6.0
"""A pilot cannot say less, so less is a pause."""
MAX_AMPS = 80.0
_GAP_LOW_AMPS = 51.0
_GAP_HIGH_AMPS = 52.5
_FLOAT_RESIDUE_AMPS = 1e-6


def floor_tenths(value: float) -> float:
    """Down to 0.1: never more than was allowed, and what one decimal can tell; residues of divisions do not count."""
    return value if value == inf else floor(value * 10 + _FLOAT_RESIDUE_AMPS) / 10


def high_ns(amps: float) -> int:
    """High time in ns of a 1 ms period that offers at most `amps`; the whole period below 6 A (no PWM)."""
    amps += _FLOAT_RESIDUE_AMPS  # 5.9999999999 after a division by shares is 6
    if not amps >= MIN_AMPS:  # also NaN
        return PERIOD_NS
    if amps >= _GAP_HIGH_AMPS:
        return floor(min(amps, MAX_AMPS) * 4000) + 640_000
    return floor(min(amps, _GAP_LOW_AMPS) * PERIOD_NS / 60)


def duty_for(amps: float) -> float:
    """Duty cycle 0.1 to 0.96 that offers at most `amps`; 1.0 (no PWM) below 6 A."""
    return high_ns(amps) / PERIOD_NS


def signalled_amps(amps: float) -> float:
    """What can really be signalled for `amps`: 0 below 6 A, 51 in the gap 51 to 52.5, at most 80."""
    if not amps + _FLOAT_RESIDUE_AMPS >= MIN_AMPS:
        return 0.0
    if _GAP_LOW_AMPS < amps < _GAP_HIGH_AMPS:
        return _GAP_LOW_AMPS
    return max(MIN_AMPS, min(amps, MAX_AMPS))


def amps_read_by_vehicle(duty: float) -> float:
    """The current in amps a vehicle may draw at this duty cycle; 0 = no charging (also 5 %: digital only)."""
    percent = round(duty * 100, 4)
    if percent < 8.0 or percent > 97.0:
        return 0.0
    if percent < 10.0:
        return 6.0
    if percent <= 85.0:
        return percent * 0.6
    if percent <= 96.0:
        return (percent - 64.0) * 2.5
    return 80.0
