"""On which line of a TOML file a key stands (the parser does not tell)."""

from __future__ import annotations

import re
from collections.abc import Mapping

Path = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*(.+?)\s*(\]\]?)\s*(#.*)?$")
_KEY = re.compile(
    r"""^\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*="""
)
_PART = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([\w-]+))\s*(?:\.|$)""")
_LONG = ('"""', "'''")


def scan(text: str) -> dict[Path, int]:
    """1-based line of each table and key, e.g. `("evse", 0, "max_current")`: 12."""
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    here: Path = ()
    inside_long = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if inside_long:
            if inside_long in line:
                inside_long = ""
            continue
        header = _HEADER.match(line)
        if header and not _KEY.match(line):
            path = _placed(_split(header[2]), counts)
            if header[1] == "[[":
                index = counts.get(path, 0)
                counts[path] = index + 1
                path = (*path, index)
            here = path
            lines.setdefault(here, number)
            continue
        key = _KEY.match(line)
        if key:
            lines.setdefault((*here, *_split(key[1])), number)
            value = line[key.end() :]
            for mark in _LONG:
                if value.count(mark) == 1:
                    inside_long = mark
    return lines


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """The line of `path`, or of the nearest table around it; 1 when nothing of it is in the file."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _split(dotted: str) -> Path:
    return tuple(
        next(group for group in match.groups() if group is not None)
        for match in _PART.finditer(dotted)
    )


def _placed(names: Path, counts: Mapping[Path, int]) -> Path:
    """`[evse.pilot]` after the second `[[evse]]` means `("evse", 1, "pilot")`."""
    path: Path = ()
    for position, name in enumerate(names):
        path = (*path, name)
        if position < len(names) - 1 and path in counts:
            path = (*path, counts[path] - 1)
    return path
