"""The coils are open before any driver is loaded (DESIGN §2, start)."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from controller.guard.claim import open_coils
from hal import bare
from hal.sim.defaults import default_table


def installation(directory: Path, *contactors: dict[str, Any] | None) -> dict[str, Any]:
    evses = [{"id": n, "contactor": table} for n, table in enumerate(contactors, start=1)]
    return {"runtime_dir": str(directory), "evses": evses, "bench": {}}


def test_virtual_coils_are_told_low_right_behind_the_hello(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bench:
        bench.bind(str(tmp_path / "bench.sock"))
        bench.listen()
        table = default_table("contactor")
        call = open_coils(installation(tmp_path, table, None, table))
        assert call is not None
        heard, _ = bench.accept()
        call.close()
        with heard, heard.makefile("rb") as lines:
            hello, *pins = [json.loads(line) for line in lines]
    assert hello["hello"]["role"] == "guard"
    assert [said["pin"][:3] for said in pins] == [[1, table["pin"], 0], [3, table["pin"], 0]]


def test_without_a_world_the_drivers_go_on(tmp_path: Path) -> None:
    assert open_coils(installation(tmp_path, default_table("contactor"))) is None


@pytest.mark.parametrize("refusal", [None, FileNotFoundError("no chip"), PermissionError("busy")])
def test_real_coils_are_driven_low_by_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: OSError | None
) -> None:
    driven = []

    def drive(pin: int, high: bool) -> None:
        driven.append((pin, high))
        if refusal is not None:
            raise refusal

    monkeypatch.setattr(bare, "drive", drive)
    tables = ({"driver": "gpio", "pin": 17}, {"driver": "gpio", "pin": 18})
    assert open_coils(installation(tmp_path, *tables)) is None
    assert driven == [(17, False), (18, False)]


def test_what_claims_is_light() -> None:
    heavy = "{'gpiozero', 'logging', 'dataclasses', 'transitions', 'subprocess', 'asyncio'}"
    code = f"import sys, controller.guard.process; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
