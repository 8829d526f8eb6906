"""The IEC 61851-1 control pilot machine: one table, each row with its clause, interpreted by transitions.

The table decides what the pilot shows; whether the contactor may be closed is decided each tick by
`interlock.py`, level-triggered, never here. `python -m controller.core.iec61851` prints docs/state-machine.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import partial
from typing import NamedTuple

import transitions

from hal.types import CpState as Cp


class PilotEvent(Enum):
    """What can happen to the pilot: debounced levels, the guard's decisions, its timers."""

    SEEN_A = "seen_a"
    SEEN_B = "seen_b"
    SEEN_C = "seen_c"
    SEEN_D = "seen_d"
    SEEN_E = "seen_e"
    LOST = "lost"
    """out of every window for more than 3 windows"""
    OFFER = "offer"
    """at least 6 A may be signalled"""
    WITHDRAW = "withdraw"
    """nothing may be signalled any more: the normal end"""
    GRACE_OVER = "grace_over"
    """6 s after the withdrawal"""
    TRIP = "trip"
    """a fault of severity H was raised"""
    WAKE = "wake"
    """30 s in B2 without C"""
    F_OVER = "f_over"
    """state F was held long enough"""


class Command(Enum):
    """What a transition asks of the guard."""

    OPEN = "open"
    """no grace any more"""
    PWM_ON = "pwm_on"
    PWM_OFF = "pwm_off"
    START_GRACE = "start_grace"
    PILOT_F = "pilot_f"
    UNLOCK = "unlock"


class Rule(NamedTuple):
    """One row. `dest` None = stay. `when`: names of conditions, all true. `ref`: clause of IEC 61851-1:2017."""

    event: PilotEvent
    source: tuple[Cp, ...]
    dest: Cp | None
    when: tuple[str, ...] = ()
    do: tuple[Command, ...] = ()
    ref: str = ""


E = PilotEvent

STATES = (Cp.UNKNOWN, Cp.A1, Cp.B1, Cp.B2, Cp.C1, Cp.C2, Cp.D1, Cp.D2, Cp.E, Cp.F)
PWM_STATES = (Cp.B2, Cp.C2, Cp.D2)
POWER_STATES = (Cp.C2, Cp.D2)
GRACE_STATES = (Cp.C1, Cp.D1)
CONDITIONS = ("ventilated",)

NO, A1, B1, B2, C1, C2, D1, D2, SHORT, F = STATES
OPEN, ON, OFF, GRACE, F_PULSE, UNLOCK = Command
VENTED = ("ventilated",)

TABLE: tuple[Rule, ...] = (
    # event, from, to, only when, does, clause
    Rule(E.SEEN_A,     (NO, B1, SHORT),         A1,    (),     (UNLOCK,),            "A.6 2.1"),
    Rule(E.SEEN_A,     (B2,),                   A1,    (),     (OFF, UNLOCK),        "A.6 2.1"),
    Rule(E.SEEN_A,     (C1, C2, D1, D2),        A1,    (),     (OPEN, OFF, UNLOCK),  "A.6 2.2"),
    Rule(E.SEEN_B,     (NO, A1, SHORT),         B1,    (),     (),                   "A.6 1.1"),
    Rule(E.SEEN_B,     (C2, D2),                B2,    (),     (OPEN,),              "A.6 7"),
    Rule(E.SEEN_B,     (C1, D1),                B1,    (),     (OPEN,),              "A.6 8.2"),
    Rule(E.SEEN_C,     (NO, A1, B1, D1, SHORT), C1,    (),     (),                   "A.6 1.2"),
    Rule(E.SEEN_C,     (B2, D2),                C2,    (),     (),                   "A.6 4"),
    Rule(E.SEEN_D,     (NO, A1, B1, SHORT),     D1,    (),     (),                   "A.6 1.2"),
    Rule(E.SEEN_D,     (C1,),                   D1,    VENTED, (),                   "A.6 1.2"),
    Rule(E.SEEN_D,     (C1,),                   D1,    (),     (OPEN,),              "A.4 state D"),
    Rule(E.SEEN_D,     (B2, C2),                D2,    VENTED, (),                   "A.6 4"),
    Rule(E.SEEN_D,     (B2, C2),                D1,    (),     (OPEN, OFF),          "A.4 state D"),
    Rule(E.SEEN_E,     (NO, A1, B1),            SHORT, (),     (),                   "A.6 12"),
    Rule(E.SEEN_E,     (B2,),                   SHORT, (),     (OFF,),               "A.6 12"),
    Rule(E.SEEN_E,     (C1, C2, D1, D2),        SHORT, (),     (OPEN, OFF),          "A.6 12"),
    Rule(E.LOST,       (A1, B1, SHORT),         NO,    (),     (),                   "A.4 levels"),
    Rule(E.LOST,       (B2,),                   NO,    (),     (OFF,),               "A.4 levels"),
    Rule(E.LOST,       (C1, C2, D1, D2),        NO,    (),     (OPEN, OFF),          "A.4 levels"),
    Rule(E.OFFER,      (B1,),                   B2,    (),     (ON,),                "A.6 3.1"),
    Rule(E.OFFER,      (C1,),                   C2,    (),     (ON,),                "A.6 3.2"),
    Rule(E.OFFER,      (D1,),                   D2,    VENTED, (ON,),                "A.6 3.2"),
    Rule(E.OFFER,      (D1,),                   None,  (),     (),                   "A.4 state D"),
    Rule(E.WITHDRAW,   (B2,),                   B1,    (),     (OFF,),               "A.6 9.1"),
    Rule(E.WITHDRAW,   (C2,),                   C1,    (),     (OFF, GRACE),         "A.6 10.1"),
    Rule(E.WITHDRAW,   (D2,),                   D1,    (),     (OFF, GRACE),         "A.6 10.1"),
    Rule(E.GRACE_OVER, (C1, D1),                None,  (),     (OPEN,),              "A.6 10.2"),
    Rule(E.TRIP,       (B2,),                   B1,    (),     (OFF,),               "A.5.2 fault in B"),
    Rule(E.TRIP,       (C1, C2, D1, D2, SHORT), F,     (),     (OPEN, OFF, F_PULSE), "A.5.2 fault in C"),
    Rule(E.WAKE,       (B2,),                   F,     (),     (OFF, F_PULSE),       "A.5.3"),
    Rule(E.F_OVER,     (F,),                    NO,    (),     (),                   "A.5.2"),
)  # fmt: skip

