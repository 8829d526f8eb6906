"""Motor lock of a socket outlet: H-bridge on two pins, feedback switch on a third.

Reference: docs/wiring.md "Lock". The pulse ends here when `state` is polled after its time;
hardware must bound it too (a dead process may leave the motor driven). Retries are decided above.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from hal.errors import HalError
from hal.pins import LEVELS, LOW, Input, Output, open_input, open_output
from hal.registry import driver
from hal.settings import setting
from hal.types import LockState
from hal.wires import Wires

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Pins are BCM numbers."""

    lock_pin: int = setting("H-bridge input that locks, active high", minimum=0, maximum=53)
    unlock_pin: int = setting("H-bridge input that unlocks, active high", minimum=0, maximum=53)
    feedback_pin: int = setting("position switch of the lock", minimum=0, maximum=53)
    feedback_locked: str = setting(
        "level while locked; a broken wire reads as unlocked", default=LOW, choices=LEVELS
    )
    pulse_ms: int = setting("how long the motor is driven", default=600, minimum=50, maximum=3000)
    settle_ms: int = setting(
        "wait after the pulse before the switch is believed", default=100, minimum=0, maximum=2000
    )


@driver("lock", "gpio", Settings)
class GpioLock:
    """One bounded motor pulse per command. `clock`: monotonic ns."""

    def __init__(
        self,
        settings: Settings,
        wires: Wires,
        evse: int,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._clock = clock
        self._pulse_ns = settings.pulse_ms * NS_PER_MS
        self._settle_ns = settings.settle_ms * NS_PER_MS
        self._locked_high = settings.feedback_locked != LOW
        self._pulse_until_ns: int | None = None
        self._settled_at_ns = 0
        self._lines: list[Output | Input] = []
        try:
            self._lock_output = open_output(wires, evse, "lock", settings.lock_pin)
            self._lines.append(self._lock_output)
            self._unlock_output = open_output(wires, evse, "lock", settings.unlock_pin)
            self._lines.append(self._unlock_output)
            self._feedback = open_input(
                wires, evse, "lock feedback", settings.feedback_pin, pull_up=not self._locked_high
            )
            self._lines.append(self._feedback)
        except HalError:
            self.close()
            raise

    def lock(self) -> None:
        """Start to lock."""
        self._drive(self._lock_output, self._unlock_output)

    def unlock(self) -> None:
        """Start to unlock."""
        self._drive(self._unlock_output, self._lock_output)

    def state(self) -> LockState:
        """Where it is; ends the pulse when its time is over."""
        now = self._clock()
        if self._pulse_until_ns is not None:
            if now < self._pulse_until_ns:
                return LockState.MOVING
            self._stop()
            self._settled_at_ns = now + self._settle_ns
        if now < self._settled_at_ns:
            return LockState.MOVING
        locked = self._feedback.is_high() is self._locked_high
        return LockState.LOCKED if locked else LockState.UNLOCKED

    def close(self) -> None:
        """Stop the motor and release the pins."""
        for line in self._lines:
            line.close()
        self._lines.clear()

    def _drive(self, on: Output, off: Output) -> None:
        # Off first: both inputs high would brake or short the bridge.
        off.write(False)
        on.write(True)
        self._pulse_until_ns = self._clock() + self._pulse_ns

    def _stop(self) -> None:
        self._lock_output.write(False)
        self._unlock_output.write(False)
        self._pulse_until_ns = None
