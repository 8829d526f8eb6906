"""Prices and costs (OCPP & California Pricing Requirements over 1.6, section 3)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from controller.ocpp.wire_time import format_time
from tests.conformance.backend import Call
from tests.conformance.lab import CARD, OTHER_CARD, Lab
from tests.conformance.matching import ABSENT
from tests.conformance.registry import case
from tests.conformance.v16.keys import change

VENDOR = "org.openchargealliance.costmsg"
ON = {"CustomDisplayCostAndPrice": "true", "MeterValueSampleInterval": "0"}
DEFAULT = {
    "priceText": "0.15 $/kWh",
    "priceTextOffline": "offline: 0.15 $/kWh",
    "chargingPrice": {"kWhPrice": 0.15},
}
DAY_S = 86_400


def shown(lab: Lab, evse: int = 1) -> dict[str, Any]:
    """What the page shows of one EVSE."""
    price = lab.station.station.snapshots.snapshot()["evses"][evse - 1]["price"]
    return dict(price) if price is not None else {"kind": None, "text": None, "cost": None}


async def tell(lab: Lab, message: str, data: object, status: str = "Accepted") -> None:
    text = data if isinstance(data, str) else json.dumps(data)
    request = {"vendorId": VENDOR, "messageId": message, "data": text}
    await lab.csms.call("DataTransfer", request, status=status)


def running(lab: Lab, start: Call, **more: Any) -> dict[str, Any]:
    return {
        "transactionId": start.transaction_id,
        "timestamp": format_time(lab.utc),
        "meterValue": round(lab.evse(1).energy_wh),
        "cost": 1.00,
        "state": "Charging",
        "chargingPrice": {"kWhPrice": 0.20},
        **more,
    }


@case("COST-1", title="The default price, in the station's language and offline", config=ON)
async def default_price(lab: Lab) -> None:
    await change(lab.csms, "DefaultPrice", json.dumps(DEFAULT))
    await change(lab.csms, "DefaultPriceText,de", '{"priceText": "0,15 $/kWh"}')
    await change(lab.csms, "DefaultPrice", '{"priceText": 5}', "Rejected")
    await change(lab.csms, "DefaultPriceText,xx", '{"priceText": "a"}', "NotSupported")
    assert shown(lab)["text"] == "0.15 $/kWh"
    await change(lab.csms, "Language", "de")
    assert shown(lab)["text"] == "0,15 $/kWh"
    await change(lab.csms, "Language", "xx", "Rejected")
    await change(lab.csms, "Language", "en")
    await lab.power_loss(10)
    await lab.registered()
    assert shown(lab)["text"] == "0.15 $/kWh"
    await lab.csms.offline()
    assert shown(lab)["text"] == "offline: 0.15 $/kWh"


@case("COST-2", title="The driver's own price is shown for his card", config=ON)
async def user_price(lab: Lab) -> None:
    lab.plug()
    lab.tap()
    await lab.csms.expect("StartTransaction", idTag=CARD)
    german = {"format": "UTF8", "language": "de", "content": "0,12 $/kWh"}
    body = {"idToken": CARD, "priceText": "0.12 $/kWh", "priceTextExtra": [german]}
    await tell(lab, "SetUserPrice", body)
    assert (shown(lab)["kind"], shown(lab)["text"]) == ("own", "0.12 $/kWh")
    await change(lab.csms, "Language", "de")
    assert shown(lab)["text"] == "0,12 $/kWh"
    await tell(lab, "SetUserPrice", {"idToken": OTHER_CARD, "priceText": "9 $/kWh"})
    assert shown(lab)["text"] == "0,12 $/kWh"


@case(
    "COST-2",
    title="An accepted card waits for its price",
    config={**ON, "WaitForSetUserPriceTimeout": "3000"},
)
async def price_before_start(lab: Lab) -> None:
    lab.plug()
    lab.tap()
    await lab.csms.expect("Authorize", idTag=CARD)
    await lab.csms.quiet("StartTransaction", for_s=2)
    await tell(lab, "SetUserPrice", {"idToken": CARD, "priceText": "0.12 $/kWh"})
    await lab.csms.expect("StartTransaction", within=0.5, idTag=CARD)
    assert shown(lab)["text"] == "0.12 $/kWh"


@case(
    "COST-3",
    "COST-4",
    title="The running cost is counted on; the next period begins at its time",
    config=ON,
)
async def running_cost(lab: Lab) -> None:
    start = await lab.begin_charging()
    later = {
        "atTime": format_time(lab.utc + timedelta(minutes=10)),
        "chargingPrice": {"kWhPrice": 2.00},
    }
    await tell(lab, "RunningCost", running(lab, start, nextPeriod=later))
    assert (shown(lab)["kind"], shown(lab)["next"]["unit_prices"]) == ("running", {"kwh": "2.00"})
    await lab.sleep(300)
    assert 1.05 < float(shown(lab)["cost"]) < 1.07
    await lab.sleep(310)
    assert shown(lab)["unit_prices"] == {"kwh": "2.00"} and shown(lab)["next"] is None
    await tell(lab, "RunningCost", running(lab, start, cost=1.5))
    assert shown(lab)["cost"] == "1.50"


@case("COST-5", title="Idle time costs after its grace, also after the end; unplugging is told",
      config={**ON, "CustomIdleFeeAfterStop": "true"}, lock=True)  # fmt: skip
async def idle_fee_after_stop(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.sleep(60)
    lab.tap()
    stop = await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
    await lab.csms.expect("StatusNotification", connectorId=1, status="Finishing", via=None)
    idle = running(
        lab,
        start,
        state="Idle",
        meterValue=stop["meterStop"],
        idlePrice={"graceMinutes": 5, "hourPrice": 6.0},
    )
    del idle["chargingPrice"]
    await tell(lab, "RunningCost", idle)
    await lab.sleep(290)
    assert shown(lab)["cost"] == "1.00"
    await lab.sleep(610)
    assert 1.98 < float(shown(lab)["cost"]) < 2.01
    await lab.csms.offline()
    lab.unplug()
    unplugged_at = lab.utc
    await lab.sleep(30)
    await lab.csms.online()
    told = await lab.csms.expect(
        "DataTransfer", within=120, vendorId=VENDOR, messageId="ConnectorUnplugged"
    )
    data = json.loads(told["data"])
    assert data["transactionId"] == start.transaction_id
    assert data["timestamp"] <= format_time(unplugged_at + timedelta(seconds=2))
    await lab.csms.quiet("DataTransfer", for_s=60)


@case("COST-5", title="Without CustomIdleFeeAfterStop the unplugging is not told", config=ON)
async def no_idle_fee(lab: Lab) -> None:
    start = await lab.begin_charging()
    lab.unplug()
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
    await lab.csms.quiet("DataTransfer", for_s=60)


@case(
    "COST-6",
    title="The final cost is shown until the next driver comes, also after a restart",
    config=ON,
)
async def final_cost(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.sleep(30)
    lab.tap()
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
    body = {
        "transactionId": start.transaction_id,
        "cost": 3.31,
        "priceText": "3.31 $ in all",
        "qrCodeText": "https://example.org/invoices/13546",
    }
    await tell(lab, "FinalCost", body)
    expected = ("final", "3.31", "3.31 $ in all", body["qrCodeText"])
    assert tuple(shown(lab)[name] for name in ("kind", "cost", "text", "qr")) == expected
    lab.unplug()
    await lab.sleep(60)
    assert shown(lab)["kind"] == "final"
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing", via=None)
    assert shown(lab)["kind"] is None


@case(
    "COST-7",
    "R16-MV-3",
    title="Meter values when time, energy, power or status come true",
    config=ON,
)
async def triggers(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.sleep(10)  # the current has risen
    wanted = {
        "atTime": format_time(lab.utc + timedelta(seconds=45)),
        "atEnergykWh": 0.10,
        "atPowerkW": 0.5,
        "atCPStatus": ["SuspendedEV", "Finishing"],
    }
    await tell(lab, "RunningCost", running(lab, start, triggerMeterValue=wanted))
    by_time = await value(lab, start, within=50)
    await lab.csms.quiet("MeterValues", for_s=30)
    by_energy = await value(lab, start, within=60)
    assert 100 <= register(by_energy) - start["meterStart"] < 110
    assert register(by_time) < register(by_energy)
    lab.pause()
    await lab.csms.expect_together(
        ("StatusNotification", {"connectorId": 1, "status": "SuspendedEV"}),
        ("MeterValues", {"connectorId": 1, "transactionId": start.transaction_id}),
        within=20,
    )
    await value(lab, start, within=5)  # the power has fallen
    await tell(lab, "RunningCost", running(lab, start, triggerMeterValue=wanted))
    await lab.csms.quiet("MeterValues", for_s=30)
    lab.resume()
    await value(lab, start, within=30)


async def value(lab: Lab, start: Call, within: float) -> Call:
    return await lab.csms.expect(
        "MeterValues",
        within=within,
        connectorId=1,
        transactionId=start.transaction_id,
        meterValue=lambda values: values[0]["sampledValue"][0]["context"] == "Other",
    )


def register(call: Call) -> int:
    (found,) = (
        int(v["value"])
        for v in call["meterValue"][0]["sampledValue"]
        if v["measurand"] == "Energy.Active.Import.Register"
    )
    return found


@case("COST-8", title="What is unknown or malformed changes nothing", config=ON)
async def refusals(lab: Lab) -> None:
    start = await lab.begin_charging()
    await tell(lab, "RunningCost", running(lab, start))
    before = {**shown(lab), "cost": None}
    unknown = {**running(lab, start, cost=9), "transactionId": start.transaction_id + 1}
    await tell(lab, "RunningCost", unknown, "Rejected")
    final = {"transactionId": 4711, "cost": 1, "priceText": "a"}
    await tell(lab, "FinalCost", final, "Rejected")
    for wrong in (
        {"cost": "9"},
        {"state": "Sleeping"},
        {"chargingPrice": None},
        {"triggerMeterValue": {"atCPStatus": ["Asleep"]}},
        {"timestamp": "now"},
    ):
        await tell(lab, "RunningCost", running(lab, start, **wrong), "Rejected")
    await tell(lab, "RunningCost", "{", "Rejected")
    await tell(lab, "SetUserPrice", {"priceText": "a"}, "Rejected")
    await tell(lab, "Refund", {}, "UnknownMessageId")
    request = {"vendorId": VENDOR}
    await lab.csms.call("DataTransfer", request, status="UnknownMessageId")
    assert {**shown(lab), "cost": None} == before


@case("COST-9", title="Types, ranges and access of the keys", config=ON)
async def keys(lab: Lab) -> None:
    fixed = {
        "CustomDisplayCostAndPrice": "true",
        "CustomMultiLanguageMessages": "true",
        "NumberOfDecimalsForCostValues": "3",
        "SupportedLanguages": "en,de,nl,fr,es",
    }
    answer = await lab.csms.call("GetConfiguration", {"key": list(fixed)}, unknownKey=ABSENT)
    found = {entry["key"]: entry for entry in answer["configurationKey"]}
    for key, expected in fixed.items():
        assert (found[key]["value"], found[key]["readonly"]) == (expected, True)
        await change(lab.csms, key, expected, "Rejected")
    for key, good, bad in (
        ("TimeOffset", "-05:00", "5 hours"),
        ("TimeOffsetNextTransition", "-04:00", "99:00"),
        ("NextTimeOffsetTransitionDateTime", "2027-03-28T02:00:00+01:00", "in spring"),
        ("CustomIdleFeeAfterStop", "true", "maybe"),
        ("WaitForSetUserPriceTimeout", "500", "-1"),
        ("Language", "fr", "klingon"),
    ):
        await change(lab.csms, key, good)
        await change(lab.csms, key, bad, "Rejected")
        answer = await lab.csms.call("GetConfiguration", {"key": [key]}, unknownKey=ABSENT)
        assert answer["configurationKey"][0]["value"] == good


@case("COST-9", title="A station without a display has no prices", config={})
async def no_display(lab: Lab) -> None:
    names = ["DefaultPrice", "Language"]
    await lab.csms.call("GetConfiguration", {"key": names}, unknownKey=names)
    request = {"vendorId": VENDOR, "messageId": "SetUserPrice", "data": "{}"}
    await lab.csms.call("DataTransfer", request, status="UnknownVendorId")
