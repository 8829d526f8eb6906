"""A signing meter over its wire, and a price on the page: the real processes, seen from outside."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

from tests.conformance.signing_meter import signed_values, verified
from tests.scenario.backend import ScriptedBackend
from tests.scenario.deaths import CARD
from tests.scenario.rig import Rig, until

SIGNING = 'meter = {driver = "modbus-signing", map = "ocmf-reference"}'


def price(rig: Rig) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{rig.web_port}/api/state", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)["evses"][0]["price"] or {}
    return found


async def tell(backend: ScriptedBackend, message: str, **data: Any) -> None:
    request = {
        "vendorId": "org.openchargealliance.costmsg",
        "messageId": message,
        "data": json.dumps(data),
    }
    assert (await backend.call("DataTransfer", request))["status"] == "Accepted"


async def test_what_the_meter_signed_can_be_verified_by_the_backend(tmp_path: Path) -> None:
    """SMV-1, REG-EICH-1 to -5 and COST-6, with driver, bus and processes in between."""
    backend = ScriptedBackend()
    backend.card(CARD)
    rig = Rig(tmp_path, await backend.start(), web=True, ocpp16={"MeterValueSampleInterval": "0"})
    rig.config.write_text(rig.config.read_text().replace('meter = "sim"', SIGNING))
    try:
        await rig.start()
        await backend.wait_status(1, "Available")
        rig.bench.plug(ready_after=0.0)
        await backend.wait_status(1, "Preparing")
        rig.bench.tap(CARD)
        (start,) = await backend.wait_calls("StartTransaction", 1)
        await tell(backend, "SetUserPrice", idToken=CARD, priceText="0.34 €/kWh")
        await until(lambda: price(rig).get("text") == "0.34 €/kWh", "the price is on the page")
        await until(lambda: rig.bench.evse()["meter"]["power_w"] > 1000, "the car draws power")
        await asyncio.sleep(2.0)
        rig.bench.unplug()
        (stop,) = await backend.wait_calls("StopTransaction", 1, 40.0)
        signed = signed_values(stop)
        key = signed["Transaction.Begin"]["publicKey"]
        begin, end = (
            verified(signed[f"Transaction.{which}"], key)["RD"][0] for which in ("Begin", "End")
        )
        assert (begin["TX"], end["TX"]) == ("B", "E")
        assert abs(begin["RV"] * 1000 - start["meterStart"]) <= 1
        assert abs(end["RV"] * 1000 - stop["meterStop"]) <= 1
        keys = {"key": ["MeterPublicKey1"]}
        answer = await backend.call("GetConfiguration", keys)
        assert answer["configurationKey"][0]["value"] == key
        final = {"transactionId": stop["transactionId"], "cost": 2.45, "priceText": "2.45 €"}
        await tell(backend, "FinalCost", **final)
        await until(lambda: price(rig).get("cost") == "2.45", "the total is on the page")
    finally:
        rig.close()
        await backend.stop()
    assert backend.violations() == [], rig.log()
