"""What drivers are plugged into: the lines of this computer, or virtual ones with the same shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from hal.errors import WireMissing


class SpiDevice(Protocol):
    """The part of spidev that drivers use."""

    def xfer2(self, data: list[int]) -> list[int]:
        """Clock `data` out and return as many bytes."""
        ...

    def close(self) -> None:
        """Release the device."""
        ...


class Wires(Protocol):
    """Hands out wires. `evse` is 1-based; 0 = the station itself (its card reader)."""

    def pin_factory(self, evse: int) -> Any:
        """The gpiozero pin factory for this EVSE; None = gpiozero's own choice."""
        ...

    def pwm_root(self, evse: int) -> Path:
        """Directory that holds the pwmchipN directories."""
        ...

    def spi(self, evse: int, bus: int, device: int, max_hz: int) -> SpiDevice:
        """An open SPI device, mode 0."""
        ...

    def serial_port(self, evse: int, part: str, port: str) -> str:
        """Device file for the configured `port` of `part` ("meter", "rfid")."""
        ...

    def close(self) -> None:
        """Give all wires back."""
        ...


class RealWires:
    """The lines of this computer."""

    def pin_factory(self, evse: int) -> Any:
        """gpiozero chooses (lgpio on a Raspberry Pi)."""
        return None

    def pwm_root(self, evse: int) -> Path:
        """The kernel's PWM class."""
        return Path("/sys/class/pwm")

    def spi(self, evse: int, bus: int, device: int, max_hz: int) -> SpiDevice:
        """Open /dev/spidevB.D. Raises WireMissing with what to do."""
        try:
            import spidev  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError as error:
            raise WireMissing(
                "SPI needs the package spidev: install chargepost[pi] or Debian's python3-spidev"
            ) from error
        spi = spidev.SpiDev()
        try:
            spi.open(bus, device)
        except OSError as error:
            raise WireMissing(
                f"/dev/spidev{bus}.{device} cannot be opened ({error.strerror}): "
                "enable SPI with dtparam=spi=on and join the group spi"
            ) from error
        spi.max_speed_hz = max_hz
        spi.mode = 0
        opened: SpiDevice = spi
        return opened

    def serial_port(self, evse: int, part: str, port: str) -> str:
        """The configured port itself."""
        return port

    def close(self) -> None:
        """Nothing is held here: each driver closes what it opened."""
