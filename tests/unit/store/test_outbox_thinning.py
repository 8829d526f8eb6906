"""R16-TX-3: when neither disk nor memory has room, every second meter value leaves, never a start or an end."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.core.model import MeterValuesTaken
from controller.store.outbox import _MOST_IN_MEMORY
from controller.store.store import Store
from tests.unit.store.reports import drain, ended, started, transaction, values


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path)
    yield opened
    await opened.close()


async def fill_disk(store: Store) -> None:
    await store.database.write(
        lambda c: c.execute(
            "CREATE TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    )


async def empty_disk(store: Store) -> None:
    await store.database.write(lambda c: c.execute("DROP TRIGGER full"))


def numbers(reports: list[object]) -> list[float]:
    return [r.sample.values[0].value for r in reports if isinstance(r, MeterValuesTaken)]


async def test_a_full_disk_does_not_fill_the_memory(store: Store) -> None:
    await fill_disk(store)
    count = 3 * _MOST_IN_MEMORY
    for n in range(count):
        store.outbox.append_volatile(values(n))
        if n % 1000 == 999:
            with pytest.raises(sqlite3.Error):
                await (store.outbox.flush() or store.database.probe())
    assert store.outbox.waiting <= _MOST_IN_MEMORY
    await empty_disk(store)
    kept = numbers(list(await drain(store)))
    assert kept == sorted(kept)
    assert kept[0] == 0, "the head may be on its way already"
    assert len(kept) > _MOST_IN_MEMORY // 2, "no more than necessary"
    assert max(b - a for a, b in itertools.pairwise(kept)) <= 16, "thinned, not cut off"


async def test_starts_and_ends_are_never_thinned(store: Store) -> None:
    await store.transactions.begin(transaction(1), started(1))
    for n in range(2 * _MOST_IN_MEMORY):
        store.outbox.append_volatile(values(n))
    await store.transactions.end(transaction(1), ended(1))
    reports = await drain(store)
    assert reports[0] == started(1)
    assert reports[-1] == ended(1)


async def test_with_room_nothing_leaves(store: Store) -> None:
    for n in range(_MOST_IN_MEMORY):
        store.outbox.append_volatile(values(n))
    assert numbers(list(await drain(store))) == list(range(_MOST_IN_MEMORY))
