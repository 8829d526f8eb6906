"""What the sharing of the supply is told about each EVSE, and what it grants (DESIGN §1.7)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.core.duty import floor_tenths

UNLIMITED = float("inf")
RESIDUE_AMPS = 1e-6
Phases = tuple[float, float, float]
"""Amps on L1, L2, L3 of the supply."""
NO_LIMIT: Phases = (UNLIMITED, UNLIMITED, UNLIMITED)
ROTATIONS = {"RST": (0, 1, 2), "RTS": (0, 2, 1), "SRT": (1, 0, 2), "STR": (1, 2, 0),
             "TRS": (2, 0, 1), "TSR": (2, 1, 0)}  # fmt: skip


class LimitedBy(StrEnum):
    """What decides the grant of an EVSE that wants current."""

    EVSE = "evse"
    """its own rating, or the cable's"""
    SHARE = "share"
    """the supply, shared with others"""
    SUPPLY = "supply"
    """the supply as a whole"""
    STATION_PROFILE = "station_profile"
    """the operator's profile for the whole station"""
    PROFILE = "profile"
    """the operator's profile for this EVSE"""
    TURN = "turn"
    """others have their turn"""
    HANDOVER = "handover"
    """others have not given up theirs yet"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the guard told at `at_s` (monotonic). `permitted_amps`: the newest offer it holds."""

    at_s: float
    offered_amps: float = 0.0
    permitted_amps: float = 0.0
    contactor_closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The highest phase current of a poll that started at `at_s` (monotonic)."""

    at_s: float
    amps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One EVSE now. `lines`: which phases of the supply it uses (0 = L1). `profile_amps` None = no profile.

    `least_amps` (>= 6): with less, charging pauses. `wants`: a transaction permits current to what is plugged in. `seen` None = the guard never told.
    """

    evse: int
    max_amps: float
    lines: tuple[int, ...] = (0,)
    profile_amps: float | None = None
    least_amps: float = 6.0
    wants: bool = False
    seen: Seen | None = None
    measured: Measured | None = None

    @property
    def most_amps(self) -> float:
        """What the EVSE and its own profile allow, whatever the supply."""
        profile = UNLIMITED if self.profile_amps is None else self.profile_amps
        return floor_tenths(min(self.max_amps, profile))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What an EVSE may offer now: 0 or at least 6 A on each of its phases; and what decided that."""

    amps: float = 0.0
    by: LimitedBy = LimitedBy.EVSE


def lines_of(phases: int, rotation: str) -> tuple[int, ...]:
    """The phases of the supply behind an EVSE with `phases` of them. `rotation`: "RST", …

    Anything else = nobody said, so it may load any of them and counts on all.
    """
    lines = ROTATIONS.get(rotation)
    return (0, 1, 2) if lines is None else lines[:phases]
