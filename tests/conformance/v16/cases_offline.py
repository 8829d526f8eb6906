"""Power failures, lost connections, and charging without the backend."""

from __future__ import annotations

from datetime import datetime

from tests.conformance.lab import CARD, OTHER_CARD, Lab
from tests.conformance.registry import case

NO_VALUES = {"MeterValueSampleInterval": "0"}
OFFLINE = {"LocalAuthorizeOffline": "true", "AllowOfflineTxForUnknownId": "true", **NO_VALUES}


async def gone(lab: Lab) -> None:
    """The backend is not there any more, and the station knows."""
    await lab.csms.offline()
    await lab.until(lambda: not lab.station.backend.connected, 30, "the loss of the connection")


async def back(lab: Lab) -> None:
    await lab.csms.online()
    await lab.until(lambda: lab.station.backend.connected, 120, "the new connection")


@case("TC_032_1_CS", "R16-TX-8", title="Power fails while charging: stopped at the next boot")
async def power_failure(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.sleep(130)
    lab.csms.skip()
    lab.energy_tolerance_wh = 70
    died = lab.utc
    await lab.power_loss(off_s=300)
    assert not lab.evse().closed
    await lab.csms.expect("BootNotification", within=60, chargePointModel="chargepost")
    stop = await lab.csms.expect(
        "StopTransaction", transactionId=start.transaction_id, reason="PowerLoss"
    )
    assert abs((died - stop.at).total_seconds()) < 62
    assert abs(stop["meterStop"] - lab.evse().energy_wh) <= 65
    await lab.never(lambda: lab.evse().closed, for_s=20, what="closing without a card")


@case(
    "TC_032_2_CS",
    "R16-TX-8",
    title="Power fails while charging offline: start and stop are told at the next boot",
    config=OFFLINE,
)
async def power_failure_offline(lab: Lab) -> None:
    await gone(lab)
    lab.plug()
    lab.tap(CARD)
    await lab.closed(within=40)
    await lab.sleep(100)
    lab.energy_tolerance_wh = 70
    await lab.power_loss(off_s=60)
    await lab.sleep(30)
    await lab.csms.online()
    await lab.csms.expect("BootNotification", within=120)
    start = await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)
    stop = await lab.csms.expect(
        "StopTransaction", transactionId=start.transaction_id, reason="PowerLoss"
    )
    assert stop.at > start.at


@case(
    "R16-TX-8",
    title="The station's process dies, the guard lives: the same transaction goes on",
    config=NO_VALUES,
)
async def station_killed(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.kill()
    await lab.csms.expect("BootNotification", within=60, chargePointModel="chargepost")
    await lab.csms.expect("StatusNotification", connectorId=1, status="Charging")
    assert lab.evse().closed
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id, idTag=CARD)


@case("TC_034_CS", "R16-ST-6", title="Out of service survives a power failure")
async def power_failure_unavailable(lab: Lab) -> None:
    await lab.csms.call(
        "ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}, status="Accepted"
    )
    await lab.csms.expect("StatusNotification", connectorId=1, status="Unavailable")
    await lab.power_loss()
    await lab.csms.expect("BootNotification", within=60)
    await lab.csms.expect("StatusNotification", connectorId=1, status="Unavailable")
    await lab.csms.quiet("StatusNotification", for_s=20)


@case(
    "TC_036_CS",
    "R16-TX-1",
    "R16-TX-3",
    "R16-TX-6",
    title="The connection is lost while charging: nothing of the transaction is",
    config={"MeterValueSampleInterval": "20"},
)
async def connection_loss(lab: Lab) -> None:
    start = await lab.begin_charging()
    await gone(lab)
    await lab.sleep(130)
    assert lab.evse().closed
    await back(lab)
    last = start.at
    for _ in range(6):
        call = await lab.csms.expect("MeterValues", transactionId=start.transaction_id)
        at = datetime.fromisoformat(call["meterValue"][0]["timestamp"])
        assert 18 < (at - last).total_seconds() < 22, "none is missing, none is double"
        last = at
    lab.csms.skip()
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id, idTag=CARD)


