"""OCPP-J frames (ocpp-requirements §6): what comes in, what is answered, and that nothing escapes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.ocpp.rpc import (
    Answered,
    CallFailed,
    Dialect,
    ErrorName,
    Ignored,
    IncomingCall,
    Reply,
    Rpc,
    TimedOut,
    dump,
    new_message_id,
)

DEEP = "[" * 100_000


def opened(rpc: Rpc, message_id: str = "m1", now_s: float = 0.0) -> Rpc:
    rpc.call(message_id, "Heartbeat", {}, now_s=now_s, timeout_s=30.0)
    return rpc


@pytest.mark.parametrize(
    "raw",
    [
        "hello",
        "",
        "{}",
        "[]",
        "null",
        "2",
        "[2]",
        '[2,null,"Reset",{}]',
        '[2,17,"Reset",{}]',
        '[2,"' + "x" * 37 + '","Reset",{}]',
        '[2,"","Reset",{}]',
        '["2",17,"Reset",{}]',
        "[true,17,{}]",
        DEEP,
        "[" + '{"a":' * 5000 + "1" + "}" * 5000 + "]",
        b"\xff\xfe",
        "[5,1,{}]",
        '[6,"x","Y",{}]',
        '[9,"x",{}]',
        '[3,"nobody",{}]',
        "[3]",
        "[3,1,{}]",
        '[4,"nobody","GenericError","",{}]',
        "[4]",
    ],
)
def test_rpc_7_a_frame_without_a_usable_id_is_only_logged(raw: str | bytes) -> None:
    assert isinstance(Rpc().receive(raw), Ignored)


@pytest.mark.parametrize(
    "raw",
    [
        '[2,"1"]',
        '[2,"1","SendLocalList",{"listVersion":1,',
        '[2,"1","Reset",' + DEEP,
        b'[2,"1","Reset",{"a":"\xc3"}]',
        '[2,"1","Reset",{"a":NaN}]',
        '[2,"1","Reset",{"a":Infinity}]',
        '[2,"1","Reset",{"a":-Infinity}]',
        '[2,"1","Reset",{"a":1e999}]',
        '[2,"1","Reset",{"a":' + "9" * 5000 + "}]",
        '[2,"1","Reset",{}]garbage',
        '[2,"1","Reset"]',
        '[2,"1","Reset",{},{}]',
        '[2,"1",{"a":1},{}]',
        '[2,"1",null,{}]',
        '[2,"1",7,{}]',
        '["2","1","Reset",{}]',
        '[2.5,"1","Reset",{}]',
        '[null,"1","Reset",{}]',
    ],
)
def test_rpc_7_a_malformed_call_with_an_id_gets_formation_violation(raw: str | bytes) -> None:
    event = Rpc().receive(raw)
    assert isinstance(event, Reply)
    kind, message_id, code, description, details = json.loads(event.text)
    assert (kind, message_id, code, details) == (4, "1", "FormationViolation", {})
    assert 0 < len(description) <= 255


def test_rpc_7_in_2x_an_unreadable_frame_is_answered_with_id_minus_one() -> None:
    dialect = Dialect(spelling={}, unreadable_id="-1", answers_unknown_type=True)
    event = Rpc(dialect).receive("hello")
    assert isinstance(event, Reply)
    assert json.loads(event.text)[:3] == [4, "-1", "RpcFrameworkError"]
    unknown = Rpc(dialect).receive('[9,"x",{}]')
    assert isinstance(unknown, Reply)
    assert json.loads(unknown.text)[:3] == [4, "x", "MessageTypeNotSupported"]


@pytest.mark.parametrize("payload", [{}, [], "text", 7, {"deep": [[[[]]]]}])
def test_a_call_is_handed_on_with_whatever_payload(payload: Any) -> None:
    event = Rpc().receive(json.dumps([2, "1", "Reset", payload]))
    assert event == IncomingCall(message_id="1", action="Reset", payload=payload)


def test_rpc_5_a_null_payload_counts_as_empty() -> None:
    event = Rpc().receive('[2,"1","Heartbeat",null]')
    assert event == IncomingCall(message_id="1", action="Heartbeat", payload={})
    rpc = opened(Rpc())
    assert rpc.receive('[3,"m1",null]') == Answered(message_id="m1", action="Heartbeat", payload={})


def test_rpc_13_a_byte_order_mark_is_tolerated() -> None:
    assert isinstance(Rpc().receive(b'\xef\xbb\xbf[2,"1","Reset",{}]'), IncomingCall)
    assert isinstance(Rpc().receive('\ufeff[2,"1","Reset",{}]'), IncomingCall)


def test_rpc_3_one_call_at_a_time_and_incoming_ones_meanwhile() -> None:
    rpc = opened(Rpc())
    with pytest.raises(RuntimeError, match="Heartbeat"):
        rpc.call("m2", "Authorize", {}, now_s=0.0, timeout_s=1.0)
    assert isinstance(rpc.receive('[2,"x","Reset",{"type":"Soft"}]'), IncomingCall)
    assert rpc.answer("x", {"status": "Accepted"}) == '[3,"x",{"status":"Accepted"}]'
    assert rpc.open_call == "m1"
    assert isinstance(rpc.receive('[3,"m1",{}]'), Answered)
    assert rpc.open_call is None


def test_rpc_11_a_late_answer_still_counts() -> None:
    rpc = opened(Rpc())
    assert rpc.expire(29.9) is None
    assert rpc.expire(30.0) == TimedOut(message_id="m1", action="Heartbeat")
    opened(rpc, "m2", 30.0)
    assert rpc.receive('[3,"m1",{"a":1}]') == Answered(
        message_id="m1", action="Heartbeat", payload={"a": 1}, late=True
    )
    assert isinstance(rpc.receive('[3,"m1",{}]'), Ignored), "only once"
    assert rpc.open_call == "m2"


def test_the_same_id_may_be_sent_again_after_a_time_out() -> None:
    rpc = opened(Rpc())
    rpc.expire(30.0)
    opened(rpc, "m1", 60.0)
    event = rpc.receive('[3,"m1",{}]')
    assert isinstance(event, Answered)
    assert not event.late


def test_late_calls_are_remembered_in_bounds() -> None:
    rpc = Rpc()
    for n in range(100):
        opened(rpc, f"m{n}", 0.0)
        rpc.expire(30.0)
    assert isinstance(rpc.receive('[3,"m0",{}]'), Ignored)
    assert isinstance(rpc.receive('[3,"m99",{}]'), Answered)


def test_after_a_lost_connection_no_answer_counts() -> None:
    rpc = opened(Rpc())
    rpc.lost()
    assert isinstance(rpc.receive('[3,"m1",{}]'), Ignored)
    opened(rpc, "m1")


@pytest.mark.parametrize(
    ("raw", "code", "description"),
    [
        ('[4,"m1","GenericError","no",{}]', "GenericError", "no"),
        ('[4,"m1","OccurrenceConstraintViolation","",{}]', "OccurrenceConstraintViolation", ""),
        ('[4,"m1","FormatViolation"]', "FormatViolation", ""),
        ('[4,"m1"]', "GenericError", ""),
        ('[4,"m1",7,null,null,null]', "GenericError", ""),
        ('[3,"m1",[]]', "FormationViolation", "the answer's payload is not an object"),
        ('[3,"m1","x"]', "FormationViolation", "the answer's payload is not an object"),
    ],
)
def test_rpc_6_errors_in_any_spelling_fail_the_call(raw: str, code: str, description: str) -> None:
    event = opened(Rpc()).receive(raw)
    assert event == CallFailed(
        message_id="m1", action="Heartbeat", code=code, description=description
    )


@pytest.mark.parametrize(
    ("error", "spelled"),
    [
        (ErrorName.NOT_IMPLEMENTED, "NotImplemented"),
        (ErrorName.NOT_SUPPORTED, "NotSupported"),
        (ErrorName.INTERNAL, "InternalError"),
        (ErrorName.PROTOCOL, "ProtocolError"),
        (ErrorName.SECURITY, "SecurityError"),
        (ErrorName.FORMATION, "FormationViolation"),
        (ErrorName.PROPERTY, "PropertyConstraintViolation"),
        (ErrorName.OCCURRENCE, "OccurenceConstraintViolation"),
        (ErrorName.TYPE, "TypeConstraintViolation"),
        (ErrorName.GENERIC, "GenericError"),
    ],
)
def test_rpc_6_error_names_of_16(error: ErrorName, spelled: str) -> None:
    rpc = Rpc()
    rpc.receive('[2,"1","Reset",{}]')
    assert json.loads(rpc.refuse("1", error, "d" * 300)) == [4, "1", spelled, "d" * 255, {}]


def test_rpc_4_a_repeated_call_gets_the_same_answer_and_is_not_handled_twice() -> None:
    rpc = Rpc()
    raw = '[2,"1","Reset",{"type":"Soft"}]'
    assert isinstance(rpc.receive(raw), IncomingCall)
    doubled = rpc.receive(raw)
    assert isinstance(doubled, Reply)
    assert json.loads(doubled.text)[2] == "ProtocolError"
    text = rpc.answer("1", {"status": "Accepted"})
    assert rpc.receive(raw) == Reply(text=text)
    other = rpc.receive('[2,"1","ClearCache",{}]')
    assert isinstance(other, IncomingCall), "a crude backend uses one id for everything"


def test_rpc_4_answers_are_remembered_in_bounds() -> None:
    rpc = Rpc()
    for n in range(100):
        rpc.receive(f'[2,"{n}","ClearCache",{{}}]')
        rpc.answer(str(n), {})
    assert isinstance(rpc.receive('[2,"0","ClearCache",{}]'), IncomingCall)
    assert isinstance(rpc.receive('[2,"99","ClearCache",{}]'), Reply)


def test_odd_characters_of_an_id_survive_the_echo() -> None:
    rpc = Rpc()
    event = rpc.receive('[2,"\\ud800\\u0000ü","Reset"]')
    assert isinstance(event, Reply)
    assert event.text.isascii()
    assert json.loads(event.text)[1] == "\ud800\x00ü"


def test_rpc_4_message_ids_are_uuids() -> None:
    ids = {new_message_id() for _ in range(1000)}
    assert len(ids) == 1000
    for message_id in ids:
        assert len(message_id) == 36
        assert message_id[14] == "4"
        assert message_id[19] in "89ab"


def test_nan_never_leaves() -> None:
    with pytest.raises(ValueError, match="JSON"):
        dump([3, "1", {"a": float("nan")}])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(json_values | st.tuples(st.integers(0, 10), st.text(max_size=40), json_values, json_values))
def test_no_json_value_raises(value: Any) -> None:
    event = opened(Rpc()).receive(json.dumps(value))
    if isinstance(event, Reply):
        assert json.loads(event.text)[0] == 4


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_bytes_raise(raw: bytes | str) -> None:
    opened(Rpc()).receive(raw)