_SEEN = (E.SEEN_A, E.SEEN_B, E.SEEN_C, E.SEEN_D, E.SEEN_E, E.LOST)
IGNORED: frozenset[tuple[PilotEvent, Cp]] = frozenset(
    [(event, Cp.F) for event in _SEEN]  # the EVSE drives the level itself, nothing is read
    + [
        (E.SEEN_A, Cp.A1),
        (E.SEEN_B, Cp.B1),
        (E.SEEN_B, Cp.B2),
        (E.SEEN_C, Cp.C1),
        (E.SEEN_C, Cp.C2),
    ]
    + [(E.SEEN_D, Cp.D1), (E.SEEN_D, Cp.D2), (E.SEEN_E, Cp.E), (E.LOST, Cp.UNKNOWN)]
    + [(E.OFFER, state) for state in (Cp.UNKNOWN, Cp.A1, Cp.B2, Cp.C2, Cp.D2, Cp.E, Cp.F)]
    + [(E.WITHDRAW, state) for state in (Cp.UNKNOWN, Cp.A1, Cp.B1, Cp.C1, Cp.D1, Cp.E, Cp.F)]
    + [(E.GRACE_OVER, state) for state in STATES if state not in GRACE_STATES]
    + [(E.TRIP, state) for state in (Cp.UNKNOWN, Cp.A1, Cp.B1, Cp.F)]  # nothing is signalled there
    + [(E.WAKE, state) for state in STATES if state is not Cp.B2]
    + [(E.F_OVER, state) for state in STATES if state is not Cp.F]
)


def check_table(
    table: Sequence[Rule] = TABLE, ignored: frozenset[tuple[PilotEvent, Cp]] = IGNORED
) -> list[str]:
    """Every problem of the table; empty = complete, unambiguous, and power states open when left."""
    problems: list[str] = []
    listed: set[tuple[PilotEvent, Cp]] = set()
    closed_off: set[tuple[PilotEvent, Cp]] = set()
    for number, rule in enumerate(table, 1):
        where = f"row {number} ({rule.event.value})"
        problems += [
            f"{where}: unknown condition {name!r}" for name in rule.when if name not in CONDITIONS
        ]
        problems += [
            f"{where}: unknown state {s}"
            for s in (*rule.source, rule.dest or Cp.A1)
            if s not in STATES
        ]
        if not rule.source:
            problems.append(f"{where}: no source state")
        if not rule.ref:
            problems.append(f"{where}: no clause")
        for state in rule.source:
            pair = (rule.event, state)
            if pair in closed_off:
                problems.append(f"{where}: from {state.value} it is shadowed by a row above")
            if pair in ignored:
                problems.append(f"{where}: from {state.value} it is also declared ignored")
            listed.add(pair)
            if not rule.when:
                closed_off.add(pair)
            problems += _leaving_problems(where, rule, state)
    for event in PilotEvent:
        for state in STATES:
            pair = (event, state)
            if pair not in listed and pair not in ignored:
                problems.append(f"{event.value} in {state.value} is neither listed nor ignored")
            elif pair in listed and pair not in closed_off:
                problems.append(f"{event.value} in {state.value} has no row for unmet conditions")
    return problems


