"""When a frame is the awaited one, and how to say what came instead."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Payload = dict[str, Any]


class AnyValue:
    """Matches whatever is there; the field must exist."""

    def __repr__(self) -> str:
        return "ANY"


class AbsentValue:
    """The field must not exist."""

    def __repr__(self) -> str:
        return "ABSENT"


class OneOf:
    """Matches any of some values."""

    def __init__(self, *values: Any) -> None:
        self.values = values

    def __repr__(self) -> str:
        return " or ".join(map(repr, self.values))


ANY = AnyValue()
ABSENT = AbsentValue()
_MISSING = object()


def mismatch(wanted: Mapping[str, Any], payload: Any) -> str:
    """ "" when every wanted field is there and fits, else the first that does not."""
    for name, want in wanted.items():
        value = payload.get(name, _MISSING) if isinstance(payload, Mapping) else _MISSING
        problem = _differs(want, value)
        if problem:
            return f"{name}: {problem}"
    return ""


def _differs(want: Any, value: Any) -> str:
    if isinstance(want, AbsentValue):
        return "" if value is _MISSING else f"is {value!r}, awaited none"
    if value is _MISSING:
        return f"is missing, awaited {describe(want)}"
    if isinstance(want, AnyValue):
        return ""
    if isinstance(want, OneOf):
        return "" if value in want.values else f"is {value!r}, awaited {want!r}"
    if isinstance(want, Mapping):
        return mismatch(want, value)
    if callable(want):
        return "" if want(value) else f"is {value!r}, which does not fit {describe(want)}"
    return "" if value == want else f"is {value!r}, awaited {want!r}"


def describe(want: Any) -> str:
    """A wanted value in a message."""
    if callable(want) and not isinstance(want, (AnyValue, AbsentValue, OneOf)):
        return str(getattr(want, "__doc__", None) or getattr(want, "__name__", "a condition"))
    return repr(want)


def wanted_text(action: str, wanted: Mapping[str, Any]) -> str:
    """`StatusNotification(connectorId=1, status='Charging')`."""
    return f"{action}({', '.join(f'{k}={describe(v)}' for k, v in wanted.items())})"


def payload_text(payload: Any, length: int = 160) -> str:
    """A payload in one short line."""
    text = json.dumps(payload, separators=(",", ":"), default=str)
    return text if len(text) <= length else text[: length - 1] + "…"


def altered(wanted: Mapping[str, Any], payload: Payload, choose: Callable[[int], int]) -> Payload:
    """The payload with one wanted field made wrong; KeyError when no wanted field can be."""
    names = [n for n, want in wanted.items() if _can_be_wrong(want)]
    if not names:
        raise KeyError("nothing to alter")
    name = names[choose(len(names))]
    want, value = wanted[name], payload.get(name)
    if isinstance(want, Mapping):
        return {**payload, name: altered(want, dict(value or {}), choose)}
    return {**payload, name: _wrong(value)}


def _can_be_wrong(want: Any) -> bool:
    if isinstance(want, Mapping):
        return any(_can_be_wrong(inner) for inner in want.values())
    return not isinstance(want, AnyValue) and not callable(want)


def _wrong(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 17
    if isinstance(value, str):
        return f"not {value}"
    return "something else"
