"""First-boot values: names and values of configuration keys."""

from __future__ import annotations

import re
from typing import Any

from controller.config_checks.checked import Checked
from controller.config_model import ConfigFile
from controller.config_report import Finding, nearest

_VARIABLE = re.compile(r"^(?P<component>\w+)(@\d+(/\d+)?)?\.(?P<variable>\w+)(\[[^\]]+\])?$")


def check_first_boot(config: ConfigFile, checked: Checked) -> None:
    """[ocpp16] and [ocpp201]."""
    if not config.ocpp16 and not config.ocpp201:
        return
    from controller.core.settings_list import first_boot_problem, first_boot_warning

    known16, known2 = _standard_names()
    for table, values, known, shaped in (
        ("ocpp16", config.ocpp16, known16, _any_key),
        ("ocpp201", config.ocpp201, known2, _VARIABLE.match),
    ):
        for name, value in values.items():
            match = shaped(name)
            if not match:
                text = 'the key must have the form "Component.Variable[Instance]"'
                checked.problems.append(Finding(path=(table, name), value=value, text=text))
                continue
            plain = name if table == "ocpp16" else f"{match['component']}.{match['variable']}"
            if known and plain.casefold() not in known:
                checked.warnings.append(
                    Finding(
                        path=(table, name),
                        value=value,
                        text="is not a standard name: it becomes a custom one",
                        hint=nearest(plain, known.values()),
                    )
                )
            elif warning := first_boot_warning(name):
                checked.warnings.append(Finding(path=(table, name), value=value, text=warning))
            elif problem := first_boot_problem(name, value):
                checked.problems.append(Finding(path=(table, name), value=value, text=problem))


def _any_key(name: str) -> Any:
    return re.match(r".{1,50}$", name)


def _standard_names() -> tuple[dict[str, str], dict[str, str]]:
    from controller.core.settings_list import SETTINGS

    known16 = {s.key16.casefold(): s.key16 for s in SETTINGS if s.key16}
    names2 = [f"{s.component}.{s.variable}" for s in SETTINGS if s.component]
    return known16, {name.casefold(): name for name in names2}
