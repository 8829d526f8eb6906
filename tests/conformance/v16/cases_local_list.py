"""Local authorization list: GetLocalListVersion, SendLocalList, and who may charge by it."""

from __future__ import annotations

from typing import Any

from tests.conformance.lab import CARD, OTHER_CARD, Lab
from tests.conformance.matching import ANY
from tests.conformance.registry import case

NO_VALUES = {"MeterValueSampleInterval": "0"}
BY_LIST = {**NO_VALUES, "LocalPreAuthorize": "true"}
OLD = "2026-11-22T11:00:00Z"
STRANGER = "04BADBAD"


def entry(uid: str, status: str | None = "Accepted", **info: str) -> dict[str, Any]:
    """One line of the list; status None = remove."""
    return {"idTag": uid, **({"idTagInfo": {"status": status, **info}} if status else {})}


async def send(
    lab: Lab, version: int, *entries: dict[str, Any], full: bool = True, status: str = "Accepted"
) -> None:
    """SendLocalList and its answer."""
    request = {
        "listVersion": version,
        "updateType": "Full" if full else "Differential",
        "localAuthorizationList": list(entries),
    }
    await lab.csms.call("SendLocalList", request, status=status)


async def version_is(lab: Lab, version: int) -> None:
    """GetLocalListVersion and its answer."""
    await lab.csms.call("GetLocalListVersion", {}, listVersion=version)


async def refused(lab: Lab, uid: str) -> None:
    """The card starts nothing."""
    lab.tap(uid)
    await lab.csms.quiet("StartTransaction", for_s=15)
    assert not lab.evse().closed


@case(
    "TC_008_CS",
    "R16-AUTH-1",
    "R16-AUTH-3",
    title="A card of the local list starts without Authorize",
    config=BY_LIST,
)
async def start_by_list(lab: Lab) -> None:
    await send(lab, 1, entry(CARD))
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    lab.tap(CARD)
    start = await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Charging", via=("SuspendedEV",)
    )
    await lab.closed()
    assert lab.csms.count("Authorize") == 0
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
    assert lab.csms.count("Authorize") == 0


@case(
    "TC_042_1_CS",
    "R16-LL-1",
    title="The version of a list that is switched off is -1",
    config={"LocalAuthListEnabled": "false"},
)
async def version_not_supported(lab: Lab) -> None:
    await version_is(lab, -1)


@case("TC_042_2_CS", "R16-LL-1", title="The version of an empty list is 0")
async def version_empty(lab: Lab) -> None:
    await version_is(lab, 0)
    await send(lab, 4, entry(CARD))
    await version_is(lab, 4)
    await send(lab, 5)
    await version_is(lab, 0)


@case(
    "TC_043_1_CS",
    "R16-LL-1",
    title="A list that is switched off cannot be sent",
    config=BY_LIST,
)
async def send_not_supported(lab: Lab) -> None:
    await lab.csms.call(
        "ChangeConfiguration", {"key": "LocalAuthListEnabled", "value": "false"}, status="Accepted"
    )
    await send(lab, 1, entry(CARD), status="NotSupported")
    await lab.csms.call(
        "ChangeConfiguration", {"key": "LocalAuthListEnabled", "value": "true"}, status="Accepted"
    )
    await version_is(lab, 0)


@case("TC_043_2_CS", "R16-LL-1", title="A differential update must have a higher version")
async def send_version_mismatch(lab: Lab) -> None:
    await send(lab, 5, entry(CARD))
    for version in (5, 4, 1):
        await send(lab, version, entry(OTHER_CARD), full=False, status="VersionMismatch")
        await version_is(lab, 5)
    # A full list may have any.
    await send(lab, 3, entry(OTHER_CARD))
    await version_is(lab, 3)


@case(
    "TC_043_3_CS",
    "R16-LL-1",
    title="What cannot be applied fails and changes nothing",
    config={"SendLocalListMaxLength": "4", "LocalAuthListMaxLength": "6"},
)
async def send_failed(lab: Lab) -> None:
    await send(lab, 5, *(entry(f"CARD{n}") for n in range(4)))
    for full in (True, False):
        await send(lab, 0, entry(CARD), full=full, status="Failed")
        await send(lab, -1, entry(CARD), full=full, status="Failed")
        await send(lab, 6, entry(CARD), entry(CARD.lower()), full=full, status="Failed")
        await send(lab, 6, *(entry(f"NEW{n}") for n in range(5)), full=full, status="Failed")
    await send(lab, 6, entry(CARD, None), status="Failed")
    await send(lab, 6, *(entry(f"NEW{n}") for n in range(3)), full=False, status="Failed")
    await version_is(lab, 5)
    await send(lab, 6, entry("NEW1"), entry("NEW2"), entry("card3"), full=False)
    await version_is(lab, 6)


@case(
    "TC_043_4_CS",
    "R16-LL-1",
    title="A full list replaces the old one and survives a power loss",
    config=BY_LIST,
)
async def send_full(lab: Lab) -> None:
    await send(lab, 1, entry(OTHER_CARD))
    await send(lab, 2, entry(CARD), entry(STRANGER, "Blocked"))
    await version_is(lab, 2)
    await lab.power_loss()
    await lab.registered()
    await version_is(lab, 2)
    lab.csms.skip()
    lab.plug()
    lab.tap(CARD)
    start = await lab.csms.expect("StartTransaction", idTag=CARD)
    assert lab.csms.count("Authorize") == 0
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
    lab.unplug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available", via=None)
    # Who was on the first list only has to be asked for again.
    lab.plug()
    lab.tap(OTHER_CARD)
    await lab.csms.expect("Authorize", idTag=OTHER_CARD)


