"""Boot and registration."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from controller.ocpp.wire_time import parse_time
from tests.conformance.lab import CARD, Lab
from tests.conformance.matching import ABSENT
from tests.conformance.registry import case


async def statuses(lab: Lab, *connectors: int, status: str = "Available") -> None:
    """What follows each accepted registration."""
    await lab.csms.expect_together(
        *(("StatusNotification", {"connectorId": n, "status": status}) for n in (0, *connectors))
    )


@case("TC_001_CS", "R16-BOOT-1", "R16-BOOT-2", "R16-HB-1", title="Cold boot", on=False, evses=2)
async def cold_boot(lab: Lab) -> None:
    lab.csms.interval_s = 300
    await lab.power_on()
    boot = await lab.csms.expect(
        "BootNotification", chargePointVendor="chargepost", chargePointModel="chargepost"
    )
    assert boot is lab.csms.seen[0], "something went out before BootNotification"
    await statuses(lab, 1, 2)
    last_s = lab.csms.seen[-1].at_s
    await lab.csms.call(
        "GetConfiguration",
        {"key": ["HeartbeatInterval"]},
        configurationKey=[{"key": "HeartbeatInterval", "readonly": False, "value": "300"}],
    )
    beat = await lab.csms.expect("Heartbeat", within=320)
    assert 299 < beat.at_s - last_s < 302


@case("TC_002_CS", "R16-BOOT-3", "R16-BOOT-6", title="Cold boot, registration pending", on=False)
async def cold_boot_pending(lab: Lab) -> None:
    lab.csms.boot_status, lab.csms.interval_s = "Pending", 120
    await lab.power_on()
    first = await lab.csms.expect("BootNotification")
    await lab.csms.quiet(for_s=20)
    await lab.csms.call(
        "GetConfiguration", {"key": ["NumberOfConnectors"]}, configurationKey=lambda k: len(k) == 1
    )
    await lab.csms.call(
        "ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "7"}, status="Accepted"
    )
    await lab.csms.call(
        "RemoteStartTransaction", {"idTag": CARD, "connectorId": 1}, status="Rejected"
    )
    await lab.csms.call("RemoteStopTransaction", {"transactionId": 1}, status="Rejected")
    await lab.csms.quiet(for_s=20)
    await lab.csms.call(
        "TriggerMessage",
        {"requestedMessage": "StatusNotification", "connectorId": 1},
        status="Accepted",
    )
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available", within=5)
    second = await lab.csms.expect("BootNotification", within=125)
    assert 119 <= second.at_s - first.at_s <= 122
    lab.csms.boot_status = "Accepted"
    await lab.csms.call(
        "TriggerMessage", {"requestedMessage": "BootNotification"}, status="Accepted"
    )
    third = await lab.csms.expect("BootNotification", within=10)
    assert third.at_s - second.at_s < 60, "a trigger permits an earlier one"
    await statuses(lab, 1)
    await lab.csms.call(
        "TriggerMessage", {"requestedMessage": "BootNotification"}, status="Rejected"
    )
    await lab.csms.quiet("BootNotification", for_s=10)


@case(
    "R16-BOOT-4",
    title="Registration rejected: mute until the interval is over",
    on=False,
    config={"ConnectionTimeOut": "300"},
)
async def cold_boot_rejected(lab: Lab) -> None:
    lab.csms.boot_status, lab.csms.interval_s = "Rejected", 90
    await lab.power_on()
    first = await lab.csms.expect("BootNotification")
    lab.plug()
    await lab.csms.unanswered("GetConfiguration", {}, for_s=20)
    await lab.csms.quiet(for_s=50)
    lab.csms.boot_status = "Accepted"
    second = await lab.csms.expect("BootNotification", within=40)
    assert 89 <= second.at_s - first.at_s <= 92
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    await lab.csms.call(
        "GetConfiguration",
        {"key": ["NumberOfConnectors"]},
        unknownKey=ABSENT,
        configurationKey=[{"key": "NumberOfConnectors", "readonly": True, "value": "1"}],
    )


@case("R16-BOOT-5", title="Pending with interval 0: own pauses, growing", on=False)
async def pending_without_interval(lab: Lab) -> None:
    lab.csms.boot_status, lab.csms.interval_s = "Pending", 0
    await lab.power_on()
    first = await lab.csms.expect("BootNotification")
    second = await lab.csms.expect("BootNotification", within=90)
    third = await lab.csms.expect("BootNotification", within=200)
    assert second.at_s - first.at_s >= 10
    assert third.at_s - second.at_s > second.at_s - first.at_s


@case("R16-BOOT-5", title="BootNotification fails or is not answered: again, with pauses", on=False)
async def boot_not_answered(lab: Lab) -> None:
    lab.csms.reply("BootNotification", error=("InternalError", "not now"))
    lab.csms.reply("BootNotification", silent=True)
    await lab.power_on()
    first = await lab.csms.expect("BootNotification")
    second = await lab.csms.expect("BootNotification", within=60)
    assert second.at_s - first.at_s >= 5
    third = await lab.csms.expect("BootNotification", within=180)
    assert third.at_s - second.at_s >= 30
    await statuses(lab, 1)


@case("R16-BOOT-7", title="A new connection without a reboot: no BootNotification")
async def reconnect_without_boot(lab: Lab) -> None:
    before = len(lab.csms.handshakes)
    lab.csms.drop()
    await lab.until(lambda: len(lab.csms.handshakes) > before, 60, "the new connection")
    await lab.csms.quiet("BootNotification", for_s=30)
    await lab.csms.quiet("StatusNotification", for_s=1)
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")


@case(
    "R16-BOOT-7",
    title="For backends that expect it: BootNotification on every connection",
    config={"BootOnReconnect": "true"},
)
async def boot_on_reconnect(lab: Lab) -> None:
    lab.csms.drop()
    await lab.csms.expect("BootNotification", within=60, chargePointModel="chargepost")
    await statuses(lab, 1)


@case(
    "R16-BOOT-8",
    "R16-TIME-1",
    title="Charging before the first acceptance, told with its own time",
    on=False,
    authorization="free",
    evse={"free_id_tag": "FREE"},
)
async def charging_before_acceptance(lab: Lab) -> None:
    await lab.csms.offline()
    await lab.power_on()
    await lab.sleep(20)
    lab.plug()
    await lab.closed()
    begun = lab.utc
    await lab.sleep(120)
    await lab.csms.online()
    await lab.csms.expect("BootNotification", within=120)
    start = await lab.csms.expect("StartTransaction", connectorId=1, idTag="FREE")
    assert abs((start.at - begun).total_seconds()) < 5, f"{start.at} is not {begun}"


YEARS_S = 2 * 365 * 86_400.0


async def charged_unseen(lab: Lab) -> dict[str, Any]:
    """One whole session and the beginning of another while the backend is not there."""
    lab.csms.card("FREE")
    lab.plug()
    await lab.closed()
    seen = {"first start": lab.utc}
    await lab.sleep(130)
    lab.unplug()
    seen["first stop"] = lab.utc
    await lab.opened()
    await lab.sleep(20)
    lab.plug()
    await lab.closed()
    seen["second start"] = lab.utc
    await lab.sleep(70)
    return seen


async def told_as_it_was(lab: Lab, seen: dict[str, Any]) -> None:
    """Both sessions with the times at which they really were, in order."""

    def when(name: str) -> dict[str, Any]:
        def fits(text: str) -> bool:
            return abs((parse_time(text) - seen[name]).total_seconds()) < 5

        return {"timestamp": fits}

    await lab.csms.expect("BootNotification", within=120)
    await lab.csms.expect("StartTransaction", idTag="FREE", **when("first start"))
    await lab.csms.expect("StopTransaction", **when("first stop"))
    await lab.csms.expect("StartTransaction", idTag="FREE", **when("second start"))
    await lab.sleep(70)
    seen["second stop"] = lab.utc
    lab.unplug()
    await lab.csms.expect("StopTransaction", **when("second stop"))
    last = None
    for call in lab.csms.seen:
        moments = [parse_time(value["timestamp"]) for value in call.get("meterValue", ())]
        for moment in moments:
            assert seen["first start"] - timedelta(seconds=5) <= moment <= lab.utc
            assert last is None or last <= moment, "the samples are in order"
            last = moment


@case(
    "R16-BOOT-8",
    title="Charging before the first acceptance, the host's clock two years behind",
    on=False,
    authorization="free",
    evse={"free_id_tag": "FREE"},
    config={"MeterValueSampleInterval": "60"},
)
async def charging_with_a_wrong_clock(lab: Lab) -> None:
    lab.jump_clock(-YEARS_S)
    await lab.csms.offline()
    await lab.power_on()
    await lab.sleep(20)
    seen = await charged_unseen(lab)
    await lab.csms.online()
    await told_as_it_was(lab, seen)


@case(
    "R16-BOOT-8",
    title="The clock is wrong, the station is killed before it learns that, and the network's time comes first",
    on=False,
    authorization="free",
    evse={"free_id_tag": "FREE"},
    config={"MeterValueSampleInterval": "60"},
)
async def killed_with_a_wrong_clock(lab: Lab) -> None:
    lab.jump_clock(-YEARS_S)
    await lab.csms.offline()
    await lab.power_on()
    await lab.sleep(20)
    seen = await charged_unseen(lab)
    await lab.kill()
    await lab.sleep(10)
    lab.jump_clock(YEARS_S + 40)
    await lab.sleep(5)
    await lab.csms.online()
    await told_as_it_was(lab, seen)


@case(
    "R16-BOOT-8",
    title="Right before the power loss, wrong after it: only what the wrong clock stamped is moved",
    authorization="free",
    evse={"free_id_tag": "FREE"},
    config={"MeterValueSampleInterval": "0"},
)
async def wrong_after_power_loss(lab: Lab) -> None:
    lab.csms.card("FREE")
    await lab.csms.offline()
    lab.plug()
    await lab.closed()
    begun = lab.utc
    await lab.sleep(150)
    died = lab.utc
    lab.jump_clock(-YEARS_S)
    await lab.power_loss(off_s=30)
    await lab.sleep(40)
    lab.unplug()
    await lab.sleep(10)
    lab.plug()
    await lab.closed()
    again = lab.utc
    await lab.sleep(30)
    await lab.csms.online()
    start = await lab.csms.expect("StartTransaction", within=120, idTag="FREE")
    assert abs((start.at - begun).total_seconds()) < 5, "it was right and stays"
    stop = await lab.csms.expect("StopTransaction", reason="PowerLoss")
    assert timedelta(0) <= died - stop.at <= timedelta(seconds=90)
    second = await lab.csms.expect("StartTransaction", idTag="FREE")
    assert abs((second.at - again).total_seconds()) < 5, "it was wrong and is moved"


@case("R16-BOOT-9", title="The handshake is refused: retry for ever", on=False)
async def handshake_refused(lab: Lab) -> None:
    await_handshakes = 3
    for status in (404, 401, 403):
        lab.csms.refuse_with = status
        before = len(lab.csms.handshakes)
        if not lab.is_on:
            await lab.power_on()
        await lab.until(
            lambda n=before: len(lab.csms.handshakes) >= n + 2,
            within=300,
            what=f"two attempts after {status}",
        )
    assert len(lab.csms.handshakes) >= 2 * await_handshakes
    lab.csms.refuse_with = None
    await lab.csms.expect("BootNotification", within=400, chargePointModel="chargepost")
    await statuses(lab, 1)


@case(
    "R16-HB-1",
    title="Heartbeats only after silence; the clock follows their answers",
    config={"MeterValueSampleInterval": "0", "ConnectionTimeOut": "300"},
)
async def heartbeat_after_silence(lab: Lab) -> None:
    await lab.csms.call(
        "ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}, status="Accepted"
    )
    first = await lab.csms.expect("Heartbeat", within=62)
    await lab.sleep(30)
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    second = await lab.csms.expect("Heartbeat", within=62)
    assert second.at_s - first.at_s > 85
    lab.jump_clock(-1000)
    await lab.csms.expect("Heartbeat", within=62)
    lab.tap(CARD)
    start = await lab.csms.expect("StartTransaction", idTag=CARD)
    assert abs((start.at - lab.utc).total_seconds()) < 2, "the clock follows the backend"
    assert start["timestamp"].endswith("Z")
