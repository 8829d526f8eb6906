"""What a start waits for: the bolt, and a register that is known."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hal.types import MeterReading
from tests.unit.station.fakes import World


async def test_a_jammed_bolt_refuses_the_start_as_soon_as_the_guard_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TC_024."""
    async with World(tmp_path, lock={"driver": "x"}) as world:
        monkeypatch.setattr(
            world.guard, "lock", lambda evse, *, keep=False: world.guard.fault(evse, "lock_jam")
        )
        await world.plug()
        await world.tap()
        await world.advance(1)
        assert world.view().transaction_id is None
        assert not world.guard.offers()
        assert await world.reports() == []
        assert world.station.actors[1].session.notice == "the cable could not be locked"


async def test_a_bolt_that_never_moves_refuses_the_start_after_eight_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with World(tmp_path, lock={"driver": "x"}) as world:
        monkeypatch.setattr(world.guard, "lock", lambda evse, *, keep=False: None)
        await world.plug()
        await world.tap()
        await world.advance(7.5)
        assert world.station.actors[1].session.notice == ""
        await world.advance(1)
        assert await world.reports() == []
        assert world.station.actors[1].session.notice == "the cable could not be locked"


async def test_a_meter_that_hangs_at_the_start_leaves_the_last_known_register(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contactor was open all the time, so that register is still the true one."""

    async def hang() -> MeterReading:
        return await asyncio.get_running_loop().create_future()

    async with World(tmp_path) as world:
        await world.advance(20)
        known = world.meters[1].energy_wh
        monkeypatch.setattr(world.meters[1], "read", hang)
        await world.advance(2)
        await world.plug()
        await world.tap()
        await world.advance(2)
        assert await world.reports() == []
        await world.advance(1.5)
        assert [report.meter_wh for report in await world.reports()][:1] == [known]
