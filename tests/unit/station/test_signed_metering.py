"""Signed meter values from the meter to the 1.6 message (SMV §3, REG-EICH-1, -4 to -6), and gaps (R16-MV-3)."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.core.model import (
    IdToken,
    MeterValuesTaken,
    ReadingContext,
    StopReason,
    TransactionEnded,
    TransactionStarted,
)
from controller.core.pricing import PriceText
from controller.core.settings_signed_values import SIGNING
from controller.core.signed_values import public_key_field
from controller.ocpp.v16.translate import report_16
from controller.ocpp.validation import validators_16
from controller.store.undelivered import end_of
from hal.errors import MeterSilent
from hal.types import SignedRecord, SigningContext
from tests.unit.station.fakes import FakeClock, FakeGuard, FakeMeter, World

KEY = (
    "3059301306072A8648CE3D020106082A8648CE3D03010703420004"
    "460A02BA2766D9C44F023ECC0E4E58644A87ADD1AADD6317E5FE4DCBD29B163A"
    "01D8A6297C84BC530F86431E92F8D46AB37830247C05CBD92FAC252929E7F610"
)
FIELD = base64.b64encode(f"oca:base16:asn1:{KEY}".encode()).decode()
QUIET = {"MeterValueSampleInterval": "0"}


class FakeSigningMeter(FakeMeter):
    """Signs with words instead of a key."""

    def __init__(self, clock: FakeClock, guard: FakeGuard, evse: int = 1) -> None:
        super().__init__(clock, guard, evse)
        self.key = KEY
        self.key_error: MeterSilent | None = None
        self.covers_begin = False
        self.signs = True
        self.breaks = False
        self.takes_s = 0.0
        self.about: SigningContext | None = None

    async def public_key(self) -> str:
        if self.key_error is not None:
            raise self.key_error
        return self.key

    async def sign_begin(self, about: SigningContext) -> SignedRecord:
        self.about = about
        return await self._record("B")

    async def sign_now(self) -> SignedRecord:
        return await self._record("C")

    async def sign_end(self) -> SignedRecord:
        return replace(await self._record("E"), covers_begin=self.covers_begin)

    async def _record(self, kind: str) -> SignedRecord:
        if self.takes_s:
            await self._clock.sleep(self.takes_s)
        if self.breaks:
            raise RuntimeError("a driver's own mistake")
        if not self.signs:
            raise MeterSilent("no signature")
        self.pass_time()
        return SignedRecord(data=f'OCMF|{{"TX":"{kind}"}}|{{"SD":"é"}}', encoding="OCMF")


def world(path: Path, *, key: str = KEY, **first_boot: str) -> World:
    made = World(path, evse={"meter_signs": True, "meter_public_key": key})
    made.installation = replace(made.installation, first_boot_16={**QUIET, **first_boot})
    made.meters = {1: FakeSigningMeter(made.clock, made.guard)}
    return made


def meter(world: World) -> FakeSigningMeter:
    found = world.meters[1]
    assert isinstance(found, FakeSigningMeter)
    return found


def signed(payload: dict[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """(context, SignedMeterValueType) of each signed value of a message."""
    found = []
    for value in payload.get("transactionData") or payload.get("meterValue") or []:
        for sampled in value["sampledValue"]:
            if sampled.get("format") == "SignedData":
                assert sampled["measurand"] == "Energy.Active.Import.Register"
                found.append((sampled["context"], json.loads(sampled["value"])))
    return found


def message(report: Any) -> dict[str, Any]:
    """In words of 1.6, valid against the schema."""
    request = report_16(report, 7)
    assert request is not None
    action, payload = request
    assert validators_16().request(action, payload) is None
    return payload


def words(value: dict[str, str]) -> str:
    return base64.b64decode(value["signedMeterData"]).decode()


async def one_charge(w: World) -> list[Any]:
    await w.charge(10)
    await w.tap()
    await w.advance(15)
    return await w.reports()


async def test_begin_and_end_go_with_the_stop(tmp_path: Path) -> None:
    """SMV-1: untouched, in contexts Transaction.Begin and .End; the key once."""
    async with world(tmp_path) as w:
        started, ended = await one_charge(w)
        assert isinstance(started, TransactionStarted) and isinstance(ended, TransactionEnded)
        (begin_at, begin), (end_at, end) = signed(message(ended))
        assert (begin_at, end_at) == ("Transaction.Begin", "Transaction.End")
        assert words(begin) == 'OCMF|{"TX":"B"}|{"SD":"é"}'
        assert words(end) == 'OCMF|{"TX":"E"}|{"SD":"é"}'
        assert (begin["publicKey"], end["publicKey"]) == (FIELD, "")
        assert begin["encodingMethod"] == "OCMF" and begin["signingMethod"] == ""
        about = meter(w).about
        assert about is not None and about.id_token == "04A2B3C4"


@pytest.mark.parametrize(
    ("rule", "keys"),
    [
        ("Never", ["", ""]),
        ("OncePerTransaction", [FIELD, ""]),
        ("EveryMeterValue", [FIELD, FIELD]),
    ],
)
async def test_when_the_key_goes_along(tmp_path: Path, rule: str, keys: list[str]) -> None:
    """SMV-2: PublicKeyWithSignedMeterValue."""
    async with world(tmp_path, PublicKeyWithSignedMeterValue=rule) as w:
        ended = (await one_charge(w))[-1]
        assert [value["publicKey"] for _, value in signed(message(ended))] == keys


async def test_one_container_for_both_ends(tmp_path: Path) -> None:
    """SMV-3: only Transaction.End, with the key."""
    async with world(tmp_path) as w:
        meter(w).covers_begin = True
        ended = (await one_charge(w))[-1]
        ((context, value),) = signed(message(ended))
        assert (context, value["publicKey"]) == ("Transaction.End", FIELD)


async def test_values_right_after_the_start(tmp_path: Path) -> None:
    """SMV-4: StartTxnSampledData, signed by SampledDataSignStartedReadings; the key goes out there."""
    both = "Energy.Active.Import.Register,Voltage"
    async with world(
        tmp_path, StartTxnSampledData=both, SampledDataSignStartedReadings="true"
    ) as w:
        started, values, ended = await one_charge(w)
        assert isinstance(values, MeterValuesTaken)
        assert values.transaction_id == started.transaction_id
        assert values.sample.values[0].value == started.meter_wh
        ((context, value),) = signed(message(values))
        assert (context, value["publicKey"]) == ("Transaction.Begin", FIELD)
        measurands = [v["measurand"] for v in message(values)["meterValue"][0]["sampledValue"]]
        assert measurands == ["Energy.Active.Import.Register"] * 2 + ["Voltage"]
        assert [v["publicKey"] for _, v in signed(message(ended))] == ["", ""]


async def test_start_values_without_a_signature(tmp_path: Path) -> None:
    async with world(tmp_path, StartTxnSampledData="Energy.Active.Import.Register") as w:
        _, values, _ = await one_charge(w)
        assert signed(message(values)) == []


async def test_values_in_between(tmp_path: Path) -> None:
    """SMV-5: SampledDataSignUpdatedReadings; the key only by EveryMeterValue."""
    async with world(
        tmp_path, MeterValueSampleInterval="5", SampledDataSignUpdatedReadings="true"
    ) as w:
        await w.charge(6)
        _, values = await w.reports()
        ((context, value),) = signed(message(values))
        assert (context, words(value)) == ("Sample.Periodic", 'OCMF|{"TX":"C"}|{"SD":"é"}')
        assert value["publicKey"] == ""


async def test_clock_aligned_values_in_between(tmp_path: Path) -> None:
    """SMV-6: AlignedDataSignReadings and AlignedDataSignUpdatedReadings, inside a transaction only."""
    async with world(
        tmp_path,
        ClockAlignedDataInterval="60",
        AlignedDataSignReadings="true",
        AlignedDataSignUpdatedReadings="true",
    ) as w:
        await w.advance(62)
        (outside,) = await w.reports()
        assert signed(message(outside)) == []
        await w.charge(60)
        _, values = await w.reports()
        assert [context for context, _ in signed(message(values))] == ["Sample.Clock"]


@pytest.mark.parametrize("switch", ["SampledDataSignReadings", "AlignedDataSignReadings"])
async def test_either_switch_signs_both_ends(tmp_path: Path, switch: str) -> None:
    off = {"SampledDataSignReadings": "false", "AlignedDataSignReadings": "false"}
    async with world(tmp_path, **{**off, switch: "true"}) as w:
        assert len(signed(message((await one_charge(w))[-1]))) == 2


async def test_nothing_is_signed_when_switched_off(tmp_path: Path) -> None:
    async with world(
        tmp_path,
        SampledDataSignReadings="false",
        SampledDataSignUpdatedReadings="true",
        MeterValueSampleInterval="5",
        StartTxnSampledData="Energy.Active.Import.Register",
        SampledDataSignStartedReadings="true",
    ) as w:
        reports = await one_charge(w)
        assert [signed(message(r)) for r in reports if not isinstance(r, TransactionStarted)]
        assert not any(signed(message(r)) for r in reports)


async def test_no_energy_before_the_begin_value_is_signed(tmp_path: Path) -> None:
    """REG-EICH-6."""
    async with world(tmp_path) as w:
        meter(w).takes_s = 4.0
        await w.plug()
        await w.tap()
        await w.advance(3.9)
        assert w.guard.offers() == []
        await w.advance(0.2)
        assert len(w.guard.offers()) == 1


async def test_a_signature_for_the_driver_before_begins_nothing(tmp_path: Path) -> None:
    """REG-EICH-6: who plugs in while the meter still signs for somebody else waits for a signature of its own."""
    async with world(tmp_path) as w:
        meter(w).takes_s = 4.0
        await w.plug()
        await w.tap()
        await w.advance(2)
        await w.unplug()
        await w.plug()
        await w.tap("04FFEE11")
        await w.advance(3)
        assert w.guard.offers() == []
        await w.advance(4)
        about = meter(w).about
        assert about is not None and about.id_token == "04FFEE11"
        assert len(w.guard.offers()) == 1


async def test_without_a_signature_no_charge_begins(tmp_path: Path) -> None:
    """And it is said why; with signing switched off the same meter may charge."""
    async with world(tmp_path) as w:
        meter(w).signs = False
        await w.charge(12)
        assert w.guard.offers() == [] and await w.reports() == []
        assert "does not sign" in w.view().why
        await w.unplug()
        w.station.settings.change("SampledDataSignReadings", "false")
        await w.charge(5)
        assert len(w.guard.offers()) == 1


async def test_a_driver_that_fails_leaves_the_outlet_usable(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        meter(w).breaks = True
        await w.charge(12)
        assert w.guard.offers() == []
        assert "does not sign" in w.view().why
        meter(w).breaks = False
        await w.unplug()
        await w.charge(5)
        assert len(w.guard.offers()) == 1


async def test_a_slow_signature_at_the_end_is_waited_for(tmp_path: Path) -> None:
    """SMV §2.3.1: up to 30 s; the register was read in time."""
    async with world(tmp_path) as w:
        await w.charge(10)
        meter(w).takes_s = 25.0
        await w.tap()
        await w.advance(40)
        _, ended = await w.reports()
        assert len(signed(message(ended))) == 2 and not ended.estimated


async def test_an_end_without_a_signature_keeps_the_begin(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.charge(10)
        meter(w).signs = False
        await w.tap()
        await w.advance(45)
        _, ended = await w.reports()
        assert [context for context, _ in signed(message(ended))] == ["Transaction.Begin"]
        assert not ended.estimated


async def test_signed_values_outlive_a_power_loss(tmp_path: Path) -> None:
    """REG-EICH-6: the begin value was stored with the start; the end is signed after the return."""
    async with world(tmp_path) as w:
        await w.charge(10)
        w.guard.unplug()
        await w.restart(FakeGuard(w.clock, 1, "g2", "b2"))
        await w.advance(60)
        ended = (await w.reports())[-1]
        assert ended.reason is StopReason.POWER_LOSS
        assert [c for c, _ in signed(message(ended))] == ["Transaction.Begin", "Transaction.End"]
        last = await w.store.transactions.last(1)
        assert last is not None and last.signed_begin and last.signed_end
        assert end_of(last).samples == ended.samples


async def test_thinning_keeps_both_signed_ends(tmp_path: Path) -> None:
    """R16-TX-3 with StopTransactionMaxMeterValues."""
    async with world(
        tmp_path,
        MeterValueSampleInterval="1",
        StopTxnSampledData="Energy.Active.Import.Register",
        StopTransactionMaxMeterValues="4",
    ) as w:
        ended = (await one_charge(w))[-1]
        payload = message(ended)
        assert len(payload["transactionData"]) <= 4
        assert [c for c, _ in signed(payload)] == ["Transaction.Begin", "Transaction.End"]
        request = report_16(ended, 7, most_values=2)
        assert request is not None and len(signed(request[1])) == 2


async def test_the_meter_tells_its_own_key(tmp_path: Path) -> None:
    """REG-EICH-5: MeterPublicKey1 is what goes out with the values."""
    async with world(tmp_path, key="") as w:
        await w.settle()
        assert w.settings.text("MeterPublicKey1") == FIELD
        ended = (await one_charge(w))[-1]
        assert signed(message(ended))[0][1]["publicKey"] == FIELD


async def test_a_meter_that_comes_late_tells_its_key_in_time(tmp_path: Path) -> None:
    """Silent when the station starts; the first signed value has the key all the same."""
    made = world(tmp_path, key="")
    meter(made).key_error = MeterSilent("not yet")
    async with made as w:
        await w.advance(0.5)
        meter(made).key_error = None
        ended = (await one_charge(w))[-1]
        assert signed(message(ended))[0][1]["publicKey"] == FIELD


async def test_the_configured_key_goes_before_the_meters(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another one is told to the installer, the same in another print is not."""
    async with world(tmp_path, key="0x" + KEY.lower()) as w:
        await w.settle()
        assert "another public key" not in caplog.text
        assert w.settings.text("MeterPublicKey1") != FIELD
    made = world(tmp_path)
    meter(made).key = KEY[:-4] + "0000"
    async with made as w:
        await w.settle()
        assert "another public key" in caplog.text
        assert w.settings.text("MeterPublicKey1") == FIELD


