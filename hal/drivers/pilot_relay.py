"""A relay in the control pilot beside an EVSE board that works by itself.

Reference: docs/wiring.md "Pilot relay". The board makes the pilot with one fixed current, checks the
diode and drives the contactor; this driver connects the vehicle to it or cuts it off. The relay is
normally open: without power or without a program nothing is offered. Status outputs of the board may
be wired; without them nothing is seen, and nothing is guessed.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from hal.errors import HalError
from hal.pins import HIGH, LEVELS, Input, Output, open_input, open_output
from hal.registry import driver
from hal.settings import setting
from hal.types import CpState, PilotAbilities, PilotReading
from hal.wires import Wires

ROUNDING_AMPS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Pins are BCM numbers."""

    pin: int = setting("relay output; high = pilot connected", minimum=0, maximum=53)
    current: float = setting("current the board offers, A", minimum=6, maximum=80)
    connected_pin: int | None = setting(
        "status input: a vehicle is connected", default=None, minimum=0, maximum=53
    )
    charging_pin: int | None = setting(
        "status input: the vehicle asks for power", default=None, minimum=0, maximum=53
    )
    status_active: str = setting(
        "level of the status inputs when they say yes; a broken wire says no",
        default=HIGH,
        choices=LEVELS,
    )
    plug_contact: bool = setting(
        "connected_pin is a contact at the plug, so it counts while the pilot is cut", default=False
    )


@driver("pilot", "relay", Settings)
class RelayPilot:
    """Offers the board's one current, or none."""

    drives_contactor = True
    """Known before it is opened: an EVSE with this pilot may be without a contactor of its own."""

    def __init__(self, settings: Settings, wires: Wires, evse: int) -> None:
        self._current = settings.current
        self._yes_is_high = settings.status_active == HIGH
        self._plug_contact = settings.plug_contact
        self._is_connected = False
        self._lines: list[Output | Input] = []
        self._inputs: tuple[Input, Input] | None = None
        try:
            self._relay = open_output(wires, evse, "pilot relay", settings.pin)
            self._lines.append(self._relay)
            if settings.connected_pin is not None and settings.charging_pin is not None:
                inputs = [
                    open_input(wires, evse, "pilot status", pin, pull_up=not self._yes_is_high)
                    for pin in (settings.connected_pin, settings.charging_pin)
                ]
                self._lines += inputs
                self._inputs = (inputs[0], inputs[1])
        except HalError:
            self.close()
            raise
        self.abilities = PilotAbilities(
            sees_state=self._inputs is not None,
            checks_diode=True,
            drives_contactor=True,
            currents_amps=(settings.current,),
        )

    def read(self) -> PilotReading | None:
        """What the board says; UNKNOWN while nothing can be seen."""
        return PilotReading(
            volts_high=math.nan,
            volts_low=math.nan,
            taken_at_ns=time.monotonic_ns(),
            state=self._state(),
        )

    def set_duty(self, duty: float) -> None:
        """Connect when the duty permits at least the board's current, else cut the pilot."""
        self._is_connected = _permitted_amps(duty) + ROUNDING_AMPS >= self._current
        self._relay.write(self._is_connected)

    def close(self) -> None:
        """Cut the pilot and release the pins."""
        for line in self._lines:
            line.close()
        self._lines.clear()

    def _state(self) -> CpState:
        if self._inputs is None:
            return CpState.UNKNOWN
        plugged, wants = (line.is_high() is self._yes_is_high for line in self._inputs)
        if self._is_connected:
            if wants:
                return CpState.C2
            return CpState.B2 if plugged else CpState.A2
        if self._plug_contact:
            return CpState.B1 if plugged else CpState.A1
        return CpState.UNKNOWN


def _permitted_amps(duty: float) -> float:
    """What a vehicle may draw at this duty (IEC 61851-1 Table A.8); 0 = nothing."""
    percent = round(duty * 100, 6)
    if 10 <= percent <= 85:
        return percent * 0.6
    if 85 < percent <= 97:
        return min((percent - 64) * 2.5, 80.0)
    return 0.0
