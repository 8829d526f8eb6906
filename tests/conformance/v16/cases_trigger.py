"""TriggerMessage."""

from __future__ import annotations

from tests.conformance.lab import Lab
from tests.conformance.registry import case


async def trigger(
    lab: Lab, message: str, connector: int | None = None, status: str = "Accepted"
) -> None:
    payload = {"requestedMessage": message}
    if connector is not None:
        payload["connectorId"] = connector
    await lab.csms.call("TriggerMessage", payload, status=status)


@case("TC_054_CS", "R16-TRG-1", title="Each message on request, after the answer", evses=2)
async def triggered(lab: Lab) -> None:
    await trigger(lab, "MeterValues", 1)
    await lab.csms.expect("MeterValues", connectorId=1, within=5)
    await trigger(lab, "Heartbeat")
    await lab.csms.expect("Heartbeat", within=5)
    await trigger(lab, "StatusNotification", 2)
    await lab.csms.expect("StatusNotification", connectorId=2, status="Available", within=5)
    await trigger(lab, "StatusNotification")
    await lab.csms.expect_together(
        *(("StatusNotification", {"connectorId": n, "status": "Available"}) for n in (0, 1, 2)),
        within=5,
    )
    await trigger(lab, "DiagnosticsStatusNotification")
    await lab.csms.expect("DiagnosticsStatusNotification", status="Idle", within=5)
    await trigger(lab, "FirmwareStatusNotification")
    await lab.csms.expect("FirmwareStatusNotification", status="Idle", within=5)
    log = [line[11:] for line in lab.csms.log if "Heartbeat" in line]
    assert log[0].startswith("->"), log
    asked = next(i for i, line in enumerate(lab.csms.log) if '"Heartbeat"' in line)
    assert "answer" in lab.csms.log[asked + 1], "the answer comes first"


@case("TC_055_CS", "R16-TRG-1", title="Triggers that cannot be: rejected or not implemented")
async def trigger_rejected(lab: Lab) -> None:
    await trigger(lab, "MeterValues", 9, status="Rejected")
    await trigger(lab, "StatusNotification", 9, status="Rejected")
    await trigger(lab, "BootNotification", status="Rejected")
    await lab.csms.quiet(for_s=5)
    await lab.csms.fails(
        "TriggerMessage",
        {"requestedMessage": "StartTransaction"},
        "PropertyConstraintViolation",
        "TypeConstraintViolation",
        "FormationViolation",
    )