async def test_a_key_that_is_none_is_left_out(tmp_path: Path) -> None:
    made = world(tmp_path, key="")
    meter(made).key = "printed badly"
    async with made as w:
        ended = (await one_charge(w))[-1]
        assert signed(message(ended))[0][1]["publicKey"] == ""


async def test_the_keys_exist_only_where_a_meter_signs(tmp_path: Path) -> None:
    async with World(tmp_path) as w:
        names = {s.key16 for s in SIGNING} | {"MeterPublicKey1"}
        assert not [name for name in names if w.settings.declared(name) is not None]


@pytest.mark.parametrize(
    ("printed", "wrong"),
    [
        ("0x" + KEY.lower(), ""),
        (" ".join(KEY[n : n + 4] for n in range(0, len(KEY), 4)), ""),
        (base64.b64encode(bytes.fromhex(KEY)).decode(), ""),
        (f"oca:base16:asn1:{KEY}", ""),
        (KEY[:-2], "says 91 bytes, but there are 90"),
        ("04" + KEY[54:], "begins with 30"),
        ("hello!", "neither"),
        ("oca:base32:asn1:00", "must be"),
        ("oca:base16:asn1:xyz", "hexadecimal"),
    ],
)
def test_keys_as_they_are_printed(printed: str, wrong: str) -> None:
    if not wrong:
        assert base64.b64decode(public_key_field(printed)).decode().startswith("oca:base")
        return
    with pytest.raises(ValueError, match=wrong):
        public_key_field(printed)


