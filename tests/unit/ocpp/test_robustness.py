"""RPC-1 to RPC-13 over the real link, calls and frames: whatever a backend sends, the right answer and no end.

One table of frames, then thousands of mutated ones from a fixed seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controller.demo.csms import Csms, Reply
from controller.ocpp.link import MAX_FRAME_BYTES
from controller.ocpp.rpc import MAX_DEPTH
from tests.unit.ocpp.fakes import Rig

NOTHING = None
"""the frame is only logged"""
FORMATION, PROTOCOL = "FormationViolation", "ProtocolError"
TYPE, PROPERTY = "TypeConstraintViolation", "PropertyConstraintViolation"
OCCURRENCE = "OccurenceConstraintViolation"
UNKNOWN, UNSUPPORTED = "NotImplemented", "NotSupported"
FINE = "a result"
GROUPS = "[" * 100_000


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def call(action: Any, payload: Any = "{}", message_id: str = '"ID"') -> str:
    """`payload` as text, so that it need not be JSON; ID becomes the id of the row."""
    return f"[2,{message_id},{json.dumps(action)},{payload}]"


GET = call("GetConfiguration", '{"key":["HeartbeatInterval"]}')

TABLE: list[tuple[str, str | bytes, str | None]] = [
    # RPC-5, RPC-6: well-formed calls
    ("a plain call", GET, FINE),
    ("spaces and line breaks", GET.replace(",", " ,\n\t"), FINE),
    ("a byte-order mark", b"\xef\xbb\xbf" + GET.encode(), FINE),
    ("null as payload", call("GetConfiguration", "null"), FINE),
    ("a key twice: the last one counts", call("GetConfiguration", '{"key":["x"],"key":["y"]}'), FINE),
    ("escapes", call("GetConfiguration", r'{"key":["\u0048eartbeatInterval"]}'), FINE),
    ("an id of 36 characters", call("GetConfiguration", "{}", '"' + "x" * 36 + '"'), FINE),
    ("an id with odd characters", call("GetConfiguration", "{}", r'"\ud83d\ude00 \u0000\"ID"'), FINE),
    # RPC-6: actions
    ("an unknown action", call("Foo"), UNKNOWN),
    ("another spelling", call("getconfiguration"), UNKNOWN),
    ("an action that leaves the folder", call("../../../etc/passwd"), UNKNOWN),
    ("an empty action", call(""), UNKNOWN),
    ("an action as long as a frame may be", call("X" * 60_000), UNKNOWN),
    ("the name of an answer", call("ResetResponse"), UNKNOWN),
    ("one of the station's own actions", call("Heartbeat"), UNSUPPORTED),
    ("null as action", call(None), FORMATION),
    ("a number as action", call(7), FORMATION),
    ("an object as action", call({"a": 1}), FORMATION),
    ("a list as action", call([]), FORMATION),
    # RPC-6: payloads
    ("a field is missing", call("Reset"), PROTOCOL),
    ("a field too many", call("Reset", '{"type":"Soft","why":1}'), FORMATION),
    ("a wrong type", call("Reset", '{"type":7}'), TYPE),
    ("a wrong value", call("Reset", '{"type":"Medium"}'), PROPERTY),
    ("a text too long", call("RemoteStartTransaction", json.dumps({"idTag": "x" * 21})), PROPERTY),
    ("too many members", call("GetConfiguration", json.dumps({"key": ["x"] * 101})), OCCURRENCE),
    ("a list as payload", call("Reset", "[]"), TYPE),
    ("a text as payload", call("Reset", '"Soft"'), TYPE),
    ("a number as payload", call("Reset", "7"), TYPE),
    ("a fraction for a whole number", call("UnlockConnector", '{"connectorId":1.5}'), TYPE),
    ("a number beyond all bounds", call("UnlockConnector", '{"connectorId":' + "9" * 400 + "}"), FINE),
    ("a negative connector", call("UnlockConnector", '{"connectorId":-1}'), FINE),
    ("nested as deep as allowed", call("Reset", nested(MAX_DEPTH - 1)), PROTOCOL),
    # RPC-7, RPC-13: frames that cannot be read, with an id
    ("three members", '[2,"ID","Reset"]', FORMATION),
    ("two members", '[2,"ID"]', FORMATION),
    ("five members", '[2,"ID","Reset",{},{}]', FORMATION),
    ("cut off", '[2,"ID","SendLocalList",{"listVersion":1,', FORMATION),
    ("garbage behind", GET + "garbage", FORMATION),
    ("NaN", call("UnlockConnector", '{"connectorId":NaN}'), FORMATION),
    ("Infinity", call("UnlockConnector", '{"connectorId":Infinity}'), FORMATION),
    ("-Infinity", call("UnlockConnector", '{"connectorId":-Infinity}'), FORMATION),
    ("a number that overflows", call("UnlockConnector", '{"connectorId":1e999}'), FORMATION),
    ("a number of 5,000 digits", call("UnlockConnector", '{"connectorId":' + "9" * 5000 + "}"), FORMATION),
    ("nested too deeply", call("Reset", nested(MAX_DEPTH + 1)), FORMATION),
    ("nested very deeply", call("Reset", nested(900)), FORMATION),
    ("nested without end", call("Reset", GROUPS), FORMATION),
    ("bad UTF-8 in a payload", b'[2,"ID","Reset",{"type":"\xc3\x28"}]', FORMATION),
    ("the type as a text", '["2","ID","Reset",{}]', FORMATION),
    ("the type as a fraction", '[2.5,"ID","Reset",{}]', FORMATION),
    ("the type as null", '[null,"ID","Reset",{}]', FORMATION),
    ("single quotes", "[2,\"ID\",'Reset',{}]", FORMATION),
    # RPC-7: without an id nobody can be answered
    ("no JSON", "hello", NOTHING),
    ("nothing", "", NOTHING),
    ("an object", "{}", NOTHING),
    ("an empty list", "[]", NOTHING),
    ("null", "null", NOTHING),
    ("a number", "2", NOTHING),
    ("only the type", "[2]", NOTHING),
    ("null as id", call("Reset", "{}", "null"), NOTHING),
    ("a number as id", call("Reset", "{}", "17"), NOTHING),
    ("an object as id", call("Reset", "{}", '{"a":1}'), NOTHING),
    ("an empty id", call("Reset", "{}", '""'), NOTHING),
    ("an id of 37 characters", call("Reset", "{}", '"' + "x" * 37 + '"'), NOTHING),
    ("an id of a megabyte", call("Reset", "{}", '"' + "x" * 1_000_000 + '"'), NOTHING),
    ("brackets without end", GROUPS, NOTHING),
    ("bad UTF-8", b"\xff\xfe\xfd", NOTHING),
    ("zeros", b"\x00" * 500, NOTHING),
    # RPC-7: other types
    ("type 5", '[5,"ID",{}]', NOTHING),
    ("type 6", '[6,"ID","Reset",{}]', NOTHING),
    ("type 99", '[99,"ID","Reset",{}]', NOTHING),
    ("type -1", '[-1,"ID","Reset",{}]', NOTHING),
    ("true as type", '[true,"ID","Reset",{}]', FORMATION),
    # RPC-8: answers that nobody waits for
    ("a result to nothing", '[3,"ID",{}]', NOTHING),
    ("a result without payload", '[3,"ID"]', NOTHING),
    ("a result of nobody", "[3]", NOTHING),
    ("a result with a list", '[3,"ID",[]]', NOTHING),
    ("an error to nothing", '[4,"ID","GenericError","",{}]', NOTHING),
    ("an error without anything", '[4,"ID"]', NOTHING),
    ("an error of nobody", "[4]", NOTHING),
]  # fmt: skip


class Talk:
    """An adapter before the embedded backend; raw frames in, what they led to out."""

    def __init__(self, csms: Csms, rig: Rig) -> None:
        self.csms, self.rig = csms, rig
        self._number = 0

    async def alive(self) -> list[list[Any]]:
        """Everything that came until a plain call was answered; that answer is the last."""
        self._number += 1
        message_id = f"alive-{self._number}"
        before = len(self.csms.frames)
        await self.csms.send_raw(GET.replace("ID", message_id))

        def answered() -> bool:
            return any(f[0] != 2 and f[1] == message_id for _, f in self.csms.frames[before:])

        await self.csms.until(answered, 20)
        return [f for who, f in self.csms.frames[before:] if who == "out" and f[0] != 2]

    async def answer_to(self, raw: str | bytes, *, awaited: bool = True) -> list[Any] | None:
        """The answer; None = there was none, and a later call was answered."""
        before = len(self.csms.frames)

        def answers() -> list[list[Any]]:
            new = [f for who, f in self.csms.frames[before:] if who == "out" and f[0] != 2]
            return [f for f in new if not str(f[1]).startswith("alive-")]

        await self.csms.send_raw(raw)
        if awaited:
            # Those that need the store come a little later than the others.
            with contextlib.suppress(TimeoutError):
                await self.csms.until(lambda: bool(answers()), 2)
        await self.alive()
        assert len(answers()) <= 1, answers()
        return answers()[0] if answers() else None


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    server = Csms()
    await server.start()
    async with Rig(server.url) as rig:
        await server.until(lambda: ("registered", True) in rig.station.asked)
        yield Talk(server, rig)
    await server.stop()
    assert server.malformed == []
    # Raw frames are not in the backend's books.
    assert [v for v in server.violations if "which nobody asked" not in v] == []


async def test_every_frame_gets_the_answer_that_the_specification_wants(talk: Talk) -> None:
    wrong: dict[str, Any] = {}
    for n, (name, raw, wanted) in enumerate(TABLE):
        message_id = f"row-{n}"
        sent = (
            raw.replace("ID", message_id)
            if isinstance(raw, str)
            else raw.replace(b"ID", message_id.encode())
        )
        answer = await talk.answer_to(sent, awaited=wanted is not NOTHING)
        if wanted is NOTHING:
            good = answer is None
        elif wanted is FINE:
            good = answer is not None and answer[0] == 3 and len(answer) == 3
        else:
            good = answer is not None and answer[0] == 4 and answer[2] == wanted
            if answer is not None and good:
                good = len(answer) == 5 and len(answer[3]) <= 255 and answer[4] == {}
        if answer is not None and good and '"x' not in str(raw)[:8]:
            good = message_id in answer[1] or len(answer[1]) == 36
        if not good:
            wrong[name] = answer
    assert wrong == {}
    assert len(talk.csms.handshakes) == 1, "the connection stayed"


async def test_rpc_4_a_repeated_call_is_answered_the_same_and_done_once(talk: Talk) -> None:
    raw = '[2,"twice","Reset",{"type":"Soft"}]'
    first = await talk.answer_to(raw)
    assert await talk.answer_to(raw) == first
    assert len([a for a in talk.rig.station.asked if a[0] == "reset"]) == 1


async def test_rpc_4_the_same_id_while_the_call_is_handled(talk: Talk) -> None:
    gate = asyncio.Event()

    real = talk.rig.station.clear_cache

    async def clear_cache() -> Any:
        await gate.wait()
        return await real()

    talk.rig.station.clear_cache = clear_cache  # type: ignore[method-assign]
    await talk.csms.send_raw('[2,"same","ClearCache",{}]')
    answer = await talk.answer_to('[2,"same","ClearCache",{}]')
    assert answer is not None and answer[:3] == [4, "same", PROTOCOL]
    gate.set()
    await talk.csms.until(lambda: ("out", [3, "same", {"status": "Accepted"}]) in talk.csms.frames)
    assert [a for a in talk.rig.station.asked if a[0] == "clear_cache"] == [("clear_cache",)]


async def test_rpc_3_calls_cross_without_waiting_for_each_other(talk: Talk) -> None:
    """Our call is open, the backend's are answered; there is never a second open one of ours."""
    talk.csms.script("Heartbeat", Reply(delay_s=0.3))
    await talk.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    await talk.csms.wait_for("Heartbeat")
    for _ in range(5):
        answer = await talk.csms.call("GetConfiguration", {"key": ["HeartbeatInterval"]}, 0.25)
        assert answer["configurationKey"]


