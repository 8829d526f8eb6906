"""Register maps and keys of meters."""

from __future__ import annotations

from controller.compiled import beside
from controller.config_checks.checked import Checked
from controller.config_checks.drivers import meter_signs
from controller.config_lines import Path
from controller.config_model import EvseTable
from controller.config_report import Finding, nearest
from controller.core.signed_values import KEY_LENGTH, public_key_field
from hal.errors import Misconfigured
from hal.register_map import built_in, is_path, load


def check_maps(checked: Checked) -> None:
    """The register map of every meter; the path of a map file becomes absolute in its table."""
    for path, table in list(checked.tables.items()):
        name = table.get("map") if table is not None and path[-1] == "meter" else None
        if table is None or not isinstance(name, str):
            continue
        chosen = str(beside(checked.file, name)) if is_path(name) else name
        problem, hint = _problem_of_map(chosen, must_sign=meter_signs(table)), ""
        if problem and not is_path(name):
            hint = nearest(name, built_in())
        if problem:
            found = Finding(path=(*path, "map"), value=name, text=problem, hint=hint)
            checked.problems.append(found)
        checked.tables[path] = {**table, "map": chosen}


def _problem_of_map(name: str, *, must_sign: bool) -> str:
    try:
        signing = load(name).signing
    except Misconfigured as error:
        return str(error)
    return "has no table [signing]" if must_sign and signing is None else ""


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
