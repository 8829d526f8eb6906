"""Deaths of every process in every phase of a charge, judged by bench truth and by the backend."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.scenario.backend import ScriptedBackend
from tests.scenario.rig import Rig, until

CARD = "04A2B3C4"
OTHER = "04D5E6F7"
Make = Callable[..., Awaitable[tuple[Rig, ScriptedBackend]]]


@pytest_asyncio.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """A rig whose world survives `run`."""
    made: list[tuple[Rig, ScriptedBackend]] = []

    async def build(**options: Any) -> tuple[Rig, ScriptedBackend]:
        backend = ScriptedBackend()
        backend.card(CARD)
        backend.card(OTHER)
        url = await backend.start()
        rig = Rig(tmp_path, url, attach=True, **options)
        made.append((rig, backend))
        await rig.start()
        await backend.wait_status(1, "Available")
        return rig, backend

    yield build
    for rig, backend in made:
        rig.close()
        await backend.stop()
        assert backend.violations() == [], rig.log()


async def reach(rig: Rig, backend: ScriptedBackend, phase: str) -> None:
    """Bring the station into a phase of a charge."""
    if phase == "idle":
        return
    rig.bench.plug(ready_after=0.0)
    await backend.wait_status(1, "Preparing")
    if phase == "plugged":
        return
    rig.bench.tap(CARD)
    if phase == "authorized":
        await backend.wait_calls("Authorize", 1)
        return
    await until(lambda: rig.bench.evse()["meter"]["power_w"] > 1000, "the car draws power")
    await asyncio.sleep(1.2)
    if phase == "stopping":
        await asyncio.sleep(2.0)
        rig.bench.tap(CARD)


def energy(rig: Rig) -> float:
    """The register."""
    return float(rig.bench.evse()["meter"]["energy_wh"])


async def judge(rig: Rig, backend: ScriptedBackend, start_wh: float) -> None:
    """After everything: each transaction once, energy = meter to 1 Wh, none outside transactions."""
    if rig.bench.evse()["vehicle"]["plugged"]:
        rig.bench.unplug()
    await until(lambda: not rig.bench.evse()["contactor"]["closed"], "open in the end")
    starts = backend.calls("StartTransaction")
    await until(lambda: len(backend.calls("StopTransaction")) == len(backend.calls("StartTransaction")),
                "each start has its stop", 60.0)  # fmt: skip
    stops = backend.calls("StopTransaction")
    assert len({s["transactionId"] for s in stops}) == len(stops)
    billed = sum(s["meterStop"] for s in stops) - sum(s["meterStart"] for s in starts)
    assert abs(billed - (energy(rig) - start_wh)) <= 1 + len(stops)


PHASES = ["idle", "plugged", "authorized", "charging", "stopping"]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["kill", "stop"])
async def test_station_dies(make: Make, phase: str, number: int) -> None:
    """The charge goes on at the hold offer, then with the same transaction; nothing is lost or doubled."""
    rig, backend = await make()
    start_wh = energy(rig)
    await reach(rig, backend, phase)
    old = rig.pid("station")
    os.kill(old, number)
    begin = time.monotonic()
    if number == signal.SIGSTOP:
        if phase == "charging":
            await until(
                lambda: 0.09 < rig.bench.evse()["pilot"]["duty"] < 0.11, "hold offer of 6 A", 3.5
            )
            assert time.monotonic() - begin <= 3.2
            assert rig.bench.evse()["contactor"]["closed"]
        else:
            await asyncio.sleep(3.0)
        os.kill(old, signal.SIGCONT)
    else:
        await until(
            lambda: rig.bench.state()["processes"]["station"] not in (None, old), "restarted"
        )
    await until(lambda: rig.bench.state()["backend"]["connected"], "connected again", 20.0)
    if phase == "charging":
        await asyncio.sleep(1.0)
        assert rig.bench.evse()["contactor"]["closed"]
        assert len(backend.calls("StartTransaction")) == 1
        rig.bench.tap(CARD)
        [stop] = await backend.wait_calls("StopTransaction", 1)
        assert stop.get("reason", "Local") == "Local"
    await judge(rig, backend, start_wh)


@pytest.mark.parametrize("gate", [False, True], ids=["no gate", "gate"])
@pytest.mark.parametrize("outputs", ["kept", "released"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["kill", "stop"])
async def test_guard_dies_while_charging(make: Make, number: int, outputs: str, gate: bool) -> None:
    """Main contacts open and PWM off in time; `run` exits 1; after the restart PowerLoss is billed right."""
    rig, backend = await make(
        bench_extra=f'outputs_on_death = "{outputs}"\ncoil_gate = {str(gate).lower()}'
    )
    start_wh = energy(rig)
    await reach(rig, backend, "charging")
    mark = rig.bench.last_event()
    guard = rig.pid("guard")
    at_ns = time.monotonic_ns()
    os.kill(guard, number)
    await until(lambda: not rig.bench.evse()["contactor"]["closed"], "open", 4.0)
    [event] = [e for e in rig.bench.events(mark) if e["what"] == "contactor"][:1]
    limit_s = 0.2 if gate else (1.0 if number == signal.SIGKILL else 2.0)
    assert (event["at_ns"] - at_ns) / 1e9 <= limit_s + 0.05
    await until(lambda: rig.bench.evse()["pilot"]["duty"] in (0.0, 1.0), "PWM off", 3.0)
    assert rig.process is not None
    assert await asyncio.to_thread(rig.process.wait, 12) == 1
    await rig.start()
    [stop] = await backend.wait_calls("StopTransaction", 1, timeout_s=20.0)
    assert stop["reason"] == "PowerLoss"
    await asyncio.sleep(1.0)
    assert not rig.bench.evse()["contactor"]["closed"]
    await judge(rig, backend, start_wh)


@pytest.mark.parametrize("phase", PHASES)
async def test_run_is_killed(make: Make, phase: str) -> None:
    """SIGKILL of `run`: children end, outputs safe, the next start bills what is open."""
    rig, backend = await make()
    start_wh = energy(rig)
    await reach(rig, backend, phase)
    processes = rig.bench.state()["processes"]
    os.kill(processes["run"], signal.SIGKILL)
    await until(lambda: not rig.bench.evse()["contactor"]["closed"], "open", 3.0)
    assert rig.process is not None
    await asyncio.to_thread(rig.process.wait, 5)
    await until(lambda: rig.bench.state()["processes"]["guard"] is None, "guard gone", 3.0)
    await until(lambda: rig.bench.state()["processes"]["station"] is None, "station gone", 3.0)
    await rig.start()
    await until(lambda: rig.bench.state()["backend"]["connected"], "connected again", 20.0)
    await judge(rig, backend, start_wh)


async def test_run_is_stopped_and_goes_on(make: Make) -> None:
    """SIGSTOP of `run` disturbs nothing."""
    rig, backend = await make()
    start_wh = energy(rig)
    await reach(rig, backend, "charging")
    run = rig.pid("run")
    os.kill(run, signal.SIGSTOP)
    await asyncio.sleep(3.0)
    assert rig.bench.evse()["contactor"]["closed"]
    os.kill(run, signal.SIGCONT)
    await asyncio.sleep(1.5)
    assert rig.bench.evse()["contactor"]["closed"]
    await judge(rig, backend, start_wh)


async def test_another_car_while_the_station_sleeps(make: Make) -> None:
    """DESIGN §1.3: SIGSTOP the station, exchange the car, SIGCONT: the second car gets 0 Wh."""
    rig, backend = await make()
    start_wh = energy(rig)
    await reach(rig, backend, "charging")
    station = rig.pid("station")
    os.kill(station, signal.SIGSTOP)
    rig.bench.unplug()
    await asyncio.sleep(0.5)
    between_wh = energy(rig)
    rig.bench.plug(ready_after=0.0)
    await asyncio.sleep(1.5)
    os.kill(station, signal.SIGCONT)
    await asyncio.sleep(3.0)
    assert energy(rig) == between_wh
    [stop] = await backend.wait_calls("StopTransaction", 1)
    assert stop["reason"] == "EVDisconnected"
    await judge(rig, backend, start_wh)


async def test_power_cut_and_resume(make: Make) -> None:
    """resume_after_power_loss: the same transaction goes on after fresh self-tests."""
    rig, backend = await make(charging="resume_after_power_loss = true",
                              bench_extra='outputs_on_death = "released"')  # fmt: skip
    start_wh = energy(rig)
    await reach(rig, backend, "charging")
    await asyncio.to_thread(rig.kill_all)
    await until(lambda: not rig.bench.evse()["contactor"]["closed"], "open", 3.0)
    await rig.start()
    await until(lambda: rig.bench.evse()["contactor"]["closed"], "charging again", 20.0)
    assert len(backend.calls("StartTransaction")) == 1
    assert backend.calls("StopTransaction") == []
    rig.bench.tap(CARD)
    await backend.wait_calls("StopTransaction", 1)
    await judge(rig, backend, start_wh)


@pytest.mark.parametrize("fault", ["rcd", "emergency_stop", "weld", "rcd_self_test"])
@pytest.mark.parametrize("death", ["guard killed", "power cut", "Soft", "Hard"])
async def test_latched_faults_outlive(make: Make, fault: str, death: str) -> None:
    """DESIGN §1.4: the cause is gone, the latch stays and blocks, whatever died in between."""
    rig, backend = await make(bench_extra='outputs_on_death = "released"')
    if fault == "rcd_self_test":
        rig.bench.fault(fault)
        rig.bench.plug(ready_after=0.0)
    else:
        await reach(rig, backend, "charging")
        rig.bench.fault(fault)
        if fault == "weld":
            rig.bench.tap(CARD)
        else:
            await until(lambda: not rig.bench.evse()["contactor"]["closed"], "open", 2.0)
    await backend.wait_status(1, "Faulted", timeout_s=20.0)
    rig.bench.fault(fault, present=False)
    await until(lambda: not rig.bench.evse()["contactor"]["closed"], "open", 5.0)
    rig.bench.unplug()
    backend.mark()
    if death == "guard killed":
        rig.signal("guard", signal.SIGKILL)
        assert rig.process is not None
        await asyncio.to_thread(rig.process.wait, 12)
        await rig.start()
    elif death == "power cut":
        await asyncio.to_thread(rig.kill_all)
        await rig.start()
    else:
        station = rig.pid("station")
        answer = await backend.call("Reset", {"type": death})
        assert answer["status"] == "Accepted"
        await until(
            lambda: rig.bench.state()["processes"]["station"] not in (None, station),
            "restarted",
            20.0,
        )
    await backend.wait_status(1, "Faulted", timeout_s=20.0)
    mark = rig.bench.last_event()
    rig.bench.plug(ready_after=0.0)
    rig.bench.tap(OTHER)
    await asyncio.sleep(2.5)
    shut = [
        e for e in rig.bench.events(mark) if e["what"] == "contactor" and e["value"] == "closed"
    ]
    assert shut == []
