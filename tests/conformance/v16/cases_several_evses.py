"""Several EVSEs in one station: one reader, one supply, and requests that mean all of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from controller.core.installation import EvseInstallation
from controller.ocpp.wire_time import format_time
from tests.conformance.lab import CARD, OTHER_CARD, Lab
from tests.conformance.matching import ABSENT
from tests.conformance.registry import case
from tests.conformance.v16.charging_profiles import clear, install, offered, profile

QUIET: dict[str, Any] = {"config": {"MeterValueSampleInterval": "0"}}
TWO: dict[str, Any] = {"evses": 2, **QUIET}
CHARGING: dict[str, Any] = {"status": "Charging", "via": ("SuspendedEV", "SuspendedEVSE")}
THIRD_CARD = "04C0FFEE"


async def preparing(lab: Lab, number: int, **vehicle: Any) -> None:
    """The cable is in."""
    lab.plug(number, **vehicle)
    await lab.csms.expect("StatusNotification", connectorId=number, status="Preparing")


async def starts(lab: Lab, number: int, uid: str) -> Any:
    """That card starts there."""
    start = await lab.csms.expect("StartTransaction", connectorId=number, idTag=uid)
    await lab.csms.expect("StatusNotification", connectorId=number, **CHARGING)
    return start


async def together(lab: Lab) -> None:
    """Two cables within 3 s."""
    await preparing(lab, 1)
    await preparing(lab, 2)


def total(lab: Lab) -> float:
    """What all pilots offer now."""
    return sum(evse.offered_amps for evse in lab.world.values())


# --- one reader -------------------------------------------------------------------------------------


@case("TC_006_CS", "R16-AUTH-2", title="One reader: each card has its connector", **TWO)
async def one_reader(lab: Lab) -> None:
    await preparing(lab, 1)
    await lab.sleep(5)
    await preparing(lab, 2)
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    first = await starts(lab, 2, CARD)
    lab.tap(OTHER_CARD)
    await lab.csms.expect("Authorize", idTag=OTHER_CARD)
    second = await starts(lab, 1, OTHER_CARD)
    await lab.sleep(60)
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=first.transaction_id, idTag=CARD)
    await lab.csms.expect("StatusNotification", connectorId=2, status="Finishing")
    await lab.opened(2)
    assert lab.evse(1).closed
    lab.tap(OTHER_CARD)
    await lab.csms.expect("StopTransaction", transactionId=second.transaction_id, idTag=OTHER_CARD)
    await lab.csms.expect("StatusNotification", connectorId=1, status="Finishing")
    lab.unplug(1)
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available")


@case("R16-AUTH-2", title="One reader: a card of the same parent ends that transaction", **TWO)
async def one_reader_parent(lab: Lab) -> None:
    lab.csms.card(CARD, parent="FLEET")
    lab.csms.card(OTHER_CARD, parent="FLEET")
    lab.tap(OTHER_CARD)
    await lab.csms.expect("Authorize", idTag=OTHER_CARD)
    lab.tap(OTHER_CARD)  # known now, and not waiting
    start = await lab.begin_charging(2)
    lab.tap(OTHER_CARD)
    stop = await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
    assert stop.get("idTag") == OTHER_CARD
    await lab.opened(2)


@case("TC_004_1_CS", title="One reader, no cable yet: the next plug-in gets the card", **TWO)
async def one_reader_card_first(lab: Lab) -> None:
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    await lab.csms.quiet("StartTransaction", for_s=20)
    lab.plug(2)
    await starts(lab, 2, CARD)
    assert not lab.evse(1).closed


@case(
    "TC_004_2_CS",
    title="One reader, no cable within ConnectionTimeOut: the card is forgotten",
    evses=2,
    config={"ConnectionTimeOut": "25"},
)
async def one_reader_card_forgotten(lab: Lab) -> None:
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    await lab.sleep(27)
    await preparing(lab, 1)
    await lab.csms.quiet("StartTransaction", for_s=10)


@case("TC_006_CS", title="One reader, two cables at once: asks, and never guesses", **TWO)
async def one_reader_asks(lab: Lab) -> None:
    await together(lab)
    lab.tap(CARD)
    await lab.csms.quiet("Authorize", for_s=10)
    assert "Which EVSE is this card for?" in lab.sentence(1)
    assert lab.station.station.cards.answer(2)
    await lab.csms.expect("Authorize", idTag=CARD)
    await starts(lab, 2, CARD)
    assert "Which EVSE" not in lab.sentence(1)


@case("TC_006_CS", title="One reader, two cables at once, nobody answers: nothing happens", **TWO)
async def one_reader_unanswered(lab: Lab) -> None:
    await together(lab)
    lab.tap(CARD)
    await lab.csms.quiet("Authorize", for_s=40)
    await lab.csms.quiet("StartTransaction", for_s=1)
    lab.unplug(1)
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available")
    lab.tap(CARD)
    await starts(lab, 2, CARD)


@case("R16-RES-1", title="One reader: an EVSE reserved for somebody else is never taken", **TWO)
async def one_reader_reserved(lab: Lab) -> None:
    request = {
        "connectorId": 2,
        "expiryDate": format_time(lab.utc + timedelta(hours=1)),
        "idTag": OTHER_CARD,
        "reservationId": 7,
    }
    await lab.csms.call("ReserveNow", request, status="Accepted")
    await lab.csms.expect("StatusNotification", connectorId=2, status="Reserved")
    await preparing(lab, 1)
    await lab.sleep(1)
    lab.plug(2)
    await lab.sleep(5)
    lab.tap(CARD)
    await starts(lab, 1, CARD)
    lab.tap(OTHER_CARD)
    await lab.csms.expect("StartTransaction", connectorId=2, idTag=OTHER_CARD, reservationId=7)
    await lab.closed(2)


@case("R16-AV-1", title="One reader: an unavailable EVSE is never taken", **TWO)
async def one_reader_unavailable(lab: Lab) -> None:
    await lab.csms.call(
        "ChangeAvailability", {"connectorId": 2, "type": "Inoperative"}, status="Accepted"
    )
    await lab.csms.expect("StatusNotification", connectorId=2, status="Unavailable")
    await preparing(lab, 1)
    await lab.sleep(5)
    lab.plug(2)
    await lab.sleep(2)
    lab.tap(CARD)
    await starts(lab, 1, CARD)
    assert not lab.evse(2).closed


def _evse(number: int, **more: Any) -> EvseInstallation:
    table = {"driver": "lab"}
    return EvseInstallation(
        id=number, pilot=table, contactor=table, meter=table, max_amps=16.0, **more
    )


@case(
    "R16-AUTH-1",
    title="One EVSE is free, the other asks the backend",
    installation={
        "evses": (_evse(1, authorization="free", free_id_tag="GUEST"), _evse(2)),
    },
    **TWO,
)
async def one_is_free(lab: Lab) -> None:
    lab.csms.card("GUEST")
    lab.plug(1)
    await starts(lab, 1, "GUEST")
    assert lab.csms.count("Authorize") == 0
    await preparing(lab, 2)
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    await starts(lab, 2, CARD)
    lab.unplug(1)
    await lab.csms.expect("StopTransaction", reason="EVDisconnected", idTag=ABSENT)
    assert lab.evse(2).closed


# --- one supply -------------------------------------------------------------------------------------


@case("R16-SC-1", title="Two vehicles share the supply; nobody gets what is still drawn", site_amps=16.0, **TWO)  # fmt: skip
async def shared_supply(lab: Lab) -> None:
    await lab.begin_charging(1)
    await offered(lab, 16.0, 1)
    lab.plug(2)
    lab.tap(OTHER_CARD)
    await lab.csms.expect("StartTransaction", connectorId=2, idTag=OTHER_CARD)
    await lab.never(lambda: total(lab) > 16.01, 30, "more than the supply")
    await offered(lab, 8.0, 1)
    await offered(lab, 8.0, 2)
    assert "shared with other vehicles" in lab.sentence(1)
    await lab.csms.expect("StatusNotification", connectorId=2, **CHARGING)
    lab.unplug(2)
    await lab.csms.expect("StopTransaction", reason="EVDisconnected")
    await offered(lab, 16.0, 1)


@case("R16-SC-1", title="Two vehicles share ChargePointMaxProfile; 0 pauses both, then they go on", **TWO)  # fmt: skip
async def shared_profile(lab: Lab) -> None:
    await lab.begin_charging(1)
    await lab.begin_charging(2, OTHER_CARD)
    await install(lab, 0, profile(1, "ChargePointMaxProfile", (0, 14.0)))
    await offered(lab, 7.0, 1)
    await offered(lab, 7.0, 2)
    await install(lab, 0, profile(1, "ChargePointMaxProfile", (0, 0.0)))
    await lab.csms.expect_together(
        ("StatusNotification", {"connectorId": 1, "status": "SuspendedEVSE"}),
        ("StatusNotification", {"connectorId": 2, "status": "SuspendedEVSE"}),
    )
    await lab.opened(1)
    await lab.opened(2)
    assert "paused the whole station" in lab.sentence(1)
    await clear(lab, id=1)
    await lab.csms.expect_together(
        ("StatusNotification", {"connectorId": 1, "status": "Charging"}),
        ("StatusNotification", {"connectorId": 2, "status": "Charging"}),
        within=40,
    )
    await offered(lab, 16.0, 1)
    await offered(lab, 16.0, 2)


@case("R16-ST-2", title="Too little for two: they take turns", site_amps=10.0, turn_s=180.0, **TWO)
async def turns(lab: Lab) -> None:
    await lab.begin_charging(1)
    lab.plug(2)
    lab.tap(OTHER_CARD)
    await lab.csms.expect("StartTransaction", connectorId=2, idTag=OTHER_CARD)
    await lab.csms.expect("StatusNotification", connectorId=2, status="SuspendedEVSE")
    assert "waits for its turn" in lab.sentence(2)
    await lab.csms.quiet("StatusNotification", for_s=150)
    await lab.csms.expect_together(
        ("StatusNotification", {"connectorId": 1, "status": "SuspendedEVSE"}),
        ("StatusNotification", {"connectorId": 2, "status": "Charging"}),
        within=60,
    )
    await offered(lab, 10.0, 2)
    assert lab.evse(1).offered_amps == 0


# --- requests that mean all of them -----------------------------------------------------------------


@case("R16-AV-1", title="Connector 0 out of service while one charges: Scheduled", **TWO)
async def all_out_of_service(lab: Lab) -> None:
    start = await lab.begin_charging(1)
    await lab.csms.call(
        "ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}, status="Scheduled"
    )
    await lab.csms.expect("StatusNotification", connectorId=2, status="Unavailable", via=None)
    assert lab.evse(1).closed
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
    await lab.csms.expect("StatusNotification", connectorId=1, status="Unavailable", via=None)
    lab.unplug(1)
    await lab.sleep(1)
    await lab.csms.call(
        "ChangeAvailability", {"connectorId": 0, "type": "Operative"}, status="Accepted"
    )
    await lab.csms.expect("StatusNotification", connectorId=2, status="Available")


@case("R16-AV-1", title="Back in service with a cable still in: by way of Preparing", **QUIET)
async def back_in_service(lab: Lab) -> None:
    await lab.begin_charging(1)
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction")
    await lab.csms.expect("StatusNotification", connectorId=1, status="Finishing")
    for kind in ("Inoperative", "Operative"):
        await lab.csms.call(
            "ChangeAvailability", {"connectorId": 1, "type": kind}, status="Accepted"
        )
    for status in ("Unavailable", "Preparing", "Finishing"):
        await lab.csms.expect("StatusNotification", connectorId=1, status=status)
    lab.unplug(1)
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available")


@case("TC_014_CS", "R16-RST-1", title="Soft reset ends every transaction first", **TWO)
async def reset_ends_all(lab: Lab) -> None:
    first = await lab.begin_charging(1)
    second = await lab.begin_charging(2, OTHER_CARD)
    await lab.csms.call("Reset", {"type": "Soft"}, status="Accepted")
    await lab.csms.expect_together(
        ("StopTransaction", {"transactionId": first.transaction_id, "reason": "SoftReset"}),
        ("StopTransaction", {"transactionId": second.transaction_id, "reason": "SoftReset"}),
        within=60,
    )
    await lab.csms.expect("BootNotification", within=60)


@case("R16-AUTH-7", title="Remote start without a connector: the newest cable, then a free one", **TWO)  # fmt: skip
async def remote_start_anywhere(lab: Lab) -> None:
    await preparing(lab, 2)
    await lab.csms.call("RemoteStartTransaction", {"idTag": CARD}, status="Accepted")
    await starts(lab, 2, CARD)
    await lab.csms.call("RemoteStartTransaction", {"idTag": OTHER_CARD}, status="Accepted")
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    await lab.csms.call("RemoteStartTransaction", {"idTag": THIRD_CARD}, status="Rejected")
    lab.plug(1)
    await starts(lab, 1, OTHER_CARD)
    await lab.csms.call("RemoteStartTransaction", {"idTag": THIRD_CARD}, status="Rejected")


@case("TC_012_CS", title="Remote stop ends that transaction and no other", **TWO)
async def remote_stop_one(lab: Lab) -> None:
    first = await lab.begin_charging(1)
    second = await lab.begin_charging(2, OTHER_CARD)
    await lab.csms.call(
        "RemoteStopTransaction", {"transactionId": first.transaction_id}, status="Accepted"
    )
    await lab.csms.expect("StopTransaction", transactionId=first.transaction_id, reason="Remote")
    await lab.opened(1)
    assert lab.evse(2).closed
    await lab.csms.quiet("StopTransaction", for_s=10)
    await lab.csms.call(
        "RemoteStopTransaction", {"transactionId": first.transaction_id}, status="Rejected"
    )
    lab.tap(OTHER_CARD)
    await lab.csms.expect("StopTransaction", transactionId=second.transaction_id)


@case("R16-UNL-1", title="Unlocking one connector ends its transaction and no other", lock=True, **TWO)  # fmt: skip
async def unlock_one(lab: Lab) -> None:
    await lab.begin_charging(1)
    second = await lab.begin_charging(2, OTHER_CARD)
    await lab.csms.call("UnlockConnector", {"connectorId": 2}, status="Unlocked")
    await lab.csms.expect(
        "StopTransaction", transactionId=second.transaction_id, reason="UnlockCommand"
    )
    assert lab.evse(1).closed
    assert lab.evse(1).locked


@case("R16-TRG-1", title="StatusNotification of everything on request", **TWO)
async def trigger_statuses(lab: Lab) -> None:
    await lab.begin_charging(2)
    await lab.csms.call(
        "TriggerMessage", {"requestedMessage": "StatusNotification"}, status="Accepted"
    )
    await lab.csms.expect_together(
        ("StatusNotification", {"connectorId": 0, "status": "Available"}),
        ("StatusNotification", {"connectorId": 1, "status": "Available"}),
        ("StatusNotification", {"connectorId": 2, "status": "Charging"}),
    )
