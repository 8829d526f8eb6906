"""Regular sessions."""

from __future__ import annotations

from tests.conformance.lab import CARD, OTHER_CARD, Lab
from tests.conformance.matching import ABSENT
from tests.conformance.registry import case

NO_VALUES = {"MeterValueSampleInterval": "0"}


@case("TC_003_CS", "R16-ST-1", "R16-TX-9", title="Plug in first, then identify", config=NO_VALUES)
async def plug_in_first(lab: Lab) -> None:
    lab.plug()
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Preparing", errorCode="NoError"
    )
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    start = await lab.csms.expect(
        "StartTransaction",
        connectorId=1,
        idTag=CARD,
        reservationId=ABSENT,
        meterStart=round(lab.evse().first_wh),
    )
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Charging", via=("SuspendedEV",)
    )
    await lab.closed()
    await lab.sleep(120)
    lab.tap(CARD)
    stop = await lab.csms.expect("StopTransaction", transactionId=start.transaction_id, idTag=CARD)
    assert stop.get("reason", "Local") == "Local"
    await lab.csms.expect("StatusNotification", connectorId=1, status="Finishing")
    await lab.opened()
    assert abs(stop["meterStop"] - lab.evse().energy_wh) <= 1
    assert 90 < stop["meterStop"] - start["meterStart"] < 140
    lab.unplug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available")


@case("TC_004_1_CS", "R16-ST-1", title="Identify first, then plug in", config=NO_VALUES)
async def identification_first(lab: Lab) -> None:
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    await lab.csms.quiet("StartTransaction", for_s=20)
    lab.plug()
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Charging", via=("SuspendedEV",)
    )
    await lab.closed()


@case(
    "TC_004_2_CS",
    title="Identified, but no cable within ConnectionTimeOut",
    config={"ConnectionTimeOut": "25"},
)
async def connection_time_out(lab: Lab) -> None:
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    asked = await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    back = await lab.csms.expect("StatusNotification", connectorId=1, status="Available", within=40)
    assert 24 <= back.at_s - asked.at_s <= 27
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    await lab.csms.quiet("StartTransaction", for_s=10)
    assert not lab.evse().closed


@case(
    "R16-ST-1",
    title="Plugged in, but no card within ConnectionTimeOut: Finishing, nobody can take the cable over",
    config={"ConnectionTimeOut": "25"},
)
async def cable_without_card(lab: Lab) -> None:
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    await lab.csms.expect("StatusNotification", connectorId=1, status="Finishing", within=30)
    lab.unplug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available")


@case(
    "TC_005_1_CS",
    "R16-ST-5",
    title="Unplugged at the vehicle: the transaction ends, the cable is free",
    lock=True,
    config={
        "StopTransactionOnEVSideDisconnect": "true",
        "UnlockConnectorOnEVSideDisconnect": "true",
        **NO_VALUES,
    },
)
async def ev_side_disconnect(lab: Lab) -> None:
    start = await lab.begin_charging()
    assert lab.evse().locked
    lab.unplug()
    await lab.csms.expect(
        "StopTransaction", transactionId=start.transaction_id, reason="EVDisconnected", idTag=ABSENT
    )
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Available", via=("Finishing",)
    )
    await lab.opened()
    await lab.until(lambda: not lab.evse().locked, what="unlocking")


@case(
    "TC_005_2_CS",
    "R16-ST-5",
    title="Unplugged at the vehicle: the transaction ends, the cable stays locked",
    lock=True,
    config={
        "StopTransactionOnEVSideDisconnect": "true",
        "UnlockConnectorOnEVSideDisconnect": "false",
        **NO_VALUES,
    },
)
async def ev_side_disconnect_locked(lab: Lab) -> None:
    start = await lab.begin_charging()
    lab.unplug()
    ended = {"transactionId": start.transaction_id, "reason": "EVDisconnected"}
    await lab.csms.expect_together(
        ("StatusNotification", {"connectorId": 1, "status": "Finishing"}),
        ("StopTransaction", ended),
    )
    await lab.never(lambda: not lab.evse().locked, for_s=20, what="unlocking")
    lab.tap(CARD)
    await lab.until(lambda: not lab.evse().locked, what="unlocking by the driver's card")
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available")


