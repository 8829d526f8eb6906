"""Stand-ins at the ports of maintenance; nothing of maintenance itself is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from controller.core.firmware_update import CertificateVerdict
from controller.core.security_events import SecurityEventType
from tests.unit.station.fakes import FakeClock


class Died(BaseException):
    """The power went."""


class Values:
    """A ValueStore; `dies_at`: the n-th durable write is the last thing that happens."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.writes = 0
        self.dies_at: int | None = None
        self.dead = asyncio.Event()

    async def get(self, name: str) -> str | None:
        return self.kept.get(name)

    async def put(self, name: str, value: str | None) -> None:
        await asyncio.sleep(0)
        self.writes += 1
        if value is None:
            self.kept.pop(name, None)
        else:
            self.kept[name] = value
        if self.writes == self.dies_at:
            self.dead.set()
            await asyncio.Event().wait()  # nothing comes after it

    async def all(self, prefix: str) -> dict[str, str]:
        return {n: v for n, v in self.kept.items() if n.startswith(prefix)}


class Events:
    def __init__(self) -> None:
        self.raised: list[tuple[SecurityEventType, str]] = []

    def raise_event(self, type: SecurityEventType, tech_info: str = "") -> None:  # noqa: A002
        self.raised.append((type, tech_info))


class Station:
    """The Upkeep of a station where somebody may charge."""

    def __init__(self) -> None:
        self.busy = False
        self.held = False
        self.restarts = 0
        self.restarted = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    def hold(self, why: str) -> None:
        self.held = True

    def release(self) -> None:
        self.held = False

    def on_change(self, changed: Callable[[], None]) -> None:
        self._listeners.append(changed)

    def restart(self) -> None:
        self.restarts += 1
        self.restarted.set()

    def set_busy(self, busy: bool) -> None:
        self.busy = busy
        for listener in self._listeners:
            listener()


class Checks:
    """A SignatureCheck that says what it is told to."""

    def __init__(self) -> None:
        self.verdict = CertificateVerdict.VALID
        self.wrong = ""

    async def signing_certificate(self, pem: str, now: datetime) -> tuple[CertificateVerdict, str]:
        return self.verdict, "" if self.verdict is CertificateVerdict.VALID else "odd"

    async def file(self, image: Path, signature: str, pem: str) -> str:
        assert image.is_file()
        return self.wrong


async def pass_time(clock: FakeClock, seconds: float) -> None:
    """Everything that is due happens."""
    end = clock.now_ns + int(seconds * 1e9)
    while True:
        for _ in range(50):
            await asyncio.sleep(0)
        due = clock.next_due()
        if due is None or due > end:
            break
        clock.now_ns = max(due, clock.now_ns)
        clock.wake()
    clock.now_ns = end
