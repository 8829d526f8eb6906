"""The durable queue: order, once each, ids kept, nothing lost (R16-TX-1 to R16-TX-5)."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.core.model import (
    IdToken,
    MeterValuesTaken,
    Report,
    StopReason,
    TransactionEnded,
    TransactionStarted,
)
from controller.ocpp.outbox import message_id_of
from controller.store.store import Store
from tests.unit.store.reports import AT, drain, ended, started, transaction, values


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path)
    yield opened
    await opened.close()


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


async def test_a_volatile_report_answered_on_its_way_into_the_table_is_gone(store: Store) -> None:
    store.outbox.append_volatile(values(1))
    entry = await store.outbox.head()
    assert entry is not None
    appending = store.outbox.append(ended(1))
    await store.outbox.delivered(entry.n)
    await appending
    assert await drain(store) == [ended(1)]


async def test_a_repeated_frame_carries_the_same_id_also_after_a_restart(tmp_path: Path) -> None:
    """R16-TX-5: what the id is made of survives, so the id needs no write before the frame."""
    store = await Store.open(tmp_path)
    store.outbox.append_volatile(values(1))
    volatile = await store.outbox.head()
    await store.outbox.append(started(1))
    entry = await store.outbox.head()
    assert volatile is not None and entry is not None
    assert message_id_of(entry) == message_id_of(volatile)
    await store.outbox.refused(entry.n)
    again = await store.outbox.head()
    assert again is not None and message_id_of(again) != message_id_of(entry)
    await store.database.close()
    store = await Store.open(tmp_path)
    kept = await store.outbox.head()
    assert kept is not None and message_id_of(kept) == message_id_of(again)
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
    ((number, report, error, _),) = await store.undelivered.all()
    assert (report, error) == (started(1), "InternalError")
    assert await store.undelivered.send_again(number)
    assert not await store.undelivered.send_again(number)
    assert await store.undelivered.all() == []
    assert await drain(store) == [ended(1), started(1)]
    await store.close()


async def _undelivered_start(store: Store) -> int:
    """Transaction 1 with a start that the backend refused to the end; its number there."""
    await store.transactions.begin(transaction(1), started(1))
    entry = await store.outbox.head()
    assert entry is not None
    await store.outbox.undeliverable(entry.n, "InternalError")
    ((number, _, _, _),) = await store.undelivered.all()
    return number


async def test_a_start_that_goes_again_takes_its_end_along(store: Store) -> None:
    """R16-TX-4: the end went out with -1; without another one the backend's transaction never ends."""
    number = await _undelivered_start(store)
    over = replace(
        transaction(1),
        ended_at=AT,
        meter_stop_wh=7.0,
        stop_reason=StopReason.REMOTE,
        stopped_by=IdToken("CD"),
        estimated=True,
    )
    await store.transactions.end(over, ended(1))
    assert await drain(store) == [ended(1)]
    assert await store.undelivered.send_again(number)
    start, end = await drain(store)
    assert start == started(1)
    assert isinstance(end, TransactionEnded)
    assert (end.transaction_id, end.evse, end.at, end.meter_wh) == ("tx-1", 1, AT, 7.0)
    assert (end.reason, end.id_token, end.estimated) == (StopReason.REMOTE, IdToken("CD"), True)


async def test_a_start_that_goes_again_takes_its_undelivered_end_along(store: Store) -> None:
    number = await _undelivered_start(store)
    over = replace(transaction(1), ended_at=AT, meter_stop_wh=7.0, stop_reason=StopReason.LOCAL)
    await store.transactions.end(over, ended(1))
    entry = await store.outbox.head()
    assert entry is not None
    await store.outbox.undeliverable(entry.n, "InternalError")
    assert await store.undelivered.send_again(number)
    assert await store.undelivered.all() == []
    assert await drain(store) == [started(1), ended(1)]


async def test_the_start_of_a_running_transaction_goes_again_without_an_end(store: Store) -> None:
    number = await _undelivered_start(store)
    assert await store.undelivered.send_again(number)
    await store.transactions.end(
        replace(transaction(1), ended_at=AT, stop_reason=StopReason.LOCAL), ended(1)
    )
    assert await drain(store) == [started(1), ended(1)]


