"""R16-SEC-11: the security log rolls, survives, writes little; what must be told waits in order."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controller.core.security_events import (
    CRITICAL_2,
    CRITICAL_16,
    PUSHED,
    SecurityEventType,
    name_16,
)
from controller.core.settings import Settings
from controller.core.settings_list import settings_for
from controller.maintenance import security_log as module
from controller.maintenance.security_log import SecurityLog
from controller.store.database import Database
from controller.store.security_events import SecurityEventStore
from tests.unit.maintenance.fakes import pass_time
from tests.unit.station.fakes import FakeClock, installation

T = SecurityEventType


class World:
    def __init__(self, folder: Path, *, limit: int = 2_000) -> None:
        self.folder, self.limit = folder, limit
        self.clock = FakeClock()
        self.settings: Settings = settings_for(installation(folder))
        self.commits = 0

    async def start(self, *, has_backend: bool = True) -> SecurityLog:
        self.database = Database(self.folder / "station.db")
        self.database.open()
        self.store = SecurityEventStore(self.database, self.limit)
        self.log = SecurityLog(self.store, self.settings, self.clock, has_backend=has_backend)
        await self.log.load()
        return self.log

    async def stop(self) -> None:
        await self.log.flush()
        await self.database.close()

    async def die(self) -> None:
        """What was not asked to be written is gone."""
        await self.database.close()

    async def told(self) -> list[tuple[int, str]]:
        """Deliver everything that waits."""
        found = []
        while (event := await self.log.waiting()) is not None:
            found.append((event.n, event.type.value))
            self.log.told(event.n)
        await self.database.probe()
        return found


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_critical_events_wait_in_order_over_a_restart(world: World) -> None:
    log = await world.start()
    log.raise_event(T.STARTUP_OF_THE_DEVICE)
    log.raise_event(T.FAILED_TO_AUTHENTICATE_AT_CSMS)  # not critical: only logged
    log.raise_event(T.INVALID_CSMS_CERTIFICATE, "chain")
    await world.die()
    log = await world.start()
    log.raise_event(T.STARTUP_OF_THE_DEVICE, "again")
    types = [kind for _, kind in await world.told()]
    assert types == ["StartupOfTheDevice", "InvalidCsmsCertificate", "StartupOfTheDevice"]
    assert await log.waiting() is None
    await world.die()
    log = await world.start()
    assert await log.waiting() is None
    assert [e.type for e in await log.entries()] == [
        T.STARTUP_OF_THE_DEVICE,
        T.FAILED_TO_AUTHENTICATE_AT_CSMS,
        T.INVALID_CSMS_CERTIFICATE,
        T.STARTUP_OF_THE_DEVICE,
    ]
    await world.stop()


async def test_more_than_fit_into_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AHEAD", 3)
    log = await world.start()
    for n in range(10):
        log.raise_event(T.STARTUP_OF_THE_DEVICE, str(n))
    first = await log.waiting()
    assert first is not None
    assert [n for n, _ in await world.told()] == list(range(1, 11))
    log.raise_event(T.RESET_OR_REBOOT)
    assert [n for n, _ in await world.told()] == [11]
    await world.stop()


async def test_events_that_nobody_waits_for_are_written_together(world: World) -> None:
    log = await world.start()
    task = asyncio.ensure_future(log.run())
    for _ in range(20):
        log.raise_event(T.CSMS_FAILED_TO_AUTHENTICATE)
    await pass_time(world.clock, 30)
    assert await world.store.last_n() == 0
    await pass_time(world.clock, 31)
    assert await world.store.last_n() == 20
    task.cancel()
    await world.stop()


async def test_the_log_rolls_but_keeps_what_must_be_told(tmp_path: Path) -> None:
    world = World(tmp_path, limit=5)
    log = await world.start()
    log.raise_event(T.STARTUP_OF_THE_DEVICE)
    for n in range(10):
        log.raise_event(T.CSMS_FAILED_TO_AUTHENTICATE, str(n))
        await log.flush()
    assert [e.n for e in await log.entries()] == [1, 7, 8, 9, 10, 11]
    await world.told()
    log.raise_event(T.RESET_OR_REBOOT)
    assert [e.n for e in await log.entries()] == [8, 9, 10, 11, 12]
    await world.stop()


async def test_nuisances_are_counted_not_repeated(world: World) -> None:
    log = await world.start()
    for _ in range(1_000):
        log.raise_event(T.INVALID_MESSAGES, "junk")
    await pass_time(world.clock, 61)
    log.raise_event(T.INVALID_MESSAGES, "junk")
    assert [e.tech_info for e in await log.entries()] == ["junk", "junk (and 999 times before)"]
    await world.stop()


async def test_switched_off_and_stand_alone_tell_nothing(world: World) -> None:
    log = await world.start()
    world.settings.change("DisableSecurityEventNotifications", "true")
    log.raise_event(T.STARTUP_OF_THE_DEVICE)
    assert await log.waiting() is None
    await world.stop()
    world.settings.change("DisableSecurityEventNotifications", "false")
    log = await world.start(has_backend=False)
    log.raise_event(T.STARTUP_OF_THE_DEVICE)
    assert await log.waiting() is None
    assert len(await log.entries()) == 2
    await world.stop()


async def test_clearing_is_an_event_and_forgets_nothing_that_must_be_told(world: World) -> None:
    log = await world.start()
    log.raise_event(T.FIRMWARE_UPDATED, "2.0")
    log.raise_event(T.CSMS_FAILED_TO_AUTHENTICATE)
    await log.flush()
    await log.clear()
    assert [kind for _, kind in await world.told()] == ["FirmwareUpdated", "SecurityLogWasCleared"]
    assert [e.type for e in await log.entries()] == [
        T.FIRMWARE_UPDATED,
        T.SECURITY_LOG_WAS_CLEARED,
    ]
    await world.stop()


async def test_long_and_secret_texts(world: World) -> None:
    log = await world.start()
    log.raise_event(T.STARTUP_OF_THE_DEVICE, "password=hunter22 " + "x" * 400)
    (event,) = await log.entries()
    assert len(event.tech_info) == 255
    assert "hunter22" not in event.tech_info
    await world.stop()


async def test_what_cannot_be_written_is_written_later(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    log = await world.start()
    broken = Database(world.folder / "other.db")
    broken.open()
    await broken.write(lambda c: c.execute("DROP TABLE security_events"))
    good, log._keeper = log._keeper, SecurityEventStore(broken)
    log.raise_event(T.STARTUP_OF_THE_DEVICE)
    await log.flush()
    assert "not stored" in caplog.text
    log._keeper = good
    await log.flush()
    assert [e.type for e in await log.entries()] == [T.STARTUP_OF_THE_DEVICE]
    await broken.close()
    await world.stop()


def test_the_catalogue() -> None:
    assert CRITICAL_16 == {
        T.FIRMWARE_UPDATED,
        T.SETTING_SYSTEM_TIME,
        T.STARTUP_OF_THE_DEVICE,
        T.RESET_OR_REBOOT,
        T.SECURITY_LOG_WAS_CLEARED,
        T.MEMORY_EXHAUSTION,
        T.TAMPER_DETECTION_ACTIVATED,
    }
    assert CRITICAL_16 < CRITICAL_2 == PUSHED
    not_critical = set(T) - CRITICAL_2
    assert not_critical == {
        T.FAILED_TO_AUTHENTICATE_AT_CSMS,
        T.CSMS_FAILED_TO_AUTHENTICATE,
        T.RECONFIGURATION_OF_SECURITY_PARAMETERS,
        T.INVALID_MESSAGES,
        T.ATTEMPTED_REPLAY_ATTACKS,
    }
    assert {name_16(t) for t in T if name_16(t) != t.value} == {
        "FailedToAuthenticateAtCentralSystem",
        "CentralSystemFailedToAuthenticate",
        "InvalidCentralSystemCertificate",
        "InvalidChargePointCertificate",
    }
    assert all(len(name_16(t)) <= 50 for t in T)


async def test_an_event_of_another_version_holds_up_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    log = await world.start()
    for _ in range(2):
        log.raise_event(T.FIRMWARE_UPDATED, "2.0")
    await log.flush()
    await world.database.write(
        lambda c: c.execute("UPDATE security_events SET type = 'OfTomorrow' WHERE n = 1")
    )
    await world.die()
    await world.start()
    assert await world.told() == [(2, "FirmwareUpdated")]
    await world.stop()
