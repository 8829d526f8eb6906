"""Checks payloads against the JSON schemas that the `ocpp` package ships (the package itself is not imported)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema_rs

LONGEST_NAME = 64
"""longer names of actions are none, and no name of a file either"""


class ProblemKind(StrEnum):
    """What is wrong with a payload, in words that every OCPP version can name."""

    MISSING = "missing"
    """a required property is not there"""
    UNKNOWN_PROPERTY = "unknown_property"
    TYPE = "type"
    VALUE = "value"
    """enum, length, range, format"""
    COUNT = "count"
    """too few or too many members"""
    FORM = "form"
    """cannot be checked at all (for example nested too deeply)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The first thing that is wrong, and where ("connectorId", "chargingSchedule.duration" …)."""

    kind: ProblemKind
    where: str
    text: str


_KINDS = {
    "Required": ProblemKind.MISSING,
    "AdditionalProperties": ProblemKind.UNKNOWN_PROPERTY,
    "Type": ProblemKind.TYPE,
    "MinItems": ProblemKind.COUNT,
    "MaxItems": ProblemKind.COUNT,
    "UniqueItems": ProblemKind.COUNT,
}

_GRAVEST_FIRST = (
    ProblemKind.FORM,
    ProblemKind.TYPE,
    ProblemKind.MISSING,
    ProblemKind.VALUE,
    ProblemKind.COUNT,
    ProblemKind.UNKNOWN_PROPERTY,
)


class Validators:
    """Validators of one OCPP version; each is compiled at its first use (0.2 to 0.8 ms)."""

    def __init__(self, folder: Path, *, draft: Any = jsonschema_rs.Draft4Validator) -> None:
        self._folder = folder
        self._draft = draft
        self._compiled: dict[str, Any] = {}

    def knows(self, action: str) -> bool:
        """Whether this version defines the action (names are case-sensitive)."""
        if len(action) > LONGEST_NAME or not (action.isascii() and action.isidentifier()):
            return False
        return self._path(action + "Response").is_file()

    def request(self, action: str, payload: Any) -> Problem | None:
        """The gravest problem of a request, or None."""
        return self._check(action, payload, tolerate_extra=False)

    def response(self, action: str, payload: Any, *, tolerate_extra: bool = True) -> Problem | None:
        """The gravest problem of an answer, or None; unknown fields of a backend are tolerated."""
        return self._check(action + "Response", payload, tolerate_extra=tolerate_extra)

    def _check(self, name: str, payload: Any, *, tolerate_extra: bool) -> Problem | None:
        validator = self._compiled.get(name) or self._compile(name)
        try:
            if validator.is_valid(payload):
                return None
            problems = [_problem(error) for error in validator.iter_errors(payload)]
        except (ValueError, RecursionError, OverflowError) as error:
            return Problem(kind=ProblemKind.FORM, where="", text=str(error))
        return _gravest(
            p for p in problems if not (tolerate_extra and p.kind is ProblemKind.UNKNOWN_PROPERTY)
        )

    def _compile(self, name: str) -> Any:
        schema = json.loads(self._path(name).read_text(encoding="utf-8-sig"))
        validator = self._draft(schema, validate_formats=False)
        self._compiled[name] = validator
        return validator

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def validators_16() -> Validators:
    """Validators of OCPP 1.6 (Core, all profiles and the security extension)."""
    return Validators(_package() / "v16" / "schemas")


def _package() -> Path:
    spec = find_spec("ocpp")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package ocpp (its JSON schemas) is not installed")
    return Path(spec.origin).parent


def _problem(error: Any) -> Problem:
    kind = _KINDS.get(type(error.kind).__name__, ProblemKind.VALUE)
    where = ".".join(str(part) for part in error.instance_path)
    # The library quotes the whole instance; an answer or log line must stay short.
    text = error.message if len(error.message) <= 160 else f"{error.message[:157]}..."
    return Problem(kind=kind, where=where, text=text)


def _gravest(problems: Iterable[Problem]) -> Problem | None:
    return min(problems, key=lambda p: _GRAVEST_FIRST.index(p.kind), default=None)
