"""Deaths of every process in every phase of a charge, judged by bench truth and by the backend."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from tests.scenario.deaths import CARD, Make, energy, judge, reach
from tests.scenario.rig import until

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


@pytest.mark.parametrize("phase", [phase for phase in PHASES if phase != "charging"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["kill", "stop"])
async def test_guard_dies_in_the_other_phases(make: Make, phase: str, number: int) -> None:
    """Open and PWM off within 2 s; `run` exits 1; what is open is billed after the restart."""
    rig, backend = await make()
    start_wh = energy(rig)
    await reach(rig, backend, phase)
    os.kill(rig.pid("guard"), number)
    await until(lambda: rig.bench.evse()["pilot"]["duty"] in (0.0, 1.0), "PWM off", 3.0)
    await until(lambda: not rig.bench.evse()["contactor"]["closed"], "open", 3.0)
    assert rig.process is not None
    assert await asyncio.to_thread(rig.process.wait, 12) == 1
    await rig.start()
    await until(lambda: rig.bench.state()["backend"]["connected"], "connected again", 20.0)
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


@pytest.mark.parametrize("phase", PHASES)
async def test_run_is_stopped_and_goes_on(make: Make, phase: str) -> None:
    """SIGSTOP of `run` disturbs nothing."""
    rig, backend = await make()
    start_wh = energy(rig)
    await reach(rig, backend, phase)
    run = rig.pid("run")
    os.kill(run, signal.SIGSTOP)
    await asyncio.sleep(3.0)
    assert rig.bench.evse()["contactor"]["closed"] == (phase in ("authorized", "charging"))
    os.kill(run, signal.SIGCONT)
    await asyncio.sleep(1.5)
    assert rig.bench.evse()["contactor"]["closed"] == (phase in ("authorized", "charging"))
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
