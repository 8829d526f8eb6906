"""What went wrong between other stations and backends, each once (ocpp-requirements §1.4)."""

from __future__ import annotations

from tests.conformance.lab import CARD, OTHER_CARD, Lab
from tests.conformance.matching import ABSENT
from tests.conformance.registry import case

NO_VALUES = {"MeterValueSampleInterval": "0"}
SOON = ("2026-11-22T13:00:0", "2026-11-22T12:59:59")
"""a clock that is right to a second is left alone"""


@case(
    "R16-TX-4",
    title="One plug-in, one start: cards, remote starts and repetitions at once",
    config=NO_VALUES,
)
async def one_start_for_one_plug_in(lab: Lab) -> None:
    lab.plug()
    await lab.sleep(2)
    lab.tap(CARD)
    lab.tap(CARD)
    answers = [
        (await lab.csms.call("RemoteStartTransaction", {"idTag": CARD, "connectorId": 1}))["status"]
        for _ in range(3)
    ]
    start = await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)
    assert "Rejected" in answers
    await lab.csms.quiet("StartTransaction", for_s=30)
    assert start.transaction_id == 1 and len(lab.csms.rules.transactions) <= 1


@case(
    "R16-TX-8",
    title="After a power loss with the cable in, no Preparing or Charging before the old transaction is closed",
    config=NO_VALUES,
)
async def no_stale_transaction_after_the_boot(lab: Lab) -> None:
    start = await lab.begin_charging()
    await lab.sleep(30)
    await lab.power_loss(off_s=20)
    stop = await lab.csms.expect(
        "StopTransaction", within=90, transactionId=start.transaction_id, reason="PowerLoss"
    )
    boot = max(c.index for c in lab.csms.seen if c.action == "BootNotification")
    between = [
        c["status"]
        for c in lab.csms.seen
        if c.action == "StatusNotification"
        and boot < c.index < stop.index
        and c["connectorId"] == 1
    ]
    assert not {"Preparing", "Charging", "SuspendedEV", "SuspendedEVSE"} & set(between)


@case("RPC-2", title="One handshake for all versions: no connections to try things out")
async def no_probing_connections(lab: Lab) -> None:
    await lab.csms.call("GetConfiguration", {"key": ["HeartbeatInterval"]}, unknownKey=ABSENT)
    assert len(lab.csms.handshakes) == 1


@case("R16-SC-7", title="What cannot be switched is not promised: one or three phases")
async def phase_switching_is_not_promised(lab: Lab) -> None:
    await lab.csms.call(
        "GetConfiguration",
        {"key": ["ConnectorSwitch3to1PhaseSupported"]},
        configurationKey=[
            {"key": "ConnectorSwitch3to1PhaseSupported", "readonly": True, "value": "false"}
        ],
    )


@case(
    "RPC-3",
    title="A backend with little patience: every call is answered within 2 s, also while charging",
    config=NO_VALUES,
)
async def answers_come_soon(lab: Lab) -> None:
    lab.csms.rules.answered_s = 2.0
    start = await lab.begin_charging()
    for action, payload in (
        ("GetConfiguration", {}),
        ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "600"}),
        ("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}),
        ("ChangeAvailability", {"connectorId": 1, "type": "Operative"}),
        ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1}),
        ("GetLocalListVersion", {}),
        ("GetCompositeSchedule", {"connectorId": 1, "duration": 86400}),
        ("DataTransfer", {"vendorId": "nobody"}),
        ("ClearCache", {}),
        ("RemoteStartTransaction", {"idTag": OTHER_CARD}),
    ):
        await lab.csms.call(action, payload, timeout_s=2.5)
    await lab.csms.call(
        "RemoteStopTransaction", {"transactionId": start.transaction_id}, status="Accepted"
    )
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id, reason="Remote")
    await lab.csms.call("Reset", {"type": "Soft"}, timeout_s=2.5, status="Accepted")


@case(
    "RPC-3",
    title="A backend that asks before it has answered: both are served",
    config=NO_VALUES,
)
async def asked_while_asking(lab: Lab) -> None:
    lab.csms.reply("Authorize", delay_s=6)
    lab.plug()
    await lab.sleep(2)
    lab.tap(CARD)
    await lab.csms.expect("Authorize", idTag=CARD)
    await lab.csms.call("GetConfiguration", {"key": ["HeartbeatInterval"]}, unknownKey=ABSENT)
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)


@case(
    "RPC-8",
    title="A backend that adds fields of its own to every answer is understood",
    config=NO_VALUES,
)
async def answers_with_more_in_them(lab: Lab) -> None:
    lab.tolerate("own answer to")
    lab.csms.reply(
        "Authorize", {"idTagInfo": {"status": "Accepted", "colour": "red"}, "more": {"a": [1]}}
    )
    lab.csms.reply(
        "StartTransaction",
        {"transactionId": 99, "idTagInfo": {"status": "Accepted"}, "server": "x"},
    )
    lab.plug()
    await lab.sleep(2)
    lab.tap(CARD)
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)
    await lab.closed()
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=99)


@case(
    "RPC-8",
    title="An answer to a start without a transactionId is a failed attempt, not the end",
    config={**NO_VALUES, "TransactionMessageRetryInterval": "5"},
)
async def a_start_answered_without_an_id(lab: Lab) -> None:
    lab.tolerate("own answer to StartTransaction")
    lab.csms.reply("StartTransaction", {"idTagInfo": {"status": "Accepted"}})
    lab.plug()
    await lab.sleep(2)
    lab.tap(CARD)
    await lab.csms.expect("StartTransaction", idTag=CARD)
    start = await lab.csms.expect("StartTransaction", idTag=CARD)
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)


@case(
    "R16-TIME-1",
    title="Times of the backend in every spelling: local time with an offset, microseconds, no fraction",
)
async def times_in_every_spelling(lab: Lab) -> None:
    for text in (
        "2026-11-22T15:00:00+02:00",
        "2026-11-22T13:00:00.123456Z",
        "2026-11-22T13:00:00Z",
        "2026-11-22T13:00:00.1Z",
    ):
        lab.csms.reply("Heartbeat", {"currentTime": text})
        await lab.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"}, status="Accepted")
        await lab.csms.expect("Heartbeat")
        await lab.sleep(0.2)
        await lab.csms.call(
            "TriggerMessage",
            {"requestedMessage": "StatusNotification", "connectorId": 1},
            status="Accepted",
        )
        await lab.csms.expect(
            "StatusNotification",
            connectorId=1,
            timestamp=lambda t: str(t).startswith(SOON) and str(t).endswith("Z"),
        )


@case(
    "RPC-7",
    title="Frames that nobody can read: the connection stays, the next call is answered",
)
async def garbage_in_between(lab: Lab) -> None:
    for raw in (
        "hello",
        "[]",
        "{}",
        '[2,"x"',
        "[" * 50_000,
        b"\xff\xfe",
        '[9,"x",{}]',
        '[3,"nobody",{}]',
        '[4,"nobody","GenericError","",{}]',
    ):
        await lab.csms.send_raw(raw)
        await lab.csms.call("GetLocalListVersion", {}, listVersion=0)
    assert len(lab.csms.handshakes) == 1
    lab.tolerate("which nobody asked")
