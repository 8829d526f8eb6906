"""OCPP-J message frames without I/O: text in, events out; calls in, text out; time is an argument.

The five verbs: `receive(raw)` turns a frame into an event; `call`, `answer` and `refuse` make frames; `expire(now)`
ends the open CALL when its time is over; `lost()` forgets the connection. At most one CALL of ours is open
(J 1.6 §4.1.1); calls of the backend are answered meanwhile. Whatever arrives, nothing is raised.
"""

from __future__ import annotations

import json
import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

Payload = dict[str, Any]

_CALL_START = re.compile(r'\ufeff?\s*\[\s*2\s*,\s*"([^"\\]{1,36})"\s*,')

MAX_ID = 36
MAX_DESCRIPTION = 255
MAX_DEPTH = 64
"""no schema needs a tenth of it; what is deeper could not even be shown on the page (RPC-13)"""
LARGE = 65_536
"""in larger frames the depth is left to the schema check, which refuses it as well"""
ANSWERS_KEPT = 32
LATE_KEPT = 64


class ErrorName(StrEnum):
    """CALLERROR codes by meaning; `ErrorNames` gives the spelling of a version."""

    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    INTERNAL = "InternalError"
    PROTOCOL = "ProtocolError"
    SECURITY = "SecurityError"
    FORMATION = "FormationViolation"
    PROPERTY = "PropertyConstraintViolation"
    OCCURRENCE = "OccurrenceConstraintViolation"
    TYPE = "TypeConstraintViolation"
    GENERIC = "GenericError"
    FRAMEWORK = "RpcFrameworkError"
    MESSAGE_TYPE = "MessageTypeNotSupported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one version spells errors, and what it does with frames that cannot be read (RPC-6, RPC-7)."""

    spelling: Mapping[ErrorName, str]
    unreadable_id: str | None
    """message id of the answer to a frame whose id cannot be read; None = such a frame is not answered"""
    answers_unknown_type: bool = False

    def name(self, error: ErrorName) -> str:
        """The code as this version writes it."""
        return self.spelling.get(error, error.value)


