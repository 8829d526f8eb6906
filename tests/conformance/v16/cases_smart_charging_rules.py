"""SmartCharging: the rules one by one (R16-SC-1 to R16-SC-12)."""

from __future__ import annotations

from datetime import timedelta

from tests.conformance.lab import CARD, OTHER_CARD, Lab
from tests.conformance.registry import case
from tests.conformance.v16.charging_profiles import (
    DAY_S,
    QUIET,
    RAISE_S,
    clear,
    composite,
    install,
    iso,
    offered,
    offers,
    periods,
    profile,
    second,
)


@case(
    "R16-SC-1",
    title="A default for one connector stands in for the general one",
    evses=2,
    config=QUIET,
)
async def defaults_by_connector(lab: Lab) -> None:
    await install(lab, 0, profile(1, "TxDefaultProfile", (0, 8.0), level=1))
    await install(lab, 2, profile(2, "TxDefaultProfile", (0, 10.0), level=1))
    await composite(lab, 1, 60, (0, 8.0))
    await composite(lab, 2, 60, (0, 10.0))
    await install(lab, 1, profile(3, "ChargePointMaxProfile", (0, 7.0)), "Rejected")
    await install(lab, 0, profile(3, "TxProfile", (0, 7.0)), "Rejected")
    await composite(lab, 1, 60, (0, 8.0))


@case("R16-SC-2", title="What replaces what, and how many there may be", evses=4,
      config={**QUIET, "ChargeProfileMaxStackLevel": "3", "MaxChargingProfilesInstalled": "5",
              "ChargingScheduleMaxPeriods": "4"})  # fmt: skip
async def replacing(lab: Lab) -> None:
    keys = [
        "ChargeProfileMaxStackLevel",
        "ChargingScheduleMaxPeriods",
        "MaxChargingProfilesInstalled",
    ]
    keys += ["ChargingScheduleAllowedChargingRateUnit", "ConnectorSwitch3to1PhaseSupported"]
    expected = ["3", "4", "5", "Current,Power", "false"]
    await lab.csms.call(
        "GetConfiguration",
        {"key": keys},
        configurationKey=[
            {"key": key, "readonly": True, "value": value}
            for key, value in zip(keys, expected, strict=True)
        ],
    )
    await install(lab, 1, profile(1, "TxDefaultProfile", (0, 6.0), level=3))
    await install(lab, 1, profile(2, "TxDefaultProfile", (0, 7.0), level=3))
    await clear(lab, "Unknown", id=1)
    await install(lab, 2, profile(2, "TxDefaultProfile", (0, 8.0), level=2))
    await composite(lab, 1, 60, (0, 16.0))
    await composite(lab, 2, 60, (0, 8.0))
    await install(lab, 1, profile(3, "TxDefaultProfile", (0, 6.0), level=4), "Rejected")
    five = [(s, 6.0) for s in range(5)]
    await install(lab, 1, profile(3, "TxDefaultProfile", *five), "Rejected")
    for number, connector in ((3, 0), (4, 1), (5, 3), (6, 4)):
        await install(lab, connector, profile(number, "TxDefaultProfile", (0, 9.0)))
    await install(lab, 2, profile(7, "TxDefaultProfile", (0, 9.0)), "Rejected")
    await install(lab, 4, profile(7, "TxDefaultProfile", (0, 9.0)))


@case(
    "R16-SC-3", title="The station's profile is for all connectors together", evses=2, config=QUIET
)
async def station_maximum(lab: Lab) -> None:
    await install(lab, 0, profile(1, "ChargePointMaxProfile", (0, 20.0)))
    await composite(lab, 0, 60, (0, 20.0))
    await lab.begin_charging(1)
    await lab.begin_charging(2, OTHER_CARD)
    both = (1, 2)
    await lab.until(lambda: all(lab.evse(n).offered_amps >= 6 for n in both), 60, "both charging")
    await lab.never(
        lambda: sum(lab.evse(n).offered_amps for n in both) > 20.01, 60, "more than 20 A"
    )
    await install(lab, 0, profile(1, "ChargePointMaxProfile", (0, 13.0)))
    await lab.until(lambda: sum(lab.evse(n).offered_amps for n in both) <= 13.01, 3, "13 A")
    await composite(lab, 0, 60, (0, 13.0))


@case(
    "R16-SC-3",
    "R16-SC-5",
    title="validFrom, validTo; what is not valid leaves the next level",
    config=QUIET,
)
async def validity(lab: Lab) -> None:
    at = await second(lab)
    times = [iso(at + timedelta(seconds=s)) for s in (30, 90)]
    limited = profile(
        2, "TxDefaultProfile", (0, 6.0), level=4, validFrom=times[0], validTo=times[1]
    )
    await install(lab, 0, profile(1, "TxDefaultProfile", (0, 12.0)))
    await install(lab, 0, limited)
    await composite(lab, 1, 120, (0, 12.0), (30, 6.0), (90, 12.0))
    reversed_ = {"validFrom": times[1], "validTo": times[0]}
    await install(lab, 0, profile(3, "TxDefaultProfile", (0, 6.0), **reversed_), "Rejected")


