"""All checks in their order: over tables of any shape, then over a file whose tables have the right one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.config_checks.addresses import check_bench, check_one_listener_each, check_web
from controller.config_checks.backend import check_backend
from controller.config_checks.checked import Checked
from controller.config_checks.first_boot import check_first_boot
from controller.config_checks.meters import check_maps
from controller.config_checks.outlets import check_charging, check_evse
from controller.config_checks.wires import check_wires
from controller.config_model import ConfigFile
from controller.config_report import MISSING, Finding


def check_shapes(raw: Mapping[str, Any], checked: Checked) -> None:
    """What can be said about single tables even while others have problems."""
    rows = raw.get("evse")
    evses = [row if isinstance(row, dict) else {} for row in rows] if isinstance(rows, list) else []
    _check_ids(evses, checked)
    check_wires(checked, evses)
    check_maps(checked)
    check_bench(raw, checked)
    check_web(raw, checked)
    check_one_listener_each(raw, checked)


def check_whole(config: ConfigFile, checked: Checked) -> None:
    """Rules over the whole file; only called when every table has its right shape."""
    if config.backend is not None:
        check_backend(config, config.backend, checked)
    for index, evse in enumerate(config.evse):
        check_evse(config, index, evse, checked)
    check_charging(config, checked)
    check_first_boot(config, checked)


def _check_ids(evses: list[dict[str, Any]], checked: Checked) -> None:
    ids: dict[Any, int] = {}
    for index, evse in enumerate(evses):
        number = evse.get("id", index + 1)
        if isinstance(number, int) and ids.setdefault(number, index) != index:
            checked.problems.append(
                Finding(
                    path=("evse", index, "id"),
                    value=evse.get("id", MISSING),
                    text=f"EVSE {number} exists already (number {ids[number] + 1} in the file)",
                )
            )
