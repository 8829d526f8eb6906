"""DataTransfer."""

from __future__ import annotations

import json

from controller.ocpp.wire_time import format_time
from tests.conformance.lab import CARD, Lab
from tests.conformance.matching import ABSENT
from tests.conformance.registry import case


@case("TC_062_CS", "R16-DT-1", title="A vendor that nobody knows: UnknownVendorId, no data")
async def unknown_vendor(lab: Lab) -> None:
    for payload in (
        {"vendorId": "com.example.unknown"},
        {"vendorId": "com.example.unknown", "messageId": "Hello", "data": "x" * 5000},
    ):
        await lab.csms.call("DataTransfer", payload, status="UnknownVendorId", data=ABSENT)
    await lab.csms.quiet(for_s=5)


@case(
    "TC_064_CS",
    title="The station itself sends data: the cable was taken out",
    config={
        "CustomDisplayCostAndPrice": "true",
        "CustomIdleFeeAfterStop": "true",
        "MeterValueSampleInterval": "0",
    },
)
async def to_the_backend(lab: Lab) -> None:
    vendor = "org.openchargealliance.costmsg"
    start = await lab.begin_charging()
    lab.tap(CARD)
    stop = await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
    await lab.csms.expect("StatusNotification", connectorId=1, status="Finishing")
    cost = {
        "transactionId": start.transaction_id,
        "timestamp": format_time(lab.utc),
        "meterValue": stop["meterStop"],
        "cost": 1.0,
        "state": "Idle",
        "idlePrice": {"graceMinutes": 5, "hourPrice": 6.0},
    }
    request = {"vendorId": vendor, "messageId": "RunningCost", "data": json.dumps(cost)}
    await lab.csms.call("DataTransfer", request, status="Accepted")
    lab.unplug()
    told = await lab.csms.expect(
        "DataTransfer", vendorId=vendor, messageId="ConnectorUnplugged", within=60
    )
    assert json.loads(told["data"])["transactionId"] == start.transaction_id
