"""Reset and ChangeAvailability."""

from __future__ import annotations

from tests.conformance.lab import CARD, Lab
from tests.conformance.matching import OneOf
from tests.conformance.registry import case

NO_VALUES = {"MeterValueSampleInterval": "0"}


async def booted(lab: Lab, *connectors: int, status: str = "Available") -> None:
    """BootNotification and all statuses after a restart."""
    await lab.csms.expect("BootNotification", within=60, chargePointModel="chargepost")
    wanted = [("StatusNotification", {"connectorId": 0, "status": "Available"})]
    wanted += [("StatusNotification", {"connectorId": n, "status": status}) for n in connectors]
    await lab.csms.expect_together(*wanted)


@case("TC_013_CS", "R16-RST-1", title="Hard reset, nobody charges", evses=2)
async def hard_reset(lab: Lab) -> None:
    await lab.csms.call("Reset", {"type": "Hard"}, status="Accepted")
    await booted(lab, 1, 2)
    assert lab.exits == [4]


@case("TC_014_CS", "R16-RST-1", title="Soft reset, nobody charges", evses=2)
async def soft_reset(lab: Lab) -> None:
    await lab.csms.call("Reset", {"type": "Soft"}, status="Accepted")
    await booted(lab, 1, 2)
    assert lab.exits == [3]


@case("TC_015_CS", "R16-RST-1", "R16-TX-8", title="Hard reset with a transaction", config=NO_VALUES)
async def hard_reset_with_transaction(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.csms.call("Reset", {"type": "Hard"}, status="Accepted")
    await lab.csms.expect(
        "StopTransaction", transactionId=start.transaction_id, reason="HardReset", within=60
    )
    await lab.opened()
    await lab.csms.expect("BootNotification", within=60, chargePointModel="chargepost")
    await lab.csms.expect(
        "StatusNotification",
        connectorId=1,
        status=OneOf("Preparing", "Finishing"),
        via=("Finishing",),
    )
    await lab.csms.quiet("StartTransaction", for_s=30)
    lab.unplug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available")


@case("TC_016_CS", "R16-RST-1", "R16-TX-8", title="Soft reset with a transaction", config=NO_VALUES)
async def soft_reset_with_transaction(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.csms.call("Reset", {"type": "Soft"}, status="Accepted")
    await lab.csms.expect(
        "StopTransaction", transactionId=start.transaction_id, reason="SoftReset", within=60
    )
    await lab.csms.expect("BootNotification", within=60, chargePointModel="chargepost")
    await lab.csms.expect("StatusNotification", connectorId=1, status="Finishing")
    assert not lab.evse().closed
    lab.unplug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available")


@case(
    "R16-RST-1",
    title="The end of the transaction is told after the restart if it could not be before",
    config=NO_VALUES,
)
async def reset_without_answer(lab: Lab) -> None:
    start = await lab.begin_charging()
    lab.csms.reply("StopTransaction", silent=True)
    await lab.csms.call("Reset", {"type": "Soft"}, status="Accepted")
    await lab.csms.expect("StopTransaction", reason="SoftReset")
    await lab.csms.expect("BootNotification", within=200, chargePointModel="chargepost")
    await lab.until(lambda: lab.csms.rules.transactions[start.transaction_id].stop is not None, 60)
    await lab.until(lambda: bool(lab.csms.repeated), 60, "the repetition after the restart")


@case(
    "R16-AV-1",
    "R16-ST-6",
    title="One connector out of service; it stays so after a restart",
    evses=2,
)
async def connector_unavailable(lab: Lab) -> None:
    await lab.csms.call(
        "ChangeAvailability", {"connectorId": 2, "type": "Inoperative"}, status="Accepted"
    )
    await lab.csms.expect("StatusNotification", connectorId=2, status="Unavailable")
    await lab.csms.call(
        "ChangeAvailability", {"connectorId": 2, "type": "Inoperative"}, status="Accepted"
    )
    lab.plug(2)
    await lab.csms.quiet("StatusNotification", for_s=5)
    await lab.csms.call(
        "RemoteStartTransaction", {"idTag": CARD, "connectorId": 2}, status="Rejected"
    )
    lab.unplug(2)
    await lab.power_loss()
    await lab.csms.expect("BootNotification", within=60)
    await lab.csms.expect_together(
        ("StatusNotification", {"connectorId": 0, "status": "Available"}),
        ("StatusNotification", {"connectorId": 1, "status": "Available"}),
        ("StatusNotification", {"connectorId": 2, "status": "Unavailable"}),
    )
    await lab.csms.call(
        "ChangeAvailability", {"connectorId": 2, "type": "Operative"}, status="Accepted"
    )
    await lab.csms.expect("StatusNotification", connectorId=2, status="Available")


@case("R16-AV-1", title="The whole station out of service and back", evses=2)
async def station_unavailable(lab: Lab) -> None:
    await lab.csms.call(
        "ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}, status="Accepted"
    )
    await lab.csms.expect_together(
        *(("StatusNotification", {"connectorId": n, "status": "Unavailable"}) for n in (0, 1, 2))
    )
    await lab.csms.call(
        "ChangeAvailability", {"connectorId": 0, "type": "Operative"}, status="Accepted"
    )
    await lab.csms.expect_together(
        *(("StatusNotification", {"connectorId": n, "status": "Available"}) for n in (0, 1, 2))
    )


@case("R16-AV-1", title="Out of service while charging: scheduled", config=NO_VALUES)
async def availability_scheduled(lab: Lab) -> None:
    await lab.begin_charging()
    await lab.csms.call(
        "ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}, status="Scheduled"
    )
    await lab.csms.quiet("StatusNotification", for_s=10)
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", idTag=CARD)
    lab.unplug()
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Unavailable", via=("Finishing",)
    )


@case("R16-AV-1", title="A connector that does not exist cannot be changed")
async def availability_of_nothing(lab: Lab) -> None:
    await lab.csms.call(
        "ChangeAvailability", {"connectorId": 5, "type": "Inoperative"}, status="Rejected"
    )