@case(
    "R16-SC-4",
    title="Recurring at the time of its start, whatever the local clock does",
    config=QUIET,
)
async def recurring(lab: Lab) -> None:
    now = await second(lab)
    # The first round was in summer time, 40 days ago, and began 100 s later in the day than now.
    first = now - timedelta(days=40) + timedelta(seconds=100) + timedelta(hours=2)
    daily = profile(
        1, "TxDefaultProfile", (0, 6.0), (50, 8.0), kind="Recurring", recurrencyKind="Daily",
        startSchedule=first.strftime("%Y-%m-%dT%H:%M:%S+02:00"), duration=200,
    )  # fmt: skip
    await install(lab, 0, daily)
    rounds = [
        (day * DAY_S + s, a) for day in (0, 1) for s, a in ((100, 6.0), (150, 8.0), (300, 16.0))
    ]
    await composite(lab, 1, 2 * DAY_S, (0, 16.0), *rounds)
    weekly = {"kind": "Recurring", "recurrencyKind": "Weekly", "duration": 60}
    starts = iso(now - timedelta(days=13))
    await install(
        lab, 0, profile(2, "TxDefaultProfile", (0, 7.0), level=1, startSchedule=starts, **weekly)
    )
    two_days = [(0, 16.0), *rounds[:3], (DAY_S, 7.0), (DAY_S + 60, 16.0), *rounds[3:]]
    await composite(lab, 1, 2 * DAY_S, *two_days)
    await install(lab, 0, profile(3, "TxDefaultProfile", (0, 7.0), kind="Recurring"), "Rejected")


@case("R16-SC-4", title="What is longer than a round is cut; a missing start is now", config=QUIET)
async def longer_than_a_round(lab: Lab) -> None:
    await second(lab)
    steps = ((0, 6.0), (3600, 8.0), (DAY_S + 3600, 10.0))
    daily = {"kind": "Recurring", "recurrencyKind": "Daily", "duration": 3 * DAY_S}
    await install(lab, 0, profile(1, "TxDefaultProfile", *steps, **daily))
    later = ((DAY_S, 6.0), (DAY_S + 3600, 8.0))
    await composite(lab, 1, 2 * DAY_S, (0, 6.0), (3600, 8.0), *later)
    await install(lab, 0, profile(1, "TxDefaultProfile", (0, 9.0), kind="Absolute", duration=60))
    await composite(lab, 1, 120, (0, 9.0), (60, 16.0))
    key = "AllowChargingProfileWithoutStartSchedule"
    change = {"key": key, "value": "false"}
    await lab.csms.call("ChangeConfiguration", change, status="Accepted")
    await install(lab, 0, profile(1, "TxDefaultProfile", (0, 7.0), kind="Absolute"), "Rejected")
    await install(lab, 0, profile(1, "TxDefaultProfile", (0, 7.0)))
    await composite(lab, 1, 120, (0, 7.0))


@case("R16-SC-5", title="Periods that cannot be followed; the last one lasts", config=QUIET)
async def impossible_schedules(lab: Lab) -> None:
    for steps in (
        ((5, 6.0),),
        ((0, 6.0), (60, 8.0), (30, 7.0)),
        ((0, 6.0), (60, 8.0), (60, 7.0)),
        (),
    ):
        await install(lab, 0, profile(1, "TxDefaultProfile", *steps), "Rejected")
    await install(lab, 0, profile(1, "TxDefaultProfile", (0, -1.0)), "Rejected")
    await install(lab, 0, profile(1, "TxDefaultProfile", (0, 6.0), phases=4), "Rejected")
    await install(lab, 0, profile(1, "TxDefaultProfile", (0, 6.0), duration=-5), "Rejected")
    await clear(lab, "Unknown")
    await install(lab, 0, profile(1, "TxDefaultProfile", (0, 6.0), (10, 9.0)))
    await composite(lab, 1, 30 * DAY_S, (0, 6.0), (10, 9.0))


