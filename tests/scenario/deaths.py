"""What the scenarios of deaths share: a rig whose world survives, phases of a charge, the judgement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.scenario.backend import ScriptedBackend
from tests.scenario.rig import Rig, until

CARD = "04A2B3C4"
OTHER = "04D5E6F7"
Make = Callable[..., Awaitable[tuple[Rig, ScriptedBackend]]]


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
