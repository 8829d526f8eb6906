"""Security events: which are told, when, in which order, and what a backend that does not listen changes."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.lab import Lab
from tests.conformance.matching import ANY
from tests.conformance.registry import case
from tests.conformance.v16.files import file_server

EVENT = "SecurityEventNotification"


async def logged(lab: Lab, request_id: int = 1) -> list[dict[str, Any]]:
    """The security log as the operator gets it."""
    async with file_server(lab) as server:
        request = {
            "logType": "SecurityLog",
            "requestId": request_id,
            "log": {"remoteLocation": server.url},
        }
        answer = await lab.csms.call("GetLog", request, status="Accepted")
        await lab.csms.expect("LogStatusNotification", status="Uploaded", requestId=request_id)
        lines = server.received(answer["filename"]).decode().splitlines()
    return [json.loads(line) for line in lines]


@case("R16-SEC-11", title="The start is told, after the registration", on=False)
async def startup(lab: Lab) -> None:
    lab.csms.boot_status, lab.csms.interval_s = "Pending", 60
    await lab.power_on()
    boot = await lab.csms.expect("BootNotification", chargePointModel=ANY)
    await lab.csms.quiet(for_s=50)
    lab.csms.boot_status = "Accepted"
    event = await lab.csms.expect(EVENT, type="StartupOfTheDevice", techInfo="PowerUp", within=60)
    assert event.at_s - boot.at_s >= 60
    assert (lab.utc - event.at).total_seconds() > 50, "the time of the event, not of its telling"


@case("R16-SEC-11", title="A reset is told")
async def reset(lab: Lab) -> None:
    await lab.csms.call("Reset", {"type": "Hard"}, status="Accepted")
    await lab.csms.expect("BootNotification", within=60, chargePointModel=ANY)
    await lab.csms.expect(EVENT, type="StartupOfTheDevice")
    await lab.csms.expect(EVENT, type="ResetOrReboot", techInfo="RemoteReset")


@case("R16-SEC-11", title="A clock that was wrong is told, a small correction is not", on=False)
async def clock(lab: Lab) -> None:
    lab.jump_clock(-15)
    await lab.power_on()
    await lab.registered()
    assert not lab.csms.count(EVENT, type="SettingSystemTime")
    await lab.csms.call(
        "ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}, status="Accepted"
    )
    lab.jump_clock(-4000)
    await lab.csms.expect(
        EVENT, type="SettingSystemTime", techInfo="corrected by +4000 s", within=120
    )


@case("R16-SEC-11", title="What happens offline is told later, in order, also after a restart")
async def offline(lab: Lab) -> None:
    await lab.csms.offline()
    await lab.power_loss()
    await lab.sleep(30)
    await lab.power_loss()
    await lab.csms.online()
    first = await lab.csms.expect(EVENT, type="StartupOfTheDevice", within=300)
    await lab.csms.expect(EVENT, type="ResetOrReboot")
    second = await lab.csms.expect(EVENT, type="StartupOfTheDevice")
    await lab.csms.expect(EVENT, type="ResetOrReboot")
    assert (second.at - first.at).total_seconds() > 55
    await lab.csms.quiet(EVENT, for_s=60)
    types = [entry["type"] for entry in await logged(lab)]
    assert types.count("StartupOfTheDevice") == 3


@case(
    "R16-SEC-11",
    title="A backend that refuses events: everything else goes on, and they are offered again",
    config={"MeterValueSampleInterval": "0"},
    on=False,
)
async def refused(lab: Lab) -> None:
    lab.csms.reply(EVENT, times=2, error=("NotImplemented", "what is that"))
    await lab.power_on()
    await lab.registered()
    await lab.begin_charging()
    lab.unplug()
    await lab.csms.expect("StopTransaction", reason="EVDisconnected")
    event = await lab.csms.expect(EVENT, type="StartupOfTheDevice", within=100)
    again = await lab.csms.expect(EVENT, type="StartupOfTheDevice", within=200)
    assert 110 < again.at_s - event.at_s < 130, "later and later"
    await lab.csms.quiet(EVENT, for_s=300)


@case(
    "R16-SEC-11",
    title="A backend that never answers events: charging waits for one of them at most",
    config={"MeterValueSampleInterval": "0", "MessageTimeout": "10"},
    on=False,
)
async def never_answered(lab: Lab) -> None:
    lab.csms.reply(EVENT, times=None, silent=True)
    lab.csms.rules.patience_s = 9.5
    await lab.power_on()
    await lab.registered()
    await lab.sleep(11)
    await lab.begin_charging()
    lab.unplug()
    await lab.csms.expect("StopTransaction", reason="EVDisconnected")


@case(
    "R16-SEC-11",
    title="Telling can be switched off; the log goes on",
    config={"DisableSecurityEventNotifications": "true"},
    on=False,
)
async def switched_off(lab: Lab) -> None:
    await lab.power_on()
    await lab.registered()
    assert not lab.csms.count(EVENT)
    assert [entry["type"] for entry in await logged(lab)] == ["StartupOfTheDevice"]
    key = "DisableSecurityEventNotifications"
    await lab.csms.call("ChangeConfiguration", {"key": key, "value": "false"}, status="Accepted")
    await lab.csms.call("Reset", {"type": "Soft"}, status="Accepted")
    await lab.csms.expect(EVENT, type="StartupOfTheDevice", within=60)


@case("R16-SEC-11", title="Invalid messages are in the log, once a minute, and are not told")
async def invalid_messages(lab: Lab) -> None:
    for _ in range(5):
        await lab.csms.fails("Reset", {"type": "Sideways"}, "PropertyConstraintViolation")
    await lab.sleep(70)
    await lab.csms.fails("Reset", {}, "ProtocolError", "OccurenceConstraintViolation")
    await lab.csms.quiet(EVENT, for_s=5)
    found = [e["techInfo"] for e in await logged(lab) if e["type"] == "InvalidMessages"]
    assert len(found) == 2
    assert found[0].startswith("Reset: type")
    assert "4 times before" in found[1]


@case("R16-SEC-11", title="An opened housing is told once for all its EVSEs", evses=2)
async def tampering(lab: Lab) -> None:
    guard = lab.station.station.guard
    for number in (1, 2):
        guard.raise_fault(number, "door", "contact open")
    await lab.csms.expect(EVENT, type="TamperDetectionActivated", techInfo="door")
    await lab.csms.quiet(EVENT, for_s=30)
    for number in (1, 2):
        guard.clear_fault(number, "door")
    await lab.csms.expect("StatusNotification", connectorId=2, status="Available")
    guard.raise_fault(1, "door", "contact open")
    await lab.csms.expect(EVENT, type="TamperDetectionActivated", techInfo="door")
