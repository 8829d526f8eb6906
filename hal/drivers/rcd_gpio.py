"""RCD or 6 mA RDC-DD with a fault output, and its test input where it has one.

Reference: docs/wiring.md "Residual current"; Bender RCMB104: ERROR is an open collector, low = ok,
so a broken wire reads as tripped; TEST is driven 30 ms to 1.2 s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hal.errors import HalError
from hal.pins import LEVELS, LOW, Input, Output, open_input, open_output
from hal.registry import driver
from hal.settings import setting
from hal.wires import Wires


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Pins are BCM numbers."""

    trip_pin: int = setting("fault input", minimum=0, maximum=53)
    healthy: str = setting(
        "level of the fault input while not tripped; a broken wire reads as tripped",
        default=LOW,
        choices=LEVELS,
    )
    test_pin: int | None = setting(
        "self-test output, active high (through a transistor); leave out when there is none",
        default=None,
        minimum=0,
        maximum=53,
    )


@driver("rcd", "gpio", Settings)
class GpioResidualCurrent:
    """Reports the fault output; the latch is not here."""

    def __init__(self, settings: Settings, wires: Wires, evse: int) -> None:
        self._healthy_high = settings.healthy != LOW
        self._trip: Input = open_input(
            wires, evse, "rcd", settings.trip_pin, pull_up=not self._healthy_high
        )
        self._test: Output | None = None
        if settings.test_pin is not None:
            try:
                self._test = open_output(wires, evse, "rcd test", settings.test_pin)
            except HalError:
                self._trip.close()
                raise

    def is_tripped(self) -> bool:
        """Tripped, or the wire broken."""
        return self._trip.is_high() is not self._healthy_high

    def start_self_test(self) -> bool:
        """Drive the test output; False = none is wired."""
        if self._test is None:
            return False
        self._test.write(True)
        return True

    def end_self_test(self) -> None:
        """Release the test output."""
        if self._test is not None:
            self._test.write(False)

    def on_edge(self, wake: Callable[[], None]) -> None:
        """Wake at a change of the fault output."""
        self._trip.on_edge(wake)

    def close(self) -> None:
        """Release the pins."""
        self.end_self_test()
        if self._test is not None:
            self._test.close()
            self._test = None
        self._trip.close()
