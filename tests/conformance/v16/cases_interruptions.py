"""Times without meter values inside a transaction (R16-MV-3)."""

from __future__ import annotations

from typing import Any

from tests.conformance.lab import Lab
from tests.conformance.registry import case

QUIET = {"MeterValueSampleInterval": "0"}


def context(name: str) -> Any:
    """A meterValue whose first value has this context."""

    def fits(values: Any) -> bool:
        return bool(values[0]["sampledValue"][0]["context"] == name)

    return fits


@case("R16-MV-3", title="A meter that was silent: Interruption.Begin and .End", config=QUIET)
async def meter_gap(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.sleep(30)
    lab.fault("meter", True)
    begin = await lab.csms.expect(
        "MeterValues",
        transactionId=start.transaction_id,
        meterValue=context("Interruption.Begin"),
    )
    await lab.sleep(60)
    lab.fault("meter", False)
    end = await lab.csms.expect(
        "MeterValues", transactionId=start.transaction_id, meterValue=context("Interruption.End")
    )
    first, last = (call["meterValue"][0] for call in (begin, end))
    assert first["timestamp"] < last["timestamp"]
    assert int(first["sampledValue"][0]["value"]) < int(last["sampledValue"][0]["value"])
    lab.unplug()
    await lab.csms.expect("StopTransaction", within=60, transactionId=start.transaction_id)


@case(
    "R16-MV-3",
    title="A power cut inside a transaction that goes on",
    config=QUIET,
    charging={"resume_after_power_loss": True},
)
async def power_gap(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.sleep(90)
    await lab.power_loss(30)
    for which in ("Begin", "End"):
        await lab.csms.expect(
            "MeterValues",
            within=60,
            transactionId=start.transaction_id,
            meterValue=context(f"Interruption.{which}"),
        )
    lab.unplug()
    await lab.csms.expect("StopTransaction", within=60, transactionId=start.transaction_id)
