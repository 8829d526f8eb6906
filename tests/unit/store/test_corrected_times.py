"""The queue's wrong times become right in one commit, before anything goes out (R16-BOOT-8, RPC-15)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.core.hindsight import MARK, Hindsight
from controller.store import hindsight as hindsight_module
from controller.store import outbox as outbox_module
from controller.store.store import Store
from tests.unit.store.reports import drain, ended, started, transaction, values

WRONG = datetime(2023, 3, 1, 8, 0, tzinfo=UTC)
RIGHT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER = Hindsight(by=RIGHT - WRONG)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path)
    yield opened
    await opened.close()


async def test_rows_moving_ones_and_the_volatile_tail_are_moved(store: Store) -> None:
    await store.outbox.append(started(1, WRONG))
    moving = store.outbox.append(values(2, WRONG))
    store.outbox.append_volatile(values(3, WRONG))
    correcting = store.outbox.correct(1, LATER, None)
    store.outbox.append_volatile(values(4, RIGHT))
    assert await drain(store) == [
        started(1, RIGHT),
        values(2, RIGHT),
        values(3, RIGHT),
        values(4, RIGHT),
    ]
    await asyncio.gather(moving, correcting)


async def test_nothing_goes_out_before_it_is_durable(store: Store) -> None:
    await store.outbox.append(started(1, WRONG))
    correcting = store.outbox.correct(1, LATER, None)
    entry = await store.outbox.head()
    assert entry is not None and entry.report == started(1, RIGHT)
    assert correcting.done()


async def test_it_survives_the_process(store: Store, tmp_path: Path) -> None:
    for number in range(300):
        store.outbox.append_volatile(values(number, WRONG))
    await store.outbox.correct(1, LATER, "a mark")
    await store.close()
    again = await Store.open(tmp_path)
    assert await again.values.get(MARK) == "a mark"
    assert await drain(again) == [values(number, RIGHT) for number in range(300)]
    await again.close()


async def test_older_entries_and_those_on_their_way_stay(store: Store) -> None:
    await store.outbox.append(started(1, RIGHT))
    first_n = store.outbox.next_n
    await store.outbox.append(ended(1, WRONG))
    await store.outbox.correct(first_n, LATER, None)
    head = await store.outbox.head()
    assert head is not None and head.report == started(1, RIGHT)
    await store.outbox.correct(1, LATER, None)
    assert await drain(store) == [
        started(1, RIGHT),
        ended(1, RIGHT + LATER.by),
    ], "the first may be out already"


async def test_transactions_and_moments_of_life_are_moved(store: Store) -> None:
    await store.transactions.begin(transaction(1, RIGHT, evse=1), None)
    kept = replace(LATER, kept=frozenset({RIGHT}))
    await store.transactions.begin(transaction(2, WRONG, evse=2), started(2, WRONG))
    await store.transactions.begin(transaction(3, WRONG, evse=3), started(3, WRONG))
    over = replace(transaction(3, WRONG, evse=3), ended_at=WRONG + timedelta(minutes=5))
    await store.transactions.end(over, ended(3, WRONG))
    await store.transactions.alive(1, "tx-1", WRONG, 7.0)
    await store.outbox.correct(1, kept, None)
    opened = await store.transactions.open_transactions()
    assert opened[1].started_at == RIGHT
    assert opened[1].last_seen_at == RIGHT
    assert opened[2] == transaction(2, RIGHT, evse=2)
    last = await store.transactions.last(3)
    assert last is not None and last.ended_at == RIGHT + timedelta(minutes=5)


def _disk_is_full(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    usual, failures = hindsight_module.rewrite, [1] * times

    def full(*arguments: object) -> None:
        if failures:
            failures.pop()
            raise sqlite3.OperationalError("database or disk is full")
        usual(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(hindsight_module, "rewrite", full)
    monkeypatch.setattr(hindsight_module, "_RETRY_S", 0.0)


async def test_a_full_disk_delays_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.outbox.append(started(1, WRONG))
    _disk_is_full(monkeypatch, times=2)
    correcting = store.outbox.correct(1, LATER, None)
    store.outbox.append_volatile(values(2, RIGHT))
    assert await drain(store) == [started(1, RIGHT), values(2, RIGHT)]
    await correcting


async def test_who_looks_for_the_oldest_while_a_correction_begins_gets_the_corrected_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _disk_is_full(monkeypatch, times=2)  # once with others in one commit, once alone
    appending = store.outbox.append(started(1, WRONG))
    looking = asyncio.ensure_future(store.outbox.head())
    await asyncio.sleep(0)
    await store.outbox.correct(1, LATER, None)
    entry = await looking
    assert entry is not None and entry.report == started(1, RIGHT)
    await appending


async def test_values_that_could_not_be_stored_are_moved_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = outbox_module._insert

    def full(*arguments: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(outbox_module, "_insert", full)
    store.outbox.append_volatile(values(1, WRONG))
    await store.outbox.correct(1, LATER, None)
    monkeypatch.setattr(outbox_module, "_insert", usual)
    assert await drain(store) == [values(1, RIGHT)]
