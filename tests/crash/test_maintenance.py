"""A power cut after each durable step of an update, and the file that a transfer leaves (R16-FW-1, R16-SEC-10)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from controller.core.firmware_update import FirmwareRequest, FirmwareStatus, UpdateAnswer
from controller.core.security_events import SecurityEventType
from controller.maintenance.firmware import FirmwareService
from controller.maintenance.virtual_installer import VirtualInstaller
from tests.unit.maintenance.fakes import Checks, Events, Station, Values
from tests.unit.station.fakes import START, FakeClock

S = FirmwareStatus


class Life:
    """One run of the station; what it left behind is what the next one finds."""

    def __init__(self, folder: Path, values: Values, body: bytes) -> None:
        self.folder, self.values, self.body = folder, values, body
        self.told: list[FirmwareStatus] = []
        self.events, self.station, self.clock = Events(), Station(), FakeClock()
        self.installer = VirtualInstaller(folder)
        self.version = self.installer.boot()

    async def download(self, location: str, file: Path) -> None:
        file.write_bytes(self.body)

    async def begin(self) -> None:
        self.service = FirmwareService(
            values=self.values,
            clock=self.clock,
            transfer=self,  # type: ignore[arg-type]
            signatures=Checks(),
            installer=self.installer,
            upkeep=self.station,
            events=self.events,
            folder=self.folder,
        )
        await self.service.load()
        self.service.start()
        self.teller = asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        """A backend that is always there."""
        while True:
            await asyncio.sleep(0)
            news = self.service.untold()
            if news is not None:
                self.told.append(news.status)
                await self.service.told(news)

    async def ends(self) -> str:
        """Until the update is over, the station restarts, or the power goes."""
        dead = asyncio.ensure_future(self.values.dead.wait())
        restart = asyncio.ensure_future(self.station.restarted.wait())
        while not dead.done() and not restart.done():
            await asyncio.sleep(0.001)
            if (due := self.clock.next_due()) is not None:
                self.clock.now_ns = max(due, self.clock.now_ns)
                self.clock.wake()
            if self.service.running is None and self.service.untold() is None:
                break
        how = "died" if dead.done() else "restarts" if restart.done() else "over"
        for task in (dead, restart, self.teller, self.service._task):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        return how


def request(**more: Any) -> FirmwareRequest:
    values = {"location": "http://x/y", "retrieve_at": START, "request_id": 7, "signed": True}
    return FirmwareRequest(**{**values, **more})


async def course(folder: Path, body: bytes, dies_at: int | None) -> tuple[list[S], list[Life]]:
    """One update from the request to its end, over as many lives as it takes."""
    values = Values()
    values.dies_at = dies_at
    lives = [Life(folder, values, body)]
    life = lives[0]
    await life.begin()
    asked = asyncio.ensure_future(life.service.request(request()))
    while not asked.done() and not values.dead.is_set():
        await asyncio.sleep(0)
    if asked.done():
        assert asked.result() is UpdateAnswer.ACCEPTED
        life.service.start()
    else:
        asked.cancel()
    while True:
        how = await life.ends()
        if how == "over":
            break
        values.dies_at = None
        values.dead = asyncio.Event()
        life = Life(folder, values, body)
        lives.append(life)
        await life.begin()
    return [status for one in lives for status in one.told], lives


FULL = [
    S.DOWNLOADING,
    S.DOWNLOADED,
    S.SIGNATURE_VERIFIED,
    S.INSTALLING,
    S.INSTALL_REBOOTING,
    S.INSTALLED,
]


async def test_without_a_power_cut(tmp_path: Path) -> None:
    told, lives = await course(tmp_path, b'{"version": "2.0"}\n', None)
    assert told == FULL
    assert [life.version for life in lives] == ["", "2.0"]
    assert not (tmp_path / "image").exists()
    assert [e for e, _ in lives[1].events.raised] == [SecurityEventType.FIRMWARE_UPDATED]


@pytest.mark.parametrize("write", range(1, 12))
async def test_a_power_cut_after_each_durable_step(tmp_path: Path, write: int) -> None:
    told, lives = await course(tmp_path, b'{"version": "2.0"}\n', write)
    in_order = [s for n, s in enumerate(told) if n == 0 or told[n - 1] is not s]
    assert told[-1] is S.INSTALLED
    assert [s for s in FULL if s in in_order] == list(dict.fromkeys(in_order)), "the order is kept"
    assert set(in_order) >= set(FULL) - {S.INSTALL_REBOOTING}
    assert lives[-1].version == "2.0"
    assert lives[-1].service.status.status is S.IDLE
    assert not lives[-1].station.held


@pytest.mark.parametrize("write", range(1, 12))
async def test_firmware_that_does_not_start_never_counts_as_installed(
    tmp_path: Path, write: int
) -> None:
    body = json.dumps({"version": "2.0", "fails": "start"}).encode()
    told, lives = await course(tmp_path, body, write)
    assert told[-1] is S.INSTALLATION_FAILED
    assert S.INSTALLED not in told
    assert lives[-1].version == ""


async def test_the_image_is_gone_after_the_power_cut(tmp_path: Path) -> None:
    values = Values()
    values.dies_at = 2  # begun; downloaded
    life = Life(tmp_path, values, b"x")
    await life.begin()
    await life.service.request(request())
    life.service.start()
    assert await life.ends() == "died"
    (tmp_path / "image").unlink()
    values.dies_at, values.dead = None, asyncio.Event()
    again = Life(tmp_path, values, b"x")
    await again.begin()
    assert await again.ends() == "restarts"
    assert again.told[:4] == [S.DOWNLOADED, S.DOWNLOADING, S.DOWNLOADED, S.SIGNATURE_VERIFIED]


async def test_a_record_that_cannot_be_read_is_no_update(tmp_path: Path) -> None:
    values = Values()
    values.kept["firmware/update"] = '{"phase": "nonsense"}'
    life = Life(tmp_path, values, b"x")
    await life.begin()
    assert life.service.running is None
    assert await life.service.request(request()) is UpdateAnswer.ACCEPTED
    life.service.start()
    assert await life.ends() == "restarts"


async def test_an_earlier_success_does_not_make_a_later_failure_one(tmp_path: Path) -> None:
    told, _ = await course(tmp_path, b'{"version": "2.0"}\n', None)
    assert told[-1] is S.INSTALLED
    told, lives = await course(tmp_path, b'{"version": "3.0", "fails": "start"}\n', None)
    assert told[-1] is S.INSTALLATION_FAILED
    assert lives[-1].version == "2.0"
