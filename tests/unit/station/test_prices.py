"""The driver's price, what the charge costs, and the operator's triggers (COST-…)."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.core.model import ConnectorUnplugged, MeterValuesTaken, ReadingContext
from controller.ocpp.calls import Answer
from controller.ocpp.v16.cost_messages import CostMessages
from controller.ocpp.v16.translate import COST_VENDOR, report_16
from tests.unit.station.fakes import World

ON = {"CustomDisplayCostAndPrice": "true", "MeterValueSampleInterval": "0"}
DEFAULT = {
    "priceText": "0.15 $/kWh",
    "priceTextOffline": "offline: 0.15 $/kWh",
    "chargingPrice": {"kWhPrice": 0.15},
}
CARD = "04A2B3C4"


def world(path: Path, **first_boot: str) -> World:
    made = World(path)
    made.installation = replace(made.installation, first_boot_16={**ON, **first_boot})
    return made


async def skip(world: World, seconds: float) -> None:
    """Time passes; nothing is polled until its last two seconds."""
    world.clock.now_ns += int((seconds - 2) * 1e9)
    world.clock.wake()
    await world.advance(2)


def messages(world: World) -> CostMessages:
    """The block of the 1.6 adapter over this station."""
    service = world.station.prices.service
    assert service is not None
    return CostMessages(service, world.store.outbox)


async def transfer(world: World, message: str, data: object) -> dict[str, Any]:
    """A DataTransfer of the backend, as the handlers pass it on."""
    text = data if isinstance(data, str) else json.dumps(data)
    request = {"vendorId": COST_VENDOR, "messageId": message, "data": text}
    reply = messages(world).transfer(request)
    answer = reply if isinstance(reply, Answer) else await reply
    assert answer.payload is not None
    return answer.payload


async def told(world: World) -> int:
    """The backend answers all that waits; returns its number of the running transaction."""
    await world.reports()
    running = world.view().transaction_id
    assert running is not None
    number = await world.store.outbox.backend_transaction_id(running)
    assert number is not None
    return number


def cost(number: int, world: World, **more: Any) -> dict[str, Any]:
    return {
        "transactionId": number,
        "timestamp": world.clock.utc().isoformat(),
        "meterValue": math.ceil(world.view().energy_wh or 0),
        "cost": 1.00,
        "state": "Charging",
        "chargingPrice": {"kWhPrice": 0.20},
        **more,
    }


def shown(world: World) -> dict[str, Any]:
    price = world.station.snapshots.snapshot()["evses"][0]["price"]
    assert isinstance(price, dict)
    return price


async def test_the_default_price_is_shown_when_nothing_else_is_known(tmp_path: Path) -> None:
    """COST-1: also offline, in its own words, and in the language of the station."""
    async with world(tmp_path, DefaultPrice=json.dumps(DEFAULT)) as w:
        assert shown(w)["text"] == "0.15 $/kWh"
        w.backend.connected = False
        assert shown(w)["text"] == "offline: 0.15 $/kWh"
        w.station.settings.change("DefaultPriceText,de", '{"priceText": "0,15 €/kWh"}')
        w.station.settings.change("Language", "de")
        assert (shown(w)["text"], shown(w)["language"]) == ("0,15 €/kWh", "de")


async def test_without_a_price_or_a_display_nothing_is_shown(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        assert w.station.snapshots.snapshot()["evses"][0]["price"] is None
    async with World(tmp_path) as bare:
        assert bare.station.snapshots.snapshot()["evses"][0]["price"] is None
        assert bare.station.prices.service is None


async def test_the_drivers_own_price(tmp_path: Path) -> None:
    """COST-2: shown for his token from the moment he is authorized, in his language."""
    text = {"priceText": "$0.12/kWh", "priceTextExtra": [{"language": "de", "content": "0,12"}]}
    async with world(tmp_path, DefaultPrice=json.dumps(DEFAULT), Language="de") as w:
        await w.tap()
        body = {"idToken": CARD.lower(), **text}
        assert await transfer(w, "SetUserPrice", body) == {"status": "Accepted"}
        assert (shown(w)["kind"], shown(w)["text"]) == ("own", "0,12")
        await w.plug()
        assert shown(w)["text"] == "0,12"
        again = {"idToken": CARD, "priceText": "now 0.10"}
        assert await transfer(w, "SetUserPrice", again) == {"status": "Accepted"}
        assert shown(w)["text"] == "now 0.10"
        await w.tap()
        await w.advance(10)
        await w.unplug()
        await skip(w, 301)
        assert shown(w)["kind"] == "default"


async def test_another_drivers_price_is_not_shown(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        other = {"idToken": "04FFFFFF", "priceText": "cheap"}
        assert await transfer(w, "SetUserPrice", other) == {"status": "Accepted"}
        await w.charge(10)
        assert w.station.snapshots.snapshot()["evses"][0]["price"] is None


async def test_an_accepted_card_waits_for_its_price(tmp_path: Path) -> None:
    """WaitForSetUserPriceTimeout: no longer than it says, and not at all by default."""
    async with world(tmp_path, WaitForSetUserPriceTimeout="5000") as w:
        await w.plug()
        await w.tap()
        assert w.view().transaction_id is None
        await transfer(w, "SetUserPrice", {"idToken": CARD, "priceText": "a"})
        await w.settle()
        assert w.view().transaction_id is not None and shown(w)["text"] == "a"
        await w.tap()
        await w.advance(10)
        await w.unplug()
        await w.plug()
        await w.tap("04B0")
        await w.advance(4.9)
        assert w.view().transaction_id is None
        await w.advance(0.2)
        assert w.view().transaction_id is not None


async def test_running_cost_is_counted_on_and_corrected(tmp_path: Path) -> None:
    """COST-3: 3680 W for half an hour = 1.84 kWh at 0.20."""
    async with world(tmp_path) as w:
        await w.charge(5)
        number = await told(w)
        assert await transfer(w, "RunningCost", cost(number, w)) == {"status": "Accepted"}
        assert (shown(w)["kind"], shown(w)["cost"], shown(w)["counted"]) == (
            "running",
            "1.00",
            False,
        )
        await skip(w, 1800)
        assert (shown(w)["cost"], shown(w)["counted"]) == ("1.368", True)
        body = cost(number, w, cost=1.30, idlePrice={"hourPrice": 2, "graceMinutes": 5})
        assert await transfer(w, "RunningCost", body) == {"status": "Accepted"}
        assert shown(w)["cost"] == "1.30"
        assert shown(w)["unit_prices"] == {"kwh": "0.20", "idle_hour": "2.00", "grace_minutes": 5}


async def test_while_charging_the_unit_prices_say_what_holds(tmp_path: Path) -> None:
    """Not the default text, which may say something else; the driver's own text stays to the end."""
    async with world(tmp_path, DefaultPrice=json.dumps(DEFAULT)) as w:
        await w.charge(5)
        number = await told(w)
        await transfer(w, "RunningCost", cost(number, w))
        assert (shown(w)["text"], shown(w)["unit_prices"]) == ("", {"kwh": "0.20"})
        await transfer(w, "SetUserPrice", {"idToken": CARD, "priceText": "mine"})
        await w.tap()
        await w.advance(10)
        assert (shown(w)["kind"], shown(w)["text"]) == ("running", "mine")