async def test_a_transaction_that_ends_while_its_start_is_sent_again(store: Store) -> None:
    """Its end is then older than the start that goes again: another one follows."""
    number = await _undelivered_start(store)
    over = replace(transaction(1), ended_at=AT, meter_stop_wh=1.0, stop_reason=StopReason.LOCAL)
    real, reads = store.database.write, 0

    def write(work, then=None):  # type: ignore[no-untyped-def]
        nonlocal reads
        reads += 1
        future = real(work, then)
        if reads == 2:  # it has just been asked whether the transaction is over
            store.transactions.end(over, ended(1))
        return future

    store.database.write = write  # type: ignore[method-assign]
    assert await store.undelivered.send_again(number)
    reports = await drain(store)
    assert [type(r) for r in reports] == [TransactionEnded, TransactionStarted, TransactionEnded]


async def test_the_same_number_twice_at_once_goes_again_once(store: Store) -> None:
    number = await _undelivered_start(store)
    both = await asyncio.gather(*(store.undelivered.send_again(number) for _ in range(2)))
    assert sorted(both) == [False, True]
    assert await drain(store) == [started(1)]


async def test_what_cannot_be_put_aside_stays_at_the_head(tmp_path: Path) -> None:
    """DESIGN §1.5: a full disk while the backend refuses for the last time."""
    store = await Store.open(tmp_path)
    await store.transactions.begin(transaction(1), started(1))
    await store.outbox.append(ended(1))
    await _fill(store, "INSERT ON undelivered")
    entry = await store.outbox.head()
    assert entry is not None
    with pytest.raises(sqlite3.IntegrityError):
        await store.outbox.undeliverable(entry.n, "InternalError")
    assert await store.outbox.head() == entry
    assert await store.outbox.backend_transaction_id("tx-1") is None
    await store.outbox.delivered(entry.n, 5)
    assert await store.outbox.backend_transaction_id("tx-1") == 5
    assert await drain(store) == [ended(1)]
    await store.close()
    store = await Store.open(tmp_path)
    assert store.outbox.waiting == 0
    await store.close()


async def test_a_volatile_report_that_is_put_aside_is_not_in_the_queue(tmp_path: Path) -> None:
    """Also when an append takes it along at the same moment."""
    store = await Store.open(tmp_path)
    store.outbox.append_volatile(values(1))
    entry = await store.outbox.head()
    assert entry is not None
    moving = asyncio.create_task(store.outbox.undeliverable(entry.n, "InternalError"))
    await asyncio.sleep(0)
    await store.outbox.append(ended(1))
    await moving
    await store.close()
    store = await Store.open(tmp_path)
    assert [report for _, report, _, _ in await store.undelivered.all()] == [values(1)]
    assert await drain(store) == [ended(1)]
    await store.close()


async def test_attempts_count_on_while_a_volatile_report_is_stored(store: Store) -> None:
    store.outbox.append_volatile(values(1))
    entry = await store.outbox.head()
    assert entry is not None
    assert await store.outbox.refused(entry.n) == 1
    flushing = store.outbox.flush()
    assert flushing is not None
    assert await store.outbox.refused(entry.n) == 2
    await flushing
    kept = await store.outbox.head()
    assert kept is not None and kept.attempts == 2


