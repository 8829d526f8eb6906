"""Fault causes by the names of the bench API. A cause is set and removed here; latches live elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hal.sim.errors import Refused
from hal.sim.evse import NOISY, QUIET, VirtualEvse

NAMES = (
    "rcd",
    "rcd_self_test",
    "no_pe",
    "weld",
    "fail_to_close",
    "outlet_live",
    "over_current",
    "over_voltage",
    "under_voltage",
    "mains_lost",
    "phase_lost",
    "over_temperature",
    "temperature_derate",
    "temperature_sensor",
    "cp_noise",
    "cp_short",
    "diode",
    "ventilation",
    "pp_invalid",
    "cable_cut",
    "lock_jam",
    "unlock_jam",
    "emergency_stop",
    "tilt",
    "shock",
    "door",
    "water",
    "meter_silent",
    "meter_garbage",
    "meter_backwards",
    "reader_dead",
    "pilot_board_lost",
    "supply_low",
    "other",
)


class MeterFaults(Protocol):
    """What can go wrong with a virtual meter."""

    silent: bool
    garbage: bool

    def run_backwards(self, backwards: bool) -> None:
        """The register lost energy, or has it back."""
        ...


class ReaderFaults(Protocol):
    """What can go wrong with a virtual card reader."""

    dead: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The parts that a fault of one EVSE may concern; None = the part does not exist."""

    evse: VirtualEvse
    now_ns: int
    meter: MeterFaults | None
    reader: ReaderFaults | None
    other: Callable[[str, bool], None]
    """Code and whether it is set; Refused while the station is down."""


def set_cause(name: str, target: Target, active: bool, code: str = "") -> None:
    """Set or remove one cause. Raises Refused: 404 unknown, 501 not built, 409 part missing."""
    if name not in NAMES:
        raise Refused(404, f"no fault is called {name!r}; names: {', '.join(NAMES)}")
    act = _BUILT.get(name)
    if act is None:
        raise Refused(501, f"the fault {name!r} is not built yet")
    act(target, active, code)


def _lacks(part: str) -> Refused:
    return Refused(409, f"this EVSE has no {part}")


def _rcd(target: Target, active: bool, code: str) -> None:
    if target.evse.rcd is None:
        raise _lacks("rcd")
    target.evse.rcd.set_tripped(active)


def _rcd_self_test(target: Target, active: bool, code: str) -> None:
    if target.evse.rcd is None:
        raise _lacks("rcd")
    target.evse.rcd.test_broken = active


def _weld(target: Target, active: bool, code: str) -> None:
    target.evse.contactor.set_welded(active, target.now_ns)


def _fail_to_close(target: Target, active: bool, code: str) -> None:
    target.evse.contactor.set_fails_to_close(active, target.now_ns)


def _over_current(target: Target, active: bool, code: str) -> None:
    target.evse.vehicle.over_current = active
    target.evse.vehicle.refresh(target.now_ns)


def _ventilation(target: Target, active: bool, code: str) -> None:
    target.evse.vehicle.ventilation = active
    target.evse.vehicle.refresh(target.now_ns)


def _cp_noise(target: Target, active: bool, code: str) -> None:
    target.evse.noise = NOISY if active else QUIET
    target.evse.circuit_changed()


def _cp_short(target: Target, active: bool, code: str) -> None:
    target.evse.short = active
    target.evse.circuit_changed()


def _diode(target: Target, active: bool, code: str) -> None:
    target.evse.diode_missing = active
    target.evse.circuit_changed()


def _emergency_stop(target: Target, active: bool, code: str) -> None:
    if not target.evse.has_emergency_stop:
        raise _lacks("emergency stop")
    target.evse.press_emergency_stop(active)


def _lock_jam(target: Target, active: bool, code: str) -> None:
    if target.evse.lock is None:
        raise _lacks("lock")
    target.evse.lock.jams_open = active


def _unlock_jam(target: Target, active: bool, code: str) -> None:
    if target.evse.lock is None:
        raise _lacks("lock")
    target.evse.lock.jams_locked = active


def _meter_silent(target: Target, active: bool, code: str) -> None:
    if target.meter is None:
        raise _lacks("meter")
    target.meter.silent = active


def _meter_garbage(target: Target, active: bool, code: str) -> None:
    if target.meter is None:
        raise _lacks("meter")
    target.meter.garbage = active


def _meter_backwards(target: Target, active: bool, code: str) -> None:
    if target.meter is None:
        raise _lacks("meter")
    target.meter.run_backwards(active)


def _reader_dead(target: Target, active: bool, code: str) -> None:
    if target.reader is None:
        raise Refused(409, "no card reader is configured")
    target.reader.dead = active


def _other(target: Target, active: bool, code: str) -> None:
    target.other(code, active)


_BUILT: dict[str, Callable[[Target, bool, str], None]] = {
    "rcd": _rcd,
    "rcd_self_test": _rcd_self_test,
    "weld": _weld,
    "fail_to_close": _fail_to_close,
    "over_current": _over_current,
    "cp_noise": _cp_noise,
    "cp_short": _cp_short,
    "diode": _diode,
    "ventilation": _ventilation,
    "lock_jam": _lock_jam,
    "unlock_jam": _unlock_jam,
    "emergency_stop": _emergency_stop,
    "meter_silent": _meter_silent,
    "meter_garbage": _meter_garbage,
    "meter_backwards": _meter_backwards,
    "reader_dead": _reader_dead,
    "other": _other,
}
