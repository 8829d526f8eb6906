"""Which driver serves which part, by the name used in the configuration.

`driver = "gpio"` for the part `contactor` lives in `hal/drivers/contactor_gpio.py`; only that file
is imported. A driver registers itself with `@driver(part, name, Settings)`; a name that is taken twice
is an error.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import hal.drivers
from hal.errors import Misconfigured
from hal.settings import Problem, parse
from hal.wires import Wires

PARTS = ("pilot", "contactor", "meter", "rcd", "lock", "proximity", "temperature", "rfid")

C = TypeVar("C", bound=type)


@dataclass(frozen=True, slots=True)
class Registration:
    """One driver: its class is called as `cls(settings, wires, evse)`."""

    part: str
    name: str
    settings_class: type
    driver_class: Callable[..., Any]


_registered: dict[tuple[str, str], Registration] = {}


def driver(part: str, name: str, settings_class: type) -> Callable[[C], C]:
    """Class decorator: make a driver known as `name` for `part`."""

    def register(cls: C) -> C:
        key = (part, name)
        if key in _registered and _registered[key].driver_class.__qualname__ != cls.__qualname__:
            raise Misconfigured(f"two drivers call themselves {part} {name!r}")
        _registered[key] = Registration(part, name, settings_class, cls)
        return cls

    return register


def names(part: str) -> list[str]:
    """All driver names for `part`, found by file name without importing them."""
    prefix = part + "_"
    found = [m.name for m in pkgutil.iter_modules(hal.drivers.__path__)]
    return sorted(
        name.removeprefix(prefix).replace("_", "-") for name in found if name.startswith(prefix)
    )


def find(part: str, name: str) -> Registration:
    """Import the one file that holds the driver. Raises Misconfigured with the names allowed."""
    if name not in names(part):
        raise Misconfigured(
            f"no {part} driver is called {name!r}; allowed: {', '.join(names(part))}"
        )
    importlib.import_module(f"hal.drivers.{part}_{name.replace('-', '_')}")
    return _registered[(part, name)]


def check(part: str, table: Mapping[str, Any]) -> list[Problem]:
    """Every problem of a driver table, without opening anything."""
    name = table.get("driver")
    if not isinstance(name, str):
        return [Problem("driver", name, f"is required; allowed: {', '.join(names(part))}")]
    try:
        registration = find(part, name)
    except Misconfigured as error:
        return [Problem("driver", name, str(error))]
    return parse(registration.settings_class, table)[1]


def open(  # noqa: A001 - `registry.open` is the contract's name
    part: str, table: Mapping[str, Any], wires: Wires, evse: int
) -> Any:
    """Open the driver named in `table` on `wires`. `evse` is 1-based, 0 = station-wide.

    Raises Misconfigured (all problems of the table in one text), WireInUse, WireMissing.
    """
    registration = find(part, str(table.get("driver")))
    settings, problems = parse(registration.settings_class, table)
    if settings is None:
        where = f"EVSE {evse} {part}" if evse else part
        raise Misconfigured("; ".join(f"{where}: {p.key} {p.text}" for p in problems))
    return registration.driver_class(settings, wires, evse)
