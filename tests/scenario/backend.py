"""The scripted backend of the scenarios: the embedded strict one, with words for what tests look at."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.demo.csms import Card, Csms, Payload, Reply


class ScriptedBackend:
    """Everything counts since the last `mark()`; repetitions of one message count once."""

    def __init__(self) -> None:
        self.csms = Csms()
        self.csms.on_frame = self._framed
        self._times: list[float] = []
        self._mark = 0
        self._delays: dict[str, float] = {}
        self._payloads: dict[str, Payload] = {}

    async def start(self) -> str:
        """Listen; returns the URL."""
        await self.csms.start()
        return self.csms.url

    async def stop(self) -> None:
        """Close everything."""
        await self.csms.stop()

    def card(self, value: str, status: str = "Accepted", parent: str | None = None) -> None:
        """Make a card known."""
        expires = datetime.now(UTC) - timedelta(days=1) if status == "Expired" else None
        self.csms.cards[value] = Card(status=status, parent=parent, expires=expires)

    def mark(self) -> None:
        """Forget what was before."""
        self._mark = len(self.csms.frames)

    def delay(self, action: str, seconds: float) -> None:
        """Answer this action late from now on."""
        self._delays[action] = seconds
        self._script(action)

    def answer(self, action: str, payload: Payload) -> None:
        """Answer this action so from now on."""
        self._payloads[action] = payload
        self._script(action)

    def _script(self, action: str) -> None:
        self.csms.always(
            action, Reply(delay_s=self._delays.get(action, 0.0), payload=self._payloads.get(action))
        )

    def patience(self, seconds: float) -> None:
        """After that long without an answer the station may send its next call."""
        self.csms.rules.patience_s = seconds

    def fall_silent(self) -> None:
        """The socket stays, nothing is answered any more."""
        self.csms.go_silent()

    def violations(self) -> list[str]:
        """What the station did wrong."""
        return self.csms.violations

    def _framed(self, direction: str, frame: list[Any]) -> None:
        self._times.append(time.monotonic())

    def _since_mark(self) -> list[tuple[float, list[Any]]]:
        """Calls of the station, each message id once."""
        seen: set[str] = set()
        found = []
        frames = self.csms.frames
        for index in range(self._mark, len(frames)):
            direction, frame = frames[index]
            if direction == "out" and frame[0] == 2 and frame[1] not in seen:
                seen.add(frame[1])
                found.append((self._times[index], frame))
        return found

    def calls(self, action: str) -> list[Payload]:
        """Payloads of this action, in order."""
        return [frame[3] for _, frame in self._since_mark() if frame[2] == action]

    def arrived(self, action: str) -> float:
        """CLOCK_MONOTONIC seconds of the first such call."""
        return next(at for at, frame in self._since_mark() if frame[2] == action)

    def message_ids(self, action: str) -> list[str]:
        """Message ids of this action, repetitions included."""
        return [
            frame[1]
            for direction, frame in self.csms.frames[self._mark :]
            if direction == "out" and frame[0] == 2 and frame[2] == action
        ]

    def statuses(self, connector: int) -> list[str]:
        """The statuses of one connector, in order."""
        return [
            p["status"] for p in self.calls("StatusNotification") if p["connectorId"] == connector
        ]

    def transaction_ids(self) -> list[int]:
        """What we called the transactions."""
        ids = set(self.message_ids("StartTransaction"))
        return sorted(
            {
                frame[2]["transactionId"]
                for direction, frame in self.csms.frames[self._mark :]
                if direction == "in" and frame[0] == 3 and frame[1] in ids
            }
        )

    async def call(self, action: str, payload: Payload, timeout_s: float = 10.0) -> Payload:
        """Ask the station."""
        return await self.csms.call(action, payload, timeout_s)

    async def wait_calls(self, action: str, count: int, timeout_s: float = 15.0) -> list[Payload]:
        """Until the station has called `count` times; returns the payloads."""
        try:
            await self.csms.until(lambda: len(self.calls(action)) >= count, timeout_s)
        except TimeoutError:
            raise AssertionError(
                f"{len(self.calls(action))} of {count} {action} within {timeout_s} s; got {self.sequence()}"
            ) from None
        return self.calls(action)

    async def wait_status(
        self, connector: int, status: str, timeout_s: float = 15.0, after: str = ""
    ) -> Payload:
        """Until the newest status of the connector is this one (having been `after` before)."""

        def reached() -> bool:
            found = self.statuses(connector)
            return bool(found) and found[-1] == status and (not after or after in found)

        try:
            await self.csms.until(reached, timeout_s)
        except TimeoutError:
            raise AssertionError(
                f"not {status} within {timeout_s} s; statuses {self.statuses(connector)}"
            ) from None
        return [p for p in self.calls("StatusNotification") if p["connectorId"] == connector][-1]

    def sequence(self) -> list[str]:
        """Actions in order, statuses spelt out."""
        words = []
        for _, frame in self._since_mark():
            word = frame[2]
            if word == "StatusNotification":
                word = f"Status({frame[3]['connectorId']}, {frame[3]['status']})"
            words.append(word)
        return words

    async def settle(self, seconds: float = 0.5) -> None:
        """Give frames under way time to arrive."""
        await asyncio.sleep(seconds)
