"""Remote start and stop."""

from __future__ import annotations

from typing import Any

from tests.conformance.lab import CARD, OTHER_CARD, Lab
from tests.conformance.registry import case

NO_VALUES = {"MeterValueSampleInterval": "0"}


async def remote_start(lab: Lab, status: str = "Accepted", **more: Any) -> None:
    await lab.csms.call("RemoteStartTransaction", {"idTag": CARD, **more}, status=status)


@case(
    "TC_010_CS",
    "R16-AUTH-7",
    title="Remote start, cable first, authorized first",
    config={"AuthorizeRemoteTxRequests": "true", **NO_VALUES},
)
async def remote_start_cable_first(lab: Lab) -> None:
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    await remote_start(lab, connectorId=1)
    await lab.csms.expect("Authorize", idTag=CARD)
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Charging", via=("SuspendedEV",)
    )
    await lab.closed()


@case(
    "R16-AUTH-7",
    title="Remote start without authorization: at once",
    config={"AuthorizeRemoteTxRequests": "false", **NO_VALUES},
)
async def remote_start_unasked(lab: Lab) -> None:
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    await remote_start(lab)
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)
    assert lab.csms.count("Authorize") == 0


@case(
    "R16-AUTH-7",
    title="Remote start of a refused card, authorized first: nothing starts",
    config={"AuthorizeRemoteTxRequests": "true", **NO_VALUES},
)
async def remote_start_refused_card(lab: Lab) -> None:
    lab.csms.card(CARD, "Blocked")
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    await remote_start(lab, connectorId=1)
    await lab.csms.expect("Authorize", idTag=CARD)
    await lab.csms.quiet("StartTransaction", for_s=10)


@case("TC_011_1_CS", title="Remote start first, then the cable", config=NO_VALUES)
async def remote_start_first(lab: Lab) -> None:
    await remote_start(lab, connectorId=1)
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    await lab.csms.quiet("StartTransaction", for_s=10)
    lab.plug()
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Charging", via=("SuspendedEV",)
    )


@case(
    "TC_011_2_CS",
    title="Remote start first, no cable within ConnectionTimeOut",
    config={"ConnectionTimeOut": "25"},
)
async def remote_start_time_out(lab: Lab) -> None:
    await remote_start(lab, connectorId=1)
    begun = await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    back = await lab.csms.expect("StatusNotification", connectorId=1, status="Available", within=40)
    assert 24 <= back.at_s - begun.at_s <= 27
    lab.plug()
    await lab.csms.quiet("StartTransaction", for_s=10)


@case("TC_012_CS", title="Remote stop", config=NO_VALUES)
async def remote_stop(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.csms.call(
        "RemoteStopTransaction", {"transactionId": start.transaction_id}, status="Accepted"
    )
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id, reason="Remote")
    await lab.csms.expect("StatusNotification", connectorId=1, status="Finishing")
    await lab.opened()
    lab.unplug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available")


@case("R16-TX-10", title="A transaction may be called 0", config=NO_VALUES)
async def transaction_zero(lab: Lab) -> None:
    lab.csms.next_transaction_id = 0
    start = await lab.begin_charging()
    assert start.transaction_id == 0
    await lab.csms.call("RemoteStopTransaction", {"transactionId": 0}, status="Accepted")
    await lab.csms.expect("StopTransaction", transactionId=0, reason="Remote")


@case("R16-TX-10", title="A transaction may have a negative id", config=NO_VALUES)
async def transaction_negative(lab: Lab) -> None:
    lab.csms.next_transaction_id = -7
    await lab.begin_charging()
    await lab.csms.call("RemoteStopTransaction", {"transactionId": -7}, status="Accepted")
    await lab.csms.expect("StopTransaction", transactionId=-7, reason="Remote")


@case("TC_026_CS", title="Remote start while a transaction runs: rejected", config=NO_VALUES)
async def remote_start_rejected(lab: Lab) -> None:
    await lab.begin_charging()
    await lab.csms.call(
        "RemoteStartTransaction", {"idTag": OTHER_CARD, "connectorId": 1}, status="Rejected"
    )
    await lab.csms.quiet("StartTransaction", for_s=10)


@case("TC_027_CS", "R16-AUTH-7", title="Remote start on connector 0: rejected")
async def remote_start_connector_zero(lab: Lab) -> None:
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    await remote_start(lab, "Rejected", connectorId=0)
    await remote_start(lab, "Rejected", connectorId=2)
    await lab.csms.quiet("StartTransaction", for_s=10)


@case("TC_028_CS", "R16-AUTH-7", title="Remote stop of an unknown transaction: rejected")
async def remote_stop_rejected(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.csms.call(
        "RemoteStopTransaction", {"transactionId": start.transaction_id + 1000}, status="Rejected"
    )
    await lab.csms.quiet("StopTransaction", for_s=10)
    assert lab.evse().closed


@case("R16-AUTH-7", title="A second remote start while the first waits: rejected")
async def second_remote_start(lab: Lab) -> None:
    await remote_start(lab, connectorId=1)
    await lab.csms.call(
        "RemoteStartTransaction", {"idTag": OTHER_CARD, "connectorId": 1}, status="Rejected"
    )
    lab.plug()
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)


@case("R16-AUTH-7", title="Remote start without a connector: the one with the cable", evses=2)
async def remote_start_any_connector(lab: Lab) -> None:
    lab.plug(2)
    await lab.csms.expect("StatusNotification", connectorId=2, status="Preparing")
    await remote_start(lab)
    await lab.csms.expect("StartTransaction", connectorId=2, idTag=CARD)
