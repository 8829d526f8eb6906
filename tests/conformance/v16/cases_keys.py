"""Configuration keys as a backend meets them (R16-CFG-1, R16-CFG-2)."""

from __future__ import annotations

from tests.conformance.lab import CARD, Lab
from tests.conformance.matching import ABSENT
from tests.conformance.registry import case
from tests.conformance.v16.keys import value_of

REGISTER = "Energy.Active.Import.Register"
MOST = 100


@case("R16-CFG-2", title="GetConfiguration without keys returns all readable ones")
async def every_readable_key(lab: Lab) -> None:
    answer = await lab.csms.call(
        "GetConfiguration",
        {},
        configurationKey=lambda entries: len(entries) > 40,
        unknownKey=ABSENT,
    )
    keys = {entry["key"]: entry for entry in answer["configurationKey"]}
    assert "AuthorizationKey" not in keys, "write-only"
    assert keys["NumberOfConnectors"] == {
        "key": "NumberOfConnectors",
        "readonly": True,
        "value": "1",
    }
    assert all(len(e["key"]) <= 50 and len(e["value"]) <= 500 for e in answer["configurationKey"])
    assert len({name.casefold() for name in keys}) == len(keys)


@case(
    "R16-CFG-2",
    title="GetConfiguration of one key, of any case, and of unknown ones",
)
async def some_keys(lab: Lab) -> None:
    await lab.csms.call(
        "GetConfiguration",
        {"key": ["SUPPORTEDfeatureprofiles", "Colour", "AuthorizationKey"]},
        configurationKey=lambda entries: (
            [e["key"] for e in entries] == ["SupportedFeatureProfiles"] and entries[0]["readonly"]
        ),
        unknownKey=["Colour", "AuthorizationKey"],
    )
    await lab.csms.fails(
        "GetConfiguration",
        {"key": ["HeartbeatInterval"] * (MOST + 1)},
        "OccurenceConstraintViolation",
    )


@case("R16-CFG-1", title="A key is changed, counts at once and after a power loss")
async def change_and_keep(lab: Lab) -> None:
    await lab.csms.call(
        "ChangeConfiguration", {"key": "metervaluesampleINTERVAL", "value": "20"}, status="Accepted"
    )
    assert await value_of(lab.csms, "MeterValueSampleInterval") == "20"
    await lab.power_loss(off_s=5)
    await lab.registered()
    assert await value_of(lab.csms, "MeterValueSampleInterval") == "20"
    start = await lab.begin_charging()
    values = await lab.csms.expect("MeterValues", transactionId=start.transaction_id)
    assert 19.5 <= values.at_s - start.at_s <= 21.5


@case(
    "R16-CFG-1",
    title="Unknown, read-only, mistyped and out of range: nothing changes",
)
async def refused_changes(lab: Lab) -> None:
    before = await lab.csms.call("GetConfiguration", {})
    for key, value, status in (
        ("Colour", "red", "NotSupported"),
        ("NumberOfConnectors", "3", "Rejected"),
        ("SupportedFeatureProfiles", "Core", "Rejected"),
        ("HeartbeatInterval", "often", "Rejected"),
        ("HeartbeatInterval", "-1", "Rejected"),
        ("WebSocketPingInterval", "-1", "Rejected"),
        ("ConnectionTimeOut", "", "Rejected"),
        ("LocalPreAuthorize", "maybe", "Rejected"),
        ("MeterValuesSampledData", "Voltage,Colour", "Rejected"),
        ("ConnectorPhaseRotation", "7.RST", "Rejected"),
        ("StopTxnSampledData", ",".join(["Voltage"] * 33), "Rejected"),
    ):
        await lab.csms.call("ChangeConfiguration", {"key": key, "value": value}, status=status)
    assert await lab.csms.call("GetConfiguration", {}) == before


@case(
    "R16-CFG-1",
    title="A backend that tries measurands one by one: what cannot be given is Rejected, the rest arrives",
    config={"MeterValueSampleInterval": "10"},
)
async def measurands_one_by_one(lab: Lab) -> None:
    given = []
    for measurand in (
        "Current.Export",
        "Current.Import",
        "Current.Offered",
        "Energy.Active.Export.Interval",
        REGISTER,
        "Energy.Reactive.Import.Register",
        "Power.Active.Import",
        "RPM",
        "SoC",
        "Temperature",
        "Voltage",
    ):
        answer = await lab.csms.call(
            "ChangeConfiguration", {"key": "MeterValuesSampledData", "value": measurand}
        )
        assert answer["status"] in ("Accepted", "Rejected"), "never RebootRequired"
        if answer["status"] == "Accepted":
            given.append(measurand)
            assert await value_of(lab.csms, "MeterValuesSampledData") == measurand
        else:
            assert await value_of(lab.csms, "MeterValuesSampledData") != measurand
    assert given == [
        "Current.Import",
        "Current.Offered",
        REGISTER,
        "Power.Active.Import",
        "Voltage",
    ]
    await lab.csms.call(
        "ChangeConfiguration",
        {"key": "MeterValuesSampledData", "value": ",".join(given)},
        status="Accepted",
    )
    start = await lab.begin_charging()
    values = await lab.csms.expect("MeterValues", transactionId=start.transaction_id)
    (value,) = values["meterValue"]
    assert {v["measurand"] for v in value["sampledValue"]} == set(given)


@case(
    "R16-CFG-1",
    "R16-MV-2",
    title="ClockAlignedDataInterval: aligned to midnight UTC, also outside transactions, off again with 0",
    config={"MeterValuesAlignedData": REGISTER, "MeterValueSampleInterval": "0"},
)
async def clock_aligned(lab: Lab) -> None:
    await lab.sleep(77)
    await lab.csms.call(
        "ChangeConfiguration",
        {"key": "ClockAlignedDataInterval", "value": "300"},
        status="Accepted",
    )
    for _ in range(2):
        values = await lab.csms.expect(
            "MeterValues", within=310, connectorId=1, transactionId=ABSENT
        )
        (value,) = values["meterValue"]
        assert value["timestamp"].endswith(("0:00.000Z", "5:00.000Z", "0:00Z", "5:00Z"))
        assert {v["context"] for v in value["sampledValue"]} == {"Sample.Clock"}
    await lab.csms.call(
        "ChangeConfiguration", {"key": "ClockAlignedDataInterval", "value": "0"}, status="Accepted"
    )
    await lab.csms.quiet("MeterValues", for_s=320)


@case("R16-CFG-1", title="A key changed while charging counts for this transaction already")
async def changed_while_charging(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.csms.call(
        "ChangeConfiguration",
        {"key": "StopTransactionOnEVSideDisconnect", "value": "false"},
        status="Accepted",
    )
    lab.unplug()
    await lab.csms.expect(
        "StatusNotification", connectorId=1, status="SuspendedEV", info="EV side disconnected"
    )
    await lab.csms.quiet("StopTransaction", for_s=20)
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)
