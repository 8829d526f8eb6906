"""The EVSEs: what their parts need of each other, who may charge, what the supply gives."""

from __future__ import annotations

from controller.config_checks.checked import Checked
from controller.config_checks.drivers import drives_contactor
from controller.config_checks.meters import check_public_key
from controller.config_lines import Path
from controller.config_model import ConfigFile, EvseTable
from controller.config_report import Finding


def authorization(config: ConfigFile) -> str:
    """`[charging] authorization`, or what follows from the rest of the file."""
    if config.charging.authorization is not None:
        return config.charging.authorization
    if config.backend is not None:
        return "backend"
    return "local" if config.rfid is not None and config.rfid.get("driver") != "none" else "free"


def check_evse(config: ConfigFile, index: int, evse: EvseTable, checked: Checked) -> None:
    """One [[evse]]."""
    path: Path = ("evse", index)
    pilot = checked.tables.get((*path, "pilot"))
    if (*path, "pilot") in checked.tables and pilot is None:
        text = "an EVSE cannot be without a pilot; for a relay beside an autonomous board use that board's driver"
        checked.problems.append(Finding(path=(*path, "pilot"), value="none", text=text))
    if pilot is not None and drives_contactor(pilot) and pilot.get("plug_contact") is not True:
        text = (
            "while the pilot is cut only a contact at the plug tells that a vehicle is there, and without a vehicle "
            "nothing begins: wire it to connected_pin, the board's status to charging_pin, and say plug_contact = true"
        )
        checked.problems.append(Finding(path=(*path, "pilot"), value="relay", text=text))
    if (*path, "contactor") in checked.tables and checked.tables[(*path, "contactor")] is None:
        if pilot is not None and not drives_contactor(pilot):
            text = f"the pilot driver {pilot.get('driver')!r} does not switch power itself: a contactor is required"
            checked.problems.append(Finding(path=(*path, "contactor"), value="none", text=text))
    if evse.authorization == "backend" and config.backend is None:
        text = "there is no [backend] that could authorize"
        checked.problems.append(Finding(path=(*path, "authorization"), value="backend", text=text))
    if config.site.phases == 1 and evse.phases == 3:
        text = "the supply has one phase: [site] phases = 1"
        checked.problems.append(Finding(path=(*path, "phases"), value=3, text=text))
    _check_access(config, path, evse, checked)
    if checked.tables.get((*path, "meter")) is None:
        text = "there is none: energy is unknown and cannot be billed"
        checked.warnings.append(Finding(path=(*path, "meter"), text=text))
    check_public_key(path, evse, checked)


def _check_access(config: ConfigFile, path: Path, evse: EvseTable, checked: Checked) -> None:
    """Who may charge at this EVSE, and whether anybody can say who he is."""
    mode = evse.authorization or authorization(config)
    if mode == "free":
        text = "charging is free for everybody who plugs in"
        checked.warnings.append(Finding(path=path, text=text))
        if config.backend is not None and evse.free_id_tag is None:
            text = "is missing: the backend is told about free charges with an empty idTag"
            checked.warnings.append(Finding(path=(*path, "free_id_tag"), text=text))
        return
    if evse.free_id_tag is not None:
        text = f'is not used: it is for free charging, and authorization is "{mode}" here'
        checked.warnings.append(
            Finding(path=(*path, "free_id_tag"), value=evse.free_id_tag, text=text)
        )
    if mode == "local" and (config.rfid is None or config.rfid.get("driver") == "none"):
        text = "there is no [rfid], so nobody can show a card of the local list"
        checked.warnings.append(Finding(path=(*path, "authorization"), value="local", text=text))


def check_charging(config: ConfigFile, checked: Checked) -> None:
    """[charging] and [site]."""
    charging = config.charging
    if charging.authorization == "backend" and config.backend is None:
        text = "there is no [backend] that could authorize"
        checked.problems.append(
            Finding(path=("charging", "authorization"), value="backend", text=text)
        )
    if 0 < charging.failsafe_amps < 6:
        text = "must be 0 (pause) or at least 6: a pilot cannot signal less"
        checked.problems.append(
            Finding(path=("charging", "failsafe_amps"), value=charging.failsafe_amps, text=text)
        )
    limit = config.site.max_current
    if limit is not None and limit < 6 * len(config.evse):
        text = (
            f"is enough for {limit // 6:g} of {len(config.evse)} vehicles at a time "
            "(6 A is the least a vehicle can be offered): they take turns"
        )
        checked.warnings.append(Finding(path=("site", "max_current"), value=limit, text=text))
