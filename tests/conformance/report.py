"""docs/conformance.md, from the catalogue and the ids that the tests name; nothing is imported or run for it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.v16 import catalogue

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "conformance.md"
ID = re.compile(r"\b(?:R16-[A-Z]+-\d+|RPC-\d+|TC_\d{3}(?:_\d)?(?:_CS)?)\b")
MOST_NAMED = 3
"""Tests that one line names."""


@dataclass(slots=True)
class Evidence:
    """Cases of the laboratory and other tests that name an id."""

    cases: list[str] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Names of cases, else of other tests; the first few of them."""
        names = self.cases or self.tests
        return ", ".join(f"`{name}`" for name in names[:MOST_NAMED]) + (
            " …" if len(names) > MOST_NAMED else ""
        )


def evidence(root: Path = ROOT) -> dict[str, Evidence]:
    """By id, in the order of files and lines."""
    found: dict[str, Evidence] = {}
    for path in sorted((root / "tests").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if not ID.search(source):
            continue
        place = path.relative_to(root / "tests").with_suffix("").as_posix()
        cases = path.name.startswith("cases_")
        for node, ids in _named(ast.parse(source), cases=cases):
            for name in ids:
                entry = found.setdefault(name, Evidence())
                into = entry.cases if cases else entry.tests
                text = f"{place.removeprefix('conformance/')}::{node}"
                if text not in into:
                    into.append(text)
    return found


def page(found: dict[str, Evidence] | None = None) -> str:
    """The whole page."""
    found = evidence() if found is None else found
    lines = [
        "# Conformance with OCPP 1.6J",
        "",
        "Made from the tests: write it with `python -m tests.conformance`. Procedures of the certification",
        "programme run whole in `tests/conformance/v16` (a station on virtual time against a strict backend); each",
        "case runs a second time with one awaited frame dropped or altered, and must then fail.",
        "",
        *_summary(found),
    ]
    for title, entries in (
        ("Procedures of the certification programme", catalogue.procedures()),
        ("Requirements", catalogue.rows()),
    ):
        lines += [f"## {title}", "", "| Id | What | Shown by |", "|---|---|---|"]
        lines += [f"| {n} | {area}: {what} | {_shown(n, found)} |" for area, n, what in entries]
        lines.append("")
    lines += ["## Not applicable", ""]
    for name, feature in catalogue.NOT_APPLICABLE.items():
        lines.append(f"- {name}: {feature}")
    if not catalogue.NOT_APPLICABLE:
        lines.append("Nothing: every feature that the procedures need is declared.")
    return "\n".join(lines).rstrip() + "\n"


def _summary(found: dict[str, Evidence]) -> list[str]:
    lines = ["| | done | not applicable | open |", "|---|---|---|---|"]
    for title, entries in (
        ("Procedures", catalogue.procedures()),
        ("Requirements", catalogue.rows()),
    ):
        absent = [n for _, n, _ in entries if n in catalogue.NOT_APPLICABLE]
        done = [n for _, n, _ in entries if n in found and n not in absent]
        left = len(entries) - len(done) - len(absent)
        lines.append(f"| {title} | {len(done)} | {len(absent)} | {left} |")
    return [*lines, ""]


def _shown(name: str, found: dict[str, Evidence]) -> str:
    if name in catalogue.NOT_APPLICABLE:
        return f"not applicable: {catalogue.NOT_APPLICABLE[name]}"
    entry = found.get(name)
    return entry.text() if entry is not None else "**open**"


def _named(tree: ast.Module, *, cases: bool) -> Iterator[tuple[str, list[str]]]:
    """Functions and the ids that their decorator, docstring or name names."""
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        text = ast.get_docstring(node) or ""
        if cases:
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "case":
                    text += " " + " ".join(
                        a.value
                        for a in call.args
                        if isinstance(a, ast.Constant) and isinstance(a.value, str)
                    )
        elif node.name.startswith("test_"):
            text += " " + re.sub(r"_(r16|rpc)_([a-z]*)_?(\d+)", _spelt, "_" + node.name)
            text += " " + " ".join(_parameters(node))
        else:
            continue
        ids = [_whole(i) for i in ID.findall(text)]
        if ids:
            yield node.name, ids


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Texts in decorators: ids of parametrised tests."""
    for decorator in node.decorator_list:
        for part in ast.walk(decorator):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value


def _spelt(match: re.Match[str]) -> str:
    """test_r16_boot_1 → R16-BOOT-1."""
    parts = [match[1].upper(), match[2].upper(), match[3]]
    return " " + "-".join(p for p in parts if p) + " "


def _whole(name: str) -> str:
    return f"{name}_CS" if name.startswith("TC_") and not name.endswith("_CS") else name
