"""Calls over the link: ours one at a time in order, the backend's answered at once.

`Rpc` knows the protocol, this class knows the event loop: queue, timers and futures.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from controller.errors import BackendUnavailable
from controller.ocpp.frames import FrameLog
from controller.ocpp.rpc import (
    Answered,
    CallFailed,
    ErrorName,
    Ignored,
    IncomingCall,
    Payload,
    Reply,
    Rpc,
    new_message_id,
)

log = logging.getLogger(__name__)

NOTHING_OPEN = "nothing that is open"
ANSWER_FIRST_S = 1.0
"""our own calls wait at most this long for the answer to a call of the backend"""


class CallRefused(BackendUnavailable):
    """The backend answered CALLERROR."""

    def __init__(self, action: str, code: str, description: str) -> None:
        self.action, self.code, self.description = action, code, description
        super().__init__(f"the backend refused {action}: {code} {description}".rstrip())


class NoAnswer(BackendUnavailable):
    """The backend did not answer in time."""


class LinkLost(BackendUnavailable):
    """There is no connection (any more)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to say to a call of the backend: a payload or an error; `then` runs after it was sent."""

    payload: Payload | None = None
    error: ErrorName | None = None
    description: str = ""
    then: Callable[[], None] | None = None


Handler = Callable[[IncomingCall], Answer | Awaitable[Answer]]


@dataclass(slots=True, kw_only=True, eq=False)
class _Call:
    message_id: str
    action: str
    payload: Payload
    timeout_s: float
    late_s: float
    result: asyncio.Future[Payload] = field(repr=False)


class Calls:
    """Our calls and theirs on the connection of the moment."""

    def __init__(
        self,
        rpc: Rpc,
        *,
        on_call: Handler,
        on_silence: Callable[[], None] = lambda: None,
        is_mute: Callable[[], bool] = lambda: False,
        on_invalid: Callable[[str], None] = lambda _why: None,
        frames: FrameLog | None = None,
    ) -> None:
        self._rpc = rpc
        self._on_call = on_call
        self._on_silence = on_silence
        self._is_mute = is_mute
        self._on_invalid = on_invalid
        self._frames = frames or FrameLog()
        self._send: Callable[[str], None] | None = None
        self._queue: deque[_Call] = deque()
        self._waiting: dict[str, _Call] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._late_timers: dict[str, asyncio.TimerHandle] = {}
        self._handling: set[asyncio.Task[None]] = set()
        self._hold_until_s = 0.0
        self.last_sent_s = 0.0

    def attach(self, send: Callable[[str], None]) -> None:
        """A connection is up; `send` takes the text of a frame and never blocks."""
        self._send = send
        self._pump()

    def detach(self) -> None:
        """The connection is gone: every caller that waits gets LinkLost."""
        self._send = None
        self._rpc.lost()
        self._stop_timer()
        for timer in self._late_timers.values():
            timer.cancel()
        self._late_timers.clear()
        orphans = [*self._waiting.values(), *self._queue]
        self._waiting.clear()
        self._queue.clear()
        for call in orphans:
            _fail(call, LinkLost("the connection to the backend was lost"))

    def start(
        self,
        action: str,
        payload: Payload,
        *,
        timeout_s: float,
        late_s: float = 0.0,
        message_id: str | None = None,
    ) -> asyncio.Future[Payload]:
        """Queue a call at once; the future gets the answer's payload.

        `late_s`: how long after the time-out a late answer still counts. The future raises CallRefused,
        NoAnswer or LinkLost.
        """
        call = _Call(
            message_id=message_id or new_message_id(),
            action=action,
            payload=payload,
            timeout_s=timeout_s,
            late_s=late_s,
            result=asyncio.get_running_loop().create_future(),
        )
        if self._send is None:
            _fail(call, LinkLost("not connected to the backend"))
        else:
            self._queue.append(call)
            self._pump()
        return call.result

    def receive(self, raw: bytes | str) -> None:
        """A frame came in. Never raises."""
        event = self._rpc.receive(raw)
        if isinstance(event, IncomingCall):
            self._frames.add("in", [2, event.message_id, event.action, event.payload], len(raw))
            self._serve(event)
        elif isinstance(event, Answered):
            self._frames.add("in", [3, event.message_id, event.payload], len(raw))
            self._answered(event)
        elif isinstance(event, CallFailed):
            self._frames.add(
                "in", [4, event.message_id, event.code, event.description, {}], len(raw)
            )
            self._failed(event)
        elif isinstance(event, Reply) and not self._is_mute():
            log.warning("a frame of the backend was answered with %s", event.text[:160])
            self._on_invalid("a frame that is no OCPP message")
            self._put(event.text)
        elif isinstance(event, Ignored):
            log.warning("a frame of the backend was ignored: %s", event.why)
            if NOTHING_OPEN not in event.why:  # a late answer is no attack
                self._on_invalid(event.why)

    # --- our calls ----------------------------------------------------------------------------

    def _pump(self) -> None:
        if self._send is None or self._rpc.open_call is not None:
            return
        now_s = asyncio.get_running_loop().time()
        if self._handling and now_s < self._hold_until_s:
            return
        while self._queue:
            call = self._queue.popleft()
            if call.result.done():
                continue
            text = self._rpc.call(
                call.message_id,
                call.action,
                call.payload,
                now_s=now_s,
                timeout_s=call.timeout_s,
            )
            self._waiting[call.message_id] = call
            late = self._late_timers.pop(call.message_id, None)
            if late is not None:
                late.cancel()
            self._timer = asyncio.get_running_loop().call_later(call.timeout_s, self._expire)
            self.last_sent_s = now_s
            self._put(text, [2, call.message_id, call.action, call.payload])
            return

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        # The timer is the judge: the loop's clock may be a hair short of the deadline.
        closed = self._rpc.expire(max(loop.time(), self._rpc.deadline_s or 0.0))
        self._timer = None
        if closed is None:
            return
        call = self._waiting.get(closed.message_id)
        log.warning("the backend did not answer %s in time", closed.action)
        if call is not None:
            if call.late_s > 0 and not call.result.done():
                self._late_timers[call.message_id] = loop.call_later(
                    call.late_s, self._give_up, call
                )
            else:
                self._give_up(call)
        self._on_silence()
        self._pump()

    def _give_up(self, call: _Call) -> None:
        self._late_timers.pop(call.message_id, None)
        self._waiting.pop(call.message_id, None)
        _fail(call, NoAnswer(f"the backend did not answer {call.action}"))

    def _answered(self, event: Answered) -> None:
        call = self._closed(event.message_id, event.late)
        if call is not None and not call.result.done():
            call.result.set_result(event.payload)
        self._pump()

    def _failed(self, event: CallFailed) -> None:
        call = self._closed(event.message_id, event.late)
        if call is not None:
            _fail(call, CallRefused(event.action, event.code, event.description))
        self._pump()

    def _closed(self, message_id: str, late: bool) -> _Call | None:
        if not late:
            self._stop_timer()
        timer = self._late_timers.pop(message_id, None)
        if timer is not None:
            timer.cancel()
        return self._waiting.pop(message_id, None)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- their calls --------------------------------------------------------------------------

    def _serve(self, call: IncomingCall) -> None:
        if self._is_mute():
            self._rpc.leave(call.message_id)
            return
        try:
            answer = self._on_call(call)
        except Exception:
            log.exception("%s could not be handled", call.action)
            answer = Answer(error=ErrorName.INTERNAL, description="internal error")
        if isinstance(answer, Answer):
            self._reply(call, answer)
            return
        loop = asyncio.get_running_loop()
        if not self._handling:
            self._hold_until_s = loop.time() + ANSWER_FIRST_S
            loop.call_later(ANSWER_FIRST_S, self._pump)
        task = loop.create_task(self._serve_later(call, answer))
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)

    async def _serve_later(self, call: IncomingCall, pending: Awaitable[Answer]) -> None:
        try:
            answer = await pending
        except Exception:
            log.exception("%s could not be handled", call.action)
            answer = Answer(error=ErrorName.INTERNAL, description="internal error")
        self._handling.discard(asyncio.current_task())
        self._reply(call, answer)
        self._pump()

    def _reply(self, call: IncomingCall, answer: Answer) -> None:
        if not self._rpc.is_handling(call.message_id):
            return  # the connection that asked is gone
        if answer.error is not None:
            text = self._rpc.refuse(call.message_id, answer.error, answer.description)
        else:
            text = self._rpc.answer(call.message_id, answer.payload or {})
        if answer.error is not None:
            self._put(text)
        else:
            self._put(text, [3, call.message_id, answer.payload or {}])
        if answer.then is not None:
            answer.then()

    def _put(self, text: str, frame: list[Any] | None = None) -> None:
        if self._send is None:
            return
        self._frames.add("out", json.loads(text) if frame is None else frame, len(text))
        self._send(text)


def _fail(call: _Call, error: BackendUnavailable) -> None:
    if not call.result.done():
        call.result.set_exception(error)
