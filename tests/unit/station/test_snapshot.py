"""What page, CLI and API are shown: the shape is in `controller/web/api.py`."""

from __future__ import annotations

from pathlib import Path

from controller.core.model import AuthorizationStatus, IdTokenInfo
from hal.errors import MeterSilent
from tests.unit.station.fakes import START, World


async def test_a_charge_as_the_page_sees_it(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        source = world.station.snapshots
        before = source.snapshot()
        assert before["card"] is None
        assert before["evses"][0]["transaction"] is None
        assert before["backend"]["state"] == "Connected since noon."
        await world.charge(60)
        (evse,) = source.snapshot()["evses"]
        assert evse["transaction"] == {
            "id": evse["transaction_id"],
            "energy_wh": evse["transaction_energy_wh"],
            "started_at": START.isoformat(),
            "id_token": "04A2B3C4",
        }
        assert evse["transaction"]["energy_wh"] > 0


async def test_the_last_card_says_what_came_of_it(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        source = world.station.snapshots
        world.backend.answers = {
            "04FFEE11": IdTokenInfo(status=AuthorizationStatus.BLOCKED),
        }
        await world.plug()
        await world.tap("04FFEE11")
        card = {"uid": "04FFEE11", "at": START.isoformat(), "result": "refused: it is blocked"}
        assert source.snapshot()["card"] == card
        await world.tap("04A2B3C4")
        assert source.snapshot()["card"]["result"] == "accepted"
        await world.advance(5)
        await world.tap("04A2B3C4")
        assert source.snapshot()["card"]["result"] == "ends the charge"


async def test_power_of_a_silent_meter_is_not_known(tmp_path: Path) -> None:
    """A value that is not known is null, never the last one."""
    async with World(tmp_path) as world:
        source = world.station.snapshots
        await world.charge(10)
        assert source.snapshot()["evses"][0]["power_w"] == 3680.0
        world.meters[1].error = MeterSilent("no answer")
        await world.advance(5)
        (evse,) = source.snapshot()["evses"]
        assert (evse["power_w"], evse["amps"]) == (None, [None, None, None])
        assert evse["energy_wh"] is not None


async def test_what_the_backend_refused_to_the_end_is_counted(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        source = world.station.snapshots
        assert source.snapshot()["undelivered"] == 0
        await world.charge(5)
        entry = await world.store.outbox.head()
        assert entry is not None
        await world.store.outbox.undeliverable(entry.n, "refused")
        await world.advance(2)
        assert source.snapshot()["undelivered"] == 1
        await world.restart()
        assert world.station.snapshots.snapshot()["undelivered"] == 1
