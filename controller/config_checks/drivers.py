"""What drivers say about their tables; `"sim"` and virtual serial devices are expanded here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.config_checks.checked import Checked
from controller.config_lines import Path
from controller.config_report import MISSING, Finding, nearest
from hal import registry
from hal.errors import Misconfigured
from hal.sim.defaults import DEFAULTS, default_table

EVSE_PARTS = ("pilot", "contactor", "meter", "rcd", "lock", "proximity", "temperature")
SERIAL_PARTS = ("meter", "rfid")
ENERGISING: Mapping[str, tuple[str, ...]] = {
    "contactor": ("pin",),
    "pilot": ("pin",),
    "lock": ("lock_pin", "unlock_pin"),
    "rcd": ("test_pin",),
}
LIVE_AT_BOOT = frozenset((*range(9), 14))
"""GPIO 0 to 8 are pulled up at power-on, 14 is the console's transmitter (docs/wiring.md §1)."""


def check_drivers(raw: Mapping[str, Any], checked: Checked) -> None:
    """Expand and check every driver table; works on whatever has the right shape."""
    evses = raw.get("evse")
    for index, evse in enumerate(evses if isinstance(evses, list) else []):
        if not isinstance(evse, dict):
            continue
        phases = 3 if evse.get("phases") == 3 else 1
        for part in EVSE_PARTS:
            if part in evse:
                value = _virtual(part, evse[part], phases, raw)
                _check_table(("evse", index, part), part, value, phases, raw, checked)
    rfid = raw.get("rfid")
    if isinstance(rfid, dict):
        _check_table(("rfid",), "rfid", _virtual("rfid", rfid, 1, raw), 1, raw, checked)


def meter_signs(table: Mapping[str, Any] | None) -> bool:
    """Whether this meter can sign values (its driver declares it)."""
    if table is None:
        return False
    try:
        registration = registry.find("meter", str(table.get("driver")))
    except Misconfigured:
        return False
    return getattr(registration.driver_class, "signs", False) is True


def drives_contactor(table: Mapping[str, Any]) -> bool:
    """Whether this pilot board switches the power by itself (its driver declares it)."""
    try:
        registration = registry.find("pilot", str(table.get("driver")))
    except Misconfigured:
        return False
    return getattr(registration.driver_class, "drives_contactor", False) is True


def _virtual(part: str, value: Any, phases: int, raw: Mapping[str, Any]) -> Any:
    """A serial device on virtual wires needs no port; beside [bench], one without a port is on them."""
    if part not in SERIAL_PARTS or not isinstance(value, dict):
        return value
    table = dict(value)
    if table.get("driver") in (None, "sim", "none"):
        return value
    if "bench" in raw and not {"port", "wires"} & table.keys():
        table["wires"] = "sim"
    if table.get("wires") != "sim":
        return value
    default = default_table(part, phases=phases)
    if table["driver"] == default["driver"]:
        return {**default, **table}
    return {"port": default["port"], **table}


def _check_table(
    path: Path, part: str, value: Any, phases: int, raw: Mapping[str, Any], checked: Checked
) -> None:
    if value == "none" or (isinstance(value, dict) and value.get("driver") == "none"):
        checked.tables[path] = None
        return
    if value == "sim":
        value = {"driver": "sim"}
    if not isinstance(value, dict):
        return  # reported as a wrong type already
    table = dict(value)
    if table.get("driver") == "sim":
        try:
            table = {
                **default_table(part, phases=phases),
                **{k: v for k, v in table.items() if k != "driver"},
            }
        except KeyError:
            text = f'there is no virtual {part} yet; allowed: "none" or a table {{driver = "…", …}}'
            checked.problems.append(Finding(path=path, value="sim", text=text))
            return
    wires = table.get("wires")
    if wires is not None and wires != "sim":
        text = 'must be "sim" (virtual wires) or left out'
        checked.problems.append(Finding(path=(*path, "wires"), value=wires, text=text))
    checked.tables[path] = table
    if wires is None:
        _check_boot_levels(path, part, table, checked)
    virtual = "bench" in raw and part in DEFAULTS
    for problem in registry.check(part, table):
        text, hint = problem.text, ""
        if problem.key == "driver":
            text += ', or "sim" (virtual)' if virtual else ""
            if isinstance(problem.value, str):
                others = ["sim"] if virtual else []
                hint = nearest(problem.value, [*registry.names(part), *others])
        found = MISSING if problem.value is None else problem.value
        where = (*path, problem.key) if problem.key else path
        checked.problems.append(Finding(path=where, value=found, text=text, hint=hint))


def _check_boot_levels(path: Path, part: str, table: Mapping[str, Any], checked: Checked) -> None:
    """Outputs that switch something on must not be on pins that are high or toggle at boot."""
    for key in ENERGISING.get(part, ()):
        if table.get(key) in LIVE_AT_BOOT and not isinstance(table[key], bool):
            text = "is pulled up or toggles while the computer boots: use GPIO 16 to 27 for outputs"
            checked.problems.append(Finding(path=(*path, key), value=table[key], text=text))
