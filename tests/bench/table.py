"""The rows that `make bench` prints: what, the bar, the aim, what was measured, the yardstick of the same run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One number. `ok`: bar reached; None = only informative."""

    what: str
    bar: str
    measured: str
    ok: bool | None = None
    aim: str = ""
    yardstick: str = ""


def percentile(values: Iterable[float], share: float) -> float:
    """Nearest-rank percentile; `share` 0 to 1."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def show(rows: Iterable[Row]) -> str:
    """A table for the terminal."""
    head = Row(
        what="what", bar="bar", aim="aim", measured="measured", yardstick="same run, for comparison"
    )
    lines = []
    for row in (head, *rows):
        mark = "  " if row.ok is None else ("ok" if row.ok else "!!")
        lines.append((mark, row.what, row.measured, row.bar, row.aim, row.yardstick))
    widths = [max(len(line[i]) for line in lines) for i in range(6)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
