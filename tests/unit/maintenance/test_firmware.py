"""Firmware updates at their ports: what is promised, what is refused, and that nothing hangs (R16-FW-1, R16-SEC-10)."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.core.firmware_update import (
    CertificateVerdict,
    FirmwareRequest,
    FirmwareStatus,
    UpdateAnswer,
)
from controller.core.security_events import SecurityEventType
from controller.maintenance.firmware import FirmwareService
from controller.maintenance.transfer import Failure, TransferFailed
from controller.ports_maintenance import InstallRefused
from tests.unit.maintenance.fakes import Checks, Events, Station, Values, pass_time
from tests.unit.station.fakes import START, FakeClock

S = FirmwareStatus


class Installer:
    def __init__(self) -> None:
        self.may_stage = asyncio.Event()
        self.may_stage.set()
        self.fails: Exception | None = None

    async def check(self, image: Path) -> None:
        assert image.is_file()

    async def stage(self, image: Path) -> str:
        await self.may_stage.wait()
        if self.fails is not None:
            raise self.fails
        return "2.0"

    async def activated(self) -> str | None:
        return None

    async def confirm(self) -> None:
        return


class World:
    def __init__(self, folder: Path) -> None:
        self.clock, self.values, self.checks = FakeClock(), Values(), Checks()
        self.installer, self.station, self.events = Installer(), Station(), Events()
        self.downloads: list[str] = []
        self.unreachable = 0
        self.pace_s = 1.0
        self.service = FirmwareService(
            values=self.values,
            clock=self.clock,
            transfer=self,  # type: ignore[arg-type]
            signatures=self.checks,
            installer=self.installer,
            upkeep=self.station,
            events=self.events,
            folder=folder,
        )

    async def download(self, location: str, file: Path) -> None:
        self.downloads.append(location)
        if self.unreachable:
            self.unreachable -= 1
            raise TransferFailed(Failure.FAILED, "nobody there")
        file.write_bytes(b"image")

    async def ask(self, name: str = "a", **more: Any) -> UpdateAnswer:
        values = {"location": name, "retrieve_at": START, "request_id": 1, "signed": True}
        answer = await self.service.request(FirmwareRequest(**{**values, **more}))
        self.service.start()
        return answer

    async def told(self, seconds: float = 3.0) -> list[FirmwareStatus]:
        """Let time pass and hear what there is to hear."""
        found = []
        end_ns = self.clock.now_ns + int(seconds * 1e9)
        while True:
            for _ in range(10):
                await asyncio.sleep(0.001)  # checks run in threads of their own
                while (news := self.service.untold()) is not None:
                    found.append(news.status)
                    await self.service.told(news)
            if self.clock.now_ns >= end_ns:
                return found
            await pass_time(self.clock, min(self.pace_s, (end_ns - self.clock.now_ns) / 1e9))


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_what_is_accepted_is_durable(world: World) -> None:
    assert await world.service.request(
        FirmwareRequest(location="a", retrieve_at=START, request_id=1, signed=True)
    )
    assert "firmware/update" in world.values.kept


async def test_what_cannot_be_kept_is_not_promised(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def full(name: str, value: str | None) -> None:
        raise OSError("no space left on device")

    world.values.put = full  # type: ignore[method-assign]
    assert await world.ask() is UpdateAnswer.REJECTED
    assert await world.told() == []
    assert await world.ask(signed=False, request_id=None) is UpdateAnswer.REJECTED
    assert await world.told() == [S.INSTALLATION_FAILED], "1.6 has no other way to say it"
    assert world.downloads == []


async def test_while_it_installs_nothing_else_is_begun(world: World) -> None:
    """L01.FR.27."""
    world.installer.may_stage.clear()
    await world.ask("a")
    assert (await world.told())[-1] is S.INSTALLING
    assert await world.ask("b") is UpdateAnswer.REJECTED
    world.installer.may_stage.set()
    assert await world.told() == [S.INSTALL_REBOOTING]
    assert await world.ask("c") is UpdateAnswer.REJECTED
    await pass_time(world.clock, 1)
    assert world.station.restarts == 1
    assert world.downloads == ["a"]


async def test_a_new_request_ends_the_waiting_of_the_old_one(world: World) -> None:
    world.station.set_busy(True)
    await world.ask("a")
    assert (await world.told())[-1] is S.SIGNATURE_VERIFIED
    assert world.station.held
    answer = await world.ask("b", retrieve_at=START + timedelta(hours=1), request_id=2)
    assert answer is UpdateAnswer.ACCEPTED_CANCELED
    assert not world.station.held
    world.station.set_busy(False)
    world.pace_s = 30
    assert await world.told(600) == [S.DOWNLOAD_SCHEDULED]
    assert world.downloads == ["a"]


async def test_it_waits_until_nobody_charges(world: World) -> None:
    world.station.set_busy(True)
    await world.ask()
    world.pace_s = 300
    assert await world.told(3600) == [S.DOWNLOADING, S.DOWNLOADED, S.SIGNATURE_VERIFIED]
    world.station.set_busy(False)
    world.pace_s = 1
    assert await world.told() == [S.INSTALLING, S.INSTALL_REBOOTING]


async def test_times_count_also_when_the_clock_is_set(world: World) -> None:
    await world.ask(retrieve_at=START + timedelta(days=2))
    assert await world.told(100) == [S.DOWNLOAD_SCHEDULED]
    world.clock.start_ns -= int(timedelta(days=3).total_seconds() * 1e9)
    assert (await world.told(31))[0] is S.DOWNLOADING


async def test_a_restart_does_not_wait_for_a_backend_that_is_away(world: World) -> None:
    await world.ask()
    for _ in range(40):
        await asyncio.sleep(0.001)
        await pass_time(world.clock, 1)
    assert world.service.running is S.INSTALL_REBOOTING
    assert world.station.restarts == 1
    assert world.service.untold() is not None, "it is told after the restart"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InstallRefused("no room"), S.INSTALLATION_FAILED),
        (ZeroDivisionError(), S.INSTALLATION_FAILED),
    ],
)
async def test_an_installer_that_fails_sets_the_station_free(
    world: World, error: Exception, status: FirmwareStatus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    world.installer.fails = error
    await world.ask()
    assert (await world.told())[-1] is status
    assert not world.station.held
    assert world.service.running is None


async def test_a_wrong_signature_sets_the_event_after_the_status(world: World) -> None:
    world.checks.wrong = "the signature does not fit the image"
    await world.ask()
    assert (await world.told(3))[-1] is S.INVALID_SIGNATURE
    assert world.events.raised == [
        (SecurityEventType.INVALID_FIRMWARE_SIGNATURE, "the signature does not fit the image")
    ]


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [
        (CertificateVerdict.INVALID, UpdateAnswer.INVALID_CERTIFICATE),
        (CertificateVerdict.REVOKED, UpdateAnswer.REVOKED_CERTIFICATE),
    ],
)
async def test_a_bad_certificate_leaves_the_update_under_way_alone(
    world: World, verdict: CertificateVerdict, answer: UpdateAnswer
) -> None:
    await world.ask("a", retrieve_at=START + timedelta(hours=1))
    world.checks.verdict = verdict
    assert await world.ask("b") is answer
    assert [kind for kind, _ in world.events.raised] == [
        SecurityEventType.INVALID_FIRMWARE_SIGNING_CERTIFICATE
    ]
    assert world.service.running is S.DOWNLOAD_SCHEDULED


async def test_downloads_are_repeated_as_asked(world: World) -> None:
    world.unreachable = 2
    await world.ask(retries=2, retry_interval_s=30)
    assert await world.told(29) == [S.DOWNLOADING]
    assert len(world.downloads) == 1
    assert S.DOWNLOADED in await world.told(60)
    assert len(world.downloads) == 3


async def test_two_requests_at_once_are_taken_one_after_the_other(tmp_path: Path) -> None:
    world = World(tmp_path)
    answers = await asyncio.gather(world.ask("a", request_id=1), world.ask("b", request_id=2))
    assert list(answers) == [UpdateAnswer.ACCEPTED, UpdateAnswer.ACCEPTED_CANCELED]
    await pass_time(world.clock, 60.0)
    assert world.service.status.request_id == 2
    assert world.downloads[-1] == "b", "and the image is the one that was asked for last"
