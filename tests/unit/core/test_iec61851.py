"""The table of the pilot machine is complete, unambiguous, safe, and is what the docs show."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.core.iec61851 import (
    IGNORED,
    POWER_STATES,
    STATES,
    TABLE,
    Command,
    PilotEvent,
    PilotMachine,
    Rule,
    check_table,
    render_markdown,
)
from hal.types import CpState

E = PilotEvent
DOCS = Path(__file__).parents[3] / "docs" / "state-machine.md"


def test_table_has_no_problem() -> None:
    assert check_table() == []


@pytest.mark.parametrize("number", range(len(TABLE)))
def test_every_missing_row_is_noticed(number: int) -> None:
    table = [rule for n, rule in enumerate(TABLE) if n != number]
    if TABLE[number].when or TABLE[number].dest is None:
        pytest.skip("an unconditional row of the same event remains, or covers it")
    assert check_table(table)


@pytest.mark.parametrize("pair", sorted(IGNORED, key=str))
def test_every_missing_ignore_is_noticed(pair: tuple[PilotEvent, CpState]) -> None:
    assert check_table(TABLE, IGNORED - {pair})


def test_leaving_power_without_opening_is_noticed() -> None:
    for rule in TABLE:
        if Command.OPEN in rule.do and set(rule.source) & set(POWER_STATES) and rule.dest:
            mute = rule._replace(do=tuple(c for c in rule.do if c is not Command.OPEN))
            table = [mute if r is rule else r for r in TABLE]
            assert any("without opening" in p for p in check_table(table)), rule


def test_other_mistakes_are_noticed() -> None:
    bad = [
        Rule(E.SEEN_A, (CpState.B1,), CpState.A1, ref="x"),
        Rule(E.SEEN_B, (CpState.A2,), CpState.B1, ref="x"),
        Rule(E.OFFER, (CpState.B1,), CpState.B2, ("may_fly",), ref="x"),
        Rule(E.OFFER, (), CpState.B2),
        Rule(E.LOST, (CpState.F,), CpState.UNKNOWN, ref="x"),
    ]
    text = "\n".join(check_table([*TABLE, *bad]))
    for words in (
        "shadowed",
        "unknown state",
        "unknown condition",
        "no source",
        "no clause",
        "ignored",
    ):
        assert words in text


@pytest.mark.parametrize("ventilated", [False, True])
@pytest.mark.parametrize("rule", TABLE, ids=lambda r: f"{r.event.value}-{r.ref}")
def test_each_row_does_what_it_says(rule: Rule, ventilated: bool) -> None:
    if ("ventilated" in rule.when) is not ventilated and (rule.when or ventilated):
        return
    for source in rule.source:
        machine = PilotMachine(ventilated=ventilated)
        machine._model.state = source.value  # type: ignore[attr-defined]
        machine.state = source
        assert machine.feed(rule.event) == rule.do
        assert machine.state is (rule.dest or source)


def test_every_pair_can_be_fed() -> None:
    for state in STATES:
        for event in PilotEvent:
            machine = PilotMachine()
            machine._model.state = state.value  # type: ignore[attr-defined]
            machine.state = state
            machine.feed(event)
            assert machine.state in STATES


def test_docs_page_is_generated_from_the_table() -> None:
    text = render_markdown()
    assert "stateDiagram-v2" in text
    assert DOCS.read_text() == text, (
        "run: python -m controller.core.iec61851 > docs/state-machine.md"
    )
