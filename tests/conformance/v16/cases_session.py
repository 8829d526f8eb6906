"""Regular sessions."""

from __future__ import annotations

from tests.conformance.lab import CARD, Lab
from tests.conformance.registry import case


@case("TC_003_CS", "R16-ST-1", title="Plug in first, then identify")
async def plug_in_first(lab: Lab) -> None:
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    start = await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Charging", via=("SuspendedEV",)
    )
    await lab.closed()
    await lab.sleep(300)
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id, idTag=CARD)
    await lab.csms.expect("StatusNotification", connectorId=1, status="Finishing")
    lab.unplug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Available")
