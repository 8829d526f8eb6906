"""UnlockConnector."""

from __future__ import annotations

from tests.conformance.lab import Lab
from tests.conformance.registry import case

NO_VALUES = {"MeterValueSampleInterval": "0"}


async def unlock(lab: Lab, status: str, connector: int = 1) -> None:
    await lab.csms.call("UnlockConnector", {"connectorId": connector}, status=status)


@case("TC_017_1_CS", "R16-UNL-1", title="Unlock a socket, nobody charges", lock=True)
async def unlock_idle(lab: Lab) -> None:
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    await unlock(lab, "Unlocked")
    assert not lab.evse().locked


@case("TC_017_2_CS", "R16-UNL-1", title="Unlock a fixed cable, nobody charges")
async def unlock_fixed_cable(lab: Lab) -> None:
    await unlock(lab, "NotSupported")
    await lab.csms.quiet("StatusNotification", for_s=5)


@case(
    "TC_018_1_CS", "R16-UNL-1", title="Unlock a socket while charging", lock=True, config=NO_VALUES
)
async def unlock_while_charging(lab: Lab) -> None:
    start = await lab.begin_charging()
    await unlock(lab, "Unlocked")
    await lab.csms.expect(
        "StopTransaction", transactionId=start.transaction_id, reason="UnlockCommand"
    )
    await lab.csms.expect("StatusNotification", connectorId=1, status="Finishing")
    assert not lab.evse().closed
    assert not lab.evse().locked
    lab.unplug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available")


@case("TC_018_2_CS", "R16-UNL-1", title="Unlock a fixed cable while charging", config=NO_VALUES)
async def unlock_fixed_cable_while_charging(lab: Lab) -> None:
    await lab.begin_charging()
    await unlock(lab, "NotSupported")
    await lab.csms.quiet("StopTransaction", for_s=10)
    assert lab.evse().closed


@case(
    "TC_030_CS", "R16-UNL-1", title="The bolt is stuck: UnlockFailed", lock=True, config=NO_VALUES
)
async def unlock_failure(lab: Lab) -> None:
    await lab.begin_charging()
    lab.fault("unlock_jam")
    await unlock(lab, "UnlockFailed")
    assert lab.evse().locked
    await lab.csms.expect("StopTransaction", reason="UnlockCommand")


@case("TC_031_CS", "R16-UNL-1", title="Unlock a connector that does not exist", lock=True)
async def unlock_unknown(lab: Lab) -> None:
    await unlock(lab, "NotSupported", connector=9)
    await unlock(lab, "NotSupported", connector=2)
