"""BootNotification until the backend accepts the station (R16-BOOT-1 to R16-BOOT-6)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any

from controller.clock import Clock
from controller.errors import BackendUnavailable
from controller.ocpp.calls import LinkLost

log = logging.getLogger(__name__)

OWN_INTERVAL_S = 60.0
"""when a backend that does not accept us leaves the interval to us; grows"""
SILENCE_S = 10.0
"""first wait after no usable answer; grows"""
LONGEST_S = 900.0


class RegistrationState(StrEnum):
    """What the backend said last."""

    NEW = "New"
    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


class Registration:
    """Knows where the registration stands and when the next BootNotification may go out."""

    def __init__(
        self,
        *,
        send: Callable[[], Awaitable[dict[str, Any]]],
        accept_time: Callable[[object], None],
        clock: Clock,
    ) -> None:
        self._send = send
        self._accept_time = accept_time
        self._clock = clock
        self._wake = asyncio.Event()
        self._not_before_s = 0.0
        self._tries = 0
        self.state = RegistrationState.NEW
        self.interval_s = 0

    @property
    def accepted(self) -> bool:
        """Accepted since this start."""
        return self.state is RegistrationState.ACCEPTED

    @property
    def why(self) -> str:
        """One sentence for the page."""
        return {
            RegistrationState.NEW: "connected, waiting for the answer to BootNotification",
            RegistrationState.ACCEPTED: "registered",
            RegistrationState.PENDING: "the backend keeps the registration pending",
            RegistrationState.REJECTED: "the backend rejects this station",
        }[self.state]

    def now(self) -> None:
        """The next BootNotification need not wait (TriggerMessage)."""
        self._wake.set()

    def forget_wait(self) -> None:
        """A person asks to connect at once."""
        self._not_before_s = 0.0
        self._wake.set()

    def start_over(self) -> None:
        """Another backend knows nothing of this station."""
        self.state, self.interval_s = RegistrationState.NEW, 0
        self._tries, self._not_before_s = 0, 0.0

    async def until_accepted(self) -> None:
        """Send, wait, send again. Raises LinkLost."""
        while True:
            await self._wait()
            try:
                answer = await self._send()
            except LinkLost:
                raise
            except BackendUnavailable as error:
                log.warning("BootNotification: %s", error)
                self._again_in(self._growing(SILENCE_S))
                continue
            if self._understand(answer):
                return

    async def _wait(self) -> None:
        self._wake.clear()
        left_s = self._not_before_s - self._now_s()
        if left_s <= 0:
            return
        try:
            await asyncio.wait_for(self._wake.wait(), left_s)
        except TimeoutError:
            return

    def _understand(self, answer: dict[str, Any]) -> bool:
        status, interval_s = answer.get("status"), _whole(answer.get("interval"))
        try:
            state = RegistrationState(str(status))
        except ValueError:
            log.warning("BootNotification was answered with the status %.40s", status)
            self._again_in(self._growing(SILENCE_S))
            return False
        self._accept_time(answer.get("currentTime"))
        if state is not self.state:
            log.info("registration: %s", state.value)
        self.state, self.interval_s = state, interval_s
        if state is RegistrationState.ACCEPTED:
            self._tries = 0
            self._not_before_s = 0.0
            return True
        self._again_in(interval_s if interval_s > 0 else self._growing(OWN_INTERVAL_S))
        return False

    def _again_in(self, seconds: float) -> None:
        self._not_before_s = self._now_s() + seconds

    def _growing(self, first_s: float) -> float:
        self._tries += 1
        return min(first_s * 2.0 ** min(self._tries - 1, 10), LONGEST_S)

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9


def _whole(value: object) -> int:
    """An interval as backends write it; what is no number counts as 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return max(int(value), 0)