@case(
    "TC_043_5_CS",
    "R16-LL-1",
    title="A differential update adds, changes and removes",
    config=BY_LIST,
)
async def send_differential(lab: Lab) -> None:
    await send(lab, 1, entry(CARD), entry("CARD2"))
    await send(
        lab,
        2,
        entry(CARD, None),
        entry("CARD2", "Blocked"),
        entry(OTHER_CARD),
        entry("UNKNOWN", None),
        full=False,
    )
    await version_is(lab, 2)
    await lab.csms.offline()
    lab.plug()
    await refused(lab, CARD)
    await refused(lab, "CARD2")
    lab.tap(OTHER_CARD)
    await lab.closed()
    await lab.csms.online()
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=OTHER_CARD)


@case(
    "R16-AUTH-4",
    "R16-AUTH-1",
    title="Offline, entries that are not valid are refused whatever the cache says",
    config={**NO_VALUES, "AllowOfflineTxForUnknownId": "true"},
)
async def offline_refusals(lab: Lab) -> None:
    start = await lab.begin_charging()
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
    lab.unplug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available", via=None)
    await send(lab, 1, entry(CARD, "Blocked"), entry(OTHER_CARD, expiryDate=OLD))
    await lab.csms.offline()
    lab.plug()
    await refused(lab, CARD)
    await refused(lab, OTHER_CARD)
    lab.tap(STRANGER)
    await lab.closed()
    lab.csms.card(STRANGER)
    await lab.csms.online()
    await lab.csms.expect("StartTransaction", idTag=STRANGER)


@case(
    "R16-AUTH-3",
    title="Offline, LocalAuthorizeOffline = false refuses cards of the list too",
    config={**NO_VALUES, "LocalAuthorizeOffline": "false"},
)
async def offline_switched_off(lab: Lab) -> None:
    await send(lab, 1, entry(CARD))
    await lab.csms.offline()
    lab.plug()
    await refused(lab, CARD)
    await lab.csms.online()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    await lab.csms.expect("StartTransaction", idTag=CARD)


@case(
    "R16-AUTH-1",
    title="What the list has never enters the cache",
    config={**NO_VALUES, "LocalPreAuthorize": "true"},
)
async def list_and_cache(lab: Lab) -> None:
    await send(lab, 1, entry(CARD))
    lab.plug()
    lab.tap(CARD)
    start = await lab.csms.expect("StartTransaction", idTag=CARD)
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
    lab.unplug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available", via=None)
    await send(lab, 2)
    lab.plug()
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)


@case(
    "R16-ST-6",
    title="List and backend differ about a card: LocalListConflict of connector 0, once",
    config=BY_LIST,
)
async def conflict(lab: Lab) -> None:
    await send(lab, 1, entry(CARD))
    lab.csms.card(CARD, status="Blocked")
    lab.plug()
    lab.tap(CARD)
    start = await lab.csms.expect("StartTransaction", idTag=CARD)
    await lab.csms.expect(
        "StatusNotification", connectorId=0, status="Available", errorCode="LocalListConflict"
    )
    await lab.csms.expect(
        "StopTransaction", transactionId=start.transaction_id, reason="DeAuthorized"
    )
    await lab.csms.quiet("StatusNotification", connectorId=0, for_s=60)
    await send(lab, 2, entry(CARD, "Blocked"))
    await lab.csms.expect("StatusNotification", connectorId=0, errorCode="NoError")
    await lab.csms.quiet("StatusNotification", connectorId=0, for_s=60)


@case(
    "R16-LL-1",
    title="10,000 cards in messages of 500, and what the keys say about it",
    config=BY_LIST,
)
async def ten_thousand(lab: Lab) -> None:
    answer = await lab.csms.call(
        "GetConfiguration",
        {
            "key": [
                "LocalAuthListEnabled",
                "LocalAuthListMaxLength",
                "SendLocalListMaxLength",
                "SupportedFeatureProfiles",
            ]
        },
        configurationKey=ANY,
    )
    values = {k["key"]: (k["value"], k["readonly"]) for k in answer["configurationKey"]}
    profiles, _ = values.pop("SupportedFeatureProfiles")
    assert {"LocalAuthListManagement", "Reservation"} <= set(profiles.split(","))
    assert values == {
        "LocalAuthListEnabled": ("true", False),
        "LocalAuthListMaxLength": ("10000", True),
        "SendLocalListMaxLength": ("500", True),
    }
    for part in range(20):
        cards = (entry(f"04{part * 500 + n:06X}") for n in range(500))
        await send(lab, part + 1, *cards, full=False)
    await version_is(lab, 20)
    await send(lab, 21, entry("ONE TOO MANY"), full=False, status="Failed")
    lab.plug()
    lab.tap("0400270F")
    await lab.csms.expect("StartTransaction", idTag="0400270F")
    assert lab.csms.count("Authorize") == 0


@case(
    "R16-LL-1",
    title="10,000 cards in one message, if the installer allows it; meanwhile a charge goes on",
    config={**BY_LIST, "SendLocalListMaxLength": "10000"},
)
async def one_large_list(lab: Lab) -> None:
    start = await lab.begin_charging()
    cards = (entry(f"04{n:06X}", parentIdTag=f"G{n % 7}") for n in range(10_000))
    await send(lab, 1, *cards)
    await version_is(lab, 1)
    await lab.csms.call("GetConfiguration", {"key": ["HeartbeatInterval"]}, configurationKey=ANY)
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
    lab.unplug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available", via=None)
    before = lab.csms.count("Authorize")
    lab.plug()
    lab.tap("0400270F")
    await lab.csms.expect("StartTransaction", idTag="0400270F")
    assert lab.csms.count("Authorize") == before