def _leaving_problems(where: str, rule: Rule, state: Cp) -> list[str]:
    """Leaving a state in which the contactor may be closed commands opening, or starts the 6 s."""
    may_be_closed = (*POWER_STATES, *GRACE_STATES)
    stays = rule.dest is None or (
        rule.dest in may_be_closed and rule.dest in (state, *POWER_STATES)
    )
    ventilated = "ventilated" in rule.when and rule.dest in may_be_closed
    eased = state is Cp.D1 and rule.dest is Cp.C1  # still within the same 6 s
    if state not in may_be_closed or stays or ventilated or eased:
        return []
    if Command.OPEN in rule.do:
        return []
    ends = rule.event is PilotEvent.WITHDRAW and Command.START_GRACE in rule.do
    if state in POWER_STATES and rule.dest in GRACE_STATES and ends:
        return []
    return [f"{where}: leaves {state.value} without opening"]


class _Model:
    """What the rows may ask, and where transitions keeps the state."""

    def __init__(self, ventilated: bool) -> None:
        self.ventilated = ventilated
        self.commands: list[Command] = []


def _emit(model: _Model, commands: tuple[Command, ...]) -> None:
    model.commands.extend(commands)


class PilotMachine:
    """One EVSE's pilot. `feed` is the only way to change the state."""

    def __init__(self, *, ventilated: bool = False) -> None:
        self._model = _Model(ventilated)
        self._machine = transitions.Machine(
            model=self._model,
            states=[state.value for state in STATES],
            initial=Cp.UNKNOWN.value,
            transitions=[self._declare(rule) for rule in TABLE],
            auto_transitions=False,
            queued=False,
            send_event=False,
        )
        self.state = Cp.UNKNOWN

    def _declare(self, rule: Rule) -> dict[str, object]:
        return {
            "trigger": rule.event.value,
            "source": [state.value for state in rule.source],
            "dest": None if rule.dest is None else rule.dest.value,
            "conditions": list(rule.when),
            "before": [partial(_emit, self._model, rule.do)] if rule.do else [],
        }

    def feed(self, event: PilotEvent) -> tuple[Command, ...]:
        """Apply one event; returns the commands of the row that matched, () when it means nothing here."""
        if (event, self.state) in IGNORED:
            return ()
        self._model.commands = []
        self._model.trigger(event.value)  # type: ignore[attr-defined]
        self.state = Cp(self._model.state)  # type: ignore[attr-defined]
        return tuple(self._model.commands)


def render_markdown() -> str:
    """docs/state-machine.md: the table and its diagram."""
    lines = [
        "# The IEC 61851 state machine",
        "",
        "Generated from `controller/core/iec61851.py`; do not edit.",
        "Write it with `python -m controller.core.iec61851 > docs/state-machine.md`.",
        "",
        "The table says what the pilot shows. The contactor follows `controller/core/interlock.py`, every tick.",
        "",
        "| event | from | to | only when | does | IEC 61851-1 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for rule in TABLE:
        lines.append(
            f"| {rule.event.value} | {', '.join(s.value for s in rule.source)} "
            f"| {rule.dest.value if rule.dest else 'stays'} | {', '.join(rule.when)} "
            f"| {', '.join(c.value for c in rule.do)} | {rule.ref} |"
        )
    lines += ["", "Every pair that is not listed means nothing in that state:", ""]
    for event in PilotEvent:
        states = [s.value for s in STATES if (event, s) in IGNORED]
        lines.append(f"- {event.value}: {', '.join(states)}")
    return "\n".join([*lines, "", "```mermaid", *_mermaid(), "```", ""])


def _mermaid() -> list[str]:
    lines = ["stateDiagram-v2", "    [*] --> unknown"]
    for rule in TABLE:
        guard = f" [{', '.join(rule.when)}]" if rule.when else ""
        for state in rule.source:
            lines.append(
                f"    {state.value} --> {(rule.dest or state).value}: {rule.event.value}{guard}"
            )
    return lines


if __name__ == "__main__":
    print(render_markdown(), end="")
