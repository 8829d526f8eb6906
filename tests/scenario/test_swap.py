"""DESIGN §1.3 on the bench: a cable that changes vehicles while the pilot cannot be seen gives the second one nothing."""

from __future__ import annotations

import asyncio

from tests.scenario.deaths import CARD, Make
from tests.scenario.rig import Rig, until


async def second_car_gets_nothing(rig: Rig, before_wh: float) -> None:
    """However long the second vehicle asks."""
    await asyncio.sleep(9.0)  # longer than the 5 s before PWM may come back
    evse = rig.bench.evse()
    assert not evse["contactor"]["closed"], rig.log()
    assert evse["meter"]["energy_wh"] == before_wh


async def test_swap_in_noise(make: Make) -> None:
    rig, backend = await make()
    rig.bench.plug(ready_after=0.1)
    await until(lambda: rig.bench.evse()["pilot"]["state"] == "B1", "B1")
    rig.bench.tap(CARD)
    await until(lambda: rig.bench.evse()["meter"]["power_w"] > 1000, "the car draws power")
    rig.bench.fault("cp_noise")
    await until(lambda: not rig.bench.evse()["contactor"]["closed"], "open", 5.0)
    rig.bench.unplug()
    await asyncio.sleep(1.5)
    rig.bench.plug(ready_after=0.1)
    before_wh = rig.bench.evse()["meter"]["energy_wh"]
    rig.bench.fault("cp_noise", present=False)
    (stop,) = await backend.wait_calls("StopTransaction", 1, timeout_s=20.0)
    assert stop["reason"] == "EVDisconnected"
    await second_car_gets_nothing(rig, before_wh)


async def test_swap_during_the_wake_up(make: Make) -> None:
    """The first vehicle sleeps; while it is woken up, the cable goes to another one."""
    rig, backend = await make()
    rig.bench.plug(ready_after=600.0)
    await until(lambda: rig.bench.evse()["pilot"]["state"] == "B1", "B1")
    rig.bench.tap(CARD)
    await backend.wait_calls("StartTransaction", 1)
    await until(lambda: rig.bench.evse()["pilot"]["state"] == "F", "the wake-up", 45.0)
    rig.bench.unplug()
    await asyncio.sleep(1.0)
    rig.bench.plug(ready_after=0.1)
    before_wh = rig.bench.evse()["meter"]["energy_wh"]
    (stop,) = await backend.wait_calls("StopTransaction", 1, timeout_s=20.0)
    assert stop["reason"] == "EVDisconnected"
    await second_car_gets_nothing(rig, before_wh)
