"""The authorization cache, and when cards are asked about."""

from __future__ import annotations

from datetime import timedelta

from tests.conformance.lab import CARD, OTHER_CARD, Lab
from tests.conformance.registry import case

PRE_AUTHORIZE = {"LocalPreAuthorize": "true", "MeterValueSampleInterval": "0"}
NO_VALUES = {"MeterValueSampleInterval": "0"}


async def one_session(lab: Lab, uid: str = CARD) -> None:
    """A first session fills the cache."""
    await lab.begin_charging(uid=uid)
    lab.tap(uid)
    await lab.csms.expect("StopTransaction", idTag=uid)
    await lab.csms.expect("StatusNotification", connectorId=1, status="Finishing")
    lab.unplug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available")


@case(
    "TC_007_CS",
    "R16-AUTH-1",
    "R16-AUTH-3",
    title="A cached card starts without being asked about",
    config=PRE_AUTHORIZE,
)
async def cached_card(lab: Lab) -> None:
    await one_session(lab)
    asked = lab.csms.count("Authorize")
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    lab.tap(CARD)
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Charging", via=("SuspendedEV",)
    )
    assert lab.csms.count("Authorize") == asked, "a cached card was asked about"


@case(
    "TC_061_CS",
    "R16-AUTH-5",
    title="ClearCache: the card is asked about again",
    config=PRE_AUTHORIZE,
)
async def clear_cache(lab: Lab) -> None:
    await one_session(lab)
    await lab.csms.call("ClearCache", {}, status="Accepted")
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)


@case(
    "R16-AUTH-5",
    title="Without a cache there is nothing to clear and nothing is remembered",
    config={**PRE_AUTHORIZE, "AuthorizationCacheEnabled": "false"},
)
async def no_cache(lab: Lab) -> None:
    await one_session(lab)
    await lab.csms.call("ClearCache", {}, status="Rejected")
    lab.plug()
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)


@case(
    "R16-AUTH-3",
    title="A cached refusal is asked about again while there is a connection",
    config=PRE_AUTHORIZE,
)
async def cached_refusal(lab: Lab) -> None:
    lab.csms.card(CARD, "Blocked")
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    await lab.csms.quiet("StartTransaction", for_s=10)
    lab.csms.card(CARD, "Accepted")
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    await lab.csms.expect("StartTransaction", idTag=CARD)


@case(
    "R16-AUTH-5",
    title="The expiry of a cached card is honoured; the cache survives a power cut",
    config=PRE_AUTHORIZE,
)
async def cached_card_expires(lab: Lab) -> None:
    lab.csms.card(CARD, expires=lab.utc + timedelta(minutes=10))
    await one_session(lab)
    await lab.power_loss(off_s=10)
    await lab.registered()
    asked = lab.csms.count("Authorize")
    await lab.begin_charging()
    assert lab.csms.count("Authorize") == asked, "a cached card was asked about"
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", idTag=CARD)
    lab.unplug()
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Available", via=("Finishing",)
    )
    await lab.sleep(600)
    lab.plug()
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)


@case(
    "R16-AUTH-5",
    title="A refusal in the answer to StartTransaction reaches the cache",
    config={**PRE_AUTHORIZE, "StopTransactionOnInvalidId": "true"},
)
async def cache_learns_from_start(lab: Lab) -> None:
    await one_session(lab)
    lab.csms.card(CARD, "Blocked")
    lab.plug()
    lab.tap(CARD)
    await lab.csms.expect("StartTransaction", idTag=CARD)
    await lab.csms.expect("StopTransaction", reason="DeAuthorized")
    lab.unplug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available", via=None)
    lab.plug()
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    await lab.csms.quiet("StartTransaction", for_s=10)


@case("TC_023_1_CS", title="An invalid card does not start", config=NO_VALUES)
async def invalid_card(lab: Lab) -> None:
    await refused_card(lab, "Invalid")


@case("TC_023_2_CS", title="An expired card does not start", config=NO_VALUES)
async def expired_card(lab: Lab) -> None:
    await refused_card(lab, "Expired")


@case("TC_023_3_CS", title="A blocked card does not start", config=NO_VALUES)
async def blocked_card(lab: Lab) -> None:
    await refused_card(lab, "Blocked")


async def refused_card(lab: Lab, status: str) -> None:
    """Plug in, card refused; afterwards a good card starts."""
    lab.csms.card(OTHER_CARD, status)
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    lab.tap(OTHER_CARD)
    await lab.csms.expect("Authorize", idTag=OTHER_CARD)
    await lab.csms.quiet("StartTransaction", for_s=10)
    assert not lab.evse().closed
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    await lab.csms.expect("StartTransaction", idTag=CARD)


@case(
    "TC_024_CS",
    "R16-ST-3",
    title="The lock does not close: no energy, the failure is told",
    lock=True,
    config=NO_VALUES,
)
async def lock_failure(lab: Lab) -> None:
    lab.fault("lock_jam")
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    lab.tap(CARD)
    await lab.csms.expect(
        "StatusNotification",
        connectorId=1,
        errorCode="ConnectorLockFailure",
        via=None,
    )
    await lab.never(lambda: lab.evse().closed, for_s=20, what="closing without a lock")
