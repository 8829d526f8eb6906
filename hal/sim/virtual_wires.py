"""What drivers get instead of the lines of this computer; light, since the station wants only its ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hal.errors import WireMissing

if TYPE_CHECKING:
    from hal.sim.wires import EvseWires
    from hal.wires import SpiDevice


class VirtualWires:
    """The wires of all EVSEs; the connection to the bench lives in `client`."""

    def __init__(
        self, evses: Mapping[int, EvseWires], serial: Mapping[str, str], hang_up: Callable[[], None]
    ) -> None:
        self._evses = dict(evses)
        self._serial = dict(serial)
        self._hang_up = hang_up

    def evse(self, evse: int) -> EvseWires:
        """The wires of one EVSE."""
        try:
            return self._evses[evse]
        except KeyError:
            raise WireMissing(f"the virtual world has no EVSE {evse}") from None

    def pin_factory(self, evse: int) -> Any:
        """The gpiozero pin factory of this EVSE's header."""
        return self.evse(evse).factory

    def pwm_root(self, evse: int) -> Path:
        """Directory that holds this EVSE's pwmchipN."""
        return self.evse(evse).pwm_root

    def spi(self, evse: int, bus: int, device: int, max_hz: int) -> SpiDevice:
        """The ADC of the pilot front end."""
        return self.evse(evse).spi

    def serial_port(self, evse: int, part: str, port: str) -> str:
        """The bench's pty for `part` of this EVSE."""
        try:
            return self._serial[f"{part}:{evse}"]
        except KeyError:
            raise WireMissing(f"the virtual world has no {part} for EVSE {evse}") from None

    def close(self) -> None:
        """Release all pins and hang up."""
        for evse in self._evses.values():
            evse.close()
        self._hang_up()
