"""SPI converters MCP3208 (12 bit) and MCP3008 (10 bit), single-ended.

Reference: Microchip DS21298 (MCP3204/3208) figure 6-1, DS21295 (MCP3004/3008) figure 6-1.
"""

from __future__ import annotations

from hal.bus import Claim, bus_of, close_spi, header_of, open_spi, owner_name
from hal.errors import HalError
from hal.wires import SpiDevice, Wires

MCP3208 = "mcp3208"
MCP3008 = "mcp3008"
CONVERTERS = (MCP3208, MCP3008)
MAX_HZ = 1_000_000
"""Within the limit of both converters at 3.3 V."""


class Converter:
    """Some channels of one converter; other drivers may own its other channels."""

    def __init__(
        self,
        wires: Wires,
        evse: int,
        part: str,
        *,
        kind: str,
        spi_bus: int,
        spi_device: int,
        channels: tuple[int, ...],
        vref: float,
    ) -> None:
        owner = owner_name(part, evse)
        header = header_of(wires, evse)
        self._claims: list[Claim] = []
        self._place = (wires, evse, spi_bus, spi_device)
        try:
            for channel in channels:
                key = ("adc", header, spi_bus, spi_device, channel)
                what = f"channel {channel} of the converter on SPI {spi_bus}.{spi_device}"
                self._claims.append(bus_of(wires).claim(key, what, owner))
            self._spi: SpiDevice = open_spi(wires, evse, spi_bus, spi_device, MAX_HZ, owner)
        except HalError:
            self._release()
            raise
        twelve_bit = kind == MCP3208
        self._mask = 0x0F if twelve_bit else 0x03
        self._lsb_volts = vref / (4096 if twelve_bit else 1024)
        self._commands = {c: _command(c, twelve_bit) for c in channels}

    def read_volts(self, channel: int) -> float:
        """Volts at the converter's input, 0 to vref. Raises OSError when the bus is gone."""
        _, high, low = self._spi.xfer2(list(self._commands[channel]))
        return (((high & self._mask) << 8) | low) * self._lsb_volts

    def close(self) -> None:
        """Give the channels and the bus back."""
        if self._claims:
            self._release()
            close_spi(*self._place)

    def _release(self) -> None:
        for claim in self._claims:
            claim.release()
        self._claims.clear()


def _command(channel: int, twelve_bit: bool) -> tuple[int, int, int]:
    """Start bit, single-ended, channel; placed so that the result ends on a byte border."""
    if twelve_bit:
        return 0x06 | channel >> 2, (channel & 3) << 6, 0
    return 0x01, (8 + channel) << 4, 0
