"""What guard and station say to each other: one JSON object a line over a Unix socket.

Down (station, CLI → guard): Hello, Offer, Withdraw, RaiseFault, ClearFault, Lock, Unlock, SelfTest,
SwitchPhases, FactsSince. Up: Welcome, Fact, Snapshot. Permission goes down, confirmation comes up.
A message of another VERSION is answered with Welcome and the connection is closed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

VERSION = 1


class FactKind(StrEnum):
    """What happened at the guard, past tense."""

    GUARD_STARTED = "guard_started"
    PLUGGED = "plugged"
    UNPLUGGED = "unplugged"
    PILOT = "pilot"
    """value = CpState name, debounced"""
    CONTACTOR_CLOSED = "contactor_closed"
    CONTACTOR_OPENED = "contactor_opened"
    """both confirmed by the mirror contact where there is one"""
    OFFERED = "offered"
    """value = amps now signalled, 0 = PWM off; detail = why"""
    HOLD_STARTED = "hold_started"
    HOLD_ENDED = "hold_ended"
    FAULT_RAISED = "fault_raised"
    """value = catalogue name; detail = what was seen"""
    FAULT_CLEARED = "fault_cleared"
    LOCK = "lock"
    """value = LockState value"""
    SELF_TEST = "self_test"
    """value = "passed" | "failed" """
    CABLE = "cable"
    """value = amps the cable carries"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """First message on a connection. `role`: "station", "cli"; only the station's offers count."""

    role: str
    pid: int
    version: int = VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Permission for one plug-in. `max_amps` >= 6 or 0 (pause); valid for `valid_s` from arrival."""

    evse: int
    plug_id: int
    max_amps: float
    phases: int = 1
    valid_s: float = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """No permission any more: PWM off, the normal end (6 s rule). `plug_id` must match."""

    evse: int
    plug_id: int
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseFault:
    """A fault that only the station can see (meter-based over-current, meter silent, `other` …)."""

    evse: int
    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearFault:
    """The cause is gone (`by` = "cause") or a person clears the latch (`by` = "command")."""

    evse: int
    name: str
    by: str = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Lock the connector. `keep`: unplugging at the vehicle does not unlock it, only Unlock does."""

    evse: int
    keep: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlock:
    """Unlock the connector; refused while the contactor is closed. Stays open until the next plug-in."""

    evse: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """Run the self-test now (only with the contactor open)."""

    evse: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchPhases:
    """Change between one and three phases by the safe sequence."""

    evse: int
    phases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsSince:
    """Send all facts with a number > n that the ring still has, then go on live."""

    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """The guard's answer to Hello. `guard_id` is new at each guard start; `boot_id` at each host boot."""

    guard_id: str
    boot_id: str
    last_n: int
    first_n: int
    version: int = VERSION
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One numbered fact. `at_ns` is CLOCK_MONOTONIC of the guard."""

    n: int
    at_ns: int
    evse: int
    kind: FactKind
    plug_id: int = 0
    value: str | float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultView:
    """A fault that is present or latched. `active`: the cause is still there."""

    name: str
    detail: str
    latched: bool
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseSnapshot:
    """One EVSE now. `refusal`: "" or the interlock's reason why the contactor may not close.

    `permitted_amps`: the newest offer (or the hold offer); what is signalled may still be on its way there.
    """

    evse: int
    plugged: bool
    plug_id: int
    state: str
    contactor_commanded: bool
    contactor_closed: bool
    offered_amps: float
    hold: bool
    refusal: str
    lock: str
    self_test: str
    phases: int
    cable_amps: float | None = None
    permitted_amps: float = 0.0
    faults: tuple[FaultView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything now; sent every second and after each batch of facts."""

    at_ns: int
    last_n: int
    evses: tuple[EvseSnapshot, ...] = field(default=())
    tick_late_ms_max: float = 0.0


Down = (
    Hello
    | Offer
    | Withdraw
    | RaiseFault
    | ClearFault
    | Lock
    | Unlock
    | SelfTest
    | SwitchPhases
    | FactsSince
)
Up = Welcome | Fact | Snapshot
Message = Down | Up

_KINDS: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        Hello, Offer, Withdraw, RaiseFault, ClearFault, Lock, Unlock, SelfTest, SwitchPhases, FactsSince,
        Welcome, Fact, Snapshot,
    )
}  # fmt: skip


def encode(message: Message) -> bytes:
    """One line, newline included."""
    body = asdict(message)
    body["type"] = type(message).__name__
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Inverse of `encode`. Raises ValueError for anything that is not one of our messages."""
    try:
        body = json.loads(line)
        cls = _KINDS[body.pop("type")]
        if cls is Fact:
            body["kind"] = FactKind(body["kind"])
        if cls is Snapshot:
            body["evses"] = tuple(_evse(evse) for evse in body["evses"])
        message: Message = cls(**body)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"not a guard message: {line[:80]!r} ({error})") from error
    return message


def _evse(body: dict[str, Any]) -> EvseSnapshot:
    body["faults"] = tuple(FaultView(**fault) for fault in body["faults"])
    return EvseSnapshot(**body)
