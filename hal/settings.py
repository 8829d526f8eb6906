"""Typed, bounded, documented driver settings, checked without any third-party library.

A driver declares a frozen dataclass whose fields are made with `setting(...)`. `parse` turns a
TOML table into it and reports every problem at once.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")

RESERVED = ("driver", "wires")
"""Keys of a driver table that belong to the registry, not to the driver."""


def setting(
    doc: str,
    *,
    default: Any = dataclasses.MISSING,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[Any, ...] = (),
) -> Any:
    """A dataclass field with its documentation and range. No default = required."""
    metadata = {"doc": doc, "minimum": minimum, "maximum": maximum, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a driver table. `key` is "" when the table itself is meant."""

    key: str
    value: Any
    text: str


def parse(settings_class: type[T], table: Mapping[str, Any]) -> tuple[T | None, list[Problem]]:
    """Check `table` against `settings_class`; returns the settings, or None and all problems."""
    fields = {f.name: f for f in dataclasses.fields(settings_class)}  # type: ignore[arg-type]
    hints = get_type_hints(settings_class)
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key in RESERVED:
            continue
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            allowed = ", ".join(sorted(fields)) or "none"
            problems.append(
                Problem(key, value, f"is not a setting here (allowed: {allowed}){hint}")
            )
            continue
        text = _wrong(fields[key].metadata, hints[key], value)
        if text:
            problems.append(Problem(key, value, text))
        else:
            values[key] = float(value) if hints[key] is float else value
            if hints[key] is tuple or str(hints[key]).startswith("tuple"):
                values[key] = tuple(value)
    for name, field in fields.items():
        if field.default is dataclasses.MISSING and name not in table:
            problems.append(Problem(name, None, f"is required: {field.metadata.get('doc', '')}"))
    if problems:
        return None, problems
    return settings_class(**values), []


def _wrong(metadata: Mapping[str, Any], hint: Any, value: Any) -> str:
    """Why `value` does not fit, or an empty string."""
    base = str(hint).removesuffix(" | None")
    kinds: dict[str, tuple[tuple[type, ...], str]] = {
        "int": ((int,), "a whole number"),
        "<class 'int'>": ((int,), "a whole number"),
        "float": ((int, float), "a number"),
        "<class 'float'>": ((int, float), "a number"),
        "<class 'str'>": ((str,), "a text"),
        "str": ((str,), "a text"),
        "<class 'bool'>": ((bool,), "true or false"),
        "bool": ((bool,), "true or false"),
    }
    types, words = kinds.get(base, ((list, tuple), "a list"))
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        return f"must be {words}, got {value!r}"
    if metadata.get("choices") and value not in metadata["choices"]:
        return f"must be one of {', '.join(map(repr, metadata['choices']))}, got {value!r}"
    low, high = metadata.get("minimum"), metadata.get("maximum")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if (low is not None and value < low) or (high is not None and value > high):
            return f"must be {low if low is not None else '...'} to {high if high is not None else '...'}, got {value!r}"
    return ""
