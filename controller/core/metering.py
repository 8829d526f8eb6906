"""From one meter poll to sampled values, and whether the register can be true."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from controller.core.model import SampledValue
from hal.types import MeterReading

REGISTER = "Energy.Active.Import.Register"
PHASES = ("L1", "L2", "L3")
_PHASE_SUFFIXES = (*PHASES, "L1-N", "L2-N", "L3-N")

JUMP_TOLERANCE_WH = 100.0
"""Steps of a coarse register, and polls that came late."""
BACKWARDS_TOLERANCE_WH = 0.5
"""Rounding inside the meter."""
BACKWARDS_POLLS = 3
"""Outside a transaction one step back is another meter; this many in a row is a broken one."""

Three = tuple[float | None, float | None, float | None]


def sampled_values(
    measurands: Iterable[str], reading: MeterReading, offered_amps: float, volts: float, phases: int
) -> tuple[SampledValue, ...]:
    """What the meter has of `measurands` ("Voltage", "Voltage.L1" …), all phases unless one is named.

    `offered_amps`, `volts` (nominal), `phases`: for Current.Offered and Power.Offered. R16-MV-4.
    """
    found: list[SampledValue] = []
    for name in measurands:
        measurand, phase = split_phase(name)
        if measurand == REGISTER and not phase:
            found.append(SampledValue(value=reading.energy_wh))
        elif measurand == "Energy.Active.Export.Register" and not phase:
            found += _one(measurand, "Wh", reading.energy_export_wh)
        elif measurand == "Power.Active.Import" and not phase:
            found += _one(measurand, "W", reading.power_w)
        elif measurand == "Power.Factor" and not phase:
            found += _one(measurand, "", reading.power_factor)
        elif measurand == "Frequency" and not phase:
            found += _one(measurand, "", reading.frequency_hz)
        elif measurand == "Current.Offered" and not phase:
            found += _one(measurand, "A", offered_amps)
        elif measurand == "Power.Offered" and not phase:
            found += _one(measurand, "W", offered_amps * volts * phases)
        elif measurand == "Current.Import":
            found += _per_phase(measurand, "A", reading.amps, phase, "")
        elif measurand == "Voltage":
            found += _per_phase(measurand, "V", reading.volts, phase, "-N")
    return tuple(found)


def split_phase(name: str) -> tuple[str, str]:
    """("Voltage", "L1") for "Voltage.L1"."""
    head, _, tail = name.rpartition(".")
    return (head, tail) if head and tail in _PHASE_SUFFIXES else (name, "")


def _one(measurand: str, unit: str, value: float | None) -> list[SampledValue]:
    return [] if value is None else [SampledValue(value=value, measurand=measurand, unit=unit)]


def _per_phase(
    measurand: str, unit: str, values: Three, wanted: str, ending: str
) -> list[SampledValue]:
    return [
        SampledValue(value=value, measurand=measurand, unit=unit, phase=wanted or phase + ending)
        for phase, value in zip(PHASES, values, strict=True)
        if value is not None and wanted[:2] in ("", phase)
    ]


class Verdict(Enum):
    """What a register value means."""

    GOOD = "good"
    METER_CHANGED = "meter changed"
    """Outside a transaction: another meter, or set by hand; taken as the new register."""
    BACKWARDS = "backwards"
    JUMPED = "jumped"
    """More than the contactor could have let through; not used inside a transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict and what was seen, for the fault's detail."""

    verdict: Verdict
    detail: str = ""


class RegisterJudge:
    """Compares each register with the last believed one; `max_power_w` is what the EVSE can pass."""

    def __init__(self, max_power_w: float) -> None:
        self._max_power_w = max_power_w
        self._wh: float | None = None
        self._at_ns = 0
        self._falls = 0
        self._last_seen_wh: float | None = None

    def expect(self, energy_wh: float, at_ns: int) -> None:
        """The register of an open transaction as it was kept; nobody has seen the meter since."""
        self._wh, self._at_ns = energy_wh, at_ns

    def judge(self, reading: MeterReading, *, in_transaction: bool) -> Judgement:
        """One new poll. Only GOOD and METER_CHANGED values may be used."""
        wh, believed, seen = reading.energy_wh, self._wh, self._last_seen_wh
        fell = seen is not None and wh < seen - BACKWARDS_TOLERANCE_WH
        self._falls = self._falls + 1 if fell else 0
        self._last_seen_wh = wh
        if believed is None:
            return self._believe(reading, Verdict.GOOD)
        detail = f"{believed:.0f} Wh, then {wh:.0f} Wh"
        if wh < believed - BACKWARDS_TOLERANCE_WH:
            if in_transaction or self._falls >= BACKWARDS_POLLS:
                if not in_transaction:
                    self._believe(reading, Verdict.BACKWARDS)
                return Judgement(verdict=Verdict.BACKWARDS, detail=detail)
            return self._believe(reading, Verdict.METER_CHANGED, detail)
        hours = max(reading.taken_at_ns - self._at_ns, 0) / 3.6e12
        if wh > believed + self._max_power_w * hours + JUMP_TOLERANCE_WH:
            if in_transaction:
                return Judgement(verdict=Verdict.JUMPED, detail=detail)
            return self._believe(reading, Verdict.METER_CHANGED, detail)
        return self._believe(reading, Verdict.GOOD)

    def _believe(self, reading: MeterReading, verdict: Verdict, detail: str = "") -> Judgement:
        self._wh, self._at_ns = reading.energy_wh, reading.taken_at_ns
        return Judgement(verdict=verdict, detail=detail)


OVER_CURRENT_S = 7.0
"""A vehicle has 5 s to follow a smaller offer (IEC 61851-1 A.3.10); then 2 s for the meter."""


class OverCurrentWatch:
    """Current above 1.1 × (offer + 0.5 A) for 7 s; the meter's own readings are the evidence."""

    def __init__(self) -> None:
        self._since_ns: int | None = None
        self._offered_amps = 0.0

    @property
    def due_ns(self) -> int | None:
        """When a reading is needed to be sure; None = nothing is suspicious."""
        return None if self._since_ns is None else self._since_ns + int(OVER_CURRENT_S * 1e9)

    def check(self, reading: MeterReading, offered_amps: float) -> str:
        """What was seen, or an empty text. `offered_amps` is what the pilot signals now."""
        drawn = max((a for a in reading.amps if a is not None), default=0.0)
        if drawn <= 1.1 * (offered_amps + 0.5) or offered_amps <= 0:
            self._since_ns = None
            return ""
        if self._since_ns is None or offered_amps < self._offered_amps:
            self._since_ns = reading.taken_at_ns
        self._offered_amps = offered_amps
        if (reading.taken_at_ns - self._since_ns) / 1e9 < OVER_CURRENT_S:
            return ""
        self._since_ns = None
        return f"{drawn:.1f} A drawn, {offered_amps:.1f} A offered"