@case("R16-SC-6", title="Watts and amps, three phases", phases=3, config=QUIET)
async def watts(lab: Lab) -> None:
    await install(lab, 1, profile(1, "TxDefaultProfile", (0, 6900.0), unit="W"))
    await lab.begin_charging(phases=3)
    await offered(lab, 10.0)
    await composite(lab, 1, 60, (0, 10.0), phases=3)
    await composite(lab, 1, 60, (0, 6900.0), unit="W", phases=3)
    await install(lab, 1, profile(1, "TxDefaultProfile", (0, 8000.0), unit="W", phases=3))
    await composite(lab, 1, 60, (0, 11.5), phases=3)
    await offered(lab, 11.5)
    await install(lab, 1, profile(1, "TxDefaultProfile", (0, 8.0)))
    await composite(lab, 1, 60, (0, 5520.0), unit="W", phases=3)
    await offered(lab, 8.0)


@case(
    "R16-SC-6",
    title="More phases in the profile than in use: the limit stays as it is",
    config=QUIET,
)
async def more_phases_than_in_use(lab: Lab) -> None:
    """E16 3.34."""
    await install(lab, 1, profile(1, "TxDefaultProfile", (0, 8.1), phases=3))
    await lab.begin_charging()
    await offered(lab, 8.1)
    await composite(lab, 1, 60, (0, 8.1))
    await composite(lab, 1, 60, (0, 1863.0), unit="W")


@case("R16-SC-6", title="Less than 6 A, or than the vehicle's least rate, is a pause", config=QUIET)
async def pausing(lab: Lab) -> None:
    start = await lab.begin_charging()
    for given in (
        profile(1, "TxProfile", (0, 0.0)),
        profile(1, "TxProfile", (0, 5.9)),
        profile(1, "TxProfile", (0, 7.9), minChargingRate=8.0),
    ):
        await install(lab, 1, given)
        await lab.csms.expect("StatusNotification", connectorId=1, status="SuspendedEVSE")
        await lab.opened()
        assert "paused by the operator" in lab.sentence()
        await composite(lab, 1, 60, (0, 0.0))
        await install(lab, 1, profile(1, "TxProfile", (0, 9.0), minChargingRate=8.0))
        await lab.csms.expect(
            "StatusNotification", within=60, connectorId=1, status="Charging", via=("SuspendedEV",)
        )
        await lab.closed(within=30)
        await offered(lab, 9.0)
    await lab.csms.quiet("StopTransaction", for_s=5)
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id, reason="Local")


@case("R16-SC-6", title="A transaction that starts while nothing is allowed", config=QUIET)
async def starting_paused(lab: Lab) -> None:
    at = await second(lab)
    steps = ((0, 0.0), (60, 9.0))
    await install(lab, 1, profile(1, "TxDefaultProfile", *steps, startSchedule=iso(at)))
    lab.plug()
    lab.tap(CARD)
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="SuspendedEVSE", via=("Preparing",)
    )
    await lab.never(lambda: lab.evse(1).closed, 30, "the contactor closed")
    await lab.csms.expect(
        "StatusNotification", within=60, connectorId=1, status="Charging", via=("SuspendedEV",)
    )
    await offered(lab, 9.0)
    await lab.csms.quiet("StopTransaction", for_s=5)


@case(
    "R16-SC-7", title="Profiles survive a power loss, a TxProfile its transaction not", config=QUIET
)
async def persistence(lab: Lab) -> None:
    start = await lab.begin_charging()
    await install(lab, 1, profile(1, "TxDefaultProfile", (0, 9.0)))
    await install(lab, 0, profile(2, "ChargePointMaxProfile", (0, 14.0)))
    await install(lab, 1, profile(3, "TxProfile", (0, 7.0), transactionId=start.transaction_id))
    await offered(lab, 7.0, within=2)
    await lab.kill()
    await lab.registered()
    await composite(lab, 1, 60, (0, 7.0))
    await lab.sleep(15)
    assert offers(lab, 7.0)
    await lab.power_loss(60)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id, reason="PowerLoss")
    await composite(lab, 1, 60, (0, 9.0))
    await clear(lab, "Unknown", id=3)
    await clear(lab, id=1)
    await composite(lab, 1, 60, (0, 14.0))


@case("R16-SC-8", title="Composite schedule: what is asked for at the edges", config=QUIET)
async def composite_edges(lab: Lab) -> None:
    await composite(lab, 1, 0, (0, 16.0))
    await composite(lab, 1, 60, (0, 3680.0), unit="W")
    for connector, duration in ((2, 60), (-1, 60), (1, -1)):
        request = {"connectorId": connector, "duration": duration}
        await lab.csms.call("GetCompositeSchedule", request, status="Rejected")
    at = await second(lab)
    later = iso(at + timedelta(seconds=59))
    await install(lab, 0, profile(1, "TxDefaultProfile", (0, 6.0), startSchedule=later))
    await composite(lab, 1, 60, (0, 16.0), (59, 6.0))
    await composite(lab, 1, 59, (0, 16.0))
    await composite(lab, 0, 60, (0, 16.0), (59, 6.0))


