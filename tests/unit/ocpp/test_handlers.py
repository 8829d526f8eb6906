"""Every Core request of a 1.6 backend, and what is refused how (R16-*, RPC-6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller.core.model import (
    AvailabilityStatus,
    ChargingState,
    RequestStatus,
    ResetKind,
    SessionPhase,
)
from controller.core.settings import Access
from controller.core.settings_list import settings_for
from controller.ocpp.calls import Answer
from controller.ocpp.rpc import ErrorName, IncomingCall
from controller.ocpp.v16.handlers import Handlers
from controller.ocpp.validation import validators_16
from tests.unit.ocpp.fakes import FakeOutbox, FakeStation, FakeValues, installation, view


class Triggers:
    """Remembers what was triggered."""

    def __init__(self) -> None:
        self.accepted = True
        self.done: list[Any] = []

    def boot_now(self) -> None:
        self.done.append("boot")

    def heartbeat_now(self) -> None:
        self.done.append("heartbeat")

    def status_now(self, connector: int | None) -> None:
        self.done.append(("status", connector))

    def meter_values_now(self, connector: int | None) -> bool:
        self.done.append(("values", connector))
        return True

    async def station_operative(self, operative: bool) -> None:
        self.done.append(("operative", operative))


class Rig:
    """Handlers with everything around them."""

    def __init__(self) -> None:
        self.station = FakeStation(2)
        self.triggers = Triggers()
        self.values = FakeValues()
        self.outbox = FakeOutbox()
        self.settings = settings_for(installation(evses=2))
        self.validators = validators_16()
        self.handlers = Handlers(
            control=self.station,
            settings=self.settings,
            values=self.values,
            outbox=self.outbox,
            triggers=self.triggers,
            validators=self.validators,
        )

    async def ask(self, action: str, payload: Any) -> Answer:
        reply = self.handlers.answer(IncomingCall(message_id="1", action=action, payload=payload))
        answer = reply if isinstance(reply, Answer) else await reply
        if answer.error is None:
            problem = self.validators.response(action, answer.payload, tolerate_extra=False)
            assert problem is None
        if answer.then is not None:
            assert self.triggers.done == [], "the answer goes first"
            answer.then()
        return answer

    async def status(self, action: str, payload: Any) -> str:
        answer = await self.ask(action, payload)
        assert answer.payload is not None
        return str(answer.payload["status"])


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.mark.parametrize(
    ("action", "payload", "error"),
    [
        ("Foo", {}, ErrorName.NOT_IMPLEMENTED),
        ("reset", {"type": "Soft"}, ErrorName.NOT_IMPLEMENTED),
        ("../../etc/passwd", {}, ErrorName.NOT_IMPLEMENTED),
        ("ResetResponse", {}, ErrorName.NOT_IMPLEMENTED),
        ("", {}, ErrorName.NOT_IMPLEMENTED),
        ("Authorize", {"idTag": "A"}, ErrorName.NOT_SUPPORTED),
        ("SendLocalList", {}, ErrorName.NOT_SUPPORTED),
        ("ReserveNow", {}, ErrorName.NOT_SUPPORTED),
        ("SetChargingProfile", {}, ErrorName.NOT_SUPPORTED),
        ("Reset", {}, ErrorName.PROTOCOL),
        ("Reset", [], ErrorName.TYPE),
        ("Reset", "Soft", ErrorName.TYPE),
        ("Reset", {"type": "Medium"}, ErrorName.PROPERTY),
        ("Reset", {"type": 7}, ErrorName.TYPE),
        ("Reset", {"type": "Soft", "why": "x"}, ErrorName.FORMATION),
        ("RemoteStartTransaction", {"idTag": "x" * 21}, ErrorName.PROPERTY),
        ("RemoteStopTransaction", {"transactionId": "1"}, ErrorName.TYPE),
        ("ChangeConfiguration", {"key": "x" * 51, "value": ""}, ErrorName.PROPERTY),
        ("GetConfiguration", {"key": ["x"] * 101}, ErrorName.OCCURRENCE),
    ],
)
async def test_rpc_6_refusals(rig: Rig, action: str, payload: Any, error: ErrorName) -> None:
    answer = await rig.ask(action, payload)
    assert answer.error is error
    assert len(answer.description) < 256
    assert rig.station.asked == []


async def test_a_bottomless_payload_is_refused_not_raised(rig: Rig) -> None:
    payload: dict[str, Any] = {}
    inner = payload
    for _ in range(2000):
        inner["a"] = {}
        inner = inner["a"]
    assert (await rig.ask("Reset", payload)).error is not None


# --- ChangeAvailability --------------------------------------------------------------------------------


async def test_r16_av_1(rig: Rig) -> None:
    request = {"connectorId": 1, "type": "Inoperative"}
    assert await rig.status("ChangeAvailability", request) == "Accepted"
    assert rig.station.asked == [("change_availability", 1, False)]
    rig.station.answer["change_availability"] = AvailabilityStatus.SCHEDULED
    assert await rig.status("ChangeAvailability", request) == "Scheduled"
    for connector in (3, -1):
        request = {"connectorId": connector, "type": "Operative"}
        assert await rig.status("ChangeAvailability", request) == "Rejected"
    assert len(rig.station.asked) == 2


async def test_r16_av_1_connector_0_is_the_whole_station(rig: Rig) -> None:
    request = {"connectorId": 0, "type": "Inoperative"}
    assert await rig.status("ChangeAvailability", request) == "Accepted"
    assert rig.station.asked == [("change_availability", None, False)]
    assert rig.triggers.done == [("operative", False)]
    rig.station.answer["change_availability"] = AvailabilityStatus.REJECTED
    assert await rig.status("ChangeAvailability", request) == "Rejected"
    assert len(rig.triggers.done) == 1


# --- configuration ----------------------------------------------------------------------------------------


async def test_r16_cfg_2_all_readable_keys_when_none_is_asked_for(rig: Rig) -> None:
    for payload in ({}, {"key": []}):
        answer = await rig.ask("GetConfiguration", payload)
        assert answer.payload is not None
        keys = {entry["key"]: entry for entry in answer.payload["configurationKey"]}
        assert set(keys) == {
            s.key16 for s in rig.settings if s.key16 and s.access is not Access.WRITE_ONLY
        }
        assert "AuthorizationKey" not in keys
        assert keys["NumberOfConnectors"] == {
            "key": "NumberOfConnectors",
            "readonly": True,
            "value": "2",
        }
        assert keys["LocalAuthorizeOffline"]["value"] == "true"
        assert "unknownKey" not in answer.payload


async def test_r16_cfg_2_unknown_keys_are_named_and_case_does_not_matter(rig: Rig) -> None:
    answer = await rig.ask("GetConfiguration", {"key": ["HEARTBEATinterval", "Colour"]})
    assert answer.payload == {
        "configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}],
        "unknownKey": ["Colour"],
    }


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("connectiontimeout", "90", "Accepted"),
        ("ConnectionTimeOut", "0", "Rejected"),
        ("ConnectionTimeOut", "-1", "Rejected"),
        ("ConnectionTimeOut", "soon", "Rejected"),
        ("WebSocketPingInterval", "-1", "Rejected"),
        ("WebSocketPingInterval", "0", "Accepted"),
        ("LocalPreAuthorize", "TRUE", "Accepted"),
        ("LocalPreAuthorize", "yes", "Rejected"),
        ("NumberOfConnectors", "3", "Rejected"),
        ("SupportedFeatureProfiles", "Core", "Rejected"),
        ("MeterValuesSampledData", "voltage.l1, Current.Import", "Accepted"),
        ("MeterValuesSampledData", "Voltage,Colour", "Rejected"),
        ("MeterValuesSampledData", "", "Accepted"),
        ("ConnectorPhaseRotation", "0.RST,1.RST,2.STR", "Accepted"),
        ("ConnectorPhaseRotation", "1.XYZ", "Rejected"),
        ("Colour", "red", "NotSupported"),
    ],
)
async def test_r16_cfg_1_change(rig: Rig, key: str, value: str, status: str) -> None:
    declared = rig.settings.declared(key)
    before = rig.settings.text(key) if declared else None
    answer = await rig.status("ChangeConfiguration", {"key": key, "value": value})
    assert answer == status
    if status == "Accepted":
        assert declared is not None
        stored = rig.values.values[f"setting.{declared.name}"]
        assert stored == rig.settings.text(key)
    else:
        assert rig.values.values == {}
        if declared:
            assert rig.settings.text(key) == before


async def test_canonical_spelling_is_stored(rig: Rig) -> None:
    request = {"key": "METERVALUESSAMPLEDDATA", "value": "voltage.l1 ,current.import"}
    await rig.ask("ChangeConfiguration", request)
    assert rig.values.values == {"setting.MeterValuesSampledData": "Voltage.L1,Current.Import"}


# --- remote start and stop ------------------------------------------------------------------------------


async def test_r16_auth_7_remote_start(rig: Rig) -> None:
    action = "RemoteStartTransaction"
    assert await rig.status(action, {"idTag": "A", "connectorId": 2}) == "Accepted"
    assert await rig.status(action, {"idTag": "A"}) == "Accepted"
    assert rig.station.asked == [("remote_start", "A", 2), ("remote_start", "A", None)]
    for connector in (0, 3, -1):
        request = {"idTag": "A", "connectorId": connector}
        assert await rig.status(action, request) == "Rejected"
    rig.station.answer["remote_start"] = RequestStatus.REJECTED
    assert await rig.status(action, {"idTag": "A"}) == "Rejected"


@pytest.mark.parametrize(
    ("purpose", "more", "status"),
    [
        ("TxProfile", {}, "Accepted"),
        ("TxDefaultProfile", {}, "Rejected"),
        ("TxProfile", {"transactionId": 1}, "Rejected"),
    ],
)
async def test_r16_auth_7_only_a_plain_tx_profile_may_come_along(
    rig: Rig, purpose: str, more: dict[str, Any], status: str
) -> None:
    profile = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.1}],
        },
        **more,
    }
    request = {"idTag": "A", "chargingProfile": profile}
    assert await rig.status("RemoteStartTransaction", request) == status


@pytest.mark.parametrize("backend_id", [0, 7, -5])
async def test_r16_tx_10_remote_stop_by_any_integer(rig: Rig, backend_id: int) -> None:
    rig.station.views[2] = view(
        2, SessionPhase.TRANSACTION, charging_state=ChargingState.CHARGING, transaction_id="ours"
    )
    rig.outbox.ids["ours"] = backend_id
    action = "RemoteStopTransaction"
    assert await rig.status(action, {"transactionId": backend_id + 1}) == "Rejected"
    assert await rig.status(action, {"transactionId": backend_id}) == "Accepted"
    assert rig.station.asked == [("remote_stop", "ours")]


async def test_r16_boot_3_not_before_the_station_is_accepted(rig: Rig) -> None:
    rig.triggers.accepted = False
    assert await rig.status("RemoteStartTransaction", {"idTag": "A"}) == "Rejected"
    assert await rig.status("RemoteStopTransaction", {"transactionId": 1}) == "Rejected"
    assert rig.station.asked == []


# --- the rest of Core --------------------------------------------------------------------------------------


async def test_r16_rst_1_reset(rig: Rig) -> None:
    assert await rig.status("Reset", {"type": "Soft"}) == "Accepted"
    assert await rig.status("Reset", {"type": "Hard"}) == "Accepted"
    assert rig.station.asked == [("reset", ResetKind.SOFT), ("reset", ResetKind.HARD)]


async def test_r16_unl_1_unlock(rig: Rig) -> None:
    assert await rig.status("UnlockConnector", {"connectorId": 1}) == "Unlocked"
    for connector in (0, 3):
        assert await rig.status("UnlockConnector", {"connectorId": connector}) == "NotSupported"
    assert rig.station.asked == [("unlock", 1)]


async def test_clear_cache(rig: Rig) -> None:
    assert await rig.status("ClearCache", {}) == "Accepted"


async def test_r16_dt_1_no_vendor_is_known(rig: Rig) -> None:
    answer = await rig.ask("DataTransfer", {"vendorId": "com.example", "data": "x"})
    assert answer.payload == {"status": "UnknownVendorId"}


@pytest.mark.parametrize(
    ("request_", "status", "done"),
    [
        ({"requestedMessage": "Heartbeat"}, "Accepted", ["heartbeat"]),
        ({"requestedMessage": "BootNotification"}, "Rejected", []),
        ({"requestedMessage": "StatusNotification"}, "Accepted", [("status", None)]),
        (
            {"requestedMessage": "StatusNotification", "connectorId": 0},
            "Accepted",
            [("status", 0)],
        ),
        ({"requestedMessage": "StatusNotification", "connectorId": 3}, "Rejected", []),
        ({"requestedMessage": "MeterValues"}, "Accepted", [("values", None)]),
        ({"requestedMessage": "MeterValues", "connectorId": 2}, "Accepted", [("values", 2)]),
        ({"requestedMessage": "MeterValues", "connectorId": 0}, "Rejected", []),
        ({"requestedMessage": "FirmwareStatusNotification"}, "NotImplemented", []),
        ({"requestedMessage": "DiagnosticsStatusNotification"}, "NotImplemented", []),
    ],
)
async def test_r16_trg_1_answer_first_then_send(
    rig: Rig, request_: dict[str, Any], status: str, done: list[Any]
) -> None:
    assert await rig.status("TriggerMessage", request_) == status
    assert rig.triggers.done == done


async def test_r16_trg_1_boot_while_not_accepted(rig: Rig) -> None:
    rig.triggers.accepted = False
    assert await rig.status("TriggerMessage", {"requestedMessage": "BootNotification"}) == (
        "Accepted"
    )
    assert rig.triggers.done == ["boot"]


async def test_r16_trg_1_no_values_without_a_meter(rig: Rig) -> None:
    rig.station.has_meter = False
    assert await rig.status("TriggerMessage", {"requestedMessage": "MeterValues"}) == "Rejected"


async def test_two_requests_at_once_do_not_disturb_each_other(rig: Rig) -> None:
    answers = await asyncio.gather(
        *(rig.status("UnlockConnector", {"connectorId": 1}) for _ in range(5))
    )
    assert answers == ["Unlocked"] * 5
