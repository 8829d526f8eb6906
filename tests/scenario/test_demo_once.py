"""`chargepost demo --once --json` (DESIGN §6.1) as a program sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

ORDER = [
    "BootNotification", "0 Available", "1 Available", "1 Preparing", "Authorize", "StartTransaction",
    "1 Charging", "MeterValues", "StopTransaction", "1 Finishing", "1 Available",
]  # fmt: skip


def test_one_charge_is_one_json_object_with_the_frames_in_order() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "controller.cli", "demo", "--once", "--json"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    words: list[str] = []
    values = 0
    for direction, frame in result["frames"]:
        if direction != "out" or frame[0] != 2:
            continue
        word = frame[2]
        if word == "StatusNotification":
            word = f"{frame[3]['connectorId']} {frame[3]['status']}"
            assert frame[3]["errorCode"] == "NoError"
        elif word == "SecurityEventNotification":  # may stand anywhere
            assert frame[3]["type"] == "StartupOfTheDevice"
            continue
        values += word == "MeterValues"
        if words[-1:] != [word]:
            words.append(word)
    assert words == ORDER
    assert values >= 2
    transaction = result["transaction"]
    assert set(transaction) == {
        "id", "id_token", "meter_start_wh", "meter_stop_wh", "energy_wh", "stop_reason"
    }  # fmt: skip
    assert transaction["energy_wh"] == transaction["meter_stop_wh"] - transaction["meter_start_wh"]
    assert transaction["stop_reason"] == "Local"
    assert result["contactor_cycles"] == 1
    assert result["faults"] == []
