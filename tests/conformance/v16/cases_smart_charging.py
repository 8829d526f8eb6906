"""The SmartCharging profile (R16-SC-1 to R16-SC-12)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.conformance.lab import CARD, OTHER_CARD, Lab
from tests.conformance.registry import case

QUIET = {"MeterValueSampleInterval": "0"}
DAY_S = 86_400
RAISE_S = 15.0
"""An increase waits for the guard's 5 s, the end of a pause for 10 s."""


def periods(*steps: tuple[int, float], phases: int | None = None) -> list[dict[str, Any]]:
    """(start, limit) as chargingSchedulePeriod."""
    told = {} if phases is None else {"numberPhases": phases}
    return [{"startPeriod": start, "limit": limit, **told} for start, limit in steps]


def profile(number: int, purpose: str, *steps: tuple[int, float], **more: Any) -> dict[str, Any]:
    """A csChargingProfiles; `more`: `level`, `kind`, fields of the schedule by their names, the rest of the profile."""
    schedule: dict[str, Any] = {"chargingRateUnit": more.pop("unit", "A")}
    for name in ("startSchedule", "duration", "minChargingRate"):
        if name in more:
            schedule[name] = more.pop(name)
    schedule["chargingSchedulePeriod"] = periods(*steps, phases=more.pop("phases", None))
    return {
        "chargingProfileId": number,
        "stackLevel": more.pop("level", 0),
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": more.pop("kind", "Absolute" if "startSchedule" in schedule else "Relative"),
        "chargingSchedule": schedule,
        **more,
    }  # fmt: skip


async def install(
    lab: Lab, connector: int, given: dict[str, Any], status: str = "Accepted"
) -> None:
    request = {"connectorId": connector, "csChargingProfiles": given}
    await lab.csms.call("SetChargingProfile", request, status=status)


async def clear(lab: Lab, status: str = "Accepted", **which: Any) -> None:
    await lab.csms.call("ClearChargingProfile", which, status=status)


async def composite(
    lab: Lab,
    connector: int,
    duration: int,
    *steps: tuple[int, float],
    unit: str = "A",
    phases: int = 1,
) -> dict[str, Any]:
    """Ask and compare: steps from now on."""
    request = {"connectorId": connector, "duration": duration, "chargingRateUnit": unit}
    return await lab.csms.call(
        "GetCompositeSchedule",
        request,
        status="Accepted",
        connectorId=connector,
        chargingSchedule={
            "duration": duration,
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": periods(*steps, phases=phases),
        },
    )  # fmt: skip


async def second(lab: Lab) -> datetime:
    """Wait until shortly after a whole second of UTC; that second."""
    await lab.sleep(1.2 - lab.utc.microsecond / 1e6)
    return lab.utc.replace(microsecond=0)


def iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def offers(lab: Lab, amps: float, number: int = 1) -> bool:
    """The pilot says so, as far as its duty cycle can."""
    return abs(lab.evse(number).offered_amps - amps) < 0.05


async def offered(lab: Lab, amps: float, number: int = 1, within: float = RAISE_S) -> None:
    await lab.until(lambda: offers(lab, amps, number), within, f"{amps} A on the pilot")


# --- the cases of the certification programme -------------------------------------------------------


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
    for level, limit, lasts in ((0, 6.0, 400), (1, 8.0, 300), (2, 10.0, 200)):
        given = profile(
            10 + level, "TxDefaultProfile", (0, limit), (50, limit + 1), level=level, duration=lasts,
            startSchedule=iso(at),
        )  # fmt: skip
        await install(lab, 1, given)
    expected = ((0, 10.0), (50, 11.0), (200, 9.0), (300, 7.0), (400, 16.0))
    await composite(lab, 1, 500, *expected)
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


# --- the rules one by one ---------------------------------------------------------------------------


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
    steps = ((0, 15.0), (40, 12.3), (75, 0.0), (110, 9.9), (150, 6.0))
    await install(lab, 1, profile(1, "TxDefaultProfile", *steps, level=1, duration=190, **when))
    await install(lab, 1, profile(2, "TxDefaultProfile", (0, 13.0), **when))
    await install(lab, 0, profile(3, "ChargePointMaxProfile", (0, 14.0), (200, 8.0), **when))
    await lab.begin_charging()
    now = await second(lab)
    gone = int((now - at).total_seconds())
    expected = [(0, 14.0), *steps[1:], (190, 13.0), (200, 8.0)]
    ahead = [(max(s - gone, 0), a) for s, a in expected]
    await composite(lab, 1, 240, *ahead)
    for passed in range(240):
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