@case(
    "TC_037_1_CS",
    "R16-AUTH-4",
    "R16-TX-1",
    title="Started offline with a card that the backend accepts later",
    config=OFFLINE,
)
async def offline_start_valid(lab: Lab) -> None:
    await gone(lab)
    lab.plug()
    lab.tap(CARD)
    await lab.closed(within=40)
    begun = lab.utc
    await lab.sleep(60)
    await back(lab)
    start, _ = await lab.csms.expect_together(
        ("StartTransaction", {"connectorId": 1, "idTag": CARD}),
        ("StatusNotification", {"connectorId": 1, "status": "Charging"}),
        within=60,
    )
    assert abs((start.at - begun).total_seconds()) < 3
    await lab.csms.quiet("StopTransaction", for_s=20)
    assert lab.evse().closed


@case(
    "TC_037_2_CS",
    "R16-TX-7",
    title="Started offline, refused later, StopTransactionOnInvalidId off: no energy any more",
    config={**OFFLINE, "StopTransactionOnInvalidId": "false"},
)
async def offline_start_refused_suspends(lab: Lab) -> None:
    lab.csms.card(CARD, "Blocked")
    await gone(lab)
    lab.plug()
    lab.tap(CARD)
    await lab.closed(within=40)
    await back(lab)
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD, within=60)
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="SuspendedEVSE", via=("Charging",)
    )
    await lab.opened()
    await lab.csms.quiet("StopTransaction", for_s=20)


@case(
    "TC_037_3_CS",
    "R16-TX-7",
    title="Started offline, refused later, StopTransactionOnInvalidId on: stopped",
    lock=True,
    config={**OFFLINE, "StopTransactionOnInvalidId": "true"},
)
async def offline_start_refused_stops(lab: Lab) -> None:
    lab.csms.card(CARD, "Invalid")
    await gone(lab)
    lab.plug()
    lab.tap(CARD)
    await lab.closed(within=40)
    await back(lab)
    start = await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD, within=60)
    await lab.csms.expect(
        "StopTransaction",
        transactionId=start.transaction_id,
        reason="DeAuthorized",
    )
    await lab.opened()
    await lab.never(lambda: not lab.evse().locked, for_s=10, what="unlocking for anybody")
    lab.tap(OTHER_CARD)
    await lab.never(lambda: not lab.evse().locked, for_s=5, what="unlocking for another card")
    lab.tap(CARD)
    await lab.until(lambda: not lab.evse().locked, 10, "unlocking for the owner")


@case(
    "R16-TX-7",
    title="Refused while charging: some energy is still given",
    config={"StopTransactionOnInvalidId": "false", "MaxEnergyOnInvalidId": "50", **NO_VALUES},
)
async def energy_after_refusal(lab: Lab) -> None:
    lab.csms.reply("StartTransaction", {"transactionId": 77, "idTagInfo": {"status": "Blocked"}})
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    lab.tap(CARD)
    await lab.csms.expect("StartTransaction", idTag=CARD)
    await lab.closed()
    await lab.csms.expect(
        "StatusNotification",
        connectorId=1,
        status="SuspendedEVSE",
        via=("Charging", "SuspendedEV"),
        within=90,
    )
    await lab.opened()
    assert 45 < lab.evse().energy_wh - lab.evse().first_wh < 65


@case(
    "TC_038_CS",
    "R16-TX-1",
    "R16-ST-4",
    title="Stopped offline: the stop is told later, with its own time",
    config=OFFLINE,
)
async def offline_stop(lab: Lab) -> None:
    start = await lab.begin_charging()
    await gone(lab)
    await lab.sleep(30)
    lab.tap(CARD)
    stopped = lab.utc
    await lab.opened()
    await lab.sleep(60)
    await back(lab)
    stop, _ = await lab.csms.expect_together(
        ("StopTransaction", {"transactionId": start.transaction_id, "idTag": CARD}),
        ("StatusNotification", {"connectorId": 1, "status": "Finishing"}),
        within=60,
    )
    assert abs((stop.at - stopped).total_seconds()) < 3