# --- times without meter values -------------------------------------------------------------------


async def test_a_meter_gap_is_marked_at_both_ends(tmp_path: Path) -> None:
    """R16-MV-3: Interruption.Begin with the last value, .End with the first one after it."""
    made = World(tmp_path)
    made.installation = replace(made.installation, first_boot_16=QUIET)
    async with made as w:
        await w.charge(10)
        w.meters[1].error = MeterSilent("gone")
        await w.advance(30)
        w.meters[1].error = None
        await w.advance(5)
        _, begin, end = await w.reports()
        contexts = (begin.sample.context, end.sample.context)
        assert contexts == (ReadingContext.INTERRUPTION_BEGIN, ReadingContext.INTERRUPTION_END)
        assert begin.transaction_id == end.transaction_id == w.view().transaction_id
        assert begin.sample.at < end.sample.at
        assert begin.sample.values[0].value < end.sample.values[0].value
        message(begin)
        message(end)


async def test_a_gap_outside_a_transaction_is_nobodys(tmp_path: Path) -> None:
    async with World(tmp_path) as w:
        w.meters[1].error = MeterSilent("gone")
        await w.advance(60)
        w.meters[1].error = None
        await w.advance(30)
        assert await w.reports() == []


async def test_a_power_gap_is_marked_when_the_transaction_goes_on(tmp_path: Path) -> None:
    """R16-MV-3 with resume_after_power_loss."""
    made = World(tmp_path, resume_after_power_loss=True)
    made.installation = replace(made.installation, first_boot_16=QUIET)
    async with made as w:
        await w.charge(90)
        await w.reports()
        guard = FakeGuard(w.clock, 1, "g2", "b2")
        guard.plug()
        await w.restart(guard)
        await w.advance(5)
        begin, end = await w.reports()
        contexts = (begin.sample.context, end.sample.context)
        assert contexts == (ReadingContext.INTERRUPTION_BEGIN, ReadingContext.INTERRUPTION_END)
        assert begin.transaction_id == w.view().transaction_id