async def test_what_could_not_be_deleted_is_deleted_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full for a moment: no answered report goes out again after a restart."""
    monkeypatch.setattr("controller.store.answers._DELETE_RETRY_S", 0.01)
    store = await Store.open(tmp_path)
    await store.outbox.append(started(1))
    await _fill(store, "DELETE ON outbox")
    assert await drain(store) == [started(1)]
    await asyncio.sleep(0.03)
    assert store.outbox.waiting == 1
    await store.database.write(lambda c: c.execute("DROP TRIGGER full"))
    async with asyncio.timeout(5):
        while store.outbox.waiting:
            await asyncio.sleep(0.005)
    await store.database.close()
    store = await Store.open(tmp_path)
    assert await store.outbox.head() is None
    await store.close()


async def test_a_clean_end_deletes_what_was_answered(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    await store.outbox.append(started(1))
    assert await drain(store) == [started(1)]
    await store.close()
    store = await Store.open(tmp_path)
    assert await store.outbox.head() is None
    await store.close()


@pytest.mark.parametrize("first", [1, 65])
async def test_a_row_that_cannot_be_read_stops_nothing(tmp_path: Path, first: int) -> None:
    """It is put aside as it is, shown, and the rest goes out."""
    store = await Store.open(tmp_path)
    for number in range(first - 1):
        store.outbox.append_volatile(values(number))
    await store.outbox.append(started(1))
    await store.outbox.append(started(2))
    await store.outbox.append(ended(2))

    def spoil(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE outbox SET body = '{\"is' WHERE n = ?", (first,))
        connection.execute("UPDATE outbox SET body = '{\"is\": 1}' WHERE n = ?", (first + 1,))

    await store.database.write(spoil)
    await store.database.close()
    store = await Store.open(tmp_path)
    assert await drain(store) == [*(values(n) for n in range(first - 1)), ended(2)]
    async with asyncio.timeout(5):
        while store.outbox.waiting:
            await asyncio.sleep(0.005)
    assert [report for _, report, _, _ in await store.undelivered.all()] == [None, None]
    shown = await store.undelivered.as_text()
    assert [row["report"] for row in shown] == ['{"is', {"is": 1}]
    assert not await store.undelivered.send_again(1)
    await store.close()
    store = await Store.open(tmp_path)
    assert await store.outbox.head() is None
    await store.close()


async def test_rows_that_can_neither_be_read_nor_put_aside_stop_nothing(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    for number in range(70):
        store.outbox.append_volatile(values(number))
    await store.outbox.append(ended(1))
    await store.database.write(lambda c: c.execute("UPDATE outbox SET body = '' WHERE n <= 70"))
    await _fill(store, "INSERT ON undelivered")
    await store.close()
    store = await Store.open(tmp_path)
    async with asyncio.timeout(10):
        assert await drain(store) == [ended(1)]
    await store.close()
    store = await Store.open(tmp_path)
    assert store.outbox.waiting == 70
    await store.close()


async def test_only_the_last_answered_one_may_still_be_under_deletion(store: Store) -> None:
    """A power cut repeats at most two: the one whose deletion runs and the one under way."""
    for number in (1, 2):
        await store.outbox.append(started(number))
        await store.outbox.append(ended(number))
    disk = threading.Event()
    store.database.write(lambda _: disk.wait(10))
    for n in (1, 2):
        entry = await store.outbox.head()
        assert entry is not None and entry.n == n
        await store.outbox.delivered(entry.n, 1)
    following = asyncio.create_task(store.outbox.head())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not following.done()
    disk.set()
    after = await following
    assert after is not None and after.report == started(2)


async def test_what_is_answered_while_its_write_fails_is_counted_down_once(store: Store) -> None:
    store.outbox.append_volatile(values(1))
    entry = await store.outbox.head()
    assert entry is not None
    appending = store.outbox.append(ended(1), lambda _: 1 / 0)
    await store.outbox.delivered(entry.n)
    with pytest.raises(ZeroDivisionError):
        await appending
    await store.database.probe()
    assert store.outbox.waiting == 0


async def test_the_backends_id_is_known_before_it_can_be_stored(store: Store) -> None:
    """A full disk: what follows the start names its transaction all the same."""
    await store.transactions.begin(transaction(1), started(1))
    entry = await store.outbox.head()
    assert entry is not None
    await _fill(store, "DELETE ON outbox")
    await store.outbox.delivered(entry.n, 5)
    assert await store.outbox.backend_transaction_id("tx-1") == 5
    await store.database.write(lambda c: c.execute("DROP TRIGGER full"))


async def test_numbers_that_are_missing_are_not_counted(tmp_path: Path) -> None:
    """Values that were delivered from memory leave gaps."""
    store = await Store.open(tmp_path)
    await store.outbox.append(started(1))
    store.outbox._next_n += 50
    await store.outbox.append(ended(1))
    await store.database.close()
    store = await Store.open(tmp_path)
    assert store.outbox.waiting == 2
    await store.close()


async def test_values_whose_write_failed_come_also_behind_a_long_queue(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    store.outbox.append_volatile(values(1000))
    with pytest.raises(ZeroDivisionError):
        await store.outbox.append(ended(1), lambda _: 1 / 0)
    # Stored with younger numbers and delivered before the values get into the table.
    kept = store.outbox._take_tail()
    await store.outbox.append(started(2))
    assert await drain(store) == [started(2)]
    store.outbox._ahead_is_all = False
    store.outbox._tail.extend(kept)
    await store.outbox.append(ended(2))
    assert await drain(store) == [values(1000), ended(2)]
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


async def _fill(store: Store, statement: str) -> None:
    """From now on this statement fails, as on a full disk."""
    await store.database.write(
        lambda c: c.execute(
            f"CREATE TRIGGER full BEFORE {statement} BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    )


def _bytes(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.iterdir())
