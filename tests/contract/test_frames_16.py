"""The same facts in words of 1.6: valid against the schema, and exactly these frames."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ocpp.v16 import enums

from controller.core import faults
from controller.core.installation import StationIdentity
from controller.core.model import (
    AuthorizationStatus,
    ChargingState,
    EvseFault,
    IdToken,
    IdTokenType,
    MeterSample,
    MeterValuesTaken,
    ReadingContext,
    Report,
    SampledValue,
    SessionPhase,
    StopReason,
    TransactionEnded,
    TransactionStarted,
)
from controller.core.settings_words import MEASURANDS
from controller.ocpp.v16 import translate
from controller.ocpp.v16.first_contact import boot_notification
from controller.ocpp.validation import validators_16
from tests.unit.ocpp.fakes import T0, view

VALIDATORS = validators_16()
GOLDEN = json.loads((Path(__file__).parent / "golden16" / "one_charge.json").read_text())

CARD = IdToken("04A2B3C4")
FULL_SAMPLE = MeterSample(
    at=T0 + timedelta(seconds=10),
    context=ReadingContext.PERIODIC,
    values=(
        SampledValue(value=1234.5),
        SampledValue(value=3680.1234, measurand="Power.Active.Import", unit="W"),
        SampledValue(value=16.0, measurand="Current.Import", unit="A", phase="L1"),
        SampledValue(value=230.05, measurand="Voltage", unit="V", phase="L1-N"),
        SampledValue(value=50.01, measurand="Frequency", unit=""),
        SampledValue(value=-0.0001, measurand="Power.Factor", unit=""),
    ),
)
FACTS: list[tuple[Report, int | None]] = [
    (
        TransactionStarted(
            transaction_id="t", evse=1, id_token=CARD, at=T0, meter_wh=1000.5, reservation_id=9
        ),
        None,
    ),
    (MeterValuesTaken(evse=1, sample=FULL_SAMPLE, transaction_id="t"), 0),
    (MeterValuesTaken(evse=0, sample=FULL_SAMPLE), None),
    (
        TransactionEnded(
            transaction_id="t",
            evse=1,
            at=T0 + timedelta(seconds=20),
            meter_wh=1500.49,
            reason=StopReason.LOCAL,
            id_token=CARD,
            samples=(FULL_SAMPLE,),
        ),
        0,
    ),
    (
        TransactionEnded(
            transaction_id="t", evse=1, at=T0, meter_wh=1500.5, reason=StopReason.POWER_LOSS
        ),
        None,
    ),
]


def test_golden_frames_of_one_charge() -> None:
    said = [translate.report_16(report, backend_id) for report, backend_id in FACTS]
    assert [list(request) for request in said if request] == GOLDEN


@pytest.mark.parametrize(("action", "payload"), GOLDEN)
def test_golden_frames_are_valid(action: str, payload: dict[str, Any]) -> None:
    assert VALIDATORS.request(action, payload) is None


@pytest.mark.parametrize("reason", StopReason)
def test_every_stop_reason_exists_in_16(reason: StopReason) -> None:
    assert reason.value in set(enums.Reason)
    report = TransactionEnded(transaction_id="t", evse=1, at=T0, meter_wh=1.0, reason=reason)
    action, payload = translate.report_16(report, 1) or ("", {})
    assert VALIDATORS.request(action, payload) is None


def test_our_word_lists_are_those_of_16() -> None:
    assert {s.value for s in translate.Status} == {s.value for s in enums.ChargePointStatus}
    assert {m.value for m in enums.Measurand} == translate.MEASURANDS_16
    assert translate.UNITS_16 <= {u.value for u in enums.UnitOfMeasure}
    assert {p.value for p in enums.Phase} == translate.PHASES_16
    assert {place.value for place in enums.Location} == translate.LOCATIONS_16
    assert {c.value for c in ReadingContext} <= {c.value for c in enums.ReadingContext}
    assert {m.split(".L")[0] for m in MEASURANDS} <= translate.MEASURANDS_16


@pytest.mark.parametrize("name", faults.CATALOGUE)
def test_r16_st_3_every_fault_gives_a_valid_status(name: str) -> None:
    assert faults.kind_of(name).error_16 in {c.value for c in enums.ChargePointErrorCode}
    for inoperative in (False, True):
        word = translate.status_16(
            view(
                inoperative_by_fault=inoperative,
                faults=(EvseFault(name=name, detail="x" * 80), EvseFault(name="weld")),
            )
        )
        assert VALIDATORS.request("StatusNotification", word.request(1, T0)) is None
        assert (word.status is translate.Status.FAULTED) is inoperative


def test_every_view_has_a_valid_status() -> None:
    for phase, state, operative, faulted, plugged in itertools.product(
        SessionPhase, ChargingState, (True, False), (True, False), (True, False)
    ):
        seen = view(
            1,
            phase,
            charging_state=state,
            operative=operative,
            inoperative_by_fault=faulted,
            plugged=plugged,
            transaction_id="t" if phase is SessionPhase.TRANSACTION else None,
        )
        payload = translate.status_16(seen).request(1, T0)
        assert VALIDATORS.request("StatusNotification", payload) is None


@pytest.mark.parametrize(
    ("seen", "status", "info"),
    [
        (view(), "Available", ""),
        (view(operative=False), "Unavailable", ""),
        (view(phase=SessionPhase.PREPARING), "Preparing", ""),
        (view(phase=SessionPhase.FINISHING), "Finishing", ""),
        (view(phase=SessionPhase.FINISHING, operative=False), "Unavailable", ""),
        (
            view(
                phase=SessionPhase.TRANSACTION,
                charging_state=ChargingState.CHARGING,
                operative=False,
            ),
            "Charging",
            "",
        ),
        (
            view(phase=SessionPhase.TRANSACTION, charging_state=ChargingState.SUSPENDED_EV),
            "SuspendedEV",
            "",
        ),
        (
            view(phase=SessionPhase.TRANSACTION, charging_state=ChargingState.SUSPENDED_EVSE),
            "SuspendedEVSE",
            "",
        ),
        (
            view(
                phase=SessionPhase.TRANSACTION,
                charging_state=ChargingState.IDLE,
                plugged=False,
                transaction_id="t",
            ),
            "SuspendedEV",
            "EV side disconnected",
        ),
    ],
)
def test_r16_st_2_and_5_status_of_a_view(seen: Any, status: str, info: str) -> None:
    word = translate.status_16(seen)
    assert (word.status.value, word.info) == (status, info)


def test_r16_st_1_connector_0() -> None:
    def status(operative: bool, *views: Any) -> str:
        return translate.station_status_16(views, operative).status.value

    assert status(True, view()) == "Available"
    assert status(False, view(operative=False)) == "Unavailable"
    assert status(False, view(operative=False), view(2)) == "Available", "one still charges"
    assert status(True, view(operative=False)) == "Available", "only the connector was made so"


def test_r16_st_transitions() -> None:
    table = {
        "Available": "Preparing Charging SuspendedEV SuspendedEVSE Reserved Unavailable Faulted",
        "Preparing": "Available Charging SuspendedEV SuspendedEVSE Finishing Faulted",
        "Charging": "Available SuspendedEV SuspendedEVSE Finishing Unavailable Faulted",
        "SuspendedEV": "Available Charging SuspendedEVSE Finishing Unavailable Faulted",
        "SuspendedEVSE": "Available Charging SuspendedEV Finishing Unavailable Faulted",
        "Finishing": "Available Preparing Unavailable Faulted",
        "Reserved": "Available Preparing Unavailable Faulted",
        "Unavailable": "Available Preparing Charging SuspendedEV SuspendedEVSE Faulted",
        "Faulted": "Available Preparing Charging SuspendedEV SuspendedEVSE Finishing Reserved "
        "Unavailable",
    }
    said = {s.value: {t.value for t in after} for s, after in translate.ALLOWED.items()}
    assert said == {s: set(after.split()) for s, after in table.items()}


def test_boot_notification_is_valid_even_when_everything_is_too_long() -> None:
    long = StationIdentity(
        id="x", vendor="v" * 60, model="m" * 60, serial_number="s" * 60, firmware_version="f" * 60
    )
    for identity in (long, StationIdentity(id="x")):
        payload = boot_notification(identity)
        assert VALIDATORS.request("BootNotification", payload) is None


@pytest.mark.parametrize(
    ("data", "status", "group"),
    [
        ({"status": "Accepted"}, AuthorizationStatus.ACCEPTED, None),
        ({"status": "ConcurrentTx", "parentIdTag": "P"}, AuthorizationStatus.CONCURRENT_TX, "P"),
        ({"status": "blocked", "extra": 1}, AuthorizationStatus.BLOCKED, None),
        ({"status": "Expired", "expiryDate": "soon"}, AuthorizationStatus.EXPIRED, None),
    ],
)
def test_id_tag_info(data: Any, status: AuthorizationStatus, group: str | None) -> None:
    info = translate.id_token_info(data)
    assert info is not None
    assert info.status is status
    assert info.expires_at is None
    assert (info.group.value if info.group else None) == group


@pytest.mark.parametrize("data", [None, {}, [], "Accepted", {"status": 1}, {"status": "NoCredit"}])
def test_an_id_tag_info_that_cannot_be_understood(data: Any) -> None:
    assert translate.id_token_info(data) is None


def test_a_charge_without_authorization_has_an_id_tag_too() -> None:
    assert translate.id_tag(IdToken("", IdTokenType.NO_AUTHORIZATION)) == "FREE"
    assert translate.id_tag(IdToken("x" * 21)) == "x" * 20


def test_values_that_16_has_no_word_for_are_left_out() -> None:
    strange = SampledValue(value=1.0, measurand="Display.PresentSOC")
    endless = SampledValue(value=float("inf"))
    sample = MeterSample(at=T0, context=ReadingContext.PERIODIC, values=(strange, endless))
    assert translate.report_16(MeterValuesTaken(evse=1, sample=sample), None) is None


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(1000.5, "Wh", "1001"), (0.4999, "Wh", "0"), (1.0, "kWh", "1"), (230.0567, "V", "230.057"),
     (-0.0001, "", "0"), (100.0, "W", "100")],
)  # fmt: skip
def test_r16_mv_5_values_are_texts(value: float, unit: str, text: str) -> None:
    assert translate.value_text(value, unit) == text


@pytest.mark.parametrize("count", [0, 1, 5, 6, 7, 50, 1000])
def test_r16_tx_3_only_intermediate_values_are_thinned(count: int) -> None:
    def sample(context: ReadingContext, n: int = 0) -> MeterSample:
        at = T0 + timedelta(seconds=n)
        return MeterSample(at=at, context=context, values=(SampledValue(value=1.0),))

    begin, end = sample(ReadingContext.BEGIN), sample(ReadingContext.END)
    samples = [begin, *(sample(ReadingContext.PERIODIC, n) for n in range(count)), end]
    kept = translate.thinned(samples, 7)
    assert len(kept) == min(len(samples), 7)
    assert (kept[0], kept[-1]) == (begin, end)
    assert [s for s in samples if s in kept] == kept
