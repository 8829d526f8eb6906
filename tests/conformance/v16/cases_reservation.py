"""Reservations: ReserveNow and CancelReservation."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from controller.ocpp.wire_time import format_time
from tests.conformance.lab import CARD, OTHER_CARD, Lab
from tests.conformance.matching import ABSENT
from tests.conformance.registry import case

QUIET: dict[str, Any] = {"config": {"MeterValueSampleInterval": "0"}}
CLUB = "CLUB"


async def reserve(
    lab: Lab,
    status: str = "Accepted",
    *,
    connector: int = 1,
    number: int = 1,
    uid: str = CARD,
    seconds: float = 3600,
    parent: str = "",
) -> None:
    """ReserveNow and its answer."""
    request = {
        "connectorId": connector,
        "expiryDate": format_time(lab.utc + timedelta(seconds=seconds)),
        "idTag": uid,
        "reservationId": number,
        **({"parentIdTag": parent} if parent else {}),
    }
    await lab.csms.call("ReserveNow", request, status=status)


async def cancel(lab: Lab, number: int = 1, status: str = "Accepted") -> None:
    """CancelReservation and its answer."""
    await lab.csms.call("CancelReservation", {"reservationId": number}, status=status)


async def told(lab: Lab, status: str, connector: int = 1, *via: str) -> None:
    """The connector's next status."""
    await lab.csms.expect(
        "StatusNotification", connectorId=connector, status=status, errorCode="NoError", via=via
    )


async def make_unavailable(lab: Lab, connector: int = 1) -> None:
    """ChangeAvailability, and what the connector says then."""
    await lab.csms.call(
        "ChangeAvailability", {"connectorId": connector, "type": "Inoperative"}, status="Accepted"
    )
    await told(lab, "Unavailable", connector or 1)


@case("TC_046_CS", "R16-RES-1", title="A reserved connector: the transaction of its card", **QUIET)
async def transaction(lab: Lab) -> None:
    await reserve(lab)
    await told(lab, "Reserved")
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    await told(lab, "Preparing")
    lab.plug()
    start = await lab.csms.expect(
        "StartTransaction",
        connectorId=1,
        idTag=CARD,
        reservationId=1,
        meterStart=round(lab.evse().first_wh),
    )
    await told(lab, "Charging", 1, "SuspendedEV")
    await lab.closed()
    await cancel(lab, 1, "Rejected")
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
    await told(lab, "Finishing")
    lab.unplug()
    await told(lab, "Available")
    # The next one is not of this reservation.
    lab.plug()
    lab.tap(OTHER_CARD)
    await lab.csms.expect("StartTransaction", idTag=OTHER_CARD, reservationId=ABSENT)


@case("TC_046_CS", "R16-RES-1", title="A reserved connector: cable first, then its card", **QUIET)
async def transaction_plugged_first(lab: Lab) -> None:
    await reserve(lab)
    await told(lab, "Reserved")
    lab.plug()
    await lab.csms.quiet("StatusNotification", for_s=5)
    lab.tap(CARD)
    await told(lab, "Preparing")
    await lab.csms.expect("StartTransaction", idTag=CARD, reservationId=1)
    await lab.closed()


@case(
    "TC_046_CS", "R16-RES-1", title="A reserved connector: remote start by its card only", **QUIET
)
async def remote_transaction(lab: Lab) -> None:
    await reserve(lab)
    await told(lab, "Reserved")
    lab.plug()
    for request in ({"idTag": OTHER_CARD, "connectorId": 1}, {"idTag": OTHER_CARD}):
        await lab.csms.call("RemoteStartTransaction", request, status="Rejected")
    await lab.csms.quiet("StartTransaction", for_s=5)
    await lab.csms.call(
        "RemoteStartTransaction", {"idTag": CARD, "connectorId": 1}, status="Accepted"
    )
    await told(lab, "Preparing")
    await lab.csms.expect("StartTransaction", idTag=CARD, reservationId=1)
    await lab.closed()


@case(
    "R16-RES-1",
    title="Another driver's card and cable start nothing on a reserved connector",
    **QUIET,
)
async def another_driver(lab: Lab) -> None:
    await reserve(lab)
    await told(lab, "Reserved")
    lab.plug()
    await lab.sleep(2)
    lab.tap(OTHER_CARD)
    await lab.csms.quiet(None, for_s=120)
    assert not lab.evse().closed
    assert "reserved for another driver until" in lab.sentence()
    await cancel(lab)
    await told(lab, "Preparing")
    lab.tap(OTHER_CARD)
    await lab.csms.expect("Authorize", idTag=OTHER_CARD)
    await lab.csms.expect("StartTransaction", idTag=OTHER_CARD, reservationId=ABSENT)
    await lab.closed()


