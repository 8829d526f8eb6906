"""The 1.6 adapter against the strict backend: registration, order, absence, silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from controller.core.model import (
    AuthorizationStatus,
    ChargingState,
    EvseFault,
    IdToken,
    IdTokenInfo,
    MeterValuesTaken,
    SessionPhase,
    StopReason,
    TransactionEnded,
    TransactionStarted,
)
from controller.demo.csms import Card, Csms, Reply, stamp
from controller.errors import BackendUnavailable
from tests.unit.ocpp.fakes import T0, FakeValues, Rig, sample

CARD = IdToken("04A2B3C4")


@pytest.fixture
async def csms() -> AsyncIterator[Csms]:
    server = Csms()
    server.cards["04A2B3C4"] = Card(parent="FLEET")
    await server.start()
    yield server
    await server.stop()
    assert server.violations == []


def start(transaction_id: str = "t1", wh: float = 1000.0) -> TransactionStarted:
    return TransactionStarted(
        transaction_id=transaction_id, evse=1, id_token=CARD, at=T0, meter_wh=wh
    )


def end(transaction_id: str = "t1", wh: float = 1500.0) -> TransactionEnded:
    return TransactionEnded(
        transaction_id=transaction_id, evse=1, at=T0, meter_wh=wh, reason=StopReason.LOCAL
    )


def statuses(csms: Csms, connector: int = 1) -> list[str]:
    return [
        p["status"] for _, p in csms.calls("StatusNotification") if p["connectorId"] == connector
    ]


async def ready(csms: Csms, rig: Rig) -> None:
    connectors = len(rig.station.views) + 1
    await csms.until(lambda: len(csms.calls("StatusNotification")) >= connectors)
    await csms.until(lambda: ("registered", True) in rig.station.asked)
    await rig.answered()


# --- registration -----------------------------------------------------------------------------------


async def test_r16_boot_2_boot_then_connector_0_then_all(csms: Csms) -> None:
    async with Rig(csms.url, evses=2) as rig:
        assert not rig.adapter.connected
        await ready(csms, rig)
        actions = [(a, p.get("connectorId"), p.get("status")) for a, p in csms.calls()]
        assert actions == [
            ("BootNotification", None, None),
            ("StatusNotification", 0, "Available"),
            ("StatusNotification", 1, "Available"),
            ("StatusNotification", 2, "Available"),
        ]
        assert rig.adapter.connected
        assert rig.adapter.ever_accepted
        assert rig.settings.integer("HeartbeatInterval") == 300
    assert not rig.adapter.connected


async def test_ever_accepted_survives_a_restart(csms: Csms) -> None:
    async with Rig(csms.url) as rig:
        await ready(csms, rig)
    again = Rig("ws://127.0.0.1:1/", values=rig.values)
    await again.adapter.load()
    assert again.adapter.ever_accepted


async def test_r16_boot_2_the_clock_is_set_from_the_answer(csms: Csms) -> None:
    far = datetime.now(UTC) + timedelta(days=400)
    csms.script(
        "BootNotification",
        Reply(payload={"status": "Accepted", "currentTime": stamp(far), "interval": 10}),
    )
    async with Rig(csms.url) as rig:
        await ready(csms, rig)
        assert abs((rig.clock.utc() - far).total_seconds()) < 5


async def test_r16_boot_8_no_status_from_before_the_clock_was_set(csms: Csms) -> None:
    far = datetime.now(UTC) + timedelta(days=400)
    csms.script(
        "BootNotification",
        Reply(payload={"status": "Accepted", "currentTime": stamp(far), "interval": 10}),
    )
    async with Rig(csms.url) as rig:
        await ready(csms, rig)
        for _, payload in csms.calls("StatusNotification"):
            assert payload["timestamp"][:10] == stamp(far)[:10]


async def test_a_disk_that_is_full_while_registering_is_tried_again(csms: Csms) -> None:
    rig = Rig(csms.url)
    usual, failures = rig.values.put, [OSError("disk full")]

    async def put(name: str, value: str | None) -> None:
        if failures:
            raise failures.pop()
        await usual(name, value)

    rig.values.put = put  # type: ignore[method-assign]
    async with rig:
        await ready(csms, rig)
        assert len(csms.handshakes) == 2


async def test_an_answer_that_comes_after_its_connection_is_gone_is_dropped(csms: Csms) -> None:
    async with Rig(csms.url) as rig:
        await ready(csms, rig)
        begun, gate = asyncio.Event(), asyncio.Event()
        usual = rig.station.clear_cache

        async def slow():  # type: ignore[no-untyped-def]
            begun.set()
            await gate.wait()
            return await usual()

        rig.station.clear_cache = slow  # type: ignore[method-assign]
        asked = asyncio.create_task(csms.call("ClearCache", {}, timeout_s=0.5))
        await begun.wait()
        csms.drop()
        await csms.until(lambda: len(csms.handshakes) == 2 and csms.connected)
        gate.set()
        with pytest.raises(TimeoutError):
            await asked
        assert not [f for d, f in csms.frames if d == "out" and f[0] == 3]


@pytest.mark.parametrize("text", ["1970-01-01T00:00:00Z", "soon"])
async def test_an_impossible_time_is_not_adopted(csms: Csms, text: str) -> None:
    csms.script(
        "BootNotification",
        Reply(payload={"status": "Accepted", "currentTime": text, "interval": 0}),
    )
    async with Rig(csms.url, first_boot={"HeartbeatInterval": "77"}) as rig:
        await ready(csms, rig)
        assert abs((rig.clock.utc() - datetime.now(UTC)).total_seconds()) < 5
        assert rig.settings.integer("HeartbeatInterval") == 77, "interval 0 leaves it to us"


async def test_r16_boot_1_nothing_goes_out_before_the_station_is_accepted(csms: Csms) -> None:
    csms.always("BootNotification", Reply(silent=True))
    async with Rig(csms.url) as rig:
        rig.report(start())
        await csms.wait_for("BootNotification")
        rig.show(SessionPhase.PREPARING)
        with pytest.raises(BackendUnavailable):
            await rig.adapter.authorize(CARD)
        await asyncio.sleep(0.2)
        assert [action for action, _ in csms.calls()] == ["BootNotification"]


async def test_r16_boot_3_pending_answers_and_tells_only_what_is_asked_for(csms: Csms) -> None:
    csms.boot_status = "Pending"
    csms.interval_s = 600
    async with Rig(csms.url) as rig:
        rig.report(start())
        await csms.wait_for("BootNotification")
        answer = await csms.call("GetConfiguration", {"key": ["HeartbeatInterval"]})
        assert answer["configurationKey"][0]["key"] == "HeartbeatInterval"
        refused = await csms.call("RemoteStartTransaction", {"idTag": "A", "connectorId": 1})
        assert refused == {"status": "Rejected"}
        assert await csms.call("RemoteStopTransaction", {"transactionId": 1}) == {
            "status": "Rejected"
        }
        assert [action for action, _ in csms.calls()] == ["BootNotification"]
        request = {"requestedMessage": "StatusNotification", "connectorId": 1}
        assert await csms.call("TriggerMessage", request) == {"status": "Accepted"}
        await csms.wait_for("StatusNotification")
        csms.boot_status = "Accepted"
        request = {"requestedMessage": "BootNotification"}
        assert await csms.call("TriggerMessage", request) == {"status": "Accepted"}
        await csms.wait_for("StartTransaction")
        assert len(csms.calls("BootNotification")) == 2
        assert rig.station.asked[0] == ("registered", True)


async def test_r16_boot_4_rejected_is_silent(csms: Csms) -> None:
    csms.boot_status = "Rejected"
    csms.interval_s = 1
    async with Rig(csms.url) as rig:
        await csms.wait_for("BootNotification")
        await rig.answered()
        with pytest.raises(TimeoutError):
            await csms.call("GetConfiguration", {}, timeout_s=0.2)
        await csms.send_raw('[2,"1","GetConfiguration"]')
        await csms.send_raw('[2,"2","GetConfiguration",{}]')
        await csms.send_raw('[2,"2","GetConfiguration",{}]')
        await asyncio.sleep(0.05)
        assert [frame[2] for d, frame in csms.frames if d == "out"] == ["BootNotification"]
        assert "rejects" in rig.adapter.why
        csms.boot_status = "Accepted"
        await csms.wait_for("BootNotification", 2)
        await ready(csms, rig)


async def test_r16_boot_5_an_error_to_boot_is_tried_again(
    csms: Csms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.ocpp.v16.registration.SILENCE_S", 0.05)
    csms.script(
        "BootNotification",
        Reply(error=("InternalError", "database")),
        Reply(payload={}),
        Reply(payload={"status": "Maybe", "currentTime": "x", "interval": "y"}),
    )
    async with Rig(csms.url) as rig:
        await csms.wait_for("BootNotification", 4)
        await ready(csms, rig)
    csms.violations[:] = [v for v in csms.violations if not v.startswith("own answer")]


async def test_r16_boot_5_interval_0_leaves_the_wait_to_us(
    csms: Csms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.ocpp.v16.registration.OWN_INTERVAL_S", 0.1)
    csms.boot_status = "Pending"
    csms.interval_s = 0
    async with Rig(csms.url):
        await csms.wait_for("BootNotification", 3)


async def test_r16_boot_6_a_trigger_for_boot_after_acceptance_is_rejected(csms: Csms) -> None:
    async with Rig(csms.url) as rig:
        await ready(csms, rig)
        request = {"requestedMessage": "BootNotification"}
        assert await csms.call("TriggerMessage", request) == {"status": "Rejected"}


@pytest.mark.parametrize(("switch", "boots"), [("false", 1), ("true", 2)])
async def test_r16_boot_7_no_second_boot_on_a_plain_reconnect(
    csms: Csms, switch: str, boots: int
) -> None:
    async with Rig(csms.url, first_boot={"BootOnReconnect": switch}) as rig:
        await ready(csms, rig)
        # What a strict backend must know of a station that does not repeat itself.
        csms.drop()
        await csms.until(lambda: not csms.connected)
        await csms.until(lambda: csms.connected)
        rig.show(SessionPhase.PREPARING)
        await csms.until(lambda: statuses(csms)[-1] == "Preparing")
        assert len(csms.calls("BootNotification")) == boots
        assert rig.adapter.connected
        assert rig.station.asked.count(("registered", True)) == 1
        assert rig.station.asked.count(("registered", False)) == 1


# --- one charge ------------------------------------------------------------------------------------


async def test_one_charge_in_order(csms: Csms) -> None:
    async with Rig(csms.url) as rig:
        await ready(csms, rig)
        await rig.adapter._outbox.settled(1.0)
        rig.show(SessionPhase.PREPARING)
        info = await rig.adapter.authorize(IdToken("04a2b3c4"))
        assert info.status is AuthorizationStatus.ACCEPTED
        assert info.group == IdToken("FLEET")
        rig.report(start())
        rig.show(
            SessionPhase.TRANSACTION, charging_state=ChargingState.CHARGING, transaction_id="t1"
        )
        await csms.until(lambda: statuses(csms)[-1] == "Charging")
        for wh in (1100.0, 1200.0):
            rig.report(MeterValuesTaken(evse=1, sample=sample(wh), transaction_id="t1"))
        rig.report(end())
        rig.show(SessionPhase.FINISHING)
        rig.show(SessionPhase.IDLE)
        await csms.until(lambda: statuses(csms)[-1] == "Available" and len(statuses(csms)) > 3)
        told = [(a, p.get("status")) for a, p in csms.calls()][3:]
        assert told == [
            ("StatusNotification", "Preparing"),
            ("Authorize", None),
            ("StartTransaction", None),
            ("StatusNotification", "Charging"),
            ("MeterValues", None),
            ("MeterValues", None),
            ("StopTransaction", None),
            ("StatusNotification", "Finishing"),
            ("StatusNotification", "Available"),
        ]
        assert ("start_answered", "t1", AuthorizationStatus.ACCEPTED) in rig.station.asked
        assert ("remember", "04A2B3C4", AuthorizationStatus.ACCEPTED) in rig.station.asked
        assert all(
            p["transactionId"] == 1
            for a, p in csms.calls()
            if a in ("MeterValues", "StopTransaction")
        )


async def test_a_refused_start_is_told_also_when_the_cache_cannot_be_written(csms: Csms) -> None:
    """R16-TX-7: the entry is answered, so nobody would tell it a second time."""
    async with Rig(csms.url) as rig:
        await ready(csms, rig)
        tried = asyncio.Event()

        async def full(token: IdToken, info: IdTokenInfo) -> None:
            tried.set()
            raise OSError("disk full")

        rig.station.remember = full  # type: ignore[method-assign]
        rig.report(start())
        await asyncio.wait_for(tried.wait(), 5.0)
        assert ("start_answered", "t1", AuthorizationStatus.ACCEPTED) in rig.station.asked


async def test_r16_tx_5_an_unanswered_start_goes_out_again_with_its_id_after_a_break(
    csms: Csms,
) -> None:
    csms.script("StartTransaction", Reply(silent=True))
    async with Rig(csms.url) as rig:
        await ready(csms, rig)
        rig.report(start(), end())
        await csms.wait_for("StartTransaction")
        csms.drop()
        await csms.wait_for("StopTransaction")
        ids = {
            f[1] for d, f in csms.frames if d == "out" and f[0] == 2 and f[2] == "StartTransaction"
        }
        assert len(ids) == 1
        assert len(csms.rules.transactions) == 1


async def test_a_backend_that_answers_late_gets_one_transaction(csms: Csms) -> None:
    csms.rules.patience_s = 0.7  # the station counts from the sending, the books from the arrival
    csms.always("*", Reply(delay_s=1.5))
    first_boot = {"MessageTimeout": "1", "TransactionMessageRetryInterval": "5"}
    async with Rig(csms.url, first_boot=first_boot) as rig:
        rig.report(start(), end())
        async with asyncio.timeout(15):
            while rig.store.entries:
                await asyncio.sleep(0.05)
        assert len(csms.calls("StartTransaction")) == 1
        assert len(csms.calls("StopTransaction")) == 1
        assert not rig.store.undelivered
        info = await rig.adapter.authorize(CARD)
        assert info.status is AuthorizationStatus.ACCEPTED


async def test_a_silent_link_makes_authorize_fail_and_comes_back(csms: Csms) -> None:
    first_boot = {"WebSocketPingInterval": "1"}
    async with Rig(csms.url, first_boot=first_boot, pong_timeout_s=0.2) as rig:
        await ready(csms, rig)
        csms.go_silent()
        asked = asyncio.create_task(rig.adapter.authorize(CARD))
        with pytest.raises(BackendUnavailable):
            await asyncio.wait_for(asked, 4)
        assert (await _eventually(rig)).status is AuthorizationStatus.ACCEPTED


async def _eventually(rig: Rig):  # type: ignore[no-untyped-def]
    async with asyncio.timeout(4):
        while True:
            try:
                return await rig.adapter.authorize(CARD)
            except BackendUnavailable:
                await asyncio.sleep(0.05)


async def test_a_card_too_long_for_16_is_invalid_without_asking(csms: Csms) -> None:
    async with Rig(csms.url) as rig:
        await ready(csms, rig)
        info = await rig.adapter.authorize(IdToken("x" * 21))
        assert info.status is AuthorizationStatus.INVALID
        assert csms.calls("Authorize") == []


# --- statuses ----------------------------------------------------------------------------------------


async def test_r16_st_4_after_an_absence_only_the_present_status_if_it_changed(csms: Csms) -> None:
    async with Rig(csms.url, evses=2) as rig:
        await ready(csms, rig)
        await rig.adapter.disconnect()
        rig.show(SessionPhase.PREPARING)
        rig.show(
            SessionPhase.TRANSACTION, charging_state=ChargingState.CHARGING, transaction_id="t"
        )
        rig.show(SessionPhase.FINISHING)
        rig.show(SessionPhase.PREPARING, evse=2)
        rig.show(SessionPhase.IDLE, evse=2)
        await rig.adapter.connect()
        await csms.until(lambda: csms.connected)
        await csms.until(lambda: statuses(csms)[-1] == "Finishing")
        await rig.answered()
        assert statuses(csms, 1) == ["Available", "Finishing"]
        assert statuses(csms, 2) == ["Available"]
        assert statuses(csms, 0) == ["Available"]


async def test_r16_st_1_minimum_status_duration(csms: Csms) -> None:
    async with Rig(csms.url, first_boot={"MinimumStatusDuration": "1"}) as rig:
        await ready(csms, rig)
        rig.show(SessionPhase.PREPARING)
        rig.show(SessionPhase.IDLE)
        rig.show(SessionPhase.PREPARING)
        await asyncio.sleep(0.3)
        assert statuses(csms) == ["Available"]
        await csms.until(lambda: statuses(csms)[-1] == "Preparing")
        assert statuses(csms) == ["Available", "Preparing"]


async def test_r16_st_3_faults(csms: Csms) -> None:
    async with Rig(csms.url) as rig:
        await ready(csms, rig)
        rig.show(SessionPhase.IDLE, faults=(EvseFault(name="meter_silent"),))
        rig.show(
            SessionPhase.IDLE,
            inoperative_by_fault=True,
            faults=(EvseFault(name="meter_silent"), EvseFault(name="rcd", latched=True)),
        )
        rig.show(SessionPhase.IDLE)
        await csms.until(lambda: len(csms.calls("StatusNotification")) == 5)
        told = [
            (p["status"], p["errorCode"], p.get("vendorErrorCode"), p.get("vendorId"))
            for _, p in csms.calls("StatusNotification")[2:]
        ]
        assert told == [
            ("Available", "PowerMeterFailure", None, None),
            ("Faulted", "GroundFailure", "CX002", "https://chargex.inl.gov"),
            ("Available", "NoError", None, None),
        ]


async def test_an_unanswered_status_is_told_again(
    csms: Csms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.ocpp.v16.statuses.AGAIN_S", 0.05)
    async with Rig(csms.url) as rig:
        await ready(csms, rig)
        csms.script("StatusNotification", Reply(error=("InternalError", "")))
        rig.show(SessionPhase.PREPARING)
        await csms.until(lambda: statuses(csms).count("Preparing") == 2)


# --- heartbeat -----------------------------------------------------------------------------------------


async def test_r16_hb_1_heartbeat_after_silence_only(csms: Csms) -> None:
    csms.interval_s = 1
    async with Rig(csms.url) as rig:
        await ready(csms, rig)
        for _ in range(3):
            await asyncio.sleep(0.4)
            await rig.adapter.authorize(CARD)
        assert csms.calls("Heartbeat") == []
        await csms.wait_for("Heartbeat", 2)


async def test_a_new_heartbeat_interval_counts_at_once(csms: Csms) -> None:
    async with Rig(csms.url) as rig:
        await ready(csms, rig)
        answer = await csms.call("ChangeConfiguration", {"key": "heartbeatinterval", "value": "1"})
        assert answer == {"status": "Accepted"}
        await csms.wait_for("Heartbeat")
        assert rig.values.values["setting.HeartbeatInterval"] == "1"


async def test_frames_are_kept_for_the_page_without_secrets(csms: Csms) -> None:
    async with Rig(csms.url) as rig:
        await ready(csms, rig)
        await csms.call("ChangeConfiguration", {"key": "authorizationkey", "value": "0011"})
        frames = rig.adapter.frames()
        assert [(d, f[0]) for d, f in frames[:3]] == [("out", 2), ("in", 3), ("out", 2)]
        assert "0011" not in str(frames)
        assert "***" in str(frames)


async def test_a_large_list_of_an_unbuilt_profile_is_refused_cheaply(csms: Csms) -> None:
    async with Rig(csms.url) as rig:
        await ready(csms, rig)
        entries = [
            {"idTag": f"{n:020d}", "idTagInfo": {"status": "Accepted"}} for n in range(60_000)
        ]
        payload = {"listVersion": 1, "updateType": "Full", "localAuthorizationList": entries}
        with pytest.raises(Exception, match="NotSupported"):
            await csms.call("SendLocalList", payload)
        assert "characters" in str(rig.adapter.frames()[-2])


async def test_values_that_survive(csms: Csms) -> None:
    values = FakeValues()
    async with Rig(csms.url, values=values) as rig:
        await ready(csms, rig)
        answer = await csms.call("ChangeConfiguration", {"key": "ConnectionTimeOut", "value": "90"})
        assert answer == {"status": "Accepted"}
    assert Rig(csms.url, values=values).settings.integer("ConnectionTimeOut") == 90
