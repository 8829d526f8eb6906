"""One clear line for each problem of a configuration: file, line, table, key, value, what is allowed."""

from __future__ import annotations

import difflib
import json
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from controller.config_lines import Path, line_of
from controller.config_model import ConfigFile

MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem or warning. `path` locates it in the file; `value` MISSING = the key is not there."""

    path: Path
    text: str
    value: Any = MISSING
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The file as far as a report needs it."""

    name: str
    lines: Mapping[Path, int]
    table: Mapping[str, Any]


def render(finding: Finding, where: Where) -> str:
    """`config/x.toml:12: [evse 1] max_current = "32A": must be …; did you mean 32?`"""
    row = as_dict(finding, where)
    text = f"{row['file']}:{row['line']}: " if row["line"] else f"{row['file']}: "
    if row["table"]:
        text += f"[{row['table']}] "
    if row["key"]:
        text += row["key"]
        text += f" = {as_toml(finding.value)}: " if finding.value is not MISSING else ": "
    text += finding.text
    return text + (f"; did you mean {finding.hint}?" if finding.hint else "")


def as_dict(finding: Finding, where: Where) -> dict[str, Any]:
    """The same for programs (`check --json`)."""
    table, key = _names(finding.path, where.table)
    return {
        "file": where.name,
        "line": line_of(where.lines, finding.path),
        "table": table,
        "key": key,
        "value": None
        if finding.value is MISSING
        else json.loads(json.dumps(finding.value, default=str)),
        "problem": finding.text,
        "did_you_mean": finding.hint,
    }


def from_validation(error: ValidationError) -> list[Finding]:
    """What pydantic found, in our words, once for each key."""
    found: dict[Path, Finding] = {}
    missing: list[Path] = []
    for row in error.errors(include_url=False):
        finding = _finding(row["type"], tuple(row["loc"]), row["input"])
        found.setdefault(finding.path, finding)
        if row["type"] == "missing":
            missing.append(finding.path)
    meant = {(*path[:-1], finding.hint.strip('"')) for path, finding in found.items() if path}
    for path in missing:
        if path in meant:  # a misspelt key is one mistake, not two
            del found[path]
    return list(found.values())


def nearest(name: str, names: Iterable[str]) -> str:
    """The most similar name as a quoted text, or "" when none is similar."""
    known = {candidate.casefold(): candidate for candidate in names}
    near = difflib.get_close_matches(name.casefold(), known, n=1, cutoff=0.6)
    return f'"{known[near[0]]}"' if near else ""


def as_toml(value: Any) -> str:
    """A value the way it stands in the file (shortened)."""
    if isinstance(value, dict):
        text = "{" + ", ".join(f"{key} = {as_toml(item)}" for key, item in value.items()) + "}"
    elif isinstance(value, list):
        text = "[" + ", ".join(as_toml(item) for item in value) + "]"
    elif isinstance(value, (str, bool, int, float)):
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _finding(kind: str, loc: Path, value: Any) -> Finding:
    """Walk `loc` as far as it names keys of the file (pydantic adds the branch of a union behind them)."""
    model: type[BaseModel] | None = ConfigFile
    path: Path = ()
    field: FieldInfo | None = None
    for step in loc:
        if model is None:
            if not (field and _is_mapping(field) and len(path) < 2):
                break
            path = (*path, step)
            break
        if isinstance(step, int):
            path = (*path, step)
            continue
        field = model.model_fields.get(step)
        path = (*path, step)
        if field is None:
            break
        model = _table_model(field.annotation)
    if kind == "extra_forbidden":
        parent = _model_at(path[:-1])
        allowed = [*parent.model_fields] if parent else []
        hint = nearest(str(path[-1]), allowed)
        text = "is not a key of this table" if len(path) > 1 else "is not a table of this file"
        return Finding(
            path=path, value=value, text=text + f" (allowed: {', '.join(allowed)})", hint=hint
        )
    if kind == "missing":
        about = f": {field.description}" if field and field.description else ""
        words = allowed_values(field) if field else ""
        return Finding(path=path, text=f"is required and missing{about} ({words})")
    if field is None:
        return Finding(path=path, value=value, text="is wrong")
    if _is_mapping(field) and len(path) == 2 and isinstance(path[0], str):
        hint = as_toml(_word(value)) if isinstance(value, (bool, int, float)) else ""
        return Finding(path=path, value=value, text="must be a text in quotes", hint=hint)
    words = allowed_values(field)
    if field.description:
        words += f" ({field.description})"
    return Finding(path=path, value=value, text=f"must be {words}", hint=_suggest(field, value))


def allowed_values(field: FieldInfo) -> str:
    """What a key may hold, in words."""
    return _words(field.annotation, field.metadata)


