"""`chargepost demo --once --json`: one charge on virtual hardware without a person, as one JSON object."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from controller import __version__
from controller.demo.bench_client import BenchClient
from controller.demo.csms import Card, Csms
from controller.demo.setup import CARD, DemoSetup, free_port

LIMIT_S = 28.0
READY_S = 0.1
"""the vehicle asks for power so soon that charging begins before the first sample"""
CARD_ABSENT_S = 2.2
"""the reader takes the same card again only after it was away for 2 s"""


class DemoFailed(Exception):
    """The charge did not come about; the text says what was waited for."""


def main(arguments: Namespace) -> int:
    """Run one charge; prints JSON (or a few lines). 1 if something was not as it should be."""
    protocol = getattr(arguments, "protocol", None) or "ocpp1.6"
    if protocol != "ocpp1.6":
        print(f"demo: {protocol} is not built yet; ocpp1.6 is", file=sys.stderr)
        return 2
    try:
        result = asyncio.run(_charge(protocol))
    except DemoFailed as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    if getattr(arguments, "json", False):
        print(json.dumps(result))
    else:
        transaction = result["transaction"]
        print(
            f"one charge: {transaction['energy_wh']} Wh for card {transaction['id_token']}, "
            f"ended by {transaction['stop_reason']}, {len(result['frames'])} frames"
        )
    return 0 if not result["faults"] and not result["violations"] else 1


async def _charge(protocol: str) -> dict[str, Any]:
    csms = Csms()
    csms.cards[CARD] = Card()
    await csms.start()
    with tempfile.TemporaryDirectory(prefix="chargepost-demo-") as directory:
        setup = DemoSetup(
            directory=Path(directory),
            backend_url=csms.url,
            bench_port=free_port(),
            web_port=None,
            sample_interval_s=1,
            protocol=protocol,
            lock=False,
        )
        log = Path(directory) / "run.log"
        with log.open("wb") as output:
            station = subprocess.Popen(
                [sys.executable, "-P", "-m", "controller.cli", "run", "--config", str(setup.write())],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            return await _drive(csms, BenchClient(f"127.0.0.1:{setup.bench_port}"), station)
        except DemoFailed as error:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise DemoFailed(f"{error}\n{tail}") from error
        finally:
            station.terminate()
            await asyncio.to_thread(station.wait)
            await csms.stop()


async def _drive(
    csms: Csms, bench: BenchClient, station: subprocess.Popen[bytes]
) -> dict[str, Any]:
    end = time.monotonic() + LIMIT_S

    async def until(condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(max(0.1, end - time.monotonic())):
                while station.poll() is None:
                    try:
                        await csms.until(condition, 0.5)
                    except TimeoutError:
                        continue
                    return
        except TimeoutError:
            pass
        raise DemoFailed(f"no {what} within {LIMIT_S:.0f} s")

    def statuses() -> list[str]:
        return [p["status"] for _, p in csms.calls("StatusNotification") if p["connectorId"] == 1]

    await until(lambda: statuses()[-1:] == ["Available"], "Available")
    await asyncio.to_thread(bench.plug, 1, ready_after=READY_S)
    await until(lambda: statuses()[-1:] == ["Preparing"], "Preparing")
    await asyncio.to_thread(bench.tap, CARD)
    tapped = time.monotonic()
    await until(lambda: len(csms.calls("StartTransaction")) == 1, "StartTransaction")
    await until(lambda: _rising(csms) >= 2, "two MeterValues with a rising register")
    await asyncio.sleep(max(0.0, tapped + CARD_ABSENT_S - time.monotonic()))
    await asyncio.to_thread(bench.tap, CARD)
    await until(lambda: statuses()[-1:] == ["Finishing"], "Finishing")
    await asyncio.to_thread(bench.unplug)
    await until(lambda: statuses()[-1:] == ["Available"], "Available after the charge")
    state = await asyncio.to_thread(bench.evse)
    events = await asyncio.to_thread(bench.events)
    return _result(csms, state, events)


def _rising(csms: Csms) -> int:
    """How many registers, sampled since Charging, are higher than the one before."""
    seen = [
        action
        for action, payload in csms.calls()
        if payload.get("status") == "Charging" or action == "MeterValues"
    ]
    early = seen.index("StatusNotification") if "StatusNotification" in seen else len(seen)
    registers = [
        float(value["value"])
        for _, payload in csms.calls("MeterValues")[early:]
        for meter_value in payload["meterValue"]
        for value in meter_value["sampledValue"]
        if value.get("measurand", "") == "Energy.Active.Import.Register"
    ]
    return sum(b > a for a, b in pairwise(registers))


def _result(csms: Csms, state: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, Any]:
    [(_, start)] = csms.calls("StartTransaction")
    [(_, stop)] = csms.calls("StopTransaction")
    closings = [e for e in events if e["what"] == "contactor" and e["value"] == "closed"]
    return {
        "protocol": "ocpp1.6",
        "station_version": __version__,
        "transaction": {
            "id": stop["transactionId"],
            "id_token": start["idTag"],
            "meter_start_wh": start["meterStart"],
            "meter_stop_wh": stop["meterStop"],
            "energy_wh": stop["meterStop"] - start["meterStart"],
            "stop_reason": stop.get("reason", "Local"),
        },
        "contactor_cycles": len(closings),
        "frames": [[direction, frame] for direction, frame in csms.frames],
        "faults": state["faults"],
        "violations": csms.violations,
        "register_wh": state["meter"]["energy_wh"],
    }