@case("R16-RES-1", "R16-TX-1", title="Offline, the transaction of a reservation names it", **QUIET)
async def transaction_offline(lab: Lab) -> None:
    await lab.csms.call(
        "SendLocalList",
        {
            "listVersion": 1,
            "updateType": "Full",
            "localAuthorizationList": [{"idTag": CARD, "idTagInfo": {"status": "Accepted"}}],
        },
        status="Accepted",
    )
    await reserve(lab)
    await told(lab, "Reserved")
    await lab.csms.offline()
    lab.tap(CARD)
    await lab.sleep(2)
    lab.plug()
    await lab.closed()
    await lab.sleep(30)
    lab.tap(CARD)
    await lab.opened()
    await lab.csms.online()
    start = await lab.csms.expect("StartTransaction", idTag=CARD, reservationId=1)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
    await cancel(lab, 1, "Rejected")


@case("TC_047_CS", "R16-RES-1", title="A reservation that expires", **QUIET)
async def expires(lab: Lab) -> None:
    await reserve(lab, seconds=60)
    await told(lab, "Reserved")
    await lab.csms.quiet("StatusNotification", connectorId=1, for_s=58)
    await told(lab, "Available")
    await cancel(lab, 1, "Rejected")
    lab.plug()
    lab.tap(OTHER_CARD)
    await lab.csms.expect("StartTransaction", idTag=OTHER_CARD, reservationId=ABSENT)


@case("R16-RES-1", title="A reservation that expires while the station has no power", **QUIET)
async def expires_powered_off(lab: Lab) -> None:
    await reserve(lab, seconds=60)
    await told(lab, "Reserved")
    await lab.power_loss(off_s=120)
    await lab.registered()
    assert lab.csms.count("StatusNotification", status="Reserved") == 1
    await cancel(lab, 1, "Rejected")


@case("R16-RES-1", title="A reservation survives a power loss and a Reset", **QUIET)
async def survives(lab: Lab) -> None:
    await reserve(lab)
    await told(lab, "Reserved")
    await lab.power_loss()
    await lab.csms.expect("BootNotification")
    await told(lab, "Reserved")
    await lab.csms.call("Reset", {"type": "Hard"}, status="Accepted")
    await lab.csms.expect("BootNotification")
    await told(lab, "Reserved")
    lab.plug()
    lab.tap(OTHER_CARD)
    await lab.csms.quiet("StartTransaction", for_s=10)
    lab.tap(CARD)
    await lab.csms.expect("StartTransaction", idTag=CARD, reservationId=1)


@case("TC_048_1_CS", "R16-RES-1", title="A faulted connector cannot be reserved", **QUIET)
async def faulted(lab: Lab) -> None:
    await reserve(lab)
    await told(lab, "Reserved")
    lab.fault("emergency_stop")
    await lab.csms.expect("StatusNotification", connectorId=1, status="Faulted")
    await reserve(lab, "Faulted", number=2)
    lab.fault("emergency_stop", False)
    # The fault ended the reservation that stood.
    await cancel(lab, 1, "Rejected")
    await cancel(lab, 2, "Rejected")


@case("TC_048_2_CS", "R16-RES-1", title="An occupied connector cannot be reserved", **QUIET)
async def occupied(lab: Lab) -> None:
    lab.plug()
    await told(lab, "Preparing")
    await reserve(lab, "Occupied")
    lab.tap(CARD)
    start = await lab.csms.expect("StartTransaction", idTag=CARD, reservationId=ABSENT)
    await told(lab, "Charging", 1, "SuspendedEV")
    await reserve(lab, "Occupied")
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
    await told(lab, "Finishing")
    await reserve(lab, "Occupied")
    lab.unplug()
    await told(lab, "Available")
    await reserve(lab)
    await told(lab, "Reserved")
    # Reserved for the same or another card is occupied too.
    await reserve(lab, "Occupied", number=2)
    await reserve(lab, "Occupied", number=2, uid=OTHER_CARD)


@case("TC_048_3_CS", "R16-RES-1", title="An unavailable connector cannot be reserved", **QUIET)
async def unavailable(lab: Lab) -> None:
    await reserve(lab)
    await told(lab, "Reserved")
    await make_unavailable(lab)
    await reserve(lab, "Unavailable", number=2)
    await lab.csms.call(
        "ChangeAvailability", {"connectorId": 1, "type": "Operative"}, status="Accepted"
    )
    await told(lab, "Available")
    await cancel(lab, 1, "Rejected")


