"""Register maps and keys of meters."""

from __future__ import annotations

from controller.config_checks.checked import Checked
from controller.config_checks.drivers import meter_signs
from controller.config_lines import Path
from controller.config_model import EvseTable
from controller.config_report import Finding
from controller.core.signed_values import KEY_LENGTH, public_key_field
from hal.errors import Misconfigured
from hal.register_map import load


def check_map(path: Path, checked: Checked) -> None:
    """The register map of the meter of this EVSE."""
    table = checked.tables.get((*path, "meter"))
    if table is None or not meter_signs(table) or not isinstance(table.get("map"), str):
        return
    try:
        problem = "" if load(table["map"]).signing is not None else "has no table [signing]"
    except Misconfigured as error:
        problem = str(error)
    if problem:
        found = Finding(path=(*path, "meter", "map"), value=table["map"], text=problem)
        checked.problems.append(found)


def check_public_key(path: Path, evse: EvseTable, checked: Checked) -> None:
    """meter_public_key."""
    key = (*path, "meter_public_key")
    if not evse.meter_public_key:
        return
    try:
        shown = public_key_field(evse.meter_public_key)
    except ValueError as error:
        text = f"is not the public key of a meter, as printed on it: {error}"
        checked.problems.append(Finding(path=key, value=evse.meter_public_key, text=text))
        return
    if len(shown) > KEY_LENGTH:
        text = f"is too long for a configuration key ({len(shown)} of {KEY_LENGTH} characters)"
        checked.problems.append(Finding(path=key, value=evse.meter_public_key, text=text))
    if not meter_signs(checked.tables.get((*path, "meter"))):
        text = "has no effect: the driver of this meter does not sign values"
        checked.warnings.append(Finding(path=key, value=evse.meter_public_key, text=text))
