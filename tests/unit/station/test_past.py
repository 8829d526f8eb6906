"""Until the backend tells the time, what was stamped since the start moves with the clock (R16-BOOT-8)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.core.hindsight import MARK
from controller.core.model import ConnectorUnplugged
from controller.station.past import Past
from controller.station.waiting import Tasks
from controller.store.store import Store

WRONG = datetime(2023, 3, 1, 8, 0, tzinfo=UTC)
RIGHT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Hands:
    """A clock set by hand; monotonic time stands still."""

    def __init__(self) -> None:
        self.now = WRONG

    def monotonic_ns(self) -> int:
        return 1_000_000_000_000

    def utc(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits")


class World:
    def __init__(self, store: Store) -> None:
        self.store, self.clock, self.tasks = store, Hands(), Tasks()

    async def start(self, boot_id: str = "boot-1") -> Past:
        past = Past(self.store, self.clock, self.tasks, lambda: ())
        await past.load(boot_id)
        return past

    def report(self) -> None:
        self.store.outbox.append_volatile(
            ConnectorUnplugged(transaction_id="t", evse=1, at=self.clock.now)
        )

    async def told(self) -> list[datetime]:
        found = []
        while (entry := await self.store.outbox.head()) is not None:
            assert isinstance(entry.report, ConnectorUnplugged)
            found.append(entry.report.at)
            await self.store.outbox.delivered(entry.n)
        return found

    async def mark(self) -> str | None:
        rows = await self.store.database.write(
            lambda c: c.execute(
                "SELECT value FROM stored_values WHERE name = ?", (MARK,)
            ).fetchall()
        )
        return rows[0][0] if rows else None


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(await Store.open(tmp_path))
    yield made
    await made.tasks.close()
    await made.store.close()


async def test_the_first_word_of_the_backend_moves_the_past(world: World) -> None:
    past = await world.start()
    world.report()
    world.clock.now = RIGHT
    past.adopted()
    world.report()
    assert await world.told() == [RIGHT, RIGHT]
    assert await world.mark() is None


async def test_a_right_clock_moves_nothing(world: World) -> None:
    past = await world.start()
    world.report()
    world.clock.now += timedelta(seconds=2)
    past.adopted()
    assert await world.told() == [WRONG]
    await world.mark()  # forgotten aside
    assert await world.mark() is None


async def test_only_the_first_word_counts(world: World) -> None:
    past = await world.start()
    past.adopted()
    world.report()
    world.clock.now = RIGHT
    past.look()
    past.adopted()
    assert await world.told() == [WRONG]


async def test_the_times_service_may_come_before_the_backend(world: World) -> None:
    past = await world.start()
    world.report()
    world.clock.now = RIGHT - timedelta(seconds=40)
    past.look()
    world.report()
    world.clock.now = RIGHT
    past.adopted()
    assert await world.told() == [RIGHT, RIGHT]


async def test_an_earlier_start_under_the_same_boot_is_past_too(world: World) -> None:
    await world.start()
    world.report()
    world.clock.now = RIGHT - timedelta(hours=1)
    past = await world.start()
    world.report()
    world.clock.now = RIGHT
    past.adopted()
    assert await world.told() == [RIGHT, RIGHT]


async def test_of_an_earlier_boot_nobody_can_know(world: World) -> None:
    await world.start()
    world.report()
    past = await world.start("boot-2")
    world.report()
    world.clock.now = RIGHT
    past.adopted()
    assert await world.told() == [WRONG, RIGHT]


async def test_a_start_that_knew_the_time_stays(world: World) -> None:
    world.clock.now = RIGHT
    past = await world.start()
    past.adopted()
    await world.mark()  # forgotten aside
    world.report()
    world.clock.now = WRONG
    past = await world.start()
    world.report()
    world.clock.now = RIGHT
    past.adopted()
    assert await world.told() == [RIGHT, RIGHT]