def _words(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    if hasattr(annotation, "__metadata__"):
        return _words(annotation.__origin__, _flat(annotation.__metadata__))
    origin = get_origin(annotation)
    limits = _limits(metadata)
    if origin is Literal:
        values = get_args(annotation)
        listed = ", ".join(as_toml(value) for value in values)
        return listed if len(values) == 1 else " or ".join(listed.rsplit(", ", 1))
    if origin in (Union, types.UnionType):
        parts = [arg for arg in get_args(annotation) if arg is not type(None)]
        return " or ".join(_words(part, metadata if len(parts) == 1 else ()) for part in parts)
    if origin is list:
        inner = _words(get_args(annotation)[0])
        return "a list of such" if inner.startswith('"') else f"a list: {inner}"
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return "a table"
    if annotation is bool:
        return "true or false"
    if annotation in (int, float):
        word = "a whole number" if annotation is int else "a number"
        return (
            f"{word} from {limits['ge']:g} to {limits['le']:g}"
            if {"ge", "le"} <= limits.keys()
            else word
        )
    text = "a text"
    low, high = limits.get("min_length"), limits.get("max_length")
    if high is not None:
        text += f" of {low or 0} to {high} characters"
    elif low:
        text += ", not empty,"
    if "pattern" in limits:
        text += " of the form in brackets"
    return text


def _limits(metadata: Iterable[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in metadata:
        for name in ("ge", "le", "min_length", "max_length", "pattern"):
            value = getattr(item, name, None)
            if value is not None:
                found[name] = value
    return found


def _flat(metadata: Iterable[Any]) -> list[Any]:
    """`Annotated[..., Field(...)]` keeps its limits one level down."""
    flat: list[Any] = []
    for item in metadata:
        flat += item.metadata if isinstance(item, FieldInfo) else [item]
    return flat


def _suggest(field: FieldInfo, value: Any) -> str:
    """What was probably meant."""
    words = allowed_values(field)
    if isinstance(value, str):
        choices = [part for part in re.findall(r'"([^"]+)"', words) if part != "…"]
        if choices:
            return nearest(value, choices)
        if words == "true or false" and value.casefold() in (
            "true",
            "yes",
            "on",
            "false",
            "no",
            "off",
        ):
            return "true" if value.casefold() in ("true", "yes", "on") else "false"
        number = re.match(r"\s*(-?\d+(?:\.\d+)?)", value)
        if number and "number" in words and _fits(field, float(number[1])):
            return number[1]
        if number and re.fullmatch(r"[13]( or [13])?", words) and number[1] in words:
            return number[1]
    elif (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and words.startswith("a text")
    ):
        return as_toml(str(value))
    elif isinstance(value, int) and words == "true or false" and value in (0, 1):
        return "true" if value else "false"
    return ""


def _fits(field: FieldInfo, number: float) -> bool:
    limits = _limits(field.metadata)
    return bool(limits.get("ge", number) <= number <= limits.get("le", number))


def _word(value: bool | int | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_mapping(field: FieldInfo) -> bool:
    return field.annotation == dict[str, str]


def _table_model(annotation: Any) -> type[BaseModel] | None:
    """The table type inside an annotation such as `list[EvseTable]` or `WebTable | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for arg in get_args(annotation):
        if isinstance(arg, type) and issubclass(arg, BaseModel):
            return arg
    return None


def _model_at(path: Path) -> type[BaseModel] | None:
    model: type[BaseModel] | None = ConfigFile
    for step in path:
        if model is None:
            return None
        if isinstance(step, str):
            field = model.model_fields.get(step)
            model = _table_model(field.annotation) if field else None
    return model


def _names(path: Path, table: Mapping[str, Any]) -> tuple[str, str]:
    """("evse 1", "pilot.channel") for `("evse", 0, "pilot", "channel")`."""
    if not path:
        return "", ""
    head = str(path[0])
    rest = path[1:]
    known = head in ConfigFile.model_fields
    if not rest and not isinstance(table.get(head), (dict, list)):
        return "", head
    if not rest:
        return (head, "") if known else ("", head)
    if isinstance(rest[0], int):
        rows = table.get(head)
        row = rows[rest[0]] if isinstance(rows, list) and rest[0] < len(rows) else {}
        chosen = row.get("id") if isinstance(row, dict) else None
        head += f" {chosen if isinstance(chosen, int) else rest[0] + 1}"
        rest = rest[1:]
    if head == "ocpp16" or head == "ocpp201":
        return head, as_toml(str(rest[0])) if not re.fullmatch(r"[\w-]+", str(rest[0])) else str(
            rest[0]
        )
    return head, ".".join(str(step) for step in rest)