@pytest.mark.parametrize(
    "raw",
    [
        '[3,"{id}",[]]',
        '[3,"{id}","ok"]',
        '[4,"{id}","NoSuchError","",{}]',
        '[4,"{id}",7,null]',
        '[4,"{id}"]',
        '[3,"{id}",null]',
        '[3,"{id}",{"currentTime":"2026-01-01T00:00:00Z"},"more"]',
    ],
)
async def test_rpc_8_odd_answers_end_their_call_and_nothing_else(talk: Talk, raw: str) -> None:
    talk.csms.script("Heartbeat", Reply(silent=True))
    await talk.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    await talk.csms.wait_for("Heartbeat")
    message_id = next(f[1] for _, f in talk.csms.frames if f[0] == 2 and f[2] == "Heartbeat")
    await talk.csms.send_raw(raw.replace("{id}", message_id))
    talk.csms.rules.backend_fails(message_id)
    await talk.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    await talk.csms.wait_for("Heartbeat", 2)
    assert len(talk.csms.handshakes) == 1


@pytest.mark.parametrize(
    "raw", ['[3,"wrong-{id}",{}]', '[4,"wrong-{id}","GenericError","",{}]', '[3,"",{}]']
)
async def test_rpc_8_an_answer_with_a_wrong_id_leaves_the_call_open(talk: Talk, raw: str) -> None:
    talk.csms.script("Heartbeat", Reply(delay_s=0.2))
    await talk.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    await talk.csms.wait_for("Heartbeat")
    message_id = next(f[1] for _, f in talk.csms.frames if f[0] == 2 and f[2] == "Heartbeat")
    await talk.csms.send_raw(raw.replace("{id}", message_id))
    await talk.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    await talk.csms.wait_for("Heartbeat", 2)
    assert talk.csms.violations == [], "the second heartbeat waited for the first one's answer"


