"""What goes into and comes out of one EVSE's guard each tick, and its settings."""

from __future__ import annotations

from dataclasses import dataclass

from controller.core.connector import LockCommand
from hal.types import LockState, PilotAbilities, PilotReading


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseGuardSettings:
    """One EVSE as installed. `failsafe_amps` 0 = pause at once; `hold_s`: longest hold offer."""

    evse: int
    abilities: PilotAbilities
    max_amps: float = 32.0
    phases: int = 1
    failsafe_amps: float = 6.0
    hold_s: float = 600.0
    ventilated: bool = False
    has_rcd: bool = False
    has_proximity: bool = False
    has_temperature: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardInputs:
    """One look at the wires.

    `fresh`: a pilot window was taken for this tick (`reading` None = it was not readable).
    `mirror` None = no mirror contact. `rcd_test_absent`: the device refused to start a self-test.
    `pilot_error`, `internal_error`: what a driver raised; "" = nothing.
    """

    fresh: bool = True
    reading: PilotReading | None = None
    mirror: bool | None = None
    rcd_tripped: bool = False
    rcd_test_absent: bool = False
    emergency_stop: bool = False
    lock: LockState = LockState.NONE
    pp_ohms: float | None = None
    celsius: float | None = None
    pilot_error: str = ""
    internal_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardOutputs:
    """What the wires shall show. `duty`: 1.0 = x1, 0.0 = F. `lock`: a movement to start now.

    `rcd_test`: level of the test output. `read_proximity`: PP is wanted in the next tick.
    """

    closed: bool = False
    duty: float = 1.0
    lock: LockCommand | None = None
    rcd_test: bool = False
    read_proximity: bool = False


SAFE = GuardOutputs()
