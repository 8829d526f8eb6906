"""What a vehicle does to the control pilot (IEC 61851-1 Annex A): pure tables and functions."""

from __future__ import annotations

from enum import Enum


class Load(Enum):
    """What hangs on CP; the value is the state letter."""

    OPEN = "A"
    READY_NOT = "B"
    READY = "C"
    READY_VENTILATED = "D"
    SHORT = "E"
    NEGATIVE = "F"


SOURCE_VOLTS = 12.0
_HIGH = {
    Load.OPEN: 12.0,
    Load.READY_NOT: 9.0,
    Load.READY: 6.0,
    Load.READY_VENTILATED: 3.0,
    Load.SHORT: 0.0,
    Load.NEGATIVE: -SOURCE_VOLTS,
}

NO_PWM_FROM = 0.999
NO_PWM_BELOW = 0.001


def plateau_volts(load: Load, *, diode: bool = True) -> tuple[float, float]:
    """Volts at CP while the source is at +12 V and at -12 V. A shorted diode mirrors the load."""
    high = _HIGH[load]
    if load is Load.SHORT:
        return 0.0, 0.0
    if diode or load in (Load.OPEN, Load.NEGATIVE):
        return high, -SOURCE_VOLTS
    return high, -high


def seen_volts(high: float, low: float, duty: float) -> tuple[float, float]:
    """The plateaus that really occur at this duty: one only when there is no PWM."""
    if duty >= NO_PWM_FROM:
        return high, high
    if duty <= NO_PWM_BELOW:
        return low, low
    return high, low


def state_name(load: Load, duty: float) -> str:
    """A1 to D2, E or F. A static -12 V of the station is F whatever hangs on it."""
    if load is Load.SHORT:
        return "E"
    if load is Load.NEGATIVE or duty <= NO_PWM_BELOW:
        return "F"
    return f"{load.value}{1 if duty >= NO_PWM_FROM else 2}"


def offered_amps(duty: float) -> float:
    """What a vehicle reads from the duty cycle (IEC 61851-1 Table A.8); 0 = no charging."""
    percent = duty * 100
    if 7.999 <= percent < 10:
        return 6.0
    if 10 <= percent <= 85:
        return percent * 0.6
    if 85 < percent <= 96:
        return (percent - 64) * 2.5
    if 96 < percent <= 97:
        return 80.0
    return 0.0
