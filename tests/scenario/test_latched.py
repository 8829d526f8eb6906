"""Every latched fault outlives every death: the cause is gone, the latch stays and blocks."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.scenario.deaths import CARD, OTHER, Make, reach
from tests.scenario.rig import until


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
