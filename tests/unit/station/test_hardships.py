"""What must not happen when store, socket, meter or backend fail in the middle of a charge."""

from __future__ import annotations

import asyncio
from pathlib import Path

from controller.core.model import SessionPhase
from tests.unit.station.fakes import World


async def test_an_offer_without_a_transaction_is_withdrawn(tmp_path: Path) -> None:
    """DESIGN §1.5: the withdrawal was lost on its way; the guard's own words show it."""
    async with World(tmp_path) as world:
        plug_id = await world.plug()
        world.guard.sent.clear()
        world.guard.change(1, offered_amps=16.0, state="C2")
        world.guard.contactor(1, True)
        await world.settle()
        assert ("withdraw", 1, plug_id) in world.guard.sent
        assert not world.view().contactor_closed


async def test_a_running_transaction_is_not_withdrawn_by_what_the_guard_tells(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        await world.charge(10)
        world.guard.tell()
        await world.settle()
        assert [s for s in world.guard.sent if s[0] == "withdraw"] == []


async def test_a_forgotten_transaction_does_not_go_on_charging(tmp_path: Path) -> None:
    """The database cannot be opened at a restart in the middle of a charge."""
    async with World(tmp_path) as world:
        await world.charge(30)
        await world.kill()
        world.guard._queue = asyncio.Queue()
        for file in tmp_path.glob("station.db*"):
            file.unlink()
        (tmp_path / "station.db").mkdir()
        world.guard.sent.clear()
        await world.start()
        assert ("withdraw", 1, 7) in world.guard.sent
        assert world.guard.offers() == []
        assert not world.guard.evses[1].contactor_closed
        assert world.view().phase is not SessionPhase.TRANSACTION
