"""SIGKILL at any moment, and a disk that fails at the n-th write: nothing lost, doubled, reordered."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from controller.core.model import StopReason, TransactionEnded, TransactionStarted
from controller.store.store import FILE, Store
from tests.unit.store.test_outbox import AT, ended, started, transaction

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
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.store_writer", str(folder), "1"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.005, 0.25))
        child.kill()
        lines = child.stdout.read().splitlines(keepends=True)
        child.stdout.close()
        child.wait()
        said = [line.strip() for line in lines if line.endswith("\n")]
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
        real, count = store.database.write, 0

        def write(work, then=None, *, real=real, failing=failing):  # type: ignore[no-untyped-def]
            nonlocal count
            count += 1

            def full(connection: sqlite3.Connection) -> None:
                work(connection)
                raise sqlite3.OperationalError("database or disk is full")

            return real(full if count == failing + 1 else work, then)

        store.database.write = write  # type: ignore[method-assign]
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


def test_the_file_is_one_file(tmp_path: Path) -> None:
    async def write() -> None:
        store = await Store.open(tmp_path)
        await store.transactions.begin(transaction(1), started(1))
        await store.close()

    asyncio.run(write())
    assert [f.name for f in tmp_path.iterdir()] == [FILE]
