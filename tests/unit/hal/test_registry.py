"""hal.registry and the driver files behind it."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hal.drivers
from hal import registry
from hal.errors import Misconfigured

DRIVERS = Path(hal.drivers.__path__[0])
ALL = [(part, name) for part in registry.PARTS for name in registry.names(part)]


def test_the_names_that_the_configuration_uses() -> None:
    assert registry.names("pilot") == ["pwm", "relay"]
    assert (
        registry.names("contactor") == registry.names("rcd") == registry.names("lock") == ["gpio"]
    )
    assert registry.names("meter") == ["modbus", "modbus-signing"]
    assert registry.names("proximity") == ["adc"]
    assert registry.names("rfid") == ["pn532", "rdm6300"]


@pytest.mark.parametrize(("part", "name"), ALL)
def test_every_driver_registers_and_documents_its_settings(part: str, name: str) -> None:
    found = registry.find(part, name)
    assert (found.part, found.name) == (part, name)
    for field in dataclasses.fields(found.settings_class):
        assert field.metadata["doc"], field.name


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(Misconfigured, match="no pilot driver is called 'pmw'; allowed: pwm, relay"):
        registry.find("pilot", "pmw")


def test_check_opens_nothing_and_tells_everything() -> None:
    problems = registry.check("contactor", {"driver": "gpio", "pin": 99, "mirror_pn": 3})
    assert [p.key for p in problems] == ["pin", "mirror_pn"]
    assert registry.check("contactor", {})[0].key == "driver"
    assert "allowed: gpio" in registry.check("contactor", {"driver": "relais"})[0].text
    assert not registry.check("contactor", {"driver": "gpio", "pin": 17})


def test_drivers_know_nothing_of_a_world_that_is_not_real() -> None:
    word = re.compile(r"\bsim\b|simulat|mock|fake|virtual", re.IGNORECASE)
    for path in DRIVERS.rglob("*.py"):
        assert not word.search(path.read_text(encoding="utf-8")), path.name


def test_importing_every_driver_loads_no_library() -> None:
    """gpiozero, pyserial, pymodbus and spidev are imported when a driver is opened."""
    code = (
        "import sys\nfrom hal import registry\n"
        "[registry.find(p, n) for p in registry.PARTS for n in registry.names(p)]\n"
        "print([m for m in ('gpiozero', 'serial', 'pymodbus', 'spidev') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "[]"
