"""The SmartCharging profile of 1.6 at its port: every answer (R16-SC-1 to R16-SC-12, R16-AUTH-7)."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.core.charging_profile import (
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from controller.core.charging_profile_book import ProfileFilter
from controller.core.composite import CompositeSchedule
from controller.core.model import RequestStatus
from controller.ocpp.calls import Answer
from controller.ocpp.rpc import ErrorName, IncomingCall
from controller.ocpp.v16.handlers import Handlers
from controller.ocpp.v16.smart_charging import smart_charging
from controller.ocpp.validation import validators_16
from tests.unit.ocpp.fakes import FakeOutbox
from tests.unit.ocpp.test_handlers import Rig

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class FakeProfiles:
    """Answers as told and remembers what it was asked."""

    def __init__(self) -> None:
        self.status = RequestStatus.ACCEPTED
        self.installed: list[tuple[int, ChargingProfile]] = []
        self.cleared: list[ProfileFilter] = []
        self.count = 1
        self.running = {1: "tx-1"}
        self.asked: tuple[int, int, RateUnit | None] | None = None
        self.schedule: CompositeSchedule | None = None

    def evses(self) -> tuple[int, ...]:
        return (1, 2)

    def transaction(self, evse: int) -> str | None:
        return self.running.get(evse)

    async def install(self, evse: int, profile: ChargingProfile) -> RequestStatus:
        self.installed.append((evse, profile))
        return self.status

    async def clear(self, which: ProfileFilter) -> int:
        self.cleared.append(which)
        return self.count

    def problem(self, profile: ChargingProfile) -> str | None:
        return None

    async def composite(
        self, evse: int, duration_s: int, rate_unit: RateUnit | None
    ) -> CompositeSchedule | None:
        self.asked = (evse, duration_s, rate_unit)
        return self.schedule


class Desk:
    """The block behind the handlers, so that requests are checked against the schema."""

    def __init__(self) -> None:
        rig = Rig()
        self.profiles, self.outbox, self.station = FakeProfiles(), FakeOutbox(), rig.station
        self.outbox.ids["tx-1"] = 0
        block = smart_charging(self.profiles, self.outbox)(Any, rig.settings)  # type: ignore[arg-type]
        self.handlers = Handlers(
            control=rig.station,
            settings=rig.settings,
            values=rig.values,
            outbox=self.outbox,
            triggers=rig.triggers,
            validators=validators_16(),
            blocks=[block],
        )

    async def ask(self, action: str, payload: dict[str, Any]) -> Answer:
        call = IncomingCall(message_id="1", action=action, payload=payload)
        reply = self.handlers.answer(call)
        answer = await reply if isinstance(reply, Awaitable) else reply
        if answer.error is None:
            assert validators_16().response(action, answer.payload, tolerate_extra=False) is None
        return answer

    async def set(self, connector: int = 1, **changed: Any) -> Answer:
        request = {"connectorId": connector, "csChargingProfiles": body(**changed)}
        return await self.ask("SetChargingProfile", request)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def body(**changed: Any) -> dict[str, Any]:
    return {
        "chargingProfileId": 7,
        "stackLevel": 2,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16}],
        },
        **changed,
    }


async def test_every_field_is_translated(desk: Desk) -> None:
    answer = await desk.set(
        2,
        chargingProfilePurpose="ChargePointMaxProfile",
        chargingProfileKind="Recurring",
        recurrencyKind="Weekly",
        validFrom="2026-11-22T13:00:00+01:00",
        validTo="2026-12-01T00:00:00.123456Z",
        chargingSchedule={
            "duration": 3600,
            "startSchedule": "2026-11-22T12:00:00Z",
            "chargingRateUnit": "W",
            "minChargingRate": 1380.5,
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 11000.0, "numberPhases": 3},
                {"startPeriod": 60, "limit": 8.1},
            ],
        },
    )
    assert answer.payload == {"status": "Accepted"}
    assert desk.profiles.installed == [
        (
            2,
            ChargingProfile(
                id=7,
                stack_level=2,
                purpose=Purpose.STATION_MAX,
                kind=ProfileKind.RECURRING,
                recurrency=Recurrency.WEEKLY,
                valid_from=NOW,
                valid_to=datetime(2026, 12, 1, 0, 0, 0, 123456, tzinfo=UTC),
                schedule=ChargingSchedule(
                    rate_unit=RateUnit.WATTS,
                    start=NOW,
                    duration_s=3600,
                    min_charging_rate=1380.5,
                    periods=(
                        SchedulePeriod(start_s=0, limit=11000.0, number_phases=3),
                        SchedulePeriod(start_s=60, limit=8.1),
                    ),
                ),
            ),
        )
    ]


@pytest.mark.parametrize("purpose", ["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"])
@pytest.mark.parametrize("kind", ["Absolute", "Recurring", "Relative"])
async def test_r16_sc_12_all_purposes_and_kinds_are_taken(
    desk: Desk, purpose: str, kind: str
) -> None:
    changed = {"recurrencyKind": "Daily"} if kind == "Recurring" else {}
    answer = await desk.set(
        chargingProfilePurpose=purpose, chargingProfileKind=kind, **changed
    )  # fmt: skip
    assert answer.payload == {"status": "Accepted"}


async def test_what_the_service_refuses_is_rejected(desk: Desk) -> None:
    desk.profiles.status = RequestStatus.REJECTED
    assert (await desk.set()).payload == {"status": "Rejected"}


@pytest.mark.parametrize("connector", [-1, 3, 1000])
async def test_r16_sc_10_an_unknown_connector_is_a_callerror(desk: Desk, connector: int) -> None:
    """E16 3.39."""
    assert (await desk.set(connector)).error is ErrorName.PROPERTY
    assert desk.profiles.installed == []


@pytest.mark.parametrize(
    "changed",
    [
        {"chargingProfilePurpose": "Other"},
        {"chargingProfileKind": "Other"},
        {"recurrencyKind": "Monthly"},
        {"validFrom": "tomorrow"},
        {"validTo": "2026-13-01T00:00:00Z"},
        {
            "chargingSchedule": {
                "chargingRateUnit": "X",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 1}],
            }
        },
        {
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "startSchedule": "soon",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 1}],
            }
        },
        {
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 1.25}],
            }
        },
    ],
)
async def test_r16_sc_10_a_wrong_value_is_a_callerror(desk: Desk, changed: dict[str, Any]) -> None:
    """E16 3.38."""
    assert (await desk.set(**changed)).error is ErrorName.PROPERTY
    assert desk.profiles.installed == []


async def test_r16_sc_1_the_backends_transaction_id_is_compared(desk: Desk) -> None:
    """TC_058_2; 0 is a real id."""
    tx = {"chargingProfilePurpose": "TxProfile"}
    assert (await desk.set(transactionId=0, **tx)).payload == {"status": "Accepted"}
    assert desk.profiles.installed[-1][1].transaction_id == "tx-1", "never for the one after it"
    assert (await desk.set(transactionId=1, **tx)).payload == {"status": "Rejected"}
    assert (await desk.set(2, transactionId=0, **tx)).payload == {"status": "Rejected"}
    desk.outbox.ids.clear()
    assert (await desk.set(transactionId=0, **tx)).payload == {"status": "Rejected"}
    assert (await desk.set(transactionId=0)).payload == {"status": "Rejected"}
    assert len(desk.profiles.installed) == 1


async def test_a_profile_right_behind_the_answer_to_the_start_finds_its_transaction(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1.6 §5.16.1: the answer is on its way into the books when the request is read."""
    answers = [None, 0]

    async def learning(transaction_id: str) -> int | None:
        return answers.pop(0)

    monkeypatch.setattr(desk.outbox, "backend_transaction_id", learning)
    answer = await desk.set(chargingProfilePurpose="TxProfile", transactionId=0)
    assert answer.payload == {"status": "Accepted"}