@case(
    "TC_048_4_CS",
    "R16-RES-1",
    title="A station that takes no reservations",
    config={"ReservationEnabled": "false"},
)
async def rejected(lab: Lab) -> None:
    for connector in (0, 1):
        await reserve(lab, "Rejected", connector=connector)
    await lab.csms.quiet("StatusNotification", for_s=10)


@case("TC_049_CS", "R16-RES-1", title="The whole station: the transaction of its card", **QUIET)
async def station_transaction(lab: Lab) -> None:
    await reserve(lab, connector=0)
    await told(lab, "Reserved")
    lab.tap(OTHER_CARD)
    await lab.csms.quiet("Authorize", for_s=5)
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    await told(lab, "Preparing")
    lab.plug()
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD, reservationId=1)
    await told(lab, "Charging", 1, "SuspendedEV")
    await lab.closed()


@case(
    "TC_049_CS",
    "R16-RES-1",
    title="The whole station, two connectors: the last free one is kept",
    evses=2,
    **QUIET,
)
async def station_keeps_one(lab: Lab) -> None:
    await reserve(lab, connector=0)
    await lab.csms.quiet("StatusNotification", for_s=5)
    lab.plug(1)
    await told(lab, "Preparing", 1)
    await told(lab, "Reserved", 2)
    lab.tap(OTHER_CARD, 1)
    start = await lab.csms.expect("StartTransaction", connectorId=1, reservationId=ABSENT)
    await told(lab, "Charging", 1, "SuspendedEV")
    await reserve(lab, "Occupied", connector=0, number=2)
    await reserve(lab, "Occupied", connector=2, number=2)
    await lab.csms.call(
        "RemoteStartTransaction", {"idTag": OTHER_CARD, "connectorId": 2}, status="Rejected"
    )
    lab.tap(OTHER_CARD, 1)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
    lab.unplug(1)
    await told(lab, "Available", 1, "Finishing")
    await told(lab, "Available", 2)
    lab.plug(2)
    lab.tap(CARD, 2)
    await lab.csms.expect("StartTransaction", connectorId=2, idTag=CARD, reservationId=1)


@case("TC_050_1_CS", "R16-RES-1", title="Connector 0: every connector is faulted", evses=2, **QUIET)
async def station_faulted(lab: Lab) -> None:
    for number in (1, 2):
        lab.fault("emergency_stop", True, number)
        await lab.csms.expect("StatusNotification", connectorId=number, status="Faulted")
    await reserve(lab, "Faulted", connector=0)


@case(
    "TC_050_2_CS", "R16-RES-1", title="Connector 0: every connector is occupied", evses=2, **QUIET
)
async def station_occupied(lab: Lab) -> None:
    for number in (1, 2):
        lab.plug(number)
        await told(lab, "Preparing", number)
    await reserve(lab, "Occupied", connector=0)


@case("TC_050_3_CS", "R16-RES-1", title="Connector 0: the station is unavailable", **QUIET)
async def station_unavailable(lab: Lab) -> None:
    await reserve(lab, connector=0)
    await told(lab, "Reserved")
    await make_unavailable(lab, 0)
    await reserve(lab, "Unavailable", connector=0, number=2)
    await cancel(lab, 1, "Rejected")


@case(
    "TC_050_4_CS",
    "R16-RES-1",
    title="Connector 0 is not supported",
    config={"ReserveConnectorZeroSupported": "false"},
)
async def station_rejected(lab: Lab) -> None:
    await reserve(lab, "Rejected", connector=0)
    answer = await lab.csms.call("GetConfiguration", {"key": ["ReserveConnectorZeroSupported"]})
    assert answer["configurationKey"] == [
        {"key": "ReserveConnectorZeroSupported", "readonly": True, "value": "false"}
    ]
    await reserve(lab, connector=1)
    await told(lab, "Reserved")


@case("TC_051_CS", "R16-RES-1", title="A reservation is cancelled", **QUIET)
async def cancelled(lab: Lab) -> None:
    await reserve(lab)
    await told(lab, "Reserved")
    await cancel(lab)
    await told(lab, "Available")
    await cancel(lab, 1, "Rejected")
    lab.plug()
    lab.tap(OTHER_CARD)
    await lab.csms.expect("StartTransaction", idTag=OTHER_CARD, reservationId=ABSENT)


