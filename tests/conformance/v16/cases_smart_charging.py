"""SmartCharging: the cases of the certification programme."""

from __future__ import annotations

from datetime import timedelta

from tests.conformance.lab import CARD, Lab
from tests.conformance.registry import case
from tests.conformance.v16.charging_profiles import (
    QUIET,
    clear,
    composite,
    install,
    iso,
    offered,
    offers,
    profile,
    second,
)


@case(
    "TC_056_CS",
    "R16-SC-8",
    title="TxDefaultProfile: without a transaction and with one",
    config=QUIET,
)
async def tx_default_profile(lab: Lab) -> None:
    at = await second(lab)
    given = profile(1, "TxDefaultProfile", (0, 6.0), (60, 10.0), (120, 8.0), startSchedule=iso(at), duration=300)  # fmt: skip
    await install(lab, 1, given)
    await composite(lab, 1, 300, (0, 6.0), (60, 10.0), (120, 8.0))
    start = await lab.begin_charging()
    await offered(lab, 6.0)
    await lab.sleep((at + timedelta(seconds=75) - lab.utc).total_seconds())
    assert offers(lab, 10.0)
    await lab.sleep((at + timedelta(seconds=125) - lab.utc).total_seconds())
    assert offers(lab, 8.0)
    await lab.csms.call(
        "RemoteStopTransaction", {"transactionId": start.transaction_id}, status="Accepted"
    )
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id, reason="Remote")
    await clear(lab, id=1)


@case("TC_057_CS", title="TxProfile during a transaction", config=QUIET)
async def tx_profile(lab: Lab) -> None:
    start = await lab.begin_charging()
    at = await second(lab)
    given = profile(
        2, "TxProfile", (0, 8.0), (30, 12.0), startSchedule=iso(at), transactionId=start.transaction_id
    )  # fmt: skip
    await install(lab, 1, given)
    await offered(lab, 8.0, within=2)
    await composite(lab, 1, 60, (0, 8.0), (30, 12.0))
    await lab.sleep(45)
    assert offers(lab, 12.0)
    assert "operator limits the current" in lab.sentence()


@case("R16-SC-1", title="TxProfile right behind the answer to StartTransaction", config=QUIET)
async def tx_profile_at_the_start(lab: Lab) -> None:
    """1.6 §5.16.1."""
    lab.plug()
    lab.tap(CARD)
    start = await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)
    await install(lab, 1, profile(2, "TxProfile", (0, 8.0), transactionId=start.transaction_id))
    await lab.closed()
    await offered(lab, 8.0)
    await composite(lab, 1, 60, (0, 8.0))


@case("TC_058_1_CS", "R16-SC-1", title="TxProfile without a transaction", config=QUIET)
async def tx_profile_without_transaction(lab: Lab) -> None:
    await install(lab, 1, profile(1, "TxProfile", (0, 8.0), transactionId=1), "Rejected")
    await install(lab, 1, profile(1, "TxProfile", (0, 8.0)), "Rejected")
    await lab.begin_charging()
    await lab.sleep(10)
    assert offers(lab, 16.0)


@case("TC_058_2_CS", "R16-SC-1", title="TxProfile for another transaction", config=QUIET)
async def tx_profile_of_another(lab: Lab) -> None:
    start = await lab.begin_charging()
    wrong = profile(1, "TxProfile", (0, 8.0), transactionId=start.transaction_id + 1)
    await install(lab, 1, wrong, "Rejected")
    await lab.sleep(10)
    assert offers(lab, 16.0)


@case("TC_059_CS", "R16-AUTH-7", title="Remote start with a charging profile", config=QUIET)
async def remote_start_with_profile(lab: Lab) -> None:
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    given = profile(3, "TxProfile", (0, 6.0), (60, 9.0), level=1)
    request = {"idTag": CARD, "connectorId": 1, "chargingProfile": given}
    await lab.csms.call("RemoteStartTransaction", request, status="Accepted")
    start = await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)
    await lab.csms.expect("StatusNotification", connectorId=1, status="Charging", via=None)
    await offered(lab, 6.0)
    await lab.sleep(75)
    assert offers(lab, 9.0)
    same_level = profile(
        4, "TxProfile", (0, 7.0), level=1, transactionId=start.transaction_id
    )  # fmt: skip
    await install(lab, 1, same_level)
    await offered(lab, 7.0)
    await clear(lab, "Unknown", id=3)


