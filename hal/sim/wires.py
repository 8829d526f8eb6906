"""Virtual wires in the process of the driver: pins, PWM files, ADC and serial ports of the bench."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gpiozero.exc import PinSetInput  # type: ignore[import-untyped,unused-ignore]
from gpiozero.pins.mock import MockFactory, MockPin  # type: ignore[import-untyped,unused-ignore]

from hal.sim.circuit_file import CircuitFile
from hal.sim.pwm_tree import PwmView
from hal.sim.spi_stub import Board, SpiStub

OutputChanged = Callable[[int, bool, int], None]
"""Pin number, level, CLOCK_MONOTONIC ns."""


class WorldPin(MockPin):  # type: ignore[misc]
    """A pin whose other end is in the bench."""

    _function: str

    def __init__(self, factory: WorldFactory, info: Any) -> None:
        super().__init__(factory, info)
        self._world = factory

    def _set_function(self, value: str) -> None:
        was_output = self._function == "output"
        if value == "output":
            self._state = False
            self._function = value
            if not was_output:
                self._world.output(self._number, False)
            return
        super()._set_function(value)
        if was_output:
            self._world.output(self._number, False)

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        driven = self._world.levels.get(self._number)
        if driven is not None:
            self.world_drives(driven)

    def _set_state(self, value: float) -> None:
        if self._function == "input":
            raise PinSetInput(f"cannot set state of pin {self!r}")
        level = bool(value)
        if level != self._state:
            self._state = level
            self._world.output(self._number, level)

    def _change_state(self, value: bool) -> bool:
        if self._state == value:
            return False
        self._state = value
        self._last_change = time.monotonic()
        return True

    def world_drives(self, level: bool) -> None:
        """The bench set this input."""
        if self._function != "input":
            return
        if level:
            self.drive_high()
        else:
            self.drive_low()


class WorldFactory(MockFactory):  # type: ignore[misc]
    """The pins of one EVSE. `levels`: what the bench drives; a pin absent there floats to its pull."""

    def __init__(self, levels: Mapping[int, bool], changed: OutputChanged) -> None:
        super().__init__(pin_class=WorldPin)
        self.levels = dict(levels)
        self.local: dict[int, Callable[[bool], None]] = {}
        """Outputs that stay in this process."""
        self.low: int | None = None
        """The output that the bench was told to be low before this factory existed."""
        self._changed = changed

    def output(self, number: int, level: bool) -> None:
        """An output pin got this level."""
        if number == self.low:
            self.low = None
            if not level:
                return
        local = self.local.get(number)
        if local is not None:
            local(level)
        else:
            self._changed(number, level, time.monotonic_ns())

    def drive(self, number: int, level: bool | None) -> None:
        """The bench set an input; None = the wire is cut."""
        if level is None:
            self.levels.pop(number, None)
        else:
            self.levels[number] = level
        for pin in list(self.pins.values()):
            if pin._number == number:
                if level is None:
                    level = pin.pull == "up"
                pin.world_drives(level)


class EvseWires:
    """All wires of one EVSE."""

    def __init__(
        self,
        directory: Path,
        tables: Mapping[str, Any],
        levels: Mapping[int, bool],
        changed: OutputChanged,
        gone: Callable[[], bool],
    ) -> None:
        pilot = tables.get("pilot") or {}
        contactor = tables.get("contactor") or {}
        self.pwm_root = directory / "pwm"
        self._circuit = CircuitFile(directory / "circuit")
        channel = int(pilot.get("channel", 0))
        self._pwm = PwmView(
            self.pwm_root / str(pilot.get("chip", "pwmchip0")) / f"pwm{channel}",
            inverted=bool(pilot.get("inverted", False)),
        )
        self.factory = WorldFactory(levels, changed)
        self.spi = SpiStub(
            self._circuit,
            self._pwm,
            now_ns=time.monotonic_ns,
            gone=gone,
            rng=random.Random(),
            board=Board.of(pilot, tables.get("proximity") or {}),
        )
        reset_pin = pilot.get("hold_reset_pin")
        if reset_pin is not None:
            self.factory.local[int(reset_pin)] = self.spi.reset_hold
        heartbeat_pin = contactor.get("heartbeat_pin")
        if heartbeat_pin is not None:
            self.factory.local[int(heartbeat_pin)] = self._beat

    def _beat(self, level: bool) -> None:
        """The heartbeat goes by shared memory: no message per tick."""
        self._circuit.beat(time.monotonic_ns())

    def close(self) -> None:
        """Release pins and files."""
        self.factory.close()
        self._pwm.close()
        self._circuit.close()