async def test_signing_does_not_stop_the_polls(tmp_path: Path) -> None:
    """A value that comes while the meter is busy signing goes out unsigned."""
    async with world(
        tmp_path, MeterValueSampleInterval="2", SampledDataSignUpdatedReadings="true"
    ) as w:
        await w.charge(1)
        meter(w).takes_s = 5.0
        await w.advance(12)
        values = [r for r in await w.reports() if isinstance(r, MeterValuesTaken)]
        assert {len(signed(message(r))) for r in values} == {0, 1}
        await asyncio.sleep(0)


async def test_the_page_shows_the_key_as_it_is_printed(tmp_path: Path) -> None:
    """REG-EICH-7."""
    async with world(tmp_path) as w:
        (evse,) = w.station.snapshots.snapshot()["evses"]
        assert evse["meter_public_key"] == KEY
    async with World(tmp_path) as bare:
        assert bare.station.snapshots.snapshot()["evses"][0]["meter_public_key"] == ""


async def test_the_price_that_the_driver_was_shown_is_signed_along(tmp_path: Path) -> None:
    """REG-EICH-2 (TT): his own price, else the default one."""
    prices = {
        "CustomDisplayCostAndPrice": "true",
        "DefaultPrice": '{"priceText": "0.39 a kWh"}',
        "WaitForSetUserPriceTimeout": "1000",
    }
    async with world(tmp_path, **prices) as w:
        await w.charge(5)
        about = meter(w).about
        assert about is not None and about.tariff_text == "0.39 a kWh"
        await w.unplug()
        await w.advance(5)
        service = w.station.prices.service
        assert service is not None
        await w.plug()
        await w.tap("04B0")
        await service.user_price(IdToken("04B0"), PriceText(text="0.34 a kWh"))
        await w.advance(5)
        about = meter(w).about
        assert about is not None and about.tariff_text == "0.34 a kWh"
