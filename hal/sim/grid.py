"""The supply: phase voltages and frequency."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Grid:
    """Volts between phase and neutral, hertz."""

    volts: tuple[float, float, float] = (230.0, 230.0, 230.0)
    hertz: float = 50.0


def nominal(voltage_v: float) -> Grid:
    """All phases at this voltage."""
    return Grid(volts=(voltage_v, voltage_v, voltage_v))
