"""The durable queue: order, once each, ids kept, nothing lost (R16-TX-1 to R16-TX-5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.core.model import (
    IdToken,
    MeterSample,
    MeterValuesTaken,
    ReadingContext,
    Report,
    SampledValue,
    StopReason,
    Transaction,
    TransactionEnded,
    TransactionStarted,
)
from controller.store.store import Store

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def started(number: int) -> TransactionStarted:
    return TransactionStarted(
        transaction_id=f"tx-{number}", evse=1, id_token=IdToken("AB"), at=AT, meter_wh=number
    )


def ended(number: int) -> TransactionEnded:
    return TransactionEnded(
        transaction_id=f"tx-{number}", evse=1, at=AT, meter_wh=number, reason=StopReason.LOCAL
    )


def values(number: int) -> MeterValuesTaken:
    sample = MeterSample(
        at=AT, context=ReadingContext.PERIODIC, values=(SampledValue(value=number),)
    )
    return MeterValuesTaken(evse=1, sample=sample, transaction_id="tx-1")


def transaction(number: int) -> Transaction:
    return Transaction(
        id=f"tx-{number}",
        evse=1,
        id_token=IdToken("AB"),
        started_at=AT,
        meter_start_wh=number,
        guard_id="g",
        plug_id=1,
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path)
    yield opened
    await opened.close()


async def drain(store: Store) -> list[Report]:
    found = []
    while (entry := await store.outbox.head()) is not None:
        found.append(entry.report)
        await store.outbox.sending(entry.n, f"m-{entry.n}")
        await store.outbox.delivered(entry.n)
    return found


async def test_reports_leave_in_the_order_they_came(store: Store) -> None:
    reports: list[Report] = [started(1), values(2), values(3), ended(1), started(2)]
    for report in reports:
        if isinstance(report, MeterValuesTaken):
            store.outbox.append_volatile(report)
        else:
            await store.outbox.append(report)
    assert store.outbox.waiting == 5
    assert await drain(store) == reports
    await store.database.probe()
    await asyncio.sleep(0.01)
    assert store.outbox.waiting == 0


async def test_what_was_never_stored_is_counted_once(store: Store) -> None:
    store.outbox.append_volatile(values(1))
    store.outbox.append_volatile(values(2))
    assert store.outbox.waiting == 2
    assert await drain(store) == [values(1), values(2)]
    await store.database.probe()
    await asyncio.sleep(0.01)
    assert store.outbox.waiting == 0


async def test_a_durable_append_makes_the_volatile_ones_before_it_durable(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    store.outbox.append_volatile(values(1))
    await store.outbox.append(ended(1))
    store.outbox.append_volatile(values(2))
    await store.database.close()
    store = await Store.open(tmp_path)
    assert await drain(store) == [values(1), ended(1)]
    await store.close()


async def test_flush_keeps_volatile_reports_over_a_restart(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    store.outbox.append_volatile(values(1))
    flushing = store.outbox.flush()
    assert flushing is not None
    await flushing
    assert store.outbox.flush() is None
    await store.database.close()
    store = await Store.open(tmp_path)
    assert await drain(store) == [values(1)]
    await store.close()


async def test_a_volatile_report_that_was_delivered_is_never_written(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    size = _bytes(tmp_path)
    for number in range(50):
        store.outbox.append_volatile(values(number))
        assert await drain(store) == [values(number)]
    assert _bytes(tmp_path) == size
    await store.close()


async def test_a_volatile_report_on_its_way_is_flushed_with_its_message_id(store: Store) -> None:
    store.outbox.append_volatile(values(1))
    entry = await store.outbox.head()
    assert entry is not None
    await store.outbox.sending(entry.n, "m-1")
    appending = store.outbox.append(ended(1))
    await store.outbox.delivered(entry.n)
    await appending
    assert await drain(store) == [ended(1)]


async def test_a_repeated_frame_carries_the_same_id_also_after_a_restart(tmp_path: Path) -> None:
    """R16-TX-5."""
    store = await Store.open(tmp_path)
    await store.outbox.append(started(1))
    entry = await store.outbox.head()
    assert entry is not None and entry.message_id is None
    await store.outbox.sending(entry.n, "m-1")
    again = await store.outbox.head()
    assert again is not None and again.message_id == "m-1"
    await store.database.close()
    store = await Store.open(tmp_path)
    kept = await store.outbox.head()
    assert kept is not None and kept.message_id == "m-1"
    await store.close()


async def test_the_backends_id_is_kept_with_the_delivery(tmp_path: Path) -> None:
    """R16-TX-10: 0 and negative ids are real."""
    store = await Store.open(tmp_path)
    for number, told in ((1, 0), (2, -7)):
        await store.transactions.begin(transaction(number), started(number))
        entry = await store.outbox.head()
        assert entry is not None
        assert await store.outbox.backend_transaction_id(f"tx-{number}") is None
        await store.outbox.delivered(entry.n, told)
        assert await store.outbox.backend_transaction_id(f"tx-{number}") == told
    await asyncio.sleep(0.02)
    await store.close()
    store = await Store.open(tmp_path)
    assert await store.outbox.backend_transaction_id("tx-1") == 0
    assert await store.outbox.backend_transaction_id("tx-2") == -7
    assert await store.outbox.backend_transaction_id("tx-3") is None
    await store.close()


async def test_an_undeliverable_report_is_kept_and_can_be_sent_again(tmp_path: Path) -> None:
    """DESIGN §1.5, R16-TX-4."""
    store = await Store.open(tmp_path)
    await store.transactions.begin(transaction(1), started(1))
    await store.outbox.append(ended(1))
    entry = await store.outbox.head()
    assert entry is not None
    assert [await store.outbox.refused(entry.n) for _ in range(3)] == [1, 2, 3]
    await store.outbox.undeliverable(entry.n, "InternalError")
    assert await store.outbox.backend_transaction_id("tx-1") == -1
    await store.database.close()
    store = await Store.open(tmp_path)
    assert await store.outbox.backend_transaction_id("tx-1") == -1
    ((number, report, error, _),) = await store.outbox.undelivered()
    assert (report, error) == (started(1), "InternalError")
    assert await store.outbox.send_again(number)
    assert not await store.outbox.send_again(number)
    assert await store.outbox.undelivered() == []
    assert await drain(store) == [ended(1), started(1)]
    await store.close()


async def test_attempts_survive_a_restart(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    await store.outbox.append(started(1))
    entry = await store.outbox.head()
    assert entry is not None
    await store.outbox.refused(entry.n)
    await store.database.close()
    store = await Store.open(tmp_path)
    kept = await store.outbox.head()
    assert kept is not None and kept.attempts == 1
    await store.close()


async def test_a_repeated_answer_removes_nothing_else(store: Store) -> None:
    await store.outbox.append(started(1))
    await store.outbox.append(ended(1))
    entry = await store.outbox.head()
    assert entry is not None
    await store.outbox.delivered(entry.n)
    await store.outbox.delivered(entry.n)
    assert await drain(store) == [ended(1)]


async def test_a_long_queue_is_never_loaded_whole(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    for _ in range(20):
        for number in range(50):
            store.outbox.append_volatile(values(number))
        flushing = store.outbox.flush()
        assert flushing is not None
        await flushing
    await store.outbox.append(ended(1))
    assert len(store.outbox._ahead) <= 128
    await store.close()
    store = await Store.open(tmp_path)
    assert store.outbox.waiting == 1001
    assert len(store.outbox._ahead) == 0
    got = await drain(store)
    assert [r.sample.values[0].value for r in got[:-1] if isinstance(r, MeterValuesTaken)] == [
        n for _ in range(20) for n in range(50)
    ]
    assert got[-1] == ended(1)
    await store.close()


async def test_an_append_while_the_queue_is_read_ahead_comes_once(store: Store) -> None:
    for number in range(200):
        store.outbox.append_volatile(values(number))
    flushing = store.outbox.flush()
    assert flushing is not None
    reading = asyncio.create_task(drain(store))
    for number in range(5):
        await store.outbox.append(started(number))
    got = await reading
    got += await drain(store)
    assert got == [values(n) for n in range(200)] + [started(n) for n in range(5)]


async def test_nothing_is_lost_when_a_write_fails(store: Store) -> None:
    """A full disk: the durable append says so, the meter values stay in memory."""
    store.outbox.append_volatile(values(1))

    def fail(_: object) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        await store.outbox.append(ended(1), fail)
    await store.outbox.append(ended(2))
    assert await drain(store) == [values(1), ended(2)]


def _bytes(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.iterdir())