@case(
    "TC_039_CS",
    "R16-TX-1",
    "R16-TX-4",
    "R16-ST-4",
    title="A whole transaction offline: told later, in order; only the status of now",
    config={**OFFLINE, "MeterValueSampleInterval": "20"},
)
async def offline_transaction(lab: Lab) -> None:
    await gone(lab)
    lab.plug()
    lab.tap(CARD)
    await lab.closed(within=40)
    await lab.sleep(70)
    lab.tap(CARD)
    await lab.opened()
    lab.unplug()
    await lab.sleep(60)
    told = lab.csms.count("StatusNotification")
    await back(lab)
    start = await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD, within=60)
    call = await lab.csms.expect("MeterValues", transactionId=start.transaction_id)
    at = datetime.fromisoformat(call["meterValue"][0]["timestamp"])
    assert 18 < (at - start.at).total_seconds() < 22
    stop = await lab.csms.expect("StopTransaction", transactionId=start.transaction_id, idTag=CARD)
    assert (stop.at - start.at).total_seconds() > 60
    await lab.sleep(5)
    assert lab.csms.count("StatusNotification") == told, "a status that was over is not told"


@case(
    "R16-AUTH-4",
    title="Offline and unknown: no energy",
    config={"AllowOfflineTxForUnknownId": "false", **NO_VALUES},
)
async def offline_unknown_card(lab: Lab) -> None:
    await gone(lab)
    lab.plug()
    lab.tap(CARD)
    await lab.never(lambda: lab.evse().closed, for_s=30, what="closing for an unknown card")
    await back(lab)
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    await lab.csms.expect("StartTransaction", idTag=CARD)


@case(
    "R16-AUTH-3",
    title="Offline and cached: only if LocalAuthorizeOffline permits it",
    config={"LocalAuthorizeOffline": "false", **NO_VALUES},
)
async def offline_cached_card(lab: Lab) -> None:
    await lab.begin_charging()
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", idTag=CARD)
    lab.unplug()
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Available", via=("Finishing",)
    )
    await gone(lab)
    lab.plug()
    lab.tap(CARD)
    await lab.never(lambda: lab.evse().closed, for_s=20, what="closing offline")
    lab.unplug()
    await back(lab)
    await lab.csms.call(
        "ChangeConfiguration", {"key": "LocalAuthorizeOffline", "value": "true"}, status="Accepted"
    )
    await gone(lab)
    lab.plug()
    lab.tap(CARD)
    await lab.closed(within=30)


@case("R16-ST-4", title="After a short loss only what changed is told", evses=2)
async def status_after_loss(lab: Lab) -> None:
    await gone(lab)
    lab.plug(1)
    await lab.sleep(5)
    lab.unplug(1)
    lab.plug(2)
    await lab.sleep(5)
    await back(lab)
    await lab.csms.expect("StatusNotification", connectorId=2, status="Preparing")
    await lab.csms.quiet("StatusNotification", for_s=10)


@case("TC_041_CS", "R16-ST-3", title="A fault and its end while nobody charges", rcd=True)
async def fault_behaviour(lab: Lab) -> None:
    lab.fault("emergency_stop")
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Faulted", errorCode="OtherError"
    )
    lab.plug()
    lab.tap(CARD)
    await lab.csms.quiet("StartTransaction", for_s=15)
    assert not lab.evse().closed
    lab.unplug()
    lab.fault("emergency_stop", present=False)
    await lab.sleep(1)
    lab.clear_fault("emergency_stop")
    await lab.csms.expect(
        "StatusNotification",
        connectorId=1,
        status="Available",
        errorCode="NoError",
        within=60,
        via=None,
    )


@case(
    "R16-ST-3",
    title="A residual current while charging: Faulted, no energy, the transaction is told to its end",
    rcd=True,
    config=NO_VALUES,
)
async def residual_current(lab: Lab) -> None:
    start = await lab.begin_charging()
    lab.fault("rcd")
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Faulted", errorCode="GroundFailure"
    )
    await lab.opened(within=0.1)
    lab.unplug()
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