@case(
    "R16-SC-8",
    title="The composite schedule is what the pilot does, second by second",
    config=QUIET,
)
async def composite_is_the_offer(lab: Lab) -> None:
    at = await second(lab)
    when = {"startSchedule": iso(at)}
    steps = ((0, 15.0), (20, 12.3), (40, 0.0), (55, 9.9), (85, 6.0))
    await install(lab, 1, profile(1, "TxDefaultProfile", *steps, level=1, duration=100, **when))
    await install(lab, 1, profile(2, "TxDefaultProfile", (0, 13.0), **when))
    await install(lab, 0, profile(3, "ChargePointMaxProfile", (0, 14.0), (130, 8.0), **when))
    await lab.begin_charging()
    now = await second(lab)
    gone = int((now - at).total_seconds())
    expected = [(0, 14.0), *steps[1:], (100, 13.0), (130, 8.0)]
    ahead = [(max(s - gone, 0), a) for s, a in expected]
    await composite(lab, 1, 150, *ahead)
    for passed in range(150):
        limit = [a for s, a in ahead if s <= passed][-1]
        raised = any(0 <= passed - s <= RAISE_S for s, _ in ahead)
        amps = lab.evse(1).offered_amps
        assert amps <= limit + 0.01, (passed, amps, limit)
        assert raised or abs(amps - limit) < 0.05, (passed, amps, limit)
        await lab.sleep(1)


@case("R16-SC-10", title="Values that the specification does not know", config=QUIET)
async def wrong_values(lab: Lab) -> None:
    """E16 3.24, 3.38, 3.39."""
    for changed in (
        {"chargingProfilePurpose": "Other"},
        {"chargingProfileKind": "Other"},
        {"recurrencyKind": "Other"},
        {
            "chargingSchedule": {
                "chargingRateUnit": "X",
                "chargingSchedulePeriod": periods((0, 6.0)),
            }
        },
    ):
        given = {**profile(1, "TxDefaultProfile", (0, 6.0)), **changed}
        request = {"connectorId": 1, "csChargingProfiles": given}
        await lab.csms.fails("SetChargingProfile", request, "PropertyConstraintViolation")
    for connector in (2, -1):
        request = {
            "connectorId": connector,
            "csChargingProfiles": profile(1, "TxDefaultProfile", (0, 6.0)),
        }
        await lab.csms.fails("SetChargingProfile", request, "PropertyConstraintViolation")
    asked = {"connectorId": 1, "duration": 60, "chargingRateUnit": "X"}
    await lab.csms.fails("GetCompositeSchedule", asked, "PropertyConstraintViolation")
    await clear(lab, "Unknown")


@case(
    "R16-SC-11", title="Offline the profiles go on", config={**QUIET, "LocalPreAuthorize": "true"}
)
async def offline(lab: Lab) -> None:
    await install(lab, 1, profile(1, "TxDefaultProfile", (0, 9.0)))
    start = await lab.begin_charging()
    await offered(lab, 9.0)
    given = profile(2, "TxProfile", (0, 7.0), (120, 8.0), transactionId=start.transaction_id)
    await install(lab, 1, given)
    await offered(lab, 7.0, within=2)
    await lab.csms.offline()
    await lab.sleep(150)
    assert offers(lab, 8.0)
    lab.tap(CARD)
    await lab.opened()
    lab.unplug()
    await lab.sleep(5)
    lab.plug()
    await lab.sleep(2)
    lab.tap(CARD)
    await offered(lab, 9.0, within=30)
    await lab.csms.online()
    await lab.csms.expect("StopTransaction", within=300, transactionId=start.transaction_id)
    await lab.csms.expect("StartTransaction", within=60, idTag=CARD)
    await composite(lab, 1, 60, (0, 9.0))


@case(
    "R16-SC-12", title="All purposes and kinds, also Relative for the whole station", config=QUIET
)
async def all_kinds(lab: Lab) -> None:
    await second(lab)
    await install(lab, 0, profile(1, "ChargePointMaxProfile", (0, 10.0), (60, 8.0)))
    await composite(lab, 0, 120, (0, 10.0), (60, 8.0))
    daily = {"kind": "Recurring", "recurrencyKind": "Daily"}
    midnight = iso(lab.utc.replace(hour=0, minute=0, second=0, microsecond=0))
    await install(lab, 0, profile(2, "TxDefaultProfile", (0, 7.0), startSchedule=midnight, **daily))
    await composite(lab, 1, 120, (0, 7.0))
    start = await lab.begin_charging()
    await offered(lab, 7.0)
    tx = {"transactionId": start.transaction_id, "startSchedule": midnight, **daily}
    await install(lab, 1, profile(3, "TxProfile", (0, 6.0), **tx))
    await offered(lab, 6.0)
