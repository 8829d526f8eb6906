"""GetConfiguration and ChangeConfiguration."""

from __future__ import annotations

from tests.conformance.lab import Lab
from tests.conformance.matching import ABSENT
from tests.conformance.registry import case
from tests.conformance.v16.keys import change

REQUIRED = [
    "AuthorizeRemoteTxRequests",
    "ClockAlignedDataInterval",
    "ConnectionTimeOut",
    "ConnectorPhaseRotation",
    "GetConfigurationMaxKeys",
    "HeartbeatInterval",
    "LocalAuthorizeOffline",
    "LocalPreAuthorize",
    "MeterValuesAlignedData",
    "MeterValuesSampledData",
    "MeterValueSampleInterval",
    "NumberOfConnectors",
    "ResetRetries",
    "StopTransactionOnEVSideDisconnect",
    "StopTransactionOnInvalidId",
    "StopTxnAlignedData",
    "StopTxnSampledData",
    "SupportedFeatureProfiles",
    "TransactionMessageAttempts",
    "TransactionMessageRetryInterval",
    "UnlockConnectorOnEVSideDisconnect",
]


async def reads(lab: Lab, key: str, value: str, readonly: bool = False) -> None:
    await lab.csms.call(
        "GetConfiguration",
        {"key": [key]},
        configurationKey=[{"key": key, "readonly": readonly, "value": value}],
    )


def values(answer: dict) -> dict[str, str | None]:
    return {k["key"]: k.get("value") for k in answer["configurationKey"]}


@case("TC_019_1_CS", "R16-CFG-1", title="All configuration keys", evses=2)
async def all_keys(lab: Lab) -> None:
    await reads(lab, "NumberOfConnectors", "2", readonly=True)
    everything = await lab.csms.call("GetConfiguration", {}, unknownKey=ABSENT)
    found = values(everything)
    assert set(REQUIRED) <= set(found), set(REQUIRED) - set(found)
    assert "AuthorizationKey" not in found, "write-only keys are not told"
    booleans = [v for v in found.values() if v is not None and v.lower() in ("true", "false")]
    assert all(v in ("true", "false") for v in booleans)
    empty = await lab.csms.call("GetConfiguration", {"key": []}, unknownKey=ABSENT)
    assert values(empty) == found


@case("TC_019_2_CS", "R16-CFG-2", title="One configuration key, without regard to case")
async def specific_key(lab: Lab) -> None:
    await lab.csms.call(
        "GetConfiguration",
        {"key": ["supportedFEATUREprofiles"]},
        configurationKey=lambda k: len(k) == 1 and k[0]["key"] == "SupportedFeatureProfiles",
    )
    await lab.csms.call(
        "GetConfiguration",
        {"key": ["ConnectionTimeOut", "NoSuchKey"]},
        configurationKey=[{"key": "ConnectionTimeOut", "readonly": False, "value": "60"}],
        unknownKey=["NoSuchKey"],
    )


@case("TC_021_CS", "R16-CFG-1", title="A changed key acts, and stays after a power cut")
async def change_key(lab: Lab) -> None:
    await change(lab.csms, "meterValueSampleINTERVAL", "10")
    await reads(lab, "MeterValueSampleInterval", "10")
    await lab.begin_charging()
    first = await lab.csms.expect("MeterValues", connectorId=1, within=12)
    second = await lab.csms.expect("MeterValues", connectorId=1, within=12)
    assert 9 < second.at_s - first.at_s < 11
    lab.unplug()
    await lab.csms.expect("StopTransaction", reason="EVDisconnected")
    await lab.power_loss()
    await lab.registered()
    await reads(lab, "MeterValueSampleInterval", "10")


@case("TC_040_1_CS", "R16-CFG-1", title="An unknown key: NotSupported")
async def unknown_key(lab: Lab) -> None:
    await change(lab.csms, "NoSuchKey", "1", "NotSupported")
    await lab.csms.call("GetConfiguration", {"key": ["NoSuchKey"]}, unknownKey=["NoSuchKey"])


@case("TC_040_2_CS", "R16-CFG-1", title="Values that cannot be: Rejected, nothing changes")
async def invalid_value(lab: Lab) -> None:
    for value in ("-1", "soon", "", "1.5"):
        await change(lab.csms, "MeterValueSampleInterval", value, "Rejected")
    await reads(lab, "MeterValueSampleInterval", "60")
    await change(lab.csms, "NumberOfConnectors", "4", "Rejected")
    await change(lab.csms, "AuthorizeRemoteTxRequests", "maybe", "Rejected")
    await reads(lab, "AuthorizeRemoteTxRequests", "false")
    await change(
        lab.csms, "MeterValuesSampledData", "Energy.Active.Import.Register,Magic", "Rejected"
    )
    await change(lab.csms, "WebSocketPingInterval", "-5", "Rejected")


@case("R16-CFG-1", title="Booleans are told in lower case, however they were written")
async def booleans(lab: Lab) -> None:
    await change(lab.csms, "LocalPreAuthorize", "TRUE")
    await reads(lab, "LocalPreAuthorize", "true")
