"""Start, memory, CPU and latencies of the station beside the naive yardstick of the same run."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.table import Row, percentile
from tests.scenario.backend import ScriptedBackend
from tests.scenario.rig import Rig, until

CARD = "04A2B3C4"
BEGIN_S = 90.0
STEADY_S = 195.0
"""Three of the times after which a moment of life is stored."""
TICKS = os.sysconf("SC_CLK_TCK")


class NaiveStation:
    """The yardstick process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.bench.naive",
            self.url,
            "NAIVE",
            stdin=asyncio.subprocess.PIPE,
        )

    def say(self, words: str) -> None:
        """A command on its standard input."""
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(words.encode() + b"\n")

    async def stop(self) -> None:
        """End it, if it was started."""
        if self.process is None:
            return
        self.process.kill()
        await self.process.wait()


def private_mib(pid: int) -> float:
    """Private memory of one process (smaps_rollup)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return (
        sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))
        / 1024
    )


def cpu_s(pid: int) -> float:
    """User and system seconds so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def written_bytes(pid: int) -> int:
    """write_bytes of /proc/PID/io."""
    text = Path(f"/proc/{pid}/io").read_text()
    return int(
        next(line.split()[1] for line in text.splitlines() if line.startswith("write_bytes"))
    )


async def start_up(repeats: int = 5) -> list[Row]:
    """`run` → outputs known open, → BootNotification on the wire; naive beside it."""
    ours: list[float] = []
    opened: list[float] = []
    naive: list[float] = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as directory:
            boot, safe, least = await _one_start(Path(directory))
            ours.append(boot)
            opened.append(safe)
            naive.append(least)
    mine, theirs, outputs = (statistics.median(v) * 1000 for v in (ours, naive, opened))
    return [
        Row(what="run → outputs known open", bar="≤ 400 ms", aim="≤ 200 ms", measured=f"{outputs:.0f} ms", ok=outputs <= 400),
        Row(what="run → BootNotification", bar="≤ 2× naive", aim="≤ 1×", measured=f"{mine:.0f} ms",
            yardstick=f"naive {theirs:.0f} ms", ok=mine <= 2 * theirs),
    ]  # fmt: skip


async def _one_start(directory: Path) -> tuple[float, float, float]:
    """Seconds to our BootNotification, to our guard having set the pilot, to naive's BootNotification."""
    backend = ScriptedBackend()
    url = await backend.start()
    rig = Rig(directory, url, attach=True)
    try:
        await rig.start()  # compiles the configuration
        await asyncio.to_thread(rig.stop)
        rig.bench.call("PUT", "/bench/evses/1/meter", {"energy_wh": 0})
        backend.mark()
        begin = time.monotonic()
        await rig.start(wait=False)
        await backend.wait_calls("BootNotification", 1)
        boot = backend.arrived("BootNotification") - begin
        await until(rig.station_ready, "station")
        claimed = guard_claimed_s(rig) - begin
        await asyncio.to_thread(rig.stop)
        backend.mark()
        yardstick = NaiveStation(url)
        begin = time.monotonic()
        await yardstick.start()
        await backend.wait_calls("BootNotification", 1)
        least = backend.arrived("BootNotification") - begin
        await yardstick.stop()
    finally:
        rig.close()
        await backend.stop()
    return boot, claimed, least


def guard_claimed_s(rig: Rig) -> float:
    """CLOCK_MONOTONIC seconds at which the present guard had claimed its coil, open."""
    state = rig.bench.state()
    since: list[int] = [evse["contactor"]["commanded_at_ns"] for evse in state["evses"]]
    return max(since) / 1e9


