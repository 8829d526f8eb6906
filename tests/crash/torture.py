"""Random SIGKILLs of the real processes during charges, judged by the bench, the backend and the store."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from controller.core.model import Transaction
from controller.demo.bench_client import BenchError
from controller.store.codec import transaction_from_text
from controller.store.store import FILE
from tests.scenario.backend import ScriptedBackend
from tests.scenario.rig import Rig, until

CARD = "04A2B3C4"
VICTIMS = ("station", "station", "guard", "run", "all")
BILLED_WITHIN_WH = 1.0
"""Values are told in whole Wh."""


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What came out of it; `wrong` is empty when all is well."""

    kills: dict[str, int] = field(default_factory=dict)
    transactions: int = 0
    energy_wh: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Torture:
    """One station in a world that survives it; `seed` makes the choices, not the moments, repeatable."""

    def __init__(self, directory: Path, seed: int, outputs_on_death: str = "kept") -> None:
        self._chance = random.Random(seed)
        self._directory = directory
        self._outputs = outputs_on_death
        self.backend = ScriptedBackend()
        self.verdict = Verdict()

    async def run(self, kills: int) -> Verdict:
        """`kills` deaths, then a judgement."""
        self.backend.card(CARD)
        url = await self.backend.start()
        # Three phases make the energy of a moment large beside the rounding of a value.
        self.rig = Rig(
            self._directory,
            url,
            attach=True,
            evse_extra="phases = 3",
            site="phases = 3",
            bench_extra=f'outputs_on_death = "{self._outputs}"',
        )
        try:
            await self.rig.start()
            await self.backend.wait_status(1, "Available")
            begin_wh = await self._register()
            driver = asyncio.create_task(self._drive())
            network = asyncio.create_task(self._network())
            try:
                for _ in range(kills):
                    await asyncio.sleep(self._chance.uniform(0.05, 5.0))
                    await self._kill(self._chance.choice(VICTIMS))
            finally:
                for task in (driver, network):
                    task.cancel()
                await asyncio.gather(driver, network, return_exceptions=True)
            try:
                await self._settle()
            except AssertionError as error:
                self.verdict.wrong.append(f"{error}")
            await asyncio.to_thread(self.rig.stop)
            await self._judge(begin_wh)
        finally:
            await asyncio.to_thread(self.rig.close)
            await self.backend.stop()
        return self.verdict

    # --- what happens meanwhile -------------------------------------------------------------------

    async def _drive(self) -> None:
        """Plug, tap, charge, tap or not, unplug; for ever and without looking."""
        acts = (
            (self._plug, 0.8),
            (self._tap, 6.0),
            (self._tap, 1.5),
            (self.rig.bench.unplug, 0.8),
        )
        while True:
            for act, longest_s in acts:
                with contextlib.suppress(BenchError):  # the process needed is dead
                    await asyncio.to_thread(act)
                await asyncio.sleep(self._chance.uniform(0.1, longest_s))

    def _plug(self) -> None:
        self.rig.bench.plug(ready_after=0.0, current=32.0, phases=3)

    def _tap(self) -> None:
        self.rig.bench.tap(CARD)

    async def _network(self) -> None:
        """The backend goes and comes."""
        while True:
            await asyncio.sleep(self._chance.uniform(3.0, 10.0))
            self.backend.csms.refuse_with = 503
            self.backend.csms.drop()
            await asyncio.sleep(self._chance.uniform(1.0, 6.0))
            self.backend.csms.refuse_with = None

    async def _kill(self, victim: str) -> None:
        rig = self.rig
        assert rig.process is not None
        self.verdict.kills[victim] = self.verdict.kills.get(victim, 0) + 1
        found = (await asyncio.to_thread(rig.bench.state))["processes"]
        roles = ("run", "guard", "station") if victim == "all" else (victim,)
        for role in roles:
            pid = rig.process.pid if role == "run" else found.get(role)
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if victim == "guard":
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(rig.process.wait, 12)
        if victim in ("run", "all"):
            await asyncio.to_thread(rig.process.wait, 5)
        if rig.process.poll() is not None:
            await asyncio.sleep(self._chance.choice((0.0, 0.3)))
            await rig.start(wait=self._chance.random() < 0.7)

    # --- what came of it --------------------------------------------------------------------------

    async def _settle(self) -> None:
        rig, backend = self.rig, self.backend
        assert rig.process is not None
        backend.csms.refuse_with = None
        if rig.process.poll() is not None:
            await rig.start()
        await asyncio.to_thread(rig.bench.unplug)
        await until(lambda: rig.bench.state()["backend"]["connected"], "connected", 60.0)
        await until(lambda: not rig.bench.evse()["contactor"]["closed"], "open in the end")
        await until(lambda: self._all_stopped() and self._queue() == 0, "all is told", 60.0)

    def _all_stopped(self) -> bool:
        known = self.backend.csms.rules.transactions.values()
        return all(t.stop is not None for t in known)

    def _queue(self) -> int:
        """Reports that wait; -1 = the station does not say."""
        answer = subprocess.run(
            [sys.executable, "-m", "controller.cli", "status", "--json", "--config", str(self.rig.config)],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        try:
            return int(json.loads(answer.stdout)["station"]["queue"])
        except (ValueError, LookupError, TypeError):
            return -1

    async def _register(self) -> float:
        evse = await asyncio.to_thread(self.rig.bench.evse)
        return float(evse["meter"]["energy_wh"])

    async def _judge(self, begin_wh: float) -> None:
        end_wh = await self._register()
        say = self.verdict.wrong.append
        for violation in self.backend.violations():
            say(f"backend: {violation}")
        rows, left = _stored(self._directory / "state" / FILE)
        if left:
            say(f"{left} reports still wait or were given up")
        known = dict(self.backend.csms.rules.transactions)
        self.verdict.transactions, self.verdict.energy_wh = len(rows), end_wh - begin_wh
        last_wh = begin_wh
        for transaction, backend_id in rows:
            told = None if backend_id is None else known.pop(backend_id, None)
            if transaction.ended_at is None or transaction.meter_stop_wh is None:
                say(f"{transaction.id} was never ended")
                continue
            if told is None or told.stop is None:
                say(f"{transaction.id} was not told")
                continue
            pair = (told.start["meterStart"], told.stop["meterStop"])
            for told_wh, true_wh in zip(
                pair, (transaction.meter_start_wh, transaction.meter_stop_wh), strict=True
            ):
                if abs(told_wh - true_wh) > BILLED_WITHIN_WH:
                    say(f"{transaction.id}: told {pair}, stored {true_wh}")
            if abs(transaction.meter_start_wh - last_wh) > BILLED_WITHIN_WH:
                say(f"{transaction.meter_start_wh - last_wh:.2f} Wh flowed before {transaction.id}")
            last_wh = transaction.meter_stop_wh
        if abs(end_wh - last_wh) > BILLED_WITHIN_WH:
            say(f"{end_wh - last_wh:.2f} Wh flowed after the last transaction")
        for backend_id in known:
            say(f"the backend knows transaction {backend_id}, the station does not")


def _stored(path: Path) -> tuple[list[tuple[Transaction, int | None]], int]:
    """All transactions with their ids at the backend, oldest first; reports that are left."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT body, backend_id FROM transactions ORDER BY started_at")
        found = [(transaction_from_text(body), told) for body, told in rows]
        left = connection.execute(
            "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM undelivered)"
        ).fetchone()[0]
    return found, left