async def test_rpc_12_a_frame_beyond_the_limit_is_closed_with_1009(talk: Talk) -> None:
    codes: list[int | None] = []
    connection = talk.csms._connection
    assert connection is not None
    await talk.csms.send_raw('[2,"big","DataTransfer",{"data":"' + "x" * MAX_FRAME_BYTES + '"}]')
    await connection.wait_closed()
    codes.append(connection.close_code)
    assert codes == [1009]
    await talk.csms.until(lambda: len(talk.csms.handshakes) >= 2)
    await talk.csms.until(lambda: talk.csms.connected)
    await talk.alive()


async def test_rpc_12_as_much_as_the_largest_backends_send_comes_through(talk: Talk) -> None:
    raw = '[2,"large","Reset",{"type":"' + "x" * (MAX_FRAME_BYTES - 100) + '"}]'
    answer = await talk.answer_to(raw)
    assert answer is not None and answer[2] == PROPERTY


# --- mutated frames ---------------------------------------------------------------------------------------------

SEED, COUNT, BATCH = 20_260_301, 6_000, 300

SEEDS: list[list[Any]] = [
    [2, "1", "ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}],
    [2, "1", "ChangeConfiguration", {"key": "HeartbeatInterval", "value": "300"}],
    [2, "1", "ClearCache", {}],
    [2, "1", "DataTransfer", {"vendorId": "x", "messageId": "y", "data": "z"}],
    [2, "1", "GetConfiguration", {"key": ["HeartbeatInterval", "Colour"]}],
    [2, "1", "RemoteStartTransaction", {"idTag": "AA", "connectorId": 1}],
    [2, "1", "RemoteStopTransaction", {"transactionId": 1}],
    [2, "1", "Reset", {"type": "Soft"}],
    [2, "1", "UnlockConnector", {"connectorId": 1}],
    [2, "1", "TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1}],
    [2, "1", "GetLocalListVersion", {}],
    [2, "1", "SendLocalList", {
        "listVersion": 2, "updateType": "Full",
        "localAuthorizationList": [{"idTag": "AA", "idTagInfo": {"status": "Accepted"}}]}],
    [2, "1", "ReserveNow", {
        "connectorId": 1, "expiryDate": "2026-01-01T00:00:00Z", "idTag": "AA", "reservationId": 1}],
    [2, "1", "CancelReservation", {"reservationId": 1}],
    [2, "1", "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": {
        "chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute", "chargingSchedule": {
            "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}]}}}],
    [2, "1", "ClearChargingProfile", {"id": 1}],
    [2, "1", "GetCompositeSchedule", {"connectorId": 1, "duration": 60}],
    [2, "1", "GetDiagnostics", {"location": "ftp://127.0.0.1/x"}],
    [2, "1", "UpdateFirmware", {"location": "ftp://127.0.0.1/x", "retrieveDate": "2026-01-01T00:00:00Z"}],
    [3, "1", {"status": "Accepted"}],
    [3, "1", {"idTagInfo": {"status": "Accepted"}, "transactionId": 1}],
    [4, "1", "GenericError", "text", {}],
]  # fmt: skip
ODD: list[Any] = [
    None, True, 0, -1, 2**63, 1e308, 0.1, "", "x" * 300, "\u0000", "\ud83d\ude00", [], {}, [[]], {"": None}, "NaN",
]  # fmt: skip


def mutated(random_: random.Random, number: int) -> tuple[str, bytes]:
    """A frame with a new id, changed in its values, then perhaps in its bytes."""
    frame = json.loads(json.dumps(random_.choice(SEEDS)))
    message_id = f"{number:06d}{random_.getrandbits(64):016x}"
    frame[1] = message_id
    for _ in range(random_.randint(0, 3)):
        change(random_, frame)
    raw = bytearray(
        json.dumps(frame, ensure_ascii=random_.random() < 0.5).encode("utf-8", "replace")
    )
    for _ in range(random_.choice((0, 0, 0, 1, 1, 2, 5))):
        if not raw:
            break
        place = random_.randrange(len(raw))
        match random_.randrange(5):
            case 0:
                raw[place] = random_.randrange(256)
            case 1:
                del raw[place : place + random_.randint(1, 8)]
            case 2:
                raw[place:place] = random_.choice(
                    (b"[", b"{", b'"', b",", b"NaN", b"\xff", b"null", b"1e999")
                )
            case 3:
                del raw[place:]
            case _:
                raw += raw[place:]
    return message_id, bytes(raw)


def change(random_: random.Random, frame: list[Any]) -> None:
    """Replace, delete, add or double something at a random place."""
    spot: Any = frame
    while True:
        keys = list(spot) if isinstance(spot, dict) else list(range(len(spot)))
        if not keys:
            return
        key = random_.choice(keys)
        inner = spot[key]
        if isinstance(inner, dict | list) and inner and random_.random() < 0.7:
            spot = inner
            continue
        match random_.randrange(4):
            case 0:
                del spot[key]
            case 1 if isinstance(spot, dict):
                spot["odd"] = random_.choice(ODD)
            case 2 if isinstance(spot, list):
                spot.append(inner)
            case _:
                spot[key] = random_.choice(ODD)
        return


async def test_thousands_of_mutated_frames_are_survived(talk: Talk) -> None:
    """At most one answer to each id, every answer well-formed, the connection stays, the station works."""
    random_ = random.Random(SEED)
    talk.csms.interval_s = 0
    sent = 0
    frames: dict[str, bytes] = {}
    for _ in range(COUNT // BATCH):
        for _ in range(BATCH):
            message_id, raw = mutated(random_, sent)
            frames[message_id] = raw
            await talk.csms.send_raw(raw)
            sent += 1
        await talk.alive()
    assert sent >= 5_000
    answered: dict[str, int] = {}
    failed: list[bytes | None] = []
    errors = results = 0
    for who, frame in talk.csms.frames:
        if who != "out" or frame[0] == 2:
            continue
        assert isinstance(frame[1], str) and 0 < len(frame[1]) <= 36
        answered[frame[1]] = answered.get(frame[1], 0) + 1
        if frame[0] == 3:
            results += 1
            assert len(frame) == 3 and isinstance(frame[2], dict)
        else:
            errors += 1
            assert len(frame) == 5 and isinstance(frame[3], str) and len(frame[3]) <= 255
            if frame[2] == "InternalError":
                failed.append(frames.get(frame[1]))
    assert failed == []
    doubled = {i: n for i, n in answered.items() if n > 1 and i in frames}
    assert doubled == {}
    assert errors > 1_000 and results > 200, "the mutations are neither too tame nor too wild"
    assert len(talk.csms.handshakes) == 1
