"""What a block does aside may fail once; it neither vanishes without a word nor ends for good."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.core.settings_list import settings_for
from controller.errors import BackendUnavailable
from controller.ocpp.v16.certificates import certificates
from controller.ports_security import Security
from tests.unit.ocpp.fakes import Rig, installation


class Certificates:
    """Its files cannot be read at the first look."""

    def __init__(self) -> None:
        self.looks = 0
        self.asked = asyncio.Event()

    async def renewal_due(self) -> bool:
        self.looks += 1
        if self.looks == 1:
            raise PermissionError("station-keys")
        return True

    async def make_request(self) -> str | None:
        self.asked.set()
        return None


class Sender:
    connected = True

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Any]] = []

    def spawn(self, work: Any) -> None:
        self.tasks.append(asyncio.ensure_future(work))


async def test_a_certificate_is_renewed_although_its_files_could_not_be_read_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A03.FR.02: otherwise the station would be locked out when the certificate ends."""
    service, sender = Certificates(), Sender()
    security = Security(
        network=None,  # type: ignore[arg-type]
        utc=lambda: datetime.now(UTC),
        expiry_check_delay_s=0.0,
        expiry_check_interval_s=0.0,
    )
    make = certificates(security, service)  # type: ignore[arg-type]
    block = make(sender, settings_for(installation()))  # type: ignore[arg-type]
    block.connected()
    asked = asyncio.ensure_future(service.asked.wait())
    await asyncio.wait([asked, *sender.tasks], return_when=asyncio.FIRST_COMPLETED)
    assert asked.done() and service.looks >= 2
    assert "could not be found out" in caplog.text
    for task in sender.tasks:
        task.cancel()
    await asyncio.gather(*sender.tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("error", "level"),
    [(BackendUnavailable("no link"), logging.INFO), (ValueError("a bug"), logging.ERROR)],
)
async def test_what_fails_aside_is_logged(
    caplog: pytest.LogCaptureFixture, error: Exception, level: int
) -> None:
    caplog.set_level(logging.INFO)

    async def fails() -> None:
        raise error

    rig = Rig("ws://127.0.0.1:1/x")
    rig.adapter.spawn(fails())
    for _ in range(5):
        await asyncio.sleep(0)
    (record,) = [r for r in caplog.records if r.name.endswith("v16.adapter")]
    assert record.levelno == level
