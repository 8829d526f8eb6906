"""Contactor coil on a GPIO pin, with mirror contact, coil gate heartbeat and emergency stop.

Reference: docs/wiring.md "Contactor"; mirror contact: IEC 60947-4-1 Annex F (normally closed, opens
before the main contacts close). The coil driver must be active-high with an external pull-down:
Raspberry Pi OS keeps the level of a dead process unless `dtparam=strict_gpiod` is set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hal.errors import HalError
from hal.pins import LEVELS, LOW, Input, Output, open_input, open_output
from hal.registry import driver
from hal.settings import setting
from hal.wires import Wires

Line = TypeVar("Line", Output, Input)

NORMALLY_CLOSED = "nc"
NORMALLY_OPEN = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Pins are BCM numbers; 16 to 27 are low from power-on."""

    pin: int = setting("coil output, active high, external pull-down", minimum=0, maximum=53)
    mirror_pin: int | None = setting(
        "mirror contact to GND, internal pull-up; leave out when there is none",
        default=None,
        minimum=0,
        maximum=53,
    )
    mirror: str = setting(
        "mirror contact: nc = open while the main contacts are closed (wire break: welded)",
        default=NORMALLY_CLOSED,
        choices=(NORMALLY_CLOSED, NORMALLY_OPEN),
    )
    heartbeat_pin: int | None = setting(
        "output that toggles every tick and feeds the coil gate",
        default=None,
        minimum=0,
        maximum=53,
    )
    emergency_stop_pin: int | None = setting(
        "emergency stop input; leave out when there is none", default=None, minimum=0, maximum=53
    )
    emergency_stop_healthy: str = setting(
        "level while not pressed; a broken wire reads as pressed", default=LOW, choices=LEVELS
    )


@driver("contactor", "gpio", Settings)
class GpioContactor:
    """Level-driven coil; knows nothing of permission."""

    def __init__(self, settings: Settings, wires: Wires, evse: int) -> None:
        self._opened: list[Output | Input] = []
        self._mirror: Input | None = None
        self._heartbeat: Output | None = None
        self._stop: Input | None = None
        self._mirror_high_is_closed = settings.mirror == NORMALLY_CLOSED
        self._stop_healthy_high = settings.emergency_stop_healthy != LOW
        try:
            self._coil = self._keep(open_output(wires, evse, "contactor", settings.pin))
            if settings.mirror_pin is not None:
                self._mirror = self._keep(
                    open_input(
                        wires, evse, "contactor mirror contact", settings.mirror_pin, pull_up=True
                    )
                )
            if settings.heartbeat_pin is not None:
                self._heartbeat = self._keep(
                    open_output(wires, evse, "contactor heartbeat", settings.heartbeat_pin)
                )
            if settings.emergency_stop_pin is not None:
                self._stop = self._keep(
                    open_input(
                        wires,
                        evse,
                        "emergency stop",
                        settings.emergency_stop_pin,
                        pull_up=not self._stop_healthy_high,
                    )
                )
        except HalError:
            self.close()
            raise
        self._beat = False

    def permit(self, closed: bool) -> None:
        """Drive the coil."""
        self._coil.write(closed)

    def is_closed(self) -> bool | None:
        """What the mirror contact says; None = no mirror contact wired."""
        if self._mirror is None:
            return None
        return self._mirror.is_high() is self._mirror_high_is_closed

    def beat(self) -> None:
        """Toggle the heartbeat pin, if there is one."""
        if self._heartbeat is not None:
            self._beat = not self._beat
            self._heartbeat.write(self._beat)

    def is_pressed(self) -> bool:
        """Emergency stop pressed, or its wire broken; False when none is wired."""
        return self._stop is not None and self._stop.is_high() is not self._stop_healthy_high

    def on_edge(self, wake: Callable[[], None]) -> None:
        """Wake at a change of the mirror contact or the emergency stop."""
        for line in (self._mirror, self._stop):
            if line is not None:
                line.on_edge(wake)

    def close(self) -> None:
        """Open the coil and release all pins."""
        for line in self._opened:
            line.close()
        self._opened.clear()

    def _keep(self, line: Line) -> Line:
        self._opened.append(line)
        return line