@case(
    "TC_005_3_CS",
    "R16-ST-5",
    title="Unplugged at the vehicle: the transaction goes on",
    lock=True,
    config={
        "StopTransactionOnEVSideDisconnect": "false",
        "UnlockConnectorOnEVSideDisconnect": "false",
        **NO_VALUES,
    },
)
async def ev_side_disconnect_goes_on(lab: Lab) -> None:
    start = await lab.begin_charging()
    lab.unplug()
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="SuspendedEV", info="EV side disconnected"
    )
    await lab.opened()
    assert lab.evse().locked
    await lab.csms.quiet("StopTransaction", for_s=20)
    lab.plug()
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Charging", via=("SuspendedEV",)
    )
    await lab.closed()
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id, idTag=CARD)
    await lab.csms.expect("StatusNotification", connectorId=1, status="Finishing")


@case(
    "TC_068_CS",
    "R16-AUTH-2",
    title="Stopped by the card that started, without asking",
    config=NO_VALUES,
)
async def stop_with_same_card(lab: Lab) -> None:
    start = await lab.begin_charging()
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id, idTag=CARD)
    assert lab.csms.count("Authorize") == 1
    await lab.csms.expect("StatusNotification", connectorId=1, status="Finishing")


@case("TC_069_CS", "R16-AUTH-2", title="Stopped by a card with the same parent", config=NO_VALUES)
async def stop_with_same_parent(lab: Lab) -> None:
    lab.csms.card(CARD, parent="FLEET")
    lab.csms.card(OTHER_CARD, parent="FLEET")
    start = await lab.begin_charging()
    lab.tap(OTHER_CARD)
    await lab.csms.expect("Authorize", idTag=OTHER_CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id, idTag=OTHER_CARD)
    await lab.csms.expect("StatusNotification", connectorId=1, status="Finishing")


@case("R16-AUTH-2", title="A card without the same parent does not stop it", config=NO_VALUES)
async def stop_with_foreign_card(lab: Lab) -> None:
    await lab.begin_charging()
    lab.tap(OTHER_CARD)
    await lab.csms.quiet("StopTransaction", for_s=20)
    assert lab.evse().closed
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", idTag=CARD)


@case(
    "R16-AUTH-6",
    title="Cards are compared without regard to case and told in upper-case hex",
    config=NO_VALUES,
)
async def cards_without_case(lab: Lab) -> None:
    del lab.csms.cards[CARD]
    lab.csms.card(CARD.lower(), parent="fleet")
    lab.csms.card(OTHER_CARD, parent="FLEET")
    await lab.begin_charging()
    lab.tap(OTHER_CARD)
    await lab.csms.expect("StopTransaction", idTag=OTHER_CARD)


@case("R16-ST-2", title="Who suspends: the vehicle, the station, both", config=NO_VALUES)
async def who_suspends(lab: Lab) -> None:
    await lab.begin_charging()
    lab.pause()
    await lab.csms.expect("StatusNotification", connectorId=1, status="SuspendedEV")
    await lab.opened()
    lab.resume()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Charging")
    await lab.closed()
    lab.evse().vehicle.resume(0.0, None, lab.loop.now_ns())
    await lab.csms.quiet("StatusNotification", for_s=15)


@case("R16-ST-2", title="The vehicle is plugged and permitted, but does not ask", config=NO_VALUES)
async def vehicle_not_ready(lab: Lab) -> None:
    lab.plug(ready_after=20.0)
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    lab.tap(CARD)
    await lab.csms.expect("StartTransaction", idTag=CARD)
    await lab.csms.expect("StatusNotification", connectorId=1, status="SuspendedEV")
    await lab.csms.expect("StatusNotification", connectorId=1, status="Charging")


@case(
    "R16-ST-3",
    title="A fault that stops charging, and one that is only a warning",
    config=NO_VALUES,
)
async def fault_and_warning(lab: Lab) -> None:
    lab.fault("meter")
    await lab.csms.expect(
        "StatusNotification",
        connectorId=1,
        status="Available",
        errorCode="PowerMeterFailure",
        within=60,
    )
    lab.fault("meter", False)
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Available", errorCode="NoError", within=60
    )
    lab.fault("emergency_stop")
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Faulted", errorCode="OtherError"
    )


@case(
    "R16-ST-1",
    title="MinimumStatusDuration: what does not last is not told",
    config={"MinimumStatusDuration": "10", **NO_VALUES},
)
async def minimum_status_duration(lab: Lab) -> None:
    lab.plug()
    await lab.sleep(4)
    lab.unplug()
    await lab.csms.quiet("StatusNotification", for_s=20)
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing", within=14)
