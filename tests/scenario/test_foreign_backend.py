"""The main job against a backend that is not ours: PyPI's `ocpp-csms`, in an environment of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.scenario.rig import Rig, until

REQUIREMENT = "ocpp-csms==0.1.0"
ENVIRONMENT = Path(sys.prefix) / "foreign-backend"


def install() -> Path:
    """A virtual environment with the foreign backend; skips when the registry does not answer."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / ".ready").exists():
        subprocess.run(
            [sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True, capture_output=True
        )
        pip = [
            str(python),
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "--retries",
            "1",
        ]
        done = subprocess.run(
            [*pip, REQUIREMENT], capture_output=True, text=True, timeout=240, check=False
        )
        if done.returncode:
            pytest.skip(
                f"the package registry does not give {REQUIREMENT}: {done.stderr.strip()[-120:]}"
            )
        (ENVIRONMENT / ".ready").touch()
    return python


class Foreign:
    """The other project's process and what it printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.lines.append(json.loads(line))

    async def ask(self, words: str) -> dict[str, Any]:
        """Send a command; returns the line that answers it."""
        assert self.process.stdin is not None
        seen = len(self.lines)
        self.process.stdin.write(words.encode() + b"\n")
        await self.process.stdin.drain()
        return await until(
            lambda: next((x for x in self.lines[seen:] if "answer" in x or "keys" in x), None),
            words,
        )

    def events(self, name: str) -> list[dict[str, Any]]:
        """All events of one kind."""
        return [x for x in self.lines if x.get("event") == name]


@pytest_asyncio.fixture
async def foreign() -> AsyncIterator[Foreign]:
    """The foreign central system on loopback."""
    python = await asyncio.to_thread(install)
    process = await asyncio.create_subprocess_exec(
        str(python), str(Path(__file__).with_name("foreign_csms.py")),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    other = Foreign(process)
    await until(lambda: other.lines, "the foreign backend listens")
    yield other
    process.terminate()
    await process.wait()
    await other.task


@pytest.mark.timeout(300)
async def test_one_charge_by_card_and_one_from_the_backend(
    foreign: Foreign, tmp_path: Path
) -> None:
    """Boot, card charge with rising meter values, remote start and stop, as the other side understood it."""
    rig = Rig(tmp_path, f"ws://127.0.0.1:{foreign.lines[0]['port']}")
    try:
        await rig.start()
        await until(lambda: len(foreign.events("StatusEvent")) >= 2, "status of 0 and 1")
        assert foreign.events("BootEvent")[0]["info"]["vendor"] == "chargepost"
        assert "MeterValueSampleInterval" in (await foreign.ask("configuration"))["keys"]

        rig.bench.plug(ready_after=0.1)
        rig.bench.tap("04A2B3C4")
        await until(lambda: len(foreign.events("MeterValuesEvent")) >= 2, "two meter values")
        await asyncio.sleep(2.5)  # the reader takes the same card again only after 2 s of absence
        before = rig.bench.evse()["contactor"]["closed"]
        rig.bench.tap("04A2B3C4")
        [stopped] = await until(lambda: foreign.events("TransactionStoppedEvent"), "stopped")
        rig.bench.unplug()
        assert before is True
        energy = stopped["transaction"]["meter_stop"] - stopped["transaction"]["meter_start"]
        assert (
            abs(
                energy
                - rig.bench.evse()["meter"]["energy_wh"]
                + stopped["transaction"]["meter_start"]
            )
            <= 1
        )
        registers = [
            float(reading["value"])
            for event in foreign.events("MeterValuesEvent")
            for reading in event["readings"]
            if reading["measurand"] == "Energy.Active.Import.Register"
        ]
        assert registers == sorted(registers) and registers[-1] > registers[0]

        rig.bench.plug(ready_after=0.1)
        assert "Accepted" in str((await foreign.ask("start APP1"))["answer"])
        await until(lambda: rig.bench.evse()["contactor"]["closed"], "remote start closes")
        assert "Accepted" in str((await foreign.ask("stop"))["answer"])
        await until(lambda: len(foreign.events("TransactionStoppedEvent")) == 2, "remote stop")
        assert (
            foreign.events("TransactionStoppedEvent")[1]["transaction"]["stop_reason"] == "Remote"
        )
        await until(lambda: not rig.bench.evse()["contactor"]["closed"], "open")
    finally:
        rig.close()
