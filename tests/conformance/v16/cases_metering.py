"""Meter values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.conformance.lab import CARD, Lab
from tests.conformance.matching import ABSENT
from tests.conformance.registry import case

REGISTER = "Energy.Active.Import.Register"
SAMPLED = {
    "MeterValueSampleInterval": "10",
    "MeterValuesSampledData": f"{REGISTER},Power.Active.Import,Current.Import,Voltage",
}


def samples(call: Any) -> list[dict[str, str]]:
    """All sampled values of a MeterValues or of transactionData."""
    blocks = call["meterValue"] if "meterValue" in call else call["transactionData"]
    return [value for block in blocks for value in block["sampledValue"]]


def contexts(call: Any) -> set[str]:
    return {value.get("context", "Sample.Periodic") for value in samples(call)}


def register(call: Any) -> float:
    """The register in a MeterValues."""
    found = [v for v in samples(call) if v.get("measurand", REGISTER) == REGISTER]
    factor = 1000.0 if found[0].get("unit") == "kWh" else 1.0
    return float(found[0]["value"]) * factor


@case(
    "TC_070_CS",
    "R16-MV-1",
    "R16-MV-4",
    "R16-TX-6",
    "R16-TX-9",
    title="Sampled meter values during a transaction",
    config=SAMPLED,
)
async def sampled_values(lab: Lab) -> None:
    start = await lab.begin_charging()
    before, wh = start.at, float(start["meterStart"])
    for number in range(1, 7):
        call = await lab.csms.expect(
            "MeterValues", connectorId=1, transactionId=start.transaction_id, within=12
        )
        at = datetime.fromisoformat(call["meterValue"][0]["timestamp"])
        assert abs((at - start.at).total_seconds() - 10 * number) < 1.5, at - start.at
        assert contexts(call) == {"Sample.Periodic"}
        assert all(isinstance(v["value"], str) for v in samples(call))
        measurands = {v.get("measurand", REGISTER) for v in samples(call)}
        assert measurands == set(SAMPLED["MeterValuesSampledData"].split(","))
        assert at > before
        assert register(call) >= wh
        before, wh = at, register(call)
    lab.tap(CARD)
    stop = await lab.csms.expect(
        "StopTransaction", transactionId=start.transaction_id, transactionData=ABSENT
    )
    assert stop["meterStop"] >= wh - 1


@case("R16-MV-4", title="All three phases are told", phases=3, config=SAMPLED)
async def three_phases(lab: Lab) -> None:
    await lab.begin_charging(phases=3)
    call = await lab.csms.expect("MeterValues", connectorId=1, within=12)
    for measurand in ("Current.Import", "Voltage"):
        told = {v.get("phase") for v in samples(call) if v.get("measurand") == measurand}
        assert {p[:2] for p in told if p} == {"L1", "L2", "L3"}, told


@case(
    "R16-MV-1",
    title="Values of the whole transaction with its end",
    config={
        "MeterValueSampleInterval": "20",
        "StopTxnSampledData": REGISTER,
        "MeterValuesSampledData": REGISTER,
    },
)
async def transaction_data(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.sleep(70)
    lab.csms.skip()
    lab.tap(CARD)
    stop = await lab.csms.expect(
        "StopTransaction",
        transactionId=start.transaction_id,
        transactionData=lambda data: len(data) >= 5,
    )
    assert contexts(stop) == {"Transaction.Begin", "Sample.Periodic", "Transaction.End"}
    told = [float(v["value"]) for v in samples(stop)]
    assert told == sorted(told)
    assert abs(told[0] - start["meterStart"]) <= 1
    assert abs(told[-1] - stop["meterStop"]) <= 1


@case(
    "TC_071_CS",
    "R16-MV-2",
    title="Clock-aligned meter values, also outside a transaction",
    config={
        "ClockAlignedDataInterval": "60",
        "MeterValuesAlignedData": REGISTER,
        "MeterValueSampleInterval": "0",
    },
)
async def clock_aligned(lab: Lab) -> None:
    idle = await lab.csms.expect("MeterValues", connectorId=1, transactionId=ABSENT, within=62)
    at = datetime.fromisoformat(idle["meterValue"][0]["timestamp"])
    assert at.second in (0, 1), at
    assert contexts(idle) == {"Sample.Clock"}
    start = await lab.begin_charging()
    for _ in range(3):
        call = await lab.csms.expect(
            "MeterValues", connectorId=1, transactionId=start.transaction_id, within=62
        )
        at = datetime.fromisoformat(call["meterValue"][0]["timestamp"])
        assert at.second in (0, 1), at
        assert contexts(call) == {"Sample.Clock"}


@case(
    "R16-MV-2",
    title="Clock-aligned values of the whole transaction with its end",
    config={
        "ClockAlignedDataInterval": "60",
        "MeterValuesAlignedData": REGISTER,
        "StopTxnAlignedData": REGISTER,
        "MeterValueSampleInterval": "0",
    },
)
async def aligned_transaction_data(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.sleep(130)
    lab.csms.skip()
    lab.tap(CARD)
    stop = await lab.csms.expect(
        "StopTransaction", transactionId=start.transaction_id, transactionData=lambda d: len(d) >= 2
    )
    assert "Sample.Clock" in contexts(stop)


@case("R16-MV-1", title="An interval of 0: no values", config={"MeterValueSampleInterval": "0"})
async def no_values(lab: Lab) -> None:
    await lab.begin_charging()
    await lab.csms.quiet("MeterValues", for_s=150)
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", idTag=CARD, transactionData=ABSENT)


@case(
    "R16-MV-5",
    "R16-TX-9",
    title="Whole Wh, raw register, the next start is the last stop",
    config=SAMPLED,
)
async def registers_follow(lab: Lab) -> None:
    first = await lab.begin_charging()
    value = await lab.csms.expect("MeterValues", connectorId=1, within=12)
    assert register(value) >= first["meterStart"]
    await lab.sleep(35)
    lab.csms.skip()
    lab.tap(CARD)
    stop = await lab.csms.expect("StopTransaction", transactionId=first.transaction_id)
    assert isinstance(stop["meterStop"], int)
    lab.unplug()
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="Available", via=("Finishing",)
    )
    lab.plug()
    await lab.csms.expect("StatusNotification", connectorId=1, status="Preparing")
    lab.tap(CARD)
    await lab.csms.expect(
        "StartTransaction", connectorId=1, idTag=CARD, meterStart=stop["meterStop"]
    )


@case("R16-MV-3", title="MeterValues on request, with the context Trigger", config=SAMPLED)
async def values_on_trigger(lab: Lab) -> None:
    await lab.csms.call(
        "TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1}, status="Accepted"
    )
    call = await lab.csms.expect("MeterValues", connectorId=1, transactionId=ABSENT, within=5)
    assert contexts(call) == {"Trigger"}
    start = await lab.begin_charging()
    await lab.csms.call(
        "TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1}, status="Accepted"
    )
    call = await lab.csms.expect(
        "MeterValues", connectorId=1, transactionId=start.transaction_id, within=3
    )
    assert contexts(call) == {"Trigger"}
