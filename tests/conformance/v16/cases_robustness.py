"""Frames, sizes and limits as a certification laboratory tries them on a whole station (RPC-4 to RPC-13)."""

from __future__ import annotations

from controller.ocpp.link import MAX_FRAME_BYTES
from tests.conformance.lab import CARD, Lab
from tests.conformance.registry import case

NO_VALUES = {"MeterValueSampleInterval": "0"}


@case(
    "RPC-6",
    title="Each kind of wrong request has its error code",
)
async def each_error_code(lab: Lab) -> None:
    for action, payload, code in (
        ("Foo", {}, "NotImplemented"),
        ("reset", {"type": "Soft"}, "NotImplemented"),
        ("X" * 1000, {}, "NotImplemented"),
        ("Heartbeat", {}, "NotSupported"),
        ("Reset", {}, "ProtocolError"),
        ("Reset", {"type": "Soft", "more": 1}, "FormationViolation"),
        ("Reset", {"type": 1}, "TypeConstraintViolation"),
        ("Reset", {"type": "Medium"}, "PropertyConstraintViolation"),
        ("GetConfiguration", {"key": ["x"] * 101}, "OccurenceConstraintViolation"),
        ("RemoteStartTransaction", {"idTag": "x" * 21}, "PropertyConstraintViolation"),
        ("UnlockConnector", {"connectorId": 1.5}, "TypeConstraintViolation"),
    ):
        await lab.csms.fails(action, payload, code)
    await lab.csms.call("GetLocalListVersion", {}, listVersion=0)


@case(
    "RPC-12",
    title="A frame beyond the limit: closed with 1009, connected again, the charge goes on",
    config=NO_VALUES,
)
async def an_oversized_frame(lab: Lab) -> None:
    start = await lab.begin_charging()
    connection = lab.csms._connection
    assert connection is not None
    await lab.csms.send_raw('[2,"big","DataTransfer",{"data":"' + "x" * MAX_FRAME_BYTES + '"}]')
    await lab.until(lambda: len(lab.csms.handshakes) >= 2, 60, "the next connection")
    assert connection.close_code == 1009
    await lab.until(lambda: lab.station.backend.connected, 30, "registration")
    assert lab.evse().closed
    lab.tap(CARD)
    await lab.csms.expect("StopTransaction", transactionId=start.transaction_id)


@case(
    "RPC-4",
    title="A repeated request is answered the same and done once",
    config=NO_VALUES,
)
async def a_repeated_request(lab: Lab) -> None:
    lab.plug()
    await lab.sleep(2)
    raw = f'[2,"again","RemoteStartTransaction",{{"idTag":"{CARD}","connectorId":1}}]'
    for _ in range(3):
        await lab.csms.send_raw(raw)
    await lab.csms.expect("StartTransaction", connectorId=1, idTag=CARD)
    answers = [f for who, f in lab.csms.frames if who == "out" and f[1] == "again"]
    assert [3, "again", {"status": "Accepted"}] in answers
    assert all(a[0] == 4 or a[2] == {"status": "Accepted"} for a in answers)
    await lab.csms.quiet("StartTransaction", for_s=20)
    lab.tolerate("which nobody asked")