async def idle(seconds: float) -> list[Row]:
    """Memory and CPU with the page served and nothing plugged in."""
    with tempfile.TemporaryDirectory() as directory:
        backend = ScriptedBackend()
        backend.card(CARD)
        url = await backend.start()
        rig = Rig(Path(directory), url, web=True, ocpp16={"MeterValueSampleInterval": "10"})
        yardstick = NaiveStation(url)
        try:
            await rig.start()
            await backend.wait_status(1, "Available")
            await asyncio.sleep(5.0)
            pids = {role: rig.pid(role) for role in ("run", "guard", "station")}
            before = {role: (cpu_s(pid), written_bytes(pid)) for role, pid in pids.items()}
            await asyncio.sleep(seconds)
            memory = {role: private_mib(pid) for role, pid in pids.items()}
            used = {role: cpu_s(pid) - before[role][0] for role, pid in pids.items()}
            wrote = sum(written_bytes(pid) - before[role][1] for role, pid in pids.items())
            begin = sum(written_bytes(pid) for pid in pids.values())
            rig.bench.plug(ready_after=0.0)
            rig.bench.tap(CARD)
            await until(lambda: rig.bench.evse()["meter"]["power_w"] > 1000, "charging")
            # The begin is written more often than the rest of the hour.
            await asyncio.sleep(BEGIN_S)
            steady = sum(written_bytes(pid) for pid in pids.values())
            busy_before = {role: cpu_s(pid) for role, pid in pids.items()}
            await asyncio.sleep(STEADY_S)
            later = sum(written_bytes(pid) for pid in pids.values())
            a_second = (later - steady) / STEADY_S
            charging = (steady - begin + a_second * (3600 - BEGIN_S)) / 1e6
            busy = (
                sum(cpu_s(pid) - busy_before[role] for role, pid in pids.items()) / STEADY_S * 100
            )
            await yardstick.start()
            await asyncio.sleep(3.0)
            assert yardstick.process is not None
            naive = private_mib(yardstick.process.pid)
            await yardstick.stop()
        finally:
            rig.close()
            await backend.stop()
    total = sum(memory.values())
    percent = sum(used.values()) / seconds * 100
    parts = ", ".join(f"{role} {value:.1f}" for role, value in memory.items())
    cpu_parts = ", ".join(f"{role} {value / seconds * 100:.2f}" for role, value in used.items())
    return [
        Row(what="memory, private", bar="≤ 75 MiB", aim="≤ 55", measured=f"{total:.1f} MiB ({parts})",
            yardstick=f"naive {naive:.1f} MiB", ok=total <= 75),
        Row(what="memory of the guard", bar="≤ 20 MiB", aim="≤ 17", measured=f"{memory['guard']:.1f} MiB", ok=memory["guard"] <= 20),
        Row(what="CPU idle", bar="≤ 3 %", aim="≤ 1.5 %", measured=f"{percent:.2f} % ({cpu_parts})", ok=percent <= 3),
        Row(what="CPU while charging", bar="", measured=f"{busy:.2f} %"),
        Row(what=f"disk writes, idle, {seconds:.0f} s", bar="0", measured=f"{wrote} bytes", ok=wrote == 0),
        Row(what="disk writes of an hour of charging", bar="≤ 0.6 MB", aim="≤ 0.3", measured=f"{charging:.2f} MB", ok=charging <= 0.6),
    ]  # fmt: skip


