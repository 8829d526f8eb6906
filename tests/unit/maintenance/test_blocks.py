"""The 1.6 words of firmware and logs at the edge: what a case of the laboratory cannot easily ask for."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from controller.core.firmware_update import (
    FirmwareNews,
    FirmwareRequest,
    FirmwareStatus,
    UpdateAnswer,
)
from controller.core.settings_list import settings_for
from controller.errors import BackendUnavailable
from controller.ocpp.calls import Answer, LinkLost
from controller.ocpp.rpc import ErrorName
from controller.ocpp.v16.firmware import firmware
from controller.ocpp.validation import validators_16
from controller.ports_maintenance import Maintenance
from tests.unit.maintenance.fakes import Events
from tests.unit.station.fakes import FakeClock, installation

S = FirmwareStatus


class Backend:
    """The Sender."""

    def __init__(self) -> None:
        self.connected = True
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.errors: list[Exception] = []
        self.tasks: set[asyncio.Task[Any]] = set()

    async def call(
        self, action: str, payload: dict[str, Any], *, late_s: float = 0.0
    ) -> dict[str, Any]:
        assert validators_16().request(action, payload) is None, (action, payload)
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append((action, payload))
        return {}

    def spawn(self, work: Any) -> None:
        self.tasks.add(asyncio.ensure_future(work))

    async def settle(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)


class Updates:
    """The FirmwareUpdates."""

    def __init__(self) -> None:
        self.status = FirmwareNews(status=S.IDLE)
        self.running: FirmwareStatus | None = None
        self.news: list[FirmwareNews] = []
        self.asked: list[FirmwareRequest] = []
        self.starts = 0

    async def request(self, request: FirmwareRequest) -> UpdateAnswer:
        self.asked.append(request)
        return UpdateAnswer.ACCEPTED

    def start(self) -> None:
        self.starts += 1

    def untold(self) -> FirmwareNews | None:
        return self.news[0] if self.news else None

    async def told(self, news: FirmwareNews) -> None:
        self.news.remove(news)

    def on_news(self, news: Any) -> None:
        self.wake = news


class World:
    def __init__(self, folder: Path) -> None:
        self.settings = settings_for(installation(folder))
        self.backend, self.updates = Backend(), Updates()
        service = Maintenance(
            events=Events(),
            queue=None,  # type: ignore[arg-type]
            logs=None,  # type: ignore[arg-type]
            firmware=self.updates,
            clock=FakeClock(),
            clock_set=lambda _s: None,
        )
        self.block = firmware(service)(self.backend, self.settings)

    async def update(self, **more: Any) -> Answer:
        request = {"location": "http://x/y", "retrieveDate": "2026-01-01T00:00:00Z", **more}
        answer = self.block.actions["UpdateFirmware"](request)
        assert not isinstance(answer, Answer)
        return await answer


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize(("profile", "allowed"), [(0, True), (1, True), (2, False), (3, False)])
async def test_with_tls_firmware_must_be_signed(world: World, profile: int, allowed: bool) -> None:
    """L01.FR.20."""
    world.settings.learn("SecurityProfile", str(profile))
    answer = await world.update()
    assert answer.error is (None if allowed else ErrorName.NOT_SUPPORTED)
    assert len(world.updates.asked) == allowed


async def test_every_status_has_words_or_is_left_out(world: World) -> None:
    for signed in (True, False):
        request_id = 4 if signed else None
        world.updates.news = [
            FirmwareNews(status=status, request_id=request_id, signed=signed, n=n)
            for n, status in enumerate(S)
            if status is not S.IDLE
        ]
        world.updates.wake()
        await world.backend.settle()
        assert world.updates.untold() is None
    signed_ones = [p["status"] for a, p in world.backend.sent if a.startswith("Signed")]
    assert signed_ones == [status.value for status in S if status is not S.IDLE]
    plain = [p["status"] for a, p in world.backend.sent if not a.startswith("Signed")]
    assert set(plain) == {
        "Downloading",
        "Downloaded",
        "DownloadFailed",
        "Installing",
        "Installed",
        "InstallationFailed",
    }


@pytest.mark.parametrize("running", [None, *S])
async def test_a_trigger_always_has_an_answer(world: World, running: S | None) -> None:
    world.updates.running = running
    world.updates.status = FirmwareNews(status=running or S.IDLE, request_id=3, signed=True)
    for answer in (
        world.block.triggers["FirmwareStatusNotification"](None),
        world.block.extended_triggers["FirmwareStatusNotification"](None),
    ):
        assert answer.payload == {"status": "Accepted"}
        assert answer.then is not None
        answer.then()
    await world.backend.settle()
    assert len(world.backend.sent) == 2


async def test_lost_links_keep_the_news_refusals_do_not(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    world.updates.news = [
        FirmwareNews(status=S.DOWNLOADING, n=1),
        FirmwareNews(status=S.DOWNLOADED, n=2),
    ]
    world.backend.errors = [LinkLost("gone")]
    world.updates.wake()
    await world.backend.settle()
    assert len(world.updates.news) == 2
    world.backend.errors = [BackendUnavailable("what is that")]
    world.block.connected()
    await world.backend.settle()
    assert [p["status"] for _, p in world.backend.sent] == ["Downloaded"]


async def test_an_update_begins_although_its_answer_was_lost(world: World) -> None:
    """What was taken is durable, so it must not wait for the next restart."""
    answer = await world.update()
    assert (answer.then, world.updates.starts) == (world.updates.start, 0)
    world.block.connected()  # the connection broke before the answer went out
    assert world.updates.starts == 1


async def test_times_that_are_none(world: World) -> None:
    assert (await world.update(retrieveDate="tomorrow")).error is ErrorName.PROPERTY
    assert world.updates.asked == []