async def test_an_amount_that_changes_is_published(tmp_path: Path) -> None:
    """Idle time costs although nothing else happens at the EVSE."""
    async with world(tmp_path) as w:
        await w.charge(5)
        number = await told(w)
        body = cost(number, w, state="Idle", idlePrice={"hourPrice": 36.0})
        await transfer(w, "RunningCost", body)
        changes: list[str] = []
        w.station.snapshots.subscribe(lambda: changes.append(shown(w)["cost"]))
        await w.advance(10)
        assert changes[-1] == "1.10"


@pytest.mark.parametrize("message", ["RunningCost", "FinalCost"])
async def test_unknown_transactions_are_rejected(tmp_path: Path, message: str) -> None:
    """COST-8."""
    async with world(tmp_path) as w:
        body = {**cost(42, w, meterValue=0), "priceText": "x"}
        assert (await transfer(w, message, body))["status"] == "Rejected"
        await w.charge(10)
        number = await told(w)
        body["transactionId"] = number + 1
        assert (await transfer(w, message, body))["status"] == "Rejected"
        assert w.station.snapshots.snapshot()["evses"][0]["price"] is None


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ("SetUserPrice", {"priceText": "a"}),
        ("SetUserPrice", {"idToken": "x" * 21, "priceText": "a"}),
        ("SetUserPrice", "no JSON"),
        ("RunningCost", {"transactionId": 1}),
        ("RunningCost", {"transactionId": "1"}),
        ("FinalCost", {"transactionId": 1, "cost": "3"}),
        ("FinalCost", []),
    ],
)
async def test_malformed_data_is_rejected_and_changes_nothing(
    tmp_path: Path, message: str, data: object
) -> None:
    """COST-8: with the reason."""
    async with world(tmp_path, DefaultPrice=json.dumps(DEFAULT)) as w:
        before = shown(w)
        answer = await transfer(w, message, data)
        assert answer["status"] == "Rejected" and answer["data"]
        assert shown(w) == before


