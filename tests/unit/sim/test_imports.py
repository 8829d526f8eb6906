"""What the processes around the bench load with it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("hal.sim.hello", {"asyncio", "gpiozero", "ctypes", "logging"}),
        ("hal.sim.client", {"gpiozero", "asyncio", "aiohttp", "pymodbus", "serial", "ssl"}),
        ("hal.sim.process", {"asyncio", "aiohttp", "pymodbus", "gpiozero"}),
        ("hal.sim.runtime", {"aiohttp", "pymodbus", "gpiozero", "tomllib"}),
    ],
)
def test_what_is_light_stays_light(module, forbidden):
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not forbidden & set(loaded)
    assert not any(name.startswith("controller") for name in loaded)
