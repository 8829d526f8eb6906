"""What the keys of the Core profile do, where no other test shows it (ocpp-requirements §1.2)."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from controller.core.model import RequestStatus, SessionPhase, StopReason
from controller.core.settings_list import settings_for
from controller.station.sampling import Sampler, Supply
from hal.types import MeterReading
from tests.unit.ocpp.fakes import installation
from tests.unit.station.fakes import START, World

REGISTER = "Energy.Active.Import.Register"


async def test_without_a_cache_there_is_nothing_to_clear(tmp_path: Path) -> None:
    """AuthorizationCacheEnabled = false: ClearCache is Rejected (E16 3.23), nothing is remembered."""
    async with World(tmp_path) as world:
        assert await world.station.control.clear_cache() is RequestStatus.ACCEPTED
        world.settings.change("AuthorizationCacheEnabled", "false")
        assert await world.station.control.clear_cache() is RequestStatus.REJECTED


@pytest.mark.parametrize("interval_s", [600, 900, 7000, 86_400])
def test_clock_aligned_values_stand_at_multiples_since_midnight(interval_s: int) -> None:
    """ClockAlignedDataInterval: from 00:00:00 UTC, and again from each midnight."""
    settings = settings_for(installation())
    settings.change("ClockAlignedDataInterval", str(interval_s))
    sampler = Sampler(
        evse=1,
        settings=settings,
        supply=Supply(offered_amps=lambda: 0.0, volts=230.0, phases=1),
        queue=lambda report: moments.append(report.sample.at),
        online=lambda: True,
    )
    moments: list[datetime] = []
    now_s, end_s = 123.4, 123.4 + 2.5 * 86_400
    while now_s < end_s:
        for due in sampler.due(None, now_s, START + timedelta(seconds=now_s)):
            due.take(MeterReading(energy_wh=1.0, taken_at_ns=0))
        assert sampler.due_s is not None and sampler.due_s > now_s
        now_s = sampler.due_s + 0.2
    assert len(moments) >= 2
    assert len(set(moments)) == len(moments)
    for moment in moments:
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        assert (moment - midnight).total_seconds() % interval_s == 0
    assert any(moment.hour == moment.minute == 0 for moment in moments)


async def test_connection_time_out(tmp_path: Path) -> None:
    """ConnectionTimeOut: a cable without a card is Finishing after that time (B6)."""
    async with World(tmp_path) as world:
        world.settings.change("ConnectionTimeOut", "20")
        await world.plug()
        await world.advance(19)
        assert world.view().phase is SessionPhase.PREPARING
        await world.advance(2)
        assert world.view().phase is SessionPhase.FINISHING


async def test_sample_interval(tmp_path: Path) -> None:
    """MeterValueSampleInterval: from the start of the transaction; 0 = none; a change counts at once."""
    async with World(tmp_path) as world:
        world.settings.change("MeterValueSampleInterval", "10")
        await world.charge(35)
        assert len([r for r in await world.reports() if hasattr(r, "sample")]) == 3
        world.settings.change("MeterValueSampleInterval", "0")
        await world.advance(120)
        assert await world.reports() == []
        world.settings.change("MeterValueSampleInterval", "5")
        await world.advance(21)
        assert len(await world.reports()) == 4


async def test_each_list_says_what_its_values_contain(tmp_path: Path) -> None:
    """MeterValuesSampledData, MeterValuesAlignedData, StopTxnSampledData, StopTxnAlignedData."""
    async with World(tmp_path) as world:
        for key, value in (
            ("MeterValueSampleInterval", "60"),
            ("ClockAlignedDataInterval", "900"),
            ("MeterValuesSampledData", "Voltage.L1"),
            ("MeterValuesAlignedData", "Power.Active.Import"),
            ("StopTxnSampledData", "Current.Import"),
            ("StopTxnAlignedData", "Current.Offered"),
        ):
            world.settings.change(key, value)
        await world.charge(905)
        await world.tap()
        await world.advance(3)
        reports = await world.reports()
        told = {
            r.sample.context.value: {v.measurand for v in r.sample.values}
            for r in reports
            if hasattr(r, "sample")
        }
        assert told == {"Sample.Periodic": {"Voltage"}, "Sample.Clock": {"Power.Active.Import"}}
        kept = {s.context.value: {v.measurand for v in s.values} for s in reports[-1].samples}
        assert kept == {
            "Transaction.Begin": {REGISTER},
            "Sample.Periodic": {"Current.Import"},
            "Sample.Clock": {"Current.Offered"},
            "Transaction.End": {REGISTER},
        }


@pytest.mark.parametrize("most", [2, 3, 5, 10])
async def test_r16_tx_3_the_middle_of_the_stop_data_is_thinned(tmp_path: Path, most: int) -> None:
    """StopTransactionMaxMeterValues: every second one leaves; begin and end always stay."""
    async with World(tmp_path) as world:
        world.settings.learn("StopTransactionMaxMeterValues", str(most))
        world.settings.change("StopTxnSampledData", REGISTER)
        world.settings.change("MeterValueSampleInterval", "10")
        await world.charge(355)
        await world.tap()
        await world.advance(3)
        samples = (await world.reports())[-1].samples
        assert 2 <= len(samples) <= most
        assert len(samples) > most // 2, "no more than necessary"
        assert samples[0].context.value == "Transaction.Begin"
        assert samples[-1].context.value == "Transaction.End"
        times = [s.at for s in samples]
        assert times == sorted(times)
        assert times[-1] - times[0] >= timedelta(seconds=355)
        assert times[0] >= START


async def test_stop_transaction_on_ev_side_disconnect(tmp_path: Path) -> None:
    """StopTransactionOnEVSideDisconnect (R16-ST-5): true ends, false suspends and goes on."""
    async with World(tmp_path) as world:
        await world.charge(10)
        await world.unplug()
        await world.advance(2)
        ended = (await world.reports())[-1]
        assert ended.reason is StopReason.EV_DISCONNECTED
        world.settings.change("StopTransactionOnEVSideDisconnect", "false")
        await world.charge(10)
        await world.unplug()
        await world.advance(2)
        assert world.view().transaction_id is not None
        assert world.view().info == "EV side disconnected"
