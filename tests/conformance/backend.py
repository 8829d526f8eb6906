"""The backend of the laboratory: the strict embedded one, with words for what a case awaits."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from controller.demo.csms import CallFailed, Card, Csms, Payload, Reply
from tests.conformance.matching import mismatch, payload_text, wanted_text
from tests.conformance.saboteur import Harmless, Point, Saboteur
from tests.conformance.virtual_time import VirtualLoop, true_utc

NEVER_SKIPPED = ("StartTransaction", "StopTransaction")


class Missed(AssertionError):
    """An awaited frame did not come, or something came that was not awaited."""


@dataclass(slots=True, kw_only=True)
class Call:
    """A call of the station as the case sees it. Subscript it like its payload."""

    index: int
    at_s: float
    message_id: str
    action: str
    payload: Payload
    answers: Mapping[str, list[Any]] = field(repr=False)

    def __getitem__(self, name: str) -> Any:
        return self.payload[name]

    def __contains__(self, name: str) -> bool:
        return name in self.payload

    def get(self, name: str, default: Any = None) -> Any:
        return self.payload.get(name, default)

    @property
    def at(self) -> datetime:
        """Its own time stamp."""
        return datetime.fromisoformat(self.payload["timestamp"])

    @property
    def transaction_id(self) -> int:
        """Of a StartTransaction: what the backend called it."""
        return int(self.answers[self.message_id][2]["transactionId"])

    def __str__(self) -> str:
        return f"{self.action} {payload_text(self.payload)}"


class LabBackend(Csms):
    """`expect` walks through the station's calls in order; what it passed over is gone."""

    def __init__(self, loop: VirtualLoop, saboteur: Saboteur | None = None, **options: Any) -> None:
        super().__init__(utc=lambda: true_utc(loop), **options)
        self._loop = loop
        self._saboteur = saboteur or Harmless()
        self.on_frame = self._framed
        self.seen: list[Call] = []
        """The station's calls, repetitions left out; `repeated` has the others."""
        self.repeated: list[Call] = []
        self.log: list[str] = []
        """Every frame in one line, for messages of failing cases."""
        self._ids: dict[str, int] = {}
        self._actions: Counter[str] = Counter()
        self._cursor = 0
        self._asked_for: Counter[str] = Counter()
        self._news = asyncio.Event()

    # --- what it is like --------------------------------------------------------------------------

    def card(
        self,
        uid: str,
        status: str = "Accepted",
        *,
        parent: str | None = None,
        expires: datetime | None = None,
    ) -> None:
        """Make a card known, or change what is known of it."""
        self.cards[uid] = Card(status=status, parent=parent, expires=expires)

    def reply(
        self,
        action: str,
        payload: Payload | None = None,
        *,
        times: int | None = 1,
        delay_s: float = 0.0,
        silent: bool = False,
        error: tuple[str, str] | None = None,
    ) -> None:
        """How the next calls (`times` None: all from now on) are answered; "*" with None = any action."""
        reply = Reply(payload=payload, delay_s=delay_s, silent=silent, error=error)
        if times is None:
            self.always(action, reply)
        else:
            self.script(action, *([reply] * times))

    def usual(self, action: str) -> None:
        """Take back a `reply(…, times=None)`."""
        self.always(action, None)

    async def offline(self) -> None:
        """The server is gone; connections break."""
        self.drop()
        await super().stop()

    async def online(self) -> None:
        """The server is back at the same address."""
        await super().start()

    # --- what a case awaits -----------------------------------------------------------------------

    async def expect(
        self,
        action: str,
        *,
        within: float = 30.0,
        via: tuple[str, ...] | None = (),
        **wanted: Any,
    ) -> Call:
        """The next call of this action that fits; calls before it are passed over.

        A StartTransaction or StopTransaction is never passed over, nor is another status of the awaited
        connector unless `via` names it (None = any).
        """
        ends_s = self._loop.time() + within
        at = self._cursor
        while True:
            while at < len(self.seen):
                call = self.seen[at]
                if call.action == action and not mismatch(wanted, call.payload):
                    self._matched(call, wanted)
                    self._cursor = at + 1
                    return call
                self._may_pass(call, action, wanted, via)
                at += 1
            left_s = ends_s - self._loop.time()
            if left_s <= 0:
                raise Missed(self._missed(wanted_text(action, wanted), within))
            await self._wait(left_s)

    async def expect_together(
        self, *awaited: tuple[str, Mapping[str, Any]], within: float = 30.0
    ) -> list[Call]:
        """Several calls in any order; returned as they were named."""
        ends_s = self._loop.time() + within
        found: dict[int, Call] = {}
        at = last = self._cursor
        while len(found) < len(awaited):
            while at < len(self.seen):
                call = self.seen[at]
                at += 1
                for number, (action, wanted) in enumerate(awaited):
                    fits = call.action == action and not mismatch(wanted, call.payload)
                    if number not in found and fits:
                        self._matched(call, wanted)
                        found[number] = call
                        last = at
                        break
            left_s = ends_s - self._loop.time()
            if len(found) < len(awaited):
                if left_s <= 0:
                    missing = [wanted_text(*a) for n, a in enumerate(awaited) if n not in found]
                    raise Missed(self._missed(" and ".join(missing), within))
                await self._wait(left_s)
        self._cursor = last
        return [found[n] for n in range(len(awaited))]

    async def quiet(self, action: str | None = None, *, for_s: float, **wanted: Any) -> None:
        """Nothing of it (None: nothing at all) since the last `expect` and for that long from now on."""
        await asyncio.sleep(for_s)
        for call in self.seen[self._cursor :]:
            if action in (None, call.action) and not mismatch(wanted, call.payload):
                raise Missed(f"{call} came, but nothing of the kind was to come{self._story()}")

    async def call(
        self,
        action: str,
        payload: Payload,
        timeout_s: float = 60.0,
        **wanted: Any,
    ) -> Payload:
        """Ask the station; its answer must fit `wanted`. Raises CallFailed for a CALLERROR."""
        number = self._asked_for[action]
        self._asked_for[action] += 1
        try:
            answer = await super().call(action, payload, timeout_s)
        except TimeoutError:
            raise Missed(f"no answer to {action} within {timeout_s:g} s{self._story()}") from None
        point = Point(kind="answer", number=number, action=action, wanted=dict(wanted))
        tampered = self._saboteur.tamper(point, answer)
        if tampered is None:
            raise Missed(f"no answer to {action} (sabotaged)")
        problem = mismatch(wanted, tampered)
        if problem:
            raise Missed(f"answer to {action}: {problem} in {payload_text(answer)}{self._story()}")
        self._saboteur.passed(point)
        return tampered

    async def fails(self, action: str, payload: Payload, *codes: str) -> CallFailed:
        """Ask the station for what it must answer with CALLERROR of one of these codes."""
        number = self._asked_for[action]
        self._asked_for[action] += 1
        point = Point(kind="answer", number=number, action=action, wanted={"code": codes[0]})
        try:
            answer = await super().call(action, payload, 60.0)
        except CallFailed as failure:
            tampered = self._saboteur.tamper(point, {"code": failure.code})
            code = tampered["code"] if tampered is not None else "no answer"
            if code not in codes:
                raise Missed(
                    f"{action} failed with {code}, awaited {' or '.join(codes)}"
                ) from failure
            self._saboteur.passed(point)
            return failure
        raise Missed(f"{action} was answered with {payload_text(answer)}, not with CALLERROR")

    async def unanswered(self, action: str, payload: Payload, for_s: float) -> None:
        """Ask the station for what it must not answer at all."""
        self._asked_for[action] += 1
        try:
            answer = await super().call(action, payload, for_s)
        except TimeoutError:
            return
        raise Missed(f"{action} was answered with {payload_text(answer)}{self._story()}")

    def skip(self) -> None:
        """Everything that came so far is of no interest."""
        self._cursor = len(self.seen)

    def count(self, action: str, **wanted: Any) -> int:
        """How many calls of this action came since the station was switched on."""
        return sum(1 for c in self.seen if c.action == action and not mismatch(wanted, c.payload))

    # --- inside -----------------------------------------------------------------------------------

    def _framed(self, direction: str, frame: list[Any]) -> None:
        arrow = "<-" if direction == "out" else "->"
        what = {2: "", 3: "answer ", 4: "error "}.get(frame[0], "? ")
        rest = f"{frame[2]} {payload_text(frame[3])}" if frame[0] == 2 else payload_text(frame[2:])
        self.log.append(f"{self._loop.time() - 1000:10.3f} {arrow} {what}{rest}")
        if direction != "out" or frame[0] != 2:
            return
        call = Call(
            index=len(self.seen),
            at_s=self._loop.time(),
            message_id=frame[1],
            action=frame[2],
            payload=frame[3],
            answers=self._answers,
        )
        if frame[1] in self._ids:
            self.repeated.append(call)
            self._news.set()
            return
        number = self._ids[frame[1]] = self._actions[call.action]
        self._actions[call.action] += 1
        call.index = number
        point = Point(kind="call", number=number, action=call.action, wanted={})
        tampered = self._saboteur.tamper(point, call.payload)
        if tampered is None:
            return
        call.payload = tampered
        self.seen.append(call)
        self._news.set()

    def _matched(self, call: Call, wanted: Mapping[str, Any]) -> None:
        self._saboteur.passed(
            Point(kind="call", number=call.index, action=call.action, wanted=dict(wanted))
        )

    def _may_pass(
        self, call: Call, action: str, wanted: Mapping[str, Any], via: tuple[str, ...] | None
    ) -> None:
        if call.action in NEVER_SKIPPED:
            raise Missed(f"{call} came before {wanted_text(action, wanted)}{self._story()}")
        if call.action != "StatusNotification" or action != call.action or via is None:
            return
        if call.payload.get("connectorId") == wanted.get("connectorId"):
            if call.payload.get("status") not in via:
                raise Missed(f"{call} came before {wanted_text(action, wanted)}{self._story()}")

    async def _wait(self, seconds: float) -> None:
        self._news.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)

    def _missed(self, wanted: str, within: float) -> str:
        came = [str(call) for call in self.seen[self._cursor :]]
        lines = "\n  ".join(came) if came else "nothing"
        return (
            f"{wanted} did not come within {within:g} s. Since then came:\n  {lines}{self._story()}"
        )

    def _story(self, lines: int = 25) -> str:
        return "\nThe last frames (s, <- from the station):\n" + "\n".join(self.log[-lines:])
