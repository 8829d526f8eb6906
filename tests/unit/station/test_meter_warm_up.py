"""A meter that starts together with the station is not reported as lost while it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.station.metering import WARM_UP_S
from hal.errors import HalError, MeterGarbage, MeterSilent
from tests.unit.station.fakes import World


def told(world: World, name: str = "meter_silent") -> bool:
    return ("raise", 1, name) in world.guard.sent


async def test_a_meter_that_answers_in_time_was_never_lost(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.meters[1].error = MeterSilent("no answer")
    async with world:
        await world.advance(WARM_UP_S - 2)
        assert world.meters[1].polls > 3
        world.meters[1].error = None
        await world.advance(WARM_UP_S)
        assert not told(world)


async def test_a_meter_that_never_answers_is_told_after_the_time_it_may_need(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.meters[1].error = MeterSilent("no answer")
    async with world:
        await world.advance(WARM_UP_S - 1)
        assert not told(world)
        await world.advance(3)
        assert told(world)


@pytest.mark.parametrize(
    ("error", "name", "answered"),
    [
        (MeterGarbage("damaged"), "meter_garbage", False),
        (MeterSilent("no answer"), "meter_silent", True),
    ],
)
async def test_what_is_no_start_is_told_at_once(
    tmp_path: Path, error: HalError, name: str, answered: bool
) -> None:
    world = World(tmp_path)
    world.meters[1].error = None if answered else error
    async with world:
        await world.advance(1)
        world.meters[1].error = error
        world.station.actors[1].poller.poll_soon()  # type: ignore[union-attr]
        await world.advance(3)
        assert told(world, name)
