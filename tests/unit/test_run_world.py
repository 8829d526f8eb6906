"""`chargepost run` with the real guard and the virtual world: outputs are safe after the guard's death."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_run import Run, until


def bench(run: Run, path: str = "/bench", body: object = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{run.port}{path}", data=data)
    with urllib.request.urlopen(request, timeout=5) as response:
        return dict(json.loads(response.read() or b"{}"))


def processes(run: Run) -> dict[str, int | None]:
    try:
        return dict(bench(run)["processes"])
    except OSError:
        return {}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_after_the_guards_death_the_pilot_has_no_pwm_and_the_coil_is_off(
    tmp_path: Path, number: signal.Signals
) -> None:
    run = Run(tmp_path, ("station",))
    try:
        until(lambda: processes(run).get("guard") and processes(run).get("run"))
        until(lambda: bench(run)["evses"][0]["pilot"]["state"] == "A1")
        guard = processes(run)["guard"]
        assert guard is not None
        begin = time.monotonic()
        os.kill(guard, number)
        until(lambda: "the guard ended" in run.text(), 5.0)
        assert time.monotonic() - begin < (1.0 if number == signal.SIGKILL else 2.5)
        state = bench(run)["evses"][0]
        assert state["contactor"]["commanded"] is False
        assert state["pilot"]["duty"] == 1.0
        assert run.wait() == 1
        assert "NOT SAFE" not in run.text()
    finally:
        run.end()
