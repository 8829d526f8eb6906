"""Signed meter values (application note SMV, §3): what the backend receives can be verified."""

from __future__ import annotations

from tests.conformance.lab import CARD, Lab
from tests.conformance.matching import ABSENT
from tests.conformance.registry import case
from tests.conformance.signing_meter import signed_values, verified

SIGNS = {"meter_signs": True}
QUIET = {"MeterValueSampleInterval": "0"}
REGISTER = "Energy.Active.Import.Register"


async def key_of(lab: Lab, name: str) -> str:
    answer = await lab.csms.call("GetConfiguration", {"key": [name]}, unknownKey=ABSENT)
    (entry,) = answer["configurationKey"]
    return str(entry["value"])


@case(
    "SMV-1",
    "REG-EICH-4",
    title="Both ends of a transaction arrive signed",
    evse=SIGNS,
    config=QUIET,
)
async def both_ends(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.sleep(120)
    lab.unplug()
    stop = await lab.csms.expect(
        "StopTransaction", within=60, transactionId=start.transaction_id, reason="EVDisconnected"
    )
    signed = signed_values(stop.payload)
    key = signed["Transaction.Begin"]["publicKey"]
    begin = verified(signed["Transaction.Begin"], key)["RD"][0]
    end = verified(signed["Transaction.End"], key)["RD"][0]
    assert (begin["TX"], end["TX"]) == ("B", "E")
    assert abs(begin["RV"] * 1000 - start["meterStart"]) <= 1
    assert abs(end["RV"] * 1000 - stop["meterStop"]) <= 1
    assert verified(signed["Transaction.Begin"], key)["ID"] == start["idTag"]
    assert await key_of(lab, "MeterPublicKey1") == key


@case(
    "SMV-2",
    "REG-EICH-5",
    title="The public key goes along as often as asked for",
    evse=SIGNS,
    config=QUIET,
)
async def how_often_the_key(lab: Lab) -> None:
    for rule, expected in (("Never", 0), ("OncePerTransaction", 1), ("EveryMeterValue", 2)):
        request = {"key": "PublicKeyWithSignedMeterValue", "value": rule}
        await lab.csms.call("ChangeConfiguration", request, status="Accepted")
        await lab.begin_charging()
        lab.unplug()
        stop = await lab.csms.expect("StopTransaction", within=60, reason="EVDisconnected")
        keys = [value["publicKey"] for value in signed_values(stop.payload).values()]
        assert sum(bool(key) for key in keys) == expected, (rule, keys)
        await lab.csms.expect("StatusNotification", connectorId=1, status="Available", via=None)
    request = {"key": "PublicKeyWithSignedMeterValue", "value": "Sometimes"}
    await lab.csms.call("ChangeConfiguration", request, status="Rejected")


@case(
    "SMV-4",
    title="A signed value right behind the start",
    evse=SIGNS,
    config={**QUIET, "StartTxnSampledData": REGISTER, "SampledDataSignStartedReadings": "true"},
)
async def right_after_the_start(lab: Lab) -> None:
    lab.plug()
    lab.tap()
    start = await lab.csms.expect("StartTransaction", idTag=CARD)
    values = await lab.csms.expect("MeterValues", transactionId=start.transaction_id)
    signed = signed_values(values.payload)["Transaction.Begin"]
    assert verified(signed, signed["publicKey"])["RD"][0]["TX"] == "B"
    lab.unplug()
    stop = await lab.csms.expect("StopTransaction", within=60, reason="EVDisconnected")
    begin = signed_values(stop.payload)["Transaction.Begin"]
    assert (begin["signedMeterData"], begin["publicKey"]) == (signed["signedMeterData"], "")


@case(
    "SMV-5",
    title="Sampled values are signed on demand",
    evse=SIGNS,
    config={"MeterValueSampleInterval": "30"},
)
async def values_in_between(lab: Lab) -> None:
    await lab.begin_charging()
    plain = await lab.csms.expect("MeterValues", within=40, connectorId=1)
    assert signed_values(plain.payload) == {}
    request = {"key": "SampledDataSignUpdatedReadings", "value": "true"}
    await lab.csms.call("ChangeConfiguration", request, status="Accepted")
    signed = await lab.csms.expect("MeterValues", within=40, connectorId=1)
    value = signed_values(signed.payload)["Sample.Periodic"]
    key = await key_of(lab, "MeterPublicKey1")
    assert verified(value, key)["RD"][0]["TX"] == "C"


@case(
    "SMV-6",
    title="Clock-aligned values are signed on demand",
    evse=SIGNS,
    config={
        **QUIET,
        "ClockAlignedDataInterval": "60",
        "AlignedDataSignReadings": "true",
        "AlignedDataSignUpdatedReadings": "true",
    },
)
async def aligned_values(lab: Lab) -> None:
    start = await lab.begin_charging()
    values = await lab.csms.expect("MeterValues", within=70, transactionId=start.transaction_id)
    value = signed_values(values.payload)["Sample.Clock"]
    assert verified(value, await key_of(lab, "MeterPublicKey1"))


@case("SMV-7", "REG-EICH-6", title="Signed values outlive a power loss", evse=SIGNS, config=QUIET)
async def power_loss(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.sleep(90)
    await lab.power_loss(30)
    stop = await lab.csms.expect(
        "StopTransaction", within=120, transactionId=start.transaction_id, reason="PowerLoss"
    )
    signed = signed_values(stop.payload)
    key = signed["Transaction.Begin"]["publicKey"]
    assert verified(signed["Transaction.Begin"], key)["RD"][0]["TX"] == "B"
    assert verified(signed["Transaction.End"], key)["RD"][0]["TX"] in ("E", "P")


@case("SMV-8", "REG-EICH-6", title="Without a signature no energy", evse=SIGNS, config=QUIET)
async def no_signature_no_energy(lab: Lab) -> None:
    lab.fault("meter", True)
    lab.plug()
    lab.tap()
    await lab.csms.expect("Authorize", idTag=CARD)
    await lab.csms.quiet("StartTransaction", for_s=60)
    assert "does not sign" in lab.sentence()
    assert not lab.evse(1).closed


@case("SMV-9", title="A station whose meter does not sign has none of the keys", config=QUIET)
async def no_keys(lab: Lab) -> None:
    names = ["MeterPublicKey1", "PublicKeyWithSignedMeterValue", "SampledDataSignReadings"]
    await lab.csms.call("GetConfiguration", {"key": names}, unknownKey=names)
    request = {"key": "SampledDataSignReadings", "value": "true"}
    await lab.csms.call("ChangeConfiguration", request, status="NotSupported")
