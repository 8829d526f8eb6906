"""SIGKILL at any moment, and a disk that fails at the n-th write: nothing lost, doubled, reordered."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from controller.core.model import (
    IdToken,
    Report,
    StopReason,
    TransactionEnded,
    TransactionStarted,
)
from controller.store.store import FILE, Store
from tests.crash.death import said_until_killed
from tests.unit.store.reports import AT, ended, started, transaction, values

KILLS = 12


async def _contents(folder: Path) -> tuple[list[str], set[str]]:
    """(reports that wait, ids of open transactions) after a restart."""
    store = await Store.open(folder)
    assert store.database.note == ""
    found = []
    while (entry := await store.outbox.head()) is not None:
        report = entry.report
        if isinstance(report, TransactionStarted):
            found.append(f"started {report.transaction_id}")
        elif isinstance(report, TransactionEnded):
            found.append(f"ended {report.transaction_id}")
        await store.outbox.delivered(entry.n)
    opened = {t.id for t in (await store.transactions.open_transactions()).values()}
    await store.database.close()  # the deletions above are not kept: nothing was sent
    return found, opened


def test_sigkill_at_any_moment(tmp_path: Path) -> None:
    """DESIGN §1.5: what was acknowledged is there; what was told is gone or, at most, the last one."""
    chance = random.Random(7)
    total = 0
    for round_ in range(KILLS):
        folder = tmp_path / str(round_)
        said = said_until_killed(
            "tests.crash.store_writer", str(folder), "1", after_s=chance.uniform(0.005, 0.25)
        )
        acknowledged = [
            f"{what} tx-{number}"
            for what, number in (s.split() for s in said if not s.startswith("told"))
        ]
        told = [s.removeprefix("told ") for s in said if s.startswith("told")]
        waiting, opened = asyncio.run(_contents(folder))
        total += len(acknowledged)
        expected = [a for a in acknowledged if a not in told]
        # The child may have done more than it could say: further commits at the end,
        # deletions at the front. Both ends apart, everything is there once and in order.
        everything = told + waiting if not told or told[-1] not in waiting else told[:-1] + waiting
        assert len(set(waiting)) == len(waiting)
        assert everything[: len(told)] == told
        missing = [a for a in expected if a not in waiting]
        assert missing == expected[: len(missing)] and len(missing) <= 2
        assert [w for w in waiting if w in expected] == expected[len(missing) :]
        assert len(opened) <= 1
    assert total > 50


def fail_at_write(store: Store, failing: int) -> None:
    """The disk is full at that write only, counted from 0."""
    real, count = store.database.write, 0

    def write(work, then=None):  # type: ignore[no-untyped-def]
        nonlocal count
        count += 1

        def full(connection: sqlite3.Connection) -> None:
            work(connection)
            raise sqlite3.OperationalError("database or disk is full")

        return real(full if count == failing + 1 else work, then)

    store.database.write = write  # type: ignore[method-assign]


@pytest.mark.parametrize("statement", ["INSERT ON outbox", "INSERT ON transactions"])
async def test_a_start_is_all_or_nothing(tmp_path: Path, statement: str) -> None:
    store = await Store.open(tmp_path)
    await store.database.write(
        lambda c: c.execute(
            f"CREATE TRIGGER full BEFORE {statement} BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    )
    with pytest.raises(sqlite3.IntegrityError):
        await store.transactions.begin(transaction(1), started(1))
    await store.database.close()
    assert await _contents(tmp_path) == ([], set())


async def test_failing_at_the_nth_write_loses_only_what_was_refused(tmp_path: Path) -> None:
    """The n-th write fails for every n of a charge; the caller is told and nothing else changes."""
    for failing in range(4):
        folder = tmp_path / str(failing)
        store = await Store.open(folder)
        fail_at_write(store, failing)
        over = replace(transaction(1), ended_at=AT, meter_stop_wh=5.0, stop_reason=StopReason.LOCAL)
        steps = (
            lambda s=store: s.transactions.begin(transaction(1), started(1)),
            lambda s=store: s.transactions.alive(1, "tx-1", AT, 2.0),
            lambda s=store, o=over: s.transactions.end(o, ended(1)),
        )
        done = []
        for step in steps:
            try:
                await step()
            except sqlite3.OperationalError:
                done.append(False)
            else:
                done.append(True)
        await store.database.close()
        waiting, opened = await _contents(folder)
        assert ("started tx-1" in waiting) is done[0]
        assert ("ended tx-1" in waiting) is done[2]
        assert opened == ({"tx-1"} if done[0] and not done[2] else set())


async def _whole_life(store: Store) -> tuple[dict[str, bool], list[str]]:
    """Every kind of write once: (step: was it acknowledged, what the backend was told)."""
    box, done, told = store.outbox, {}, []
    changed = replace(transaction(1), group=IdToken("G"))
    over = replace(changed, ended_at=AT, meter_stop_wh=5.0, stop_reason=StopReason.LOCAL)

    async def tell() -> None:
        entry = await box.head()
        if entry is not None:
            told.append(_name(entry.report))
            await box.delivered(entry.n, 7)

    async def put_aside() -> None:
        entry = await box.head()
        if entry is not None:
            await box.undeliverable(entry.n, "InternalError")

    async def again() -> None:
        for number, *_ in await store.undelivered.all():
            await store.undelivered.send_again(number)

    async def flush() -> None:
        box.append_volatile(values(1))
        await (box.flush() or asyncio.sleep(0))

    for name, step in (
        ("begin", lambda: store.transactions.begin(transaction(1), started(1))),
        ("change", lambda: store.transactions.change(changed)),
        ("alive", lambda: store.transactions.alive(1, "tx-1", AT, 2.0)),
        ("flush", flush),
        ("end", lambda: store.transactions.end(over, ended(1))),
        ("tell", tell),
        ("put aside", put_aside),
        ("again", again),
        ("put", lambda: store.values.put("a", "1")),
        ("tell more", tell),
    ):
        try:
            await step()
            done[name] = True
        except sqlite3.OperationalError:
            done[name] = False
    return done, told


def _name(report: Report | None) -> str:
    return f"{type(report).__name__} {report.transaction_id}" if report is not None else "?"


@pytest.mark.parametrize("failing", range(30))
async def test_failing_at_the_nth_write_of_everything_a_store_does(
    tmp_path: Path, failing: int
) -> None:
    """Whoever asked is told; what was acknowledged is in exactly one place, the rest changed nothing."""
    store = await Store.open(tmp_path)
    fail_at_write(store, failing)
    done, told = await _whole_life(store)
    assert len([ok for ok in done.values() if not ok]) <= 1
    tail = [_name(e.report) for e in store.outbox._tail]
    await store.database.close()

    store = await Store.open(tmp_path)
    kept = await store.outbox.backend_transaction_id("tx-1")
    opened = await store.transactions.open_transactions()
    last = await store.transactions.last(1)
    aside = [_name(report) for _, report, _, _ in await store.undelivered.all()]
    waiting = []
    while (entry := await store.outbox.head()) is not None:
        waiting.append(_name(entry.report))
        await store.outbox.delivered(entry.n, 7)
    stored = await store.values.all("")
    await store.close()

    expected = [
        name
        for step, name in (
            ("begin", "TransactionStarted tx-1"),
            ("flush", "MeterValuesTaken tx-1"),
            ("end", "TransactionEnded tx-1"),
        )
        if done[step] or name in told
    ]
    if not done["flush"] and "MeterValuesTaken tx-1" in waiting + aside:
        expected.append(
            "MeterValuesTaken tx-1"
        )  # it stayed in memory and went with the next commit
    found = told + waiting + aside
    assert sorted(set(found)) == sorted(set(expected)), (done, told, waiting, aside, tail)
    # Twice only what was answered while its deletion failed, and that is the last one told.
    for name in found:
        times = found.count(name)
        assert times == 1 or (times == 2 and name == told[-1] and waiting[0] == name)
    assert stored == ({"a": "1"} if done["put"] else {})
    assert set(opened) == ({1} if done["begin"] and not done["end"] else set())
    assert (last is not None) is done["begin"]
    if last is not None and not done["end"]:
        assert (last.group is not None) is done["change"]
    if kept is not None:
        assert kept == 7 and "TransactionStarted tx-1" in told


def test_the_file_is_one_file(tmp_path: Path) -> None:
    async def write() -> None:
        store = await Store.open(tmp_path)
        await store.transactions.begin(transaction(1), started(1))
        await store.close()

    asyncio.run(write())
    assert [f.name for f in tmp_path.iterdir()] == [FILE]
