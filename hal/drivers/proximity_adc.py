"""Proximity pilot: the cable's coding resistor in a divider, read by the SPI converter.

Reference: IEC 61851-1 Annex B (resistor coding), docs/wiring.md "Proximity". PP is pulled up to
`vref` by `pull_up_ohms`; the coding resistor lies between PP and PE.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hal.adc import CONVERTERS, MCP3208, Converter
from hal.registry import driver
from hal.settings import setting
from hal.wires import Wires

OPEN_FROM = 0.97
"""Share of vref above which nothing is plugged in; 32 kOhm at a pull-up of 1 kOhm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the divider is and how it is built."""

    spi_bus: int = setting("SPI bus", default=0, minimum=0, maximum=6)
    spi_device: int = setting("SPI chip select", default=0, minimum=0, maximum=3)
    adc: str = setting("converter", default=MCP3208, choices=CONVERTERS)
    channel: int = setting("converter channel", default=3, minimum=0, maximum=7)
    vref: float = setting("reference voltage, volts", default=3.3, minimum=1.0, maximum=5.5)
    pull_up_ohms: float = setting(
        "pull-up of PP to vref, ohm", default=1000.0, minimum=100, maximum=10_000
    )


@driver("proximity", "adc", Settings)
class AdcProximity:
    """Reads ohms; what cable that is, is decided elsewhere."""

    def __init__(self, settings: Settings, wires: Wires, evse: int) -> None:
        self._channel = settings.channel
        self._vref = settings.vref
        self._pull_up_ohms = settings.pull_up_ohms
        self._adc = Converter(
            wires,
            evse,
            "proximity",
            kind=settings.adc,
            spi_bus=settings.spi_bus,
            spi_device=settings.spi_device,
            channels=(settings.channel,),
            vref=settings.vref,
        )

    def read_ohms(self) -> float | None:
        """Resistance PP-PE; None = not readable, inf = open."""
        try:
            volts = self._adc.read_volts(self._channel)
        except OSError:
            return None
        if volts >= OPEN_FROM * self._vref:
            return math.inf
        return self._pull_up_ohms * volts / (self._vref - volts)

    def close(self) -> None:
        """Release the channel."""
        self._adc.close()