@case("TC_052_CS", "R16-RES-1", title="Only a reservation that stands can be cancelled", **QUIET)
async def cancel_rejected(lab: Lab) -> None:
    await cancel(lab, 5, "Rejected")
    await reserve(lab)
    await told(lab, "Reserved")
    await cancel(lab, 5, "Rejected")
    await lab.csms.quiet("StatusNotification", for_s=10)


@case("TC_053_CS", "R16-RES-1", "R16-AUTH-2", title="A card of the reserved group", **QUIET)
async def parent(lab: Lab) -> None:
    lab.csms.card(OTHER_CARD, parent=CLUB)
    lab.csms.card("04BADBAD", parent="STRANGERS")
    await reserve(lab, uid=CARD, parent=CLUB)
    await told(lab, "Reserved")
    lab.tap("04BADBAD")
    await lab.csms.expect("Authorize", idTag="04BADBAD")
    await lab.csms.quiet("StatusNotification", for_s=5)
    lab.tap(OTHER_CARD)
    await lab.csms.expect("Authorize", idTag=OTHER_CARD)
    await told(lab, "Preparing")
    lab.plug()
    await lab.csms.expect("StartTransaction", idTag=OTHER_CARD, reservationId=1)
    await lab.closed()


@case("TC_053_CS", "R16-RES-1", title="A card whose group the local list knows", **QUIET)
async def parent_by_list(lab: Lab) -> None:
    info = {"status": "Accepted", "parentIdTag": CLUB}
    await lab.csms.call(
        "SendLocalList",
        {
            "listVersion": 1,
            "updateType": "Full",
            "localAuthorizationList": [{"idTag": OTHER_CARD, "idTagInfo": info}],
        },
        status="Accepted",
    )
    await reserve(lab, uid=CARD, parent=CLUB)
    await told(lab, "Reserved")
    await lab.csms.offline()
    lab.plug()
    lab.tap(OTHER_CARD)
    await lab.closed()
    await lab.csms.online()
    await lab.csms.expect("StartTransaction", idTag=OTHER_CARD, reservationId=1)


@case("R16-RES-1", title="The same reservationId replaces the reservation", **QUIET)
async def replaced(lab: Lab) -> None:
    await reserve(lab, uid=CARD)
    await told(lab, "Reserved")
    await reserve(lab, uid=OTHER_CARD, seconds=7200)
    lab.plug()
    lab.tap(CARD)
    await lab.csms.quiet("StartTransaction", for_s=10)
    lab.tap(OTHER_CARD)
    await lab.csms.expect("StartTransaction", idTag=OTHER_CARD, reservationId=1)
    await cancel(lab, 1, "Rejected")


@case("R16-RES-1", "R16-ST-1", title="Its card came, its cable did not: reserved again", **QUIET)
async def no_cable(lab: Lab) -> None:
    await reserve(lab)
    await told(lab, "Reserved")
    lab.tap(CARD)
    await told(lab, "Preparing")
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available", within=70)
    await told(lab, "Reserved")


@case("R16-RES-1", title="What is over, or no connector, is rejected", **QUIET)
async def nonsense(lab: Lab) -> None:
    await reserve(lab, "Rejected", seconds=-1)
    await reserve(lab, "Rejected", connector=2)
    await reserve(lab, "Rejected", connector=-1)
    await lab.csms.quiet("StatusNotification", for_s=5)


@case(
    "R16-RES-1",
    title="One reader, two connectors, one of them reserved: each card finds its own",
    evses=2,
    **QUIET,
)
async def one_reader(lab: Lab) -> None:
    await reserve(lab, connector=2)
    await told(lab, "Reserved", 2)
    lab.plug(2)
    await lab.sleep(2)
    lab.tap(OTHER_CARD)
    await lab.csms.quiet("StartTransaction", for_s=10)
    lab.plug(1)
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=OTHER_CARD, reservationId=ABSENT)
    await told(lab, "Charging", 1, "SuspendedEV")
    lab.tap(CARD)
    await lab.csms.expect("StatusNotification", connectorId=2, status="Preparing")
    await lab.csms.expect("StartTransaction", connectorId=2, idTag=CARD, reservationId=1)


@case("R16-RES-1", title="The station dies right after ReserveNow was answered", **QUIET)
async def killed(lab: Lab) -> None:
    await reserve(lab)
    await lab.kill(guard=True)
    await lab.csms.expect("BootNotification")
    await told(lab, "Reserved")
    await cancel(lab)
    await told(lab, "Available")
    await lab.kill()
    await lab.csms.expect("BootNotification")
    await told(lab, "Available")
    await cancel(lab, 1, "Rejected")
