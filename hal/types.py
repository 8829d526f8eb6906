"""Values that cross the hardware boundary; every unit stands in the name."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class CpState(Enum):
    """Control pilot state of IEC 61851-1 Annex A; suffix 1 = no PWM, 2 = PWM."""

    A1 = "A1"
    A2 = "A2"
    B1 = "B1"
    B2 = "B2"
    C1 = "C1"
    C2 = "C2"
    D1 = "D1"
    D2 = "D2"
    E = "E"
    F = "F"
    UNKNOWN = "unknown"
    """The board does not tell, or no valid reading exists yet."""


class LockState(Enum):
    """Position of the connector lock; NONE = tethered cable, nothing to lock."""

    LOCKED = "locked"
    UNLOCKED = "unlocked"
    MOVING = "moving"
    UNKNOWN = "unknown"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotReading:
    """One window of the control pilot, at least two PWM periods long.

    `volts_high`, `volts_low`: plateaus at the EVSE's CP terminal, -15 to +15 V.
    `state`: only for boards that classify by themselves; then the volts are NaN.
    `mixed`: the window saw two different things; the volts mean nothing and count as no state.
    """

    volts_high: float
    volts_low: float
    taken_at_ns: int
    state: CpState | None = None
    mixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotAbilities:
    """What a pilot driver can do; the interlock asks only for what is seen.

    `currents_amps`: the fixed currents the board can offer; empty = any current of `duty.py`.
    """

    sees_state: bool
    checks_diode: bool
    drives_contactor: bool = False
    currents_amps: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterReading:
    """One poll of an energy meter. None = this meter does not have the value; 0 is never invented.

    `energy_wh`: Energy.Active.Import.Register, the absolute counter.
    `taken_at_ns`: CLOCK_MONOTONIC when the poll *started*.
    `refresh_ms`: how old the meter's own values may be (its internal refresh period).
    """

    energy_wh: float
    taken_at_ns: int
    energy_export_wh: float | None = None
    power_w: float | None = None
    amps: tuple[float | None, float | None, float | None] = (None, None, None)
    volts: tuple[float | None, float | None, float | None] = (None, None, None)
    power_factor: float | None = None
    frequency_hz: float | None = None
    refresh_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningContext:
    """What a signing meter is told about whom it measures for. "" = not known."""

    id_token: str
    evse_id: str = ""
    tariff_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRecord:
    """What a meter has signed; `data` is passed on as it is.

    `encoding`: "OCMF", "EDL" …; `signing_method`: "" = it stands in the data.
    `covers_begin`: this end record holds the begin value too, in one container.
    """

    data: str
    encoding: str
    signing_method: str = ""
    covers_begin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterIdentity:
    """Who the meter is; a changed serial number means a meter exchange."""

    vendor: str
    model: str
    serial_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRead:
    """A card shown once. `uid`: upper-case hex in transmission order, 4, 5, 7 or 10 bytes."""

    uid: str
    taken_at_ns: int
    evses: tuple[int, ...] = field(default=())
    """EVSEs the reader stands at; empty = not known."""