async def test_a_malformed_cost_leaves_the_last_one(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.charge(10)
        number = await told(w)
        await transfer(w, "RunningCost", cost(number, w))
        before = shown(w)
        broken = cost(number, w, cost=9.0, triggerMeterValue={"atCPStatus": ["Asleep"]})
        assert (await transfer(w, "RunningCost", broken))["status"] == "Rejected"
        assert shown(w) == before


async def test_unknown_messages(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        assert await transfer(w, "Discount", {}) == {"status": "UnknownMessageId"}
        reply = messages(w).transfer({"vendorId": COST_VENDOR})
        assert isinstance(reply, Answer) and reply.payload == {"status": "UnknownMessageId"}


async def test_the_cost_may_come_right_behind_the_start(tmp_path: Path) -> None:
    """A backend sends RunningCost in the same breath as the answer to StartTransaction."""
    async with world(tmp_path) as w:
        await w.charge(10)
        asking = asyncio.create_task(transfer(w, "RunningCost", cost(101, w)))
        await asyncio.sleep(0)
        assert await told(w) == 101
        assert await asking == {"status": "Accepted"}


async def test_final_cost_after_the_end(tmp_path: Path) -> None:
    """COST-6: until the driver has been gone for five minutes, or the next one comes."""
    final = {"cost": 3.31, "priceText": "3.31 $", "qrCodeText": "https://example.org/i/1"}
    async with world(tmp_path, DefaultPrice=json.dumps(DEFAULT)) as w:
        await w.charge(5)
        number = await told(w)
        await w.tap()
        await w.advance(10)
        body = {"transactionId": number, **final}
        assert await transfer(w, "FinalCost", body) == {"status": "Accepted"}
        assert shown(w) == {**shown(w), "kind": "final", "cost": "3.31", "qr": final["qrCodeText"]}
        await w.unplug()
        await skip(w, 299)
        assert shown(w)["kind"] == "final"
        await w.advance(2)
        assert shown(w)["kind"] == "default"
        await w.plug()
        assert (await transfer(w, "FinalCost", body))["status"] == "Accepted"
        assert shown(w)["kind"] == "default"


async def test_the_next_driver_does_not_see_it(tmp_path: Path) -> None:
    async with world(tmp_path, DefaultPrice=json.dumps(DEFAULT)) as w:
        await w.charge(5)
        number = await told(w)
        await w.tap()
        await w.advance(10)
        await transfer(w, "FinalCost", {"transactionId": number, "cost": 1, "priceText": "a"})
        await w.unplug()
        assert shown(w)["kind"] == "final"
        await w.plug()
        assert shown(w)["kind"] == "default"


async def test_costs_survive_a_restart(tmp_path: Path) -> None:
    """Running: the estimate goes on. Final: still shown to whoever stands there."""
    async with world(tmp_path) as w:
        await w.charge(5)
        number = await told(w)
        await transfer(w, "SetUserPrice", {"idToken": CARD, "priceText": "mine"})
        await transfer(w, "RunningCost", cost(number, w))
        await w.settle()
        await w.restart()
        await skip(w, 3600)
        assert (shown(w)["text"], shown(w)["cost"]) == ("mine", "1.736")
        await w.tap()
        await w.advance(10)
        await transfer(w, "FinalCost", {"transactionId": number, "cost": 2, "priceText": "end"})
        await w.restart()
        await w.advance(2)
        assert (shown(w)["kind"], shown(w)["cost"]) == ("final", "2.00")


async def test_a_charge_that_begins_offline_shows_the_default_unit_price(tmp_path: Path) -> None:
    """COST-1: 3.68 kWh × 0.15."""
    async with world(
        tmp_path, DefaultPrice=json.dumps(DEFAULT), AllowOfflineTxForUnknownId="true"
    ) as w:
        w.backend.connected = False
        await w.charge(5)
        await skip(w, 3595)
        assert (shown(w)["kind"], shown(w)["cost"]) == ("running", "0.552")


async def test_triggers_send_meter_values(tmp_path: Path) -> None:
    """COST-7: time, energy, power and status, context Other, inside the transaction."""
    async with world(tmp_path) as w:
        await w.charge(5)
        number = await told(w)
        wanted = {
            "atTime": (w.clock.utc() + timedelta(seconds=30)).isoformat(),
            "atEnergykWh": 0.5,
            "atPowerkW": 2.0,
            "atCPStatus": ["Finishing"],
        }
        await transfer(w, "RunningCost", cost(number, w, triggerMeterValue=wanted))
        assert await w.reports() == []
        await skip(w, 31)
        assert len(values(await w.reports())) == 1
        await skip(w, 600)
        (by_energy,) = values(await w.reports())
        assert by_energy.transaction_id == w.view().transaction_id
        register = by_energy.sample.values[0]
        assert register.measurand == "Energy.Active.Import.Register"
        assert 1500 <= register.value < 1700
        w.meters[1].watts = 1000.0
        await w.advance(5)
        assert len(values(await w.reports())) == 1
        await w.tap()
        await w.advance(10)
        reports = await w.reports()
        (by_status,) = values(reports)
        assert by_status.transaction_id is None
        assert all(report.sample.context is ReadingContext.OTHER for report in values(reports))


def values(reports: list[Any]) -> list[MeterValuesTaken]:
    return [report for report in reports if isinstance(report, MeterValuesTaken)]


async def test_unplugging_is_told_after_the_end(tmp_path: Path) -> None:
    """COST-5: CustomIdleFeeAfterStop: once, behind the StopTransaction, also after a restart in between."""
    async with world(tmp_path, CustomIdleFeeAfterStop="true") as w:
        await w.charge(5)
        await told(w)
        await w.tap()
        await w.advance(10)
        assert [type(r).__name__ for r in await w.reports()] == ["TransactionEnded"]
        await w.restart()
        await w.advance(5)
        assert await w.reports() == []
        await w.unplug()
        await w.advance(1)
        (report,) = await w.reports()
        assert isinstance(report, ConnectorUnplugged)
        request = report_16(report, 7)
        assert request is not None
        action, payload = request
        assert (action, payload["vendorId"], payload["messageId"]) == (
            "DataTransfer",
            COST_VENDOR,
            "ConnectorUnplugged",
        )
        assert json.loads(payload["data"])["transactionId"] == 7
        assert report_16(report, -1) is None
        await w.restart()
        await w.advance(5)
        assert await w.reports() == []


async def test_unplugging_that_ends_the_transaction_is_told_too(tmp_path: Path) -> None:
    async with world(tmp_path, CustomIdleFeeAfterStop="true") as w:
        await w.charge(5)
        await told(w)
        await w.unplug()
        await w.advance(10)
        names = [type(r).__name__ for r in await w.reports()]
        assert names == ["TransactionEnded", "ConnectorUnplugged"]


async def test_nothing_is_told_without_the_key(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.charge(5)
        await told(w)
        await w.unplug()
        await w.advance(10)
        assert [type(r).__name__ for r in await w.reports()] == ["TransactionEnded"]
