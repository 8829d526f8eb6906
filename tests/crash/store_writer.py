"""Writes charges into a store until it is killed; prints what was acknowledged.

`python -m tests.crash.store_writer DIR FIRST` → lines "started N", "ended N", "delivered N" after each commit.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from controller.core.model import StopReason, TransactionEnded, TransactionStarted
from controller.store.store import Store
from tests.unit.store.reports import AT, ended, started, transaction, values


async def main(folder: Path, first: int) -> None:
    store = await Store.open(folder)
    tell = sys.stdout.write
    tell("ready\n")
    sys.stdout.flush()
    for number in range(first, first + 100_000):
        running = transaction(number)
        await store.transactions.begin(running, started(number))
        tell(f"started {number}\n")
        store.outbox.append_volatile(values(number))
        await store.transactions.alive(1, running.id, AT, number + 1.0)
        over = replace(
            running, ended_at=AT, meter_stop_wh=number + 5.0, stop_reason=StopReason.LOCAL
        )
        await store.transactions.end(over, ended(number))
        tell(f"ended {number}\n")
        if number % 3 == 0:
            await _deliver_one(store, tell)
        sys.stdout.flush()


async def _deliver_one(store: Store, tell) -> None:  # type: ignore[no-untyped-def]
    while (entry := await store.outbox.head()) is not None:
        await store.outbox.delivered(entry.n, entry.n)
        report = entry.report
        if isinstance(report, TransactionStarted):
            tell(f"told started {report.transaction_id}\n")
        elif isinstance(report, TransactionEnded):
            tell(f"told ended {report.transaction_id}\n")
            return


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