async def latencies(repeats: int) -> list[Row]:
    """Tap → Authorize and StartTransaction, RemoteStart → StartTransaction and contactor, calls."""
    with tempfile.TemporaryDirectory() as directory:
        backend = ScriptedBackend()
        cards = [f"04{i:06X}" for i in range(repeats)]
        for card in [*cards, *(f"APP{number}" for number in range(repeats))]:
            backend.card(card)
        url = await backend.start()
        rig = Rig(Path(directory), url, ocpp16={"MeterValueSampleInterval": "0"})
        yardstick = NaiveStation(url)
        try:
            await rig.start()
            await backend.wait_status(1, "Available")
            authorize, start, remote, closing = [], [], [], []
            for card in cards:
                backend.mark()
                rig.bench.plug(ready_after=0.0)
                await backend.wait_status(1, "Preparing")
                await asyncio.sleep(0.3)
                begin = time.monotonic()
                await asyncio.to_thread(rig.bench.tap, card)
                await backend.wait_calls("StartTransaction", 1)
                authorize.append(backend.arrived("Authorize") - begin)
                start.append(backend.arrived("StartTransaction") - begin)
                rig.bench.unplug()
                await backend.wait_calls("StopTransaction", 1)
                await backend.wait_status(1, "Available")
            for number in range(max(3, repeats // 3)):
                backend.mark()
                rig.bench.plug(ready_after=0.0)
                await backend.wait_status(1, "Preparing")
                await asyncio.sleep(0.5)
                since = rig.bench.last_event()
                begin = time.monotonic()
                await backend.call(
                    "RemoteStartTransaction", {"connectorId": 1, "idTag": f"APP{number}"}
                )
                await backend.wait_calls("StartTransaction", 1)
                remote.append(backend.arrived("StartTransaction") - begin)
                await until(lambda: rig.bench.evse()["contactor"]["closed"], "closed")
                event = next(
                    e
                    for e in rig.bench.events(since)
                    if e["what"] == "contactor" and e["value"] == "closed"
                )
                closing.append(event["at_ns"] / 1e9 - begin)
                rig.bench.unplug()
                await backend.wait_calls("StopTransaction", 1)
                await backend.wait_status(1, "Available")
            ours_call, ours_rate = await calls(backend, lambda: cpu_s(rig.pid("station")))
            rig.close()
            await yardstick.start()
            backend.mark()
            await backend.wait_calls("StatusNotification", 1)
            assert yardstick.process is not None
            pid = yardstick.process.pid
            naive_call, naive_rate = await calls(backend, lambda: cpu_s(pid))
            naive_authorize, naive_start, naive_remote = [], [], []
            for card in cards:
                backend.mark()
                yardstick.say("plug")
                await backend.wait_calls("StatusNotification", 1)
                begin = time.monotonic()
                yardstick.say(f"tap {card}")
                await backend.wait_calls("StartTransaction", 1)
                naive_authorize.append(backend.arrived("Authorize") - begin)
                naive_start.append(backend.arrived("StartTransaction") - begin)
                await asyncio.sleep(0.05)
                yardstick.say(f"tap {card}")
                await backend.wait_calls("StopTransaction", 1)
                await asyncio.sleep(0.05)
            for number in range(max(3, repeats // 3)):
                backend.mark()
                begin = time.monotonic()
                await backend.call(
                    "RemoteStartTransaction", {"connectorId": 1, "idTag": f"APP{number}"}
                )
                await backend.wait_calls("StartTransaction", 1)
                naive_remote.append(backend.arrived("StartTransaction") - begin)
                await asyncio.sleep(0.05)
                yardstick.say(f"tap APP{number}")
                await backend.wait_calls("StopTransaction", 1)
        finally:
            rig.close()
            await yardstick.stop()
            await backend.stop()

    def ms(values: list[float]) -> float:
        return percentile(values, 0.5) * 1000

    return [
        latency("tap → Authorize", 10.0, "≤ naive", ms(authorize), ms(naive_authorize)),
        latency("tap → StartTransaction, stored first", 15.0, "≤ 1.2× naive", ms(start), ms(naive_start)),
        latency("RemoteStart → StartTransaction, stored first", 15.0, "≤ naive", ms(remote), ms(naive_remote)),
        latency("RemoteStart → contactor closed", 1500.0, "≤ 800 ms", ms(closing), None),
        Row(what="GetConfiguration, CPU a call", bar="≤ 0.6× naive", aim="≤ 0.3×", measured=f"{ours_call:.3f} ms",
            yardstick=f"naive {naive_call:.3f} ms ({ours_call / naive_call:.2f}×)", ok=ours_call <= 0.6 * naive_call),
        Row(what="GetConfiguration, calls a second", bar="≥ 1.5× naive", aim="≥ 2.5×", measured=f"{ours_rate:.0f}",
            yardstick=f"naive {naive_rate:.0f} ({ours_rate / naive_rate:.2f}×)", ok=ours_rate >= 1.5 * naive_rate),
    ]  # fmt: skip


def latency(what: str, bar_ms: float, aim: str, measured: float, naive: float | None) -> Row:
    """One latency row."""
    return Row(what=what, bar=f"p50 ≤ {bar_ms:.0f} ms", aim=aim, measured=f"p50 {measured:.1f} ms",
               yardstick="" if naive is None else f"naive {naive:.1f} ms", ok=measured <= bar_ms)  # fmt: skip


async def calls(
    backend: ScriptedBackend, cpu: Callable[[], float], count: int = 1500
) -> tuple[float, float]:
    """CPU milliseconds a call and calls a second, closed loop."""
    body: dict[str, Any] = {"key": ["HeartbeatInterval"]}
    for _ in range(50):
        await backend.call("GetConfiguration", body)
    begin, before = time.monotonic(), cpu()
    for _ in range(count):
        await backend.call("GetConfiguration", body)
    return (cpu() - before) * 1000 / count, count / (time.monotonic() - begin)