@case("TC_060_CS", "R16-AUTH-7", title="Remote start with a profile that cannot be", config=QUIET)
async def remote_start_rejected(lab: Lab) -> None:
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    for given in (
        profile(3, "TxDefaultProfile", (0, 6.0)),
        profile(3, "ChargePointMaxProfile", (0, 6.0)),
        profile(3, "TxProfile", (0, 6.0), transactionId=5),
        profile(3, "TxProfile", (0, 6.0), level=99),
        profile(3, "TxProfile", (10, 6.0)),
    ):
        request = {"idTag": CARD, "connectorId": 1, "chargingProfile": given}
        await lab.csms.call("RemoteStartTransaction", request, status="Rejected")
    await lab.csms.quiet("StartTransaction", for_s=30)


@case("TC_066_CS", "R16-SC-3", "R16-SC-8", title="Composite schedule of all purposes", config=QUIET)
async def composite_schedule(lab: Lab) -> None:
    at = await second(lab)
    start = await lab.begin_charging()
    when = {"startSchedule": iso(at)}
    await install(lab, 0, profile(1, "ChargePointMaxProfile", (0, 10.0), **when))
    await install(lab, 1, profile(2, "TxDefaultProfile", (0, 6.0), duration=300, **when))
    tx = {"transactionId": start.transaction_id, "duration": 260, **when}
    await install(lab, 1, profile(3, "TxProfile", (0, 8.0), (100, 12.0), (200, 7.0), **tx))
    now = await second(lab)
    on = [int((at - now).total_seconds()) + s for s in (100, 200, 260, 300)]
    steps = ((0, 8.0), (on[0], 10.0), (on[1], 7.0), (on[2], 6.0), (on[3], 10.0))
    answer = await composite(lab, 1, 400, *steps)
    assert answer["scheduleStart"] == f"{now:%Y-%m-%dT%H:%M:%S}.000Z"
    assert "startSchedule" not in answer["chargingSchedule"]
    watts = [(s, amps * 230) for s, amps in steps]
    await composite(lab, 1, 400, *watts, unit="W")
    await composite(lab, 0, 400, *steps)


@case("TC_067_CS", "R16-SC-9", title="Clearing charging profiles", config=QUIET)
async def clear_profiles(lab: Lab) -> None:
    await clear(lab, "Unknown")
    await install(lab, 1, profile(1, "TxDefaultProfile", (0, 6.0)))
    await composite(lab, 1, 60, (0, 6.0))
    await clear(lab, id=1)
    await composite(lab, 1, 60, (0, 16.0))
    await clear(lab, "Unknown", id=1)
    await install(lab, 0, profile(1, "ChargePointMaxProfile", (0, 9.0), level=2))
    await install(lab, 1, profile(2, "TxDefaultProfile", (0, 8.0), level=3))
    await clear(lab, "Unknown", chargingProfilePurpose="TxDefaultProfile", stackLevel=2)
    await clear(lab, "Unknown", connectorId=1, chargingProfilePurpose="ChargePointMaxProfile")
    await clear(lab, connectorId=1, chargingProfilePurpose="TxDefaultProfile", stackLevel=3)
    await composite(lab, 1, 60, (0, 9.0))
    await install(lab, 1, profile(2, "TxDefaultProfile", (0, 8.0)))
    await clear(lab)
    await composite(lab, 1, 60, (0, 16.0))


@case("TC_072_CS", "R16-SC-3", "R16-SC-5", title="Stacked profiles", config=QUIET)
async def stacking(lab: Lab) -> None:
    at = await second(lab)
    for level, limit, lasts in ((0, 6.0, 110), (1, 8.0, 80), (2, 10.0, 50)):
        given = profile(
            10 + level, "TxDefaultProfile", (0, limit), (20, limit + 1), level=level, duration=lasts,
            startSchedule=iso(at),
        )  # fmt: skip
        await install(lab, 1, given)
    expected = ((0, 10.0), (20, 11.0), (50, 9.0), (80, 7.0), (110, 16.0))
    await composite(lab, 1, 200, *expected)
    await lab.begin_charging()
    await lab.until(lambda: offers(lab, 11.0), 100, "11 A on the pilot")
    for second_, amps in expected[2:]:
        await lab.sleep((at + timedelta(seconds=second_ + 12) - lab.utc).total_seconds())
        assert offers(lab, amps)


@case("TC_082_CS", "R16-SC-7", title="TxDefaultProfile during a transaction", config=QUIET)
async def tx_default_during_transaction(lab: Lab) -> None:
    await lab.begin_charging()
    await lab.sleep(10)
    assert offers(lab, 16.0)
    await install(lab, 1, profile(1, "TxDefaultProfile", (0, 6.0)))
    await offered(lab, 6.0, within=2)
    await composite(lab, 1, 60, (0, 6.0))
    await clear(lab, id=1)
    await offered(lab, 16.0)
    await lab.csms.quiet("StopTransaction", for_s=30)
