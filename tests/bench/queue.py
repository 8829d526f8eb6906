"""A full queue: everything arrives once and in order after SIGKILL; how fast; what a long queue costs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from controller.core.model import (
    IdToken,
    StopReason,
    Transaction,
    TransactionEnded,
    TransactionStarted,
)
from controller.ocpp.validation import validators_16
from controller.store.store import Store
from tests.bench.station import private_mib
from tests.bench.table import Row
from tests.scenario.backend import ScriptedBackend
from tests.scenario.rig import Rig, until

CARD = IdToken("04A2B3C4")


async def fill(state_dir: Path, sessions: int) -> None:
    """Put `sessions` complete transactions into the queue, as an offline station does."""
    store = await Store.open(state_dir)
    at = datetime.now(UTC) - timedelta(days=10)
    register = 0.0
    last = None
    for _ in range(sessions):
        at += timedelta(seconds=60)
        started = Transaction(id=str(uuid.uuid4()), evse=1, id_token=CARD, started_at=at, meter_start_wh=register,
                              guard_id="g", plug_id=1, offline=True)  # fmt: skip
        store.transactions.begin(started, TransactionStarted(
            transaction_id=started.id, evse=1, id_token=CARD, at=at, meter_wh=register, offline=True))  # fmt: skip
        at += timedelta(seconds=60)
        register += 100
        ended = replace(started, ended_at=at, meter_stop_wh=register, stop_reason=StopReason.LOCAL)
        last = store.transactions.end(ended, TransactionEnded(
            transaction_id=started.id, evse=1, at=at, meter_wh=register, reason=StopReason.LOCAL, id_token=CARD, offline=True))  # fmt: skip
    if last is not None:
        await last
    await store.close()


async def offline_day(sessions: int) -> list[Row]:
    """`sessions` offline sessions, a SIGKILL in the middle of the replay."""
    with tempfile.TemporaryDirectory() as directory:
        backend = ScriptedBackend()
        backend.card(CARD.value)
        url = await backend.start()
        rig = Rig(Path(directory), url)
        try:
            state = Path(directory) / "state"
            state.mkdir()
            await fill(state, sessions)
            await rig.start()
            await until(
                lambda: len(backend.csms.frames) > sessions, "half of the replay", 120.0, 0.1
            )
            os.kill(rig.pid("station"), signal.SIGKILL)
            await until(
                lambda: len(backend.csms.frames) > sessions * 2, "the replay goes on", 60.0, 0.1
            )
            before, begin = len(backend.csms.frames), time.monotonic()
            # Looked at rarely and by a number alone: the backend shares this loop.
            await until(lambda: len(backend.csms.frames) >= sessions * 4, "nearly all", 300.0, 0.25)
            await until(
                lambda: len(set(backend.message_ids("StopTransaction"))) >= sessions,
                "all stops",
                60.0,
                1.0,
            )
            rate = (len(backend.csms.frames) - before) / 2 / (time.monotonic() - begin)
            ids: dict[str, tuple[str, float]] = {}
            for direction, frame in backend.csms.frames:
                if (
                    direction == "out"
                    and frame[0] == 2
                    and frame[2] in ("StartTransaction", "StopTransaction")
                ):
                    ids.setdefault(
                        frame[1], (frame[2], frame[3].get("meterStart", frame[3].get("meterStop")))
                    )
            order = list(ids.values())
            expected = [
                x
                for i in range(sessions)
                for x in (("StartTransaction", i * 100), ("StopTransaction", i * 100 + 100))
            ]
            wrong = backend.violations()
        finally:
            rig.close()
            await backend.stop()
    good = order == expected and not wrong
    return [
        Row(what=f"offline sessions reported after SIGKILL, {sessions}", bar="all, in order, once",
            measured=f"{len(order) // 2}, {'in order, once' if good else 'WRONG ' + str(wrong[:1])}", ok=good),
        Row(what="replay, answer awaited, durable delete", bar="≥ 500 messages/s", aim="≥ 1000",
            measured=f"{rate:.0f}/s", ok=rate >= 500),
    ]  # fmt: skip


async def long_queue(entries: int) -> list[Row]:
    """Start-up and memory with an empty and with a long queue; the backend is away."""
    times: dict[int, float] = {}
    memory: dict[int, float] = {}
    for count in (0, entries):
        with tempfile.TemporaryDirectory() as directory:
            rig = Rig(Path(directory), "ws://127.0.0.1:9/ocpp")
            try:
                state = Path(directory) / "state"
                state.mkdir()
                await fill(state, count // 2)
                await rig.start()
                await asyncio.to_thread(rig.stop)
                found = []
                for _ in range(3):
                    begin = time.monotonic()
                    await rig.start(wait=False)
                    await until(rig.station_ready, "station", 10.0, 0.002)
                    found.append(time.monotonic() - begin)
                    if len(found) == 3:
                        await asyncio.sleep(4.0)
                        memory[count] = private_mib(rig.pid("station"))
                    await asyncio.to_thread(rig.stop)
                times[count] = sorted(found)[1]
            finally:
                rig.close()
    longer = (times[entries] / times[0] - 1) * 100
    more = memory[entries] - memory[0]
    return [
        Row(what=f"start-up with {entries} queued", bar="+10 %", aim="+2 %", measured=f"{longer:+.1f} %", ok=longer <= 10,
            yardstick=f"empty {times[0] * 1000:.0f} ms"),
        Row(what=f"memory with {entries} queued", bar="+8 MiB", aim="+3 MiB", measured=f"{more:+.1f} MiB", ok=more <= 8,
            yardstick=f"empty {memory[0]:.1f} MiB"),
    ]  # fmt: skip


def validation() -> list[Row]:
    """Schema checks."""
    validators = validators_16()
    entries = [{"idTag": f"{i:020d}", "idTagInfo": {"status": "Accepted"}} for i in range(1000)]
    body = {"listVersion": 1, "updateType": "Full", "localAuthorizationList": entries}
    assert json.dumps(body)
    validators.request("SendLocalList", body)
    begin = time.perf_counter()
    for _ in range(50):
        validators.request("SendLocalList", body)
    ms = (time.perf_counter() - begin) * 1000 / 50
    return [
        Row(
            what="validating SendLocalList of 1,000",
            bar="≤ 1 ms",
            measured=f"{ms:.2f} ms",
            ok=ms <= 1,
        )
    ]


async def measure(sessions: int = 10_000, entries: int = 100_000) -> list[Row]:
    """All rows of the queue."""
    return await offline_day(sessions) + await long_queue(entries) + validation()
