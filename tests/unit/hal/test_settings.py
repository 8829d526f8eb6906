"""hal.settings: every problem at once, with what is allowed (DESIGN §1.8)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hal.settings import parse, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    pin: int = setting("a pin", minimum=0, maximum=53)
    mirror_pin: int | None = setting("another", default=None, minimum=0, maximum=53)
    kind: str = setting("a kind", default="nc", choices=("nc", "no"))
    gain: float = setting("a factor", default=1.0, minimum=0.5, maximum=2)
    inverted: bool = setting("a switch", default=False)
    evses: tuple[int, ...] = setting("a list", default=())


def test_defaults_and_given_values() -> None:
    made, problems = parse(Settings, {"driver": "x", "wires": "sim", "pin": 17, "gain": 2})
    assert not problems
    assert made == Settings(pin=17, gain=2.0)
    assert isinstance(made.gain, float)


def test_a_list_becomes_a_tuple() -> None:
    made, _ = parse(Settings, {"pin": 1, "evses": [1, 2]})
    assert made is not None
    assert made.evses == (1, 2)


@pytest.mark.parametrize(
    ("table", "key", "text"),
    [
        ({}, "pin", "is required: a pin"),
        ({"pin": "17"}, "pin", "must be a whole number, got '17'"),
        ({"pin": True}, "pin", "must be a whole number, got True"),
        ({"pin": 1.5}, "pin", "must be a whole number"),
        ({"pin": 54}, "pin", "must be 0 to 53, got 54"),
        ({"pin": 1, "mirror_pin": -1}, "mirror_pin", "must be 0 to 53"),
        ({"pin": 1, "mirror_pin": "x"}, "mirror_pin", "must be a whole number"),
        ({"pin": 1, "kind": "nx"}, "kind", "must be one of 'nc', 'no', got 'nx'"),
        ({"pin": 1, "gain": 3}, "gain", "must be 0.5 to 2, got 3"),
        ({"pin": 1, "inverted": 1}, "inverted", "must be true or false, got 1"),
        ({"pin": 1, "evses": 1}, "evses", "must be a list"),
        ({"pin": 1, "mirorpin": 3}, "mirorpin", "did you mean 'mirror_pin'?"),
    ],
)
def test_problems_say_what_is_allowed(table: dict[str, object], key: str, text: str) -> None:
    made, problems = parse(Settings, table)
    assert made is None
    assert [p.key for p in problems] == [key]
    assert text in problems[0].text


def test_all_problems_at_once() -> None:
    _, problems = parse(Settings, {"gain": 9, "kind": 1, "what": 2})
    assert sorted(p.key for p in problems) == ["gain", "kind", "pin", "what"]