DIALECT_16 = Dialect(
    spelling={
        # 1.6 misspells this one (table 7); a backend compares literally.
        ErrorName.OCCURRENCE: "OccurenceConstraintViolation",
        ErrorName.FRAMEWORK: "FormationViolation",
        ErrorName.MESSAGE_TYPE: "FormationViolation",
    },
    unreadable_id=None,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingCall:
    """The backend asks; answer it with `answer` or `refuse`. The payload is not yet checked against a schema."""

    message_id: str
    action: str
    payload: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """CALLRESULT to our CALL; `late` = it came after the time-out."""

    message_id: str
    action: str
    payload: Payload
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailed:
    """CALLERROR to our CALL."""

    message_id: str
    action: str
    code: str
    description: str
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOut:
    """No answer in time; a late one is still reported while the connection lives."""

    message_id: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A frame to send at once: the answer to something unreadable, or to a repeated call."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """Nothing to do; `why` is for the log."""

    why: str


Event = IncomingCall | Answered | CallFailed | Reply | Ignored


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    message_id: str
    action: str
    deadline_s: float


class _Unreadable(Exception):
    pass


class Rpc:
    """One connection's bookkeeping. All times in seconds of one monotonic clock."""

    def __init__(self, dialect: Dialect = DIALECT_16) -> None:
        self._dialect = dialect
        self._open: _Open | None = None
        self._late: OrderedDict[str, str] = OrderedDict()
        self._handling: dict[str, int] = {}
        self._answers: OrderedDict[str, tuple[int, str]] = OrderedDict()

    @property
    def open_call(self) -> str | None:
        """Message id of our CALL that waits for its answer."""
        return self._open.message_id if self._open else None

    @property
    def deadline_s(self) -> float | None:
        """When the open CALL times out."""
        return self._open.deadline_s if self._open else None

    def call(
        self,
        message_id: str,
        action: str,
        payload: Payload,
        *,
        now_s: float,
        timeout_s: float,
    ) -> str:
        """The frame of a CALL. Raises RuntimeError while another one is open."""
        if self._open is not None:
            raise RuntimeError(f"{self._open.action} is still open")
        text = dump([2, message_id, action, payload])
        self._late.pop(message_id, None)
        self._open = _Open(message_id=message_id, action=action, deadline_s=now_s + timeout_s)
        return text

    def answer(self, message_id: str, payload: Payload) -> str:
        """The frame of a CALLRESULT."""
        return self._finish(message_id, dump([3, message_id, payload]))

    def refuse(
        self,
        message_id: str,
        error: ErrorName,
        description: str = "",
        details: Payload | None = None,
    ) -> str:
        """The frame of a CALLERROR in this version's spelling."""
        return self._finish(message_id, self._error(message_id, error, description, details))

    def is_handling(self, message_id: str) -> bool:
        """The call came on this connection and has no answer yet."""
        return message_id in self._handling

    def leave(self, message_id: str) -> None:
        """The call is not going to be answered."""
        self._handling.pop(message_id, None)

    def expire(self, now_s: float) -> TimedOut | None:
        """Close the open CALL if its time is over; its answer may still come late."""
        if self._open is None or now_s < self._open.deadline_s:
            return None
        closed, self._open = self._open, None
        self._late[closed.message_id] = closed.action
        while len(self._late) > LATE_KEPT:
            self._late.popitem(last=False)
        return TimedOut(message_id=closed.message_id, action=closed.action)

    def lost(self) -> None:
        """The connection is gone: nothing is open, no answer can come. Answers given stay known."""
        self._open = None
        self._late.clear()
        self._handling.clear()

    def receive(self, raw: bytes | str) -> Event:
        """What a frame means. Never raises."""
        try:
            frame = parse(raw)
        except _Unreadable as error:
            return self._unreadable(_id_at_start(raw), f"not JSON: {error}")
        if not isinstance(frame, list) or not frame:
            return self._unreadable(None, "not a message array")
        kind = frame[0]
        message_id = frame[1] if len(frame) > 1 and isinstance(frame[1], str) else None
        if message_id is not None and not 0 < len(message_id) <= MAX_ID:
            message_id = None
        if isinstance(kind, bool) or not isinstance(kind, int):
            return self._unreadable(message_id, "message type is not a number")
        if kind == 2:
            return self._receive_call(frame, message_id, hash(raw))
        if kind == 3:
            return self._receive_result(frame, message_id)
        if kind == 4:
            return self._receive_error(frame, message_id)
        if self._dialect.answers_unknown_type:
            return self._reply_error(
                message_id or self._dialect.unreadable_id,
                ErrorName.MESSAGE_TYPE,
                f"message type {kind}",
            )
        return Ignored(why=f"message type {kind} is unknown")

    def _receive_call(self, frame: list[Any], message_id: str | None, seen: int) -> Event:
        if message_id is None:
            return self._unreadable(None, "CALL without a usable message id")
        answered = self._answers.get(message_id)
        # Crude backends use one id for everything: only the same frame again is a repetition.
        if answered is not None and answered[0] == seen:
            return Reply(text=answered[1])
        if message_id in self._handling:
            return self._reply_error(message_id, ErrorName.PROTOCOL, "message id is being handled")
        if len(frame) != 4:
            return self._unreadable(message_id, f"a CALL has 4 members, not {len(frame)}")
        action, payload = frame[2], frame[3]
        if not isinstance(action, str):
            return self._unreadable(message_id, "action is not a text")
        self._handling[message_id] = seen
        # Some backends write null for an empty payload (RPC-5).
        return IncomingCall(
            message_id=message_id,
            action=action,
            payload={} if payload is None else payload,
        )

    def _receive_result(self, frame: list[Any], message_id: str | None) -> Event:
        if message_id is None or len(frame) < 3:
            return Ignored(why="malformed CALLRESULT")
        if not isinstance(frame[2], dict | None):
            found = self._take(message_id)
            if found is None:
                return Ignored(why="CALLRESULT to nothing that is open")
            action, late = found
            return CallFailed(
                message_id=message_id,
                action=action,
                code=self._dialect.name(ErrorName.FORMATION),
                description="the answer's payload is not an object",
                late=late,
            )
        found = self._take(message_id)
        if found is None:
            return Ignored(why="CALLRESULT to nothing that is open")
        return Answered(
            message_id=message_id,
            action=found[0],
            payload=frame[2] or {},
            late=found[1],
        )

    def _receive_error(self, frame: list[Any], message_id: str | None) -> Event:
        found = self._take(message_id) if message_id is not None else None
        if message_id is None or found is None:
            return Ignored(why="CALLERROR to nothing that is open")
        texts = [part if isinstance(part, str) else "" for part in [*frame[2:4], "", ""]]
        return CallFailed(
            message_id=message_id,
            action=found[0],
            code=texts[0] or ErrorName.GENERIC.value,
            description=texts[1],
            late=found[1],
        )

    def _take(self, message_id: str) -> tuple[str, bool] | None:
        if self._open is not None and self._open.message_id == message_id:
            action, self._open = self._open.action, None
            return action, False
        late = self._late.pop(message_id, None)
        return (late, True) if late is not None else None

    def _unreadable(self, message_id: str | None, why: str) -> Event:
        answer_id = message_id if message_id is not None else self._dialect.unreadable_id
        if answer_id is None:
            return Ignored(why=why)
        error = ErrorName.FORMATION if message_id is not None else ErrorName.FRAMEWORK
        if self._dialect.unreadable_id is not None:
            error = ErrorName.FRAMEWORK
        return self._reply_error(answer_id, error, why)

    def _reply_error(self, message_id: str | None, error: ErrorName, why: str) -> Event:
        if message_id is None:
            return Ignored(why=why)
        return Reply(text=self._error(message_id, error, why, None))

    def _error(
        self,
        message_id: str,
        error: ErrorName,
        description: str,
        details: Payload | None,
    ) -> str:
        return dump(
            [
                4,
                message_id,
                self._dialect.name(error),
                description[:MAX_DESCRIPTION],
                details or {},
            ]
        )

    def _finish(self, message_id: str, text: str) -> str:
        seen = self._handling.pop(message_id, None)
        # A repeated id gets the same answer again (RPC-4); a huge answer is not worth the memory.
        if seen is not None and len(text) <= 65_536:
            self._answers[message_id] = (seen, text)
            self._answers.move_to_end(message_id)
            while len(self._answers) > ANSWERS_KEPT:
                self._answers.popitem(last=False)
        return text


def _id_at_start(raw: bytes | str) -> str | None:
    """The id of a CALL whose rest is no JSON."""
    start = raw[:120]
    text = start.decode("utf-8", "replace") if isinstance(start, bytes) else start
    match = _CALL_START.match(text)
    return match[1] if match else None


def parse(raw: bytes | str) -> Any:
    """Strict JSON: UTF-8 (a byte-order mark is tolerated), no NaN, no Infinity, no bottomless nesting."""
    try:
        text = raw.decode("utf-8") if isinstance(raw, bytes) else raw
        frame = _DECODER.decode(text.removeprefix("\ufeff"))
        if len(text) <= LARGE and text.count("[") + text.count("{") > MAX_DEPTH:
            _check_depth(frame)
        return frame
    except (ValueError, RecursionError) as error:
        raise _Unreadable(str(error)[:120]) from error


def _check_depth(frame: Any) -> None:
    level = [frame]
    for _ in range(MAX_DEPTH):
        members: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                members += item.values()
            elif isinstance(item, list):
                members += item
        level = [item for item in members if isinstance(item, dict | list)]
        if not level:
            return
    raise ValueError("nested too deeply")


def dump(frame: list[Any]) -> str:
    """The text of a frame. ASCII, so that no odd character of an echoed id can break it."""
    return _ENCODER.encode(frame)


def new_message_id() -> str:
    """A random UUID (version 4), without importing `uuid`."""
    return uuid_text(os.urandom(16))


def uuid_text(sixteen: bytes) -> str:
    """16 bytes in the form of a UUID, version 4."""
    data = bytearray(sixteen)
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    text = data.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value - value != 0.0:
        raise ValueError("number out of range")
    return value


# Made once: a call of json.loads or json.dumps with options makes one each time.
_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
