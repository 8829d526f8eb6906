"""No wire has two owners."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from controller.config_checks.checked import Checked
from controller.config_lines import Path
from controller.config_report import MISSING, Finding


def check_wires(checked: Checked, evses: list[dict[str, Any]]) -> None:
    """No pin, PWM channel or bus address twice. Virtual EVSEs have a header each."""
    used: dict[tuple[Any, ...], Path] = {}
    for path, table in checked.tables.items():
        if table is None:
            continue
        header = path[1] if table.get("wires") == "sim" and len(path) > 1 else "real"
        for key, resource in _resources(path, table):
            owner = used.setdefault((header, *resource), path)
            if owner != path or resource in [r for k, r in _resources(path, table) if k < key]:
                words = _owner(owner, evses)
                text = f"{' '.join(map(str, resource))} belongs to {words} already"
                checked.problems.append(
                    Finding(path=(*path, key), value=table.get(key, MISSING), text=text)
                )


def _resources(path: Path, table: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for key, value in table.items():
        if (key == "pin" or key.endswith("_pin")) and isinstance(value, int) and value >= 0:
            yield key, ("GPIO", value)
    part = path[-1]
    if part == "pilot" and table.get("driver") == "pwm":
        yield "channel", (table.get("chip", "pwmchip0"), "channel", table.get("channel", 0))
    if "port" in table and isinstance(table["port"], str):
        address = table.get("address")
        yield "port", (table["port"], *(("address", address) if address is not None else ()))


def _owner(path: Path, evses: list[dict[str, Any]]) -> str:
    if path[0] != "evse" or not isinstance(path[1], int):
        return str(path[0])
    return f"EVSE {evses[path[1]].get('id', path[1] + 1)} {path[2]}"
