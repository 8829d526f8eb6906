"""The station with a guard, a meter and a backend made of values: whole charges."""

from __future__ import annotations

from pathlib import Path

from controller.core.model import (
    ChargingState,
    MeterValuesTaken,
    SessionPhase,
    StopReason,
    TransactionEnded,
    TransactionStarted,
)
from tests.unit.station.fakes import World


async def test_one_charge(tmp_path: Path) -> None:
    """Plug, tap, charge, tap, unplug: R16-TX-1, R16-MV-1."""
    async with World(tmp_path) as world:
        await world.advance(5)
        await world.plug()
        await world.tap()
        assert world.backend.asked == ["04A2B3C4"]
        assert world.guard.offers() == [(7, 16.0)]
        assert world.view().charging_state is ChargingState.CHARGING
        await world.advance(125)
        await world.tap()
        await world.advance(1)
        assert world.view().phase is SessionPhase.FINISHING
        await world.unplug()
        assert world.phases() == ["idle", "preparing", "transaction", "finishing", "idle"]
        started, first, second, ended = await world.reports()
        assert isinstance(started, TransactionStarted)
        assert isinstance(first, MeterValuesTaken)
        assert isinstance(second, MeterValuesTaken)
        assert isinstance(ended, TransactionEnded)
        assert started.meter_wh == 1000.0
        assert (second.sample.at - started.at).total_seconds() == 120
        assert first.sample.values[0].value < second.sample.values[0].value
        assert (ended.reason, ended.estimated) == (StopReason.LOCAL, False)
        assert ended.meter_wh == world.meters[1].energy_wh
        assert abs(ended.meter_wh - 1000 - 125 / 3600 * 3680) < 1
        assert world.backend.asked == ["04A2B3C4"]