@pytest.mark.parametrize(
    ("request_", "which"),
    [
        ({}, ProfileFilter()),
        ({"id": 0}, ProfileFilter(profile_id=0)),
        ({"connectorId": 0}, ProfileFilter(evse=0)),
        (
            {"connectorId": 1, "chargingProfilePurpose": "ChargePointMaxProfile", "stackLevel": 0},
            ProfileFilter(evse=1, purpose=Purpose.STATION_MAX, stack_level=0),
        ),
        ({"chargingProfilePurpose": "TxProfile"}, ProfileFilter(purpose=Purpose.TX)),
    ],
)
async def test_r16_sc_9_clear(desk: Desk, request_: dict[str, Any], which: ProfileFilter) -> None:
    answer = await desk.ask("ClearChargingProfile", request_)
    assert (answer.payload, desk.profiles.cleared) == ({"status": "Accepted"}, [which])
    desk.profiles.count = 0
    assert (await desk.ask("ClearChargingProfile", request_)).payload == {"status": "Unknown"}


async def test_r16_sc_8_composite_schedule(desk: Desk) -> None:
    desk.profiles.schedule = CompositeSchedule(
        evse=0,
        start=NOW,
        duration_s=90,
        rate_unit=RateUnit.WATTS,
        periods=(
            SchedulePeriod(start_s=0, limit=0.0, number_phases=1),
            SchedulePeriod(start_s=60, limit=15.9),
        ),
    )
    request = {"connectorId": 0, "duration": 90, "chargingRateUnit": "W"}
    answer = await desk.ask("GetCompositeSchedule", request)
    assert desk.profiles.asked == (0, 90, RateUnit.WATTS)
    assert answer.payload == {
        "status": "Accepted",
        "connectorId": 0,
        "scheduleStart": "2026-11-22T12:00:00.000Z",
        "chargingSchedule": {
            "duration": 90,
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 0.0, "numberPhases": 1},
                {"startPeriod": 60, "limit": 15.9},
            ],
        },
    }


async def test_r16_sc_8_no_composite_is_rejected_and_a_wrong_unit_is_a_callerror(
    desk: Desk,
) -> None:
    request = {"connectorId": 9, "duration": 60}
    answer = await desk.ask("GetCompositeSchedule", request)
    assert (answer.payload, desk.profiles.asked) == ({"status": "Rejected"}, (9, 60, None))
    answer = await desk.ask("GetCompositeSchedule", {**request, "chargingRateUnit": "kW"})
    assert answer.error is ErrorName.PROPERTY


async def test_r16_auth_7_the_profile_of_a_remote_start_reaches_the_station(desk: Desk) -> None:
    given = body(chargingProfilePurpose="TxProfile", chargingProfileKind="Relative")
    answer = await desk.ask("RemoteStartTransaction", {"idTag": "A", "chargingProfile": given})
    assert answer.payload == {"status": "Accepted"}
    assert desk.station.charging_profile is not None
    assert (desk.station.charging_profile.id, desk.station.charging_profile.transaction_id) == (7, None)  # fmt: skip


@pytest.mark.parametrize("action", ["SetChargingProfile", "ClearChargingProfile", "GetCompositeSchedule"])  # fmt: skip
def test_r16_sc_10_without_smart_charging_it_is_not_supported(action: str) -> None:
    answer = Rig().handlers.answer(IncomingCall(message_id="1", action=action, payload={}))
    assert isinstance(answer, Answer) and answer.error is ErrorName.NOT_SUPPORTED
