"""The flows of a charging day, online and offline, judged by frames and by bench truth."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.scenario.backend import ScriptedBackend
from tests.scenario.rig import Rig, until

CARD = "04A2B3C4"
OTHER = "04D5E6F7"
SIBLING = "0411223344AABB"
BLOCKED = "04B10C4E"
EXPIRED = "04E4B1ED"
UNLISTED = "04FFEE11"

Make = Callable[..., Awaitable[tuple[Rig, ScriptedBackend]]]


@pytest_asyncio.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """Builds and starts a rig with a scripted backend; ends both afterwards and judges the frames."""
    made: list[tuple[Rig, ScriptedBackend]] = []

    async def build(
        offline: bool = False, cards: tuple[str, ...] = (), **options: Any
    ) -> tuple[Rig, ScriptedBackend]:
        backend = ScriptedBackend()
        backend.card(CARD, parent="FAMILY")
        backend.card(SIBLING, parent="FAMILY")
        backend.card(OTHER)
        backend.card(BLOCKED, status="Blocked")
        backend.card(EXPIRED, status="Expired")
        backend.card("APP1")
        url = await backend.start()
        rig = Rig(tmp_path, url, **options)
        made.append((rig, backend))
        await rig.start()
        await backend.wait_status(1, "Available")
        if offline:
            await learn(
                rig, backend, cards, cancel="ConnectionTimeOut" not in options.get("ocpp16", {})
            )
            await asyncio.to_thread(rig.bench.link, False)
            await until(lambda: not rig.bench.state()["backend"]["connected"], "the link is off")
        backend.mark()
        return rig, backend

    yield build
    for rig, backend in made:
        rig.close()
        await backend.stop()
        assert backend.violations() == [], rig.log()


async def learn(
    rig: Rig, backend: ScriptedBackend, cards: tuple[str, ...], cancel: bool = True
) -> None:
    """Show each card once online, so that the cache knows it; cancel (or let pass) what that authorized."""
    for card in cards:
        before = len(backend.calls("Authorize"))
        await tap(rig, card)
        await backend.wait_calls("Authorize", before + 1)
        if card in (BLOCKED, EXPIRED):
            continue
        await backend.wait_status(1, "Preparing")
        if cancel:
            await tap(rig, card)
        await backend.wait_status(1, "Available")


async def tap(rig: Rig, card: str, **more: Any) -> None:
    """Show a card; the same card counts again only after the reader's dead time."""
    last = getattr(rig, "last_tap", (None, 0.0))
    if last[0] == card:
        await asyncio.sleep(max(0.0, last[1] + 2.3 - time.monotonic()))
    await asyncio.to_thread(rig.bench.tap, card, **more)
    rig.last_tap = (card, time.monotonic())  # type: ignore[attr-defined]


def closed(rig: Rig) -> bool:
    """Truth of the main contacts."""
    return bool(rig.bench.evse()["contactor"]["closed"])


async def charging(rig: Rig) -> None:
    """Until energy flows."""
    await until(lambda: rig.bench.evse()["meter"]["power_w"] > 1000, "the car draws power")


async def opened(rig: Rig) -> None:
    """Until the main contacts are open."""
    await until(lambda: not closed(rig), "the contactor is open")


async def never_closes(rig: Rig, seconds: float, since: int = 0) -> None:
    """Nothing may close the contactor for that long."""
    await asyncio.sleep(seconds)
    shut = [
        e for e in rig.bench.events(since) if e["what"] == "contactor" and e["value"] == "closed"
    ]
    assert shut == []


async def online_again(rig: Rig, backend: ScriptedBackend, offline: bool) -> None:
    """After an offline flow: let the queue drain."""
    if offline:
        await asyncio.to_thread(rig.bench.link, True)
        await until(lambda: rig.bench.state()["backend"]["connected"], "the link is back")


both = pytest.mark.parametrize("offline", [False, True], ids=["online", "offline"])


@both
@pytest.mark.parametrize("first", ["plug", "tap"])
async def test_one_charge(make: Make, offline: bool, first: str) -> None:
    """R16-TX-1, R16-AUTH-2: plug first and tap first; local stop; energy is the register difference."""
    rig, backend = await make(offline, (CARD,))
    start_wh = rig.bench.evse()["meter"]["energy_wh"]
    if first == "plug":
        rig.bench.plug(ready_after=0.1)
        await until(lambda: rig.bench.evse()["pilot"]["state"] == "B1", "B1")
    await tap(rig, CARD)
    if first == "tap":
        await asyncio.sleep(0.5)
        rig.bench.plug(ready_after=0.1)
    await charging(rig)
    await asyncio.sleep(2.0)
    await tap(rig, CARD)
    await opened(rig)
    stop_wh = rig.bench.evse()["meter"]["energy_wh"]
    await asyncio.sleep(0.3)
    rig.bench.unplug()
    await online_again(rig, backend, offline)
    [stop] = await backend.wait_calls("StopTransaction", 1)
    [start] = backend.calls("StartTransaction")
    assert start["idTag"] == CARD and stop["idTag"] == CARD
    assert stop.get("reason", "Local") == "Local"
    assert abs((stop["meterStop"] - start["meterStart"]) - (stop_wh - start_wh)) <= 1
    await backend.wait_status(1, "Available")
    assert len(backend.calls("Authorize")) == (0 if offline else 1)
    if not offline:
        assert backend.statuses(1) == ["Preparing", "Charging", "Finishing", "Available"]


@both
async def test_tap_then_time_out(make: Make, offline: bool) -> None:
    """ConnectionTimeOut after a tap: Available again, nothing billed, a later plug starts nothing."""
    rig, backend = await make(offline, (CARD,), ocpp16={"ConnectionTimeOut": "2"})
    await tap(rig, CARD)
    await asyncio.sleep(3.0)
    mark = rig.bench.last_event()
    rig.bench.plug(ready_after=0.0)
    await never_closes(rig, 1.5, mark)
    await online_again(rig, backend, offline)
    assert backend.calls("StartTransaction") == []
    if not offline:
        assert backend.statuses(1)[:2] == ["Preparing", "Available"]


@both
async def test_second_tap_before_the_plug_cancels(make: Make, offline: bool) -> None:
    """The same card again before the plug: cancelled."""
    rig, backend = await make(offline, (CARD,))
    await tap(rig, CARD)
    await asyncio.sleep(0.3)
    await tap(rig, CARD)
    await asyncio.sleep(0.3)
    mark = rig.bench.last_event()
    rig.bench.plug(ready_after=0.0)
    await never_closes(rig, 1.5, mark)
    await online_again(rig, backend, offline)
    assert backend.calls("StartTransaction") == []


@both
async def test_plug_without_tap_past_the_time_out(make: Make, offline: bool) -> None:
    """B6: Finishing, and another driver's card does not start on this cable."""
    rig, backend = await make(offline, (CARD,), ocpp16={"ConnectionTimeOut": "2"})
    rig.bench.plug(ready_after=0.0)
    await asyncio.sleep(3.0)
    mark = rig.bench.last_event()
    await tap(rig, CARD)
    await never_closes(rig, 1.5, mark)
    await online_again(rig, backend, offline)
    assert backend.calls("StartTransaction") == []
    await backend.wait_status(1, "Finishing")
    rig.bench.unplug()
    await backend.wait_status(1, "Available")


@both
@pytest.mark.parametrize(
    "card", [BLOCKED, EXPIRED, UNLISTED], ids=["blocked", "expired", "refused"]
)
async def test_refused_cards(make: Make, offline: bool, card: str) -> None:
    """R16-AUTH-3, R16-AUTH-4: no start, online and offline."""
    rig, backend = await make(offline, (BLOCKED, EXPIRED))
    rig.bench.plug(ready_after=0.0)
    mark = rig.bench.last_event()
    await tap(rig, card)
    await never_closes(rig, 2.0, mark)
    await online_again(rig, backend, offline)
    assert backend.calls("StartTransaction") == []


@both
@pytest.mark.parametrize("second", [OTHER, SIBLING], ids=["other card", "parent card"])
async def test_who_may_stop(make: Make, offline: bool, second: str) -> None:
    """R16-AUTH-2: another card stops only with the same parent."""
    rig, backend = await make(offline, (CARD, OTHER, SIBLING))
    rig.bench.plug(ready_after=0.0)
    await tap(rig, CARD)
    await charging(rig)
    await asyncio.sleep(0.5)
    await tap(rig, second)
    if second == SIBLING:
        await opened(rig)
    else:
        await asyncio.sleep(1.5)
        assert closed(rig)
        await tap(rig, CARD)
        await opened(rig)
    await online_again(rig, backend, offline)
    [stop] = await backend.wait_calls("StopTransaction", 1)
    assert stop["idTag"] == (SIBLING if second == SIBLING else CARD)


async def test_unplug_while_authorize_is_open(make: Make) -> None:
    """The answer comes when the car is gone: it starts nothing, not even for the next car."""
    rig, backend = await make()
    backend.delay("Authorize", 1.5)
    rig.bench.plug(ready_after=0.0)
    await tap(rig, CARD)
    await asyncio.sleep(0.3)
    mark = rig.bench.last_event()
    rig.bench.unplug()
    await asyncio.sleep(0.3)
    rig.bench.plug(ready_after=0.0)
    await never_closes(rig, 2.5, mark)
    assert backend.calls("StartTransaction") == []


async def test_an_answer_after_connection_time_out_starts_nothing(make: Make) -> None:
    """Authorize answered after ConnectionTimeOut."""
    rig, backend = await make(ocpp16={"ConnectionTimeOut": "1"})
    backend.delay("Authorize", 2.5)
    rig.bench.plug(ready_after=0.0)
    mark = rig.bench.last_event()
    await tap(rig, CARD)
    await never_closes(rig, 4.0, mark)
    assert backend.calls("StartTransaction") == []


@both
async def test_ev_side_unplug_stops(make: Make, offline: bool) -> None:
    """R16-ST-5 true: EVDisconnected, then Available."""
    rig, backend = await make(offline, (CARD,))
    rig.bench.plug(ready_after=0.0)
    await tap(rig, CARD)
    await charging(rig)
    rig.bench.unplug()
    await opened(rig)
    await online_again(rig, backend, offline)
    [stop] = await backend.wait_calls("StopTransaction", 1)
    assert stop["reason"] == "EVDisconnected"
    await backend.wait_status(1, "Available")


async def test_ev_side_unplug_suspends(make: Make) -> None:
    """R16-ST-5 false: SuspendedEV with info, the transaction goes on after the replug."""
    rig, backend = await make(ocpp16={"StopTransactionOnEVSideDisconnect": "false"})
    rig.bench.plug(ready_after=0.0)
    await tap(rig, CARD)
    await charging(rig)
    rig.bench.unplug()
    suspended = await backend.wait_status(1, "SuspendedEV")
    assert suspended["info"] == "EV side disconnected"
    assert not closed(rig)
    rig.bench.plug(ready_after=0.0)
    await charging(rig)
    await tap(rig, CARD)
    await backend.wait_calls("StopTransaction", 1)
    assert len(backend.calls("StartTransaction")) == 1


@pytest.mark.parametrize("stop_on_invalid", [True, False])
async def test_start_refused_during_the_charge(make: Make, stop_on_invalid: bool) -> None:
    """R16-TX-7: StartTransaction.conf is not Accepted while the car charges."""
    rig, backend = await make(ocpp16={"StopTransactionOnInvalidId": str(stop_on_invalid).lower()})
    backend.delay("StartTransaction", 2.0)
    backend.answer("StartTransaction", {"transactionId": 77, "idTagInfo": {"status": "Blocked"}})
    rig.bench.plug(ready_after=0.0)
    await tap(rig, CARD)
    await opened_after_charging(rig)
    if stop_on_invalid:
        [stop] = await backend.wait_calls("StopTransaction", 1)
        assert stop["reason"] == "DeAuthorized" and stop["transactionId"] == 77
    else:
        await backend.wait_status(1, "SuspendedEVSE")
        assert backend.calls("StopTransaction") == []
        rig.bench.unplug()
        [stop] = await backend.wait_calls("StopTransaction", 1)
        assert stop["transactionId"] == 77


async def opened_after_charging(rig: Rig) -> None:
    """Energy flowed, then the contactor opened."""
    await charging(rig)
    await opened(rig)


@pytest.mark.parametrize("first", ["cable", "start"])
async def test_remote_start(make: Make, first: str) -> None:
    """R16-AUTH-7: RemoteStart with the cable in, and before it; RemoteStop ends it."""
    rig, backend = await make()
    if first == "cable":
        rig.bench.plug(ready_after=0.0)
        await backend.wait_status(1, "Preparing")
    answer = await backend.call("RemoteStartTransaction", {"connectorId": 1, "idTag": "APP1"})
    assert answer["status"] == "Accepted"
    if first == "start":
        await asyncio.sleep(0.5)
        rig.bench.plug(ready_after=0.0)
    await charging(rig)
    [start] = await backend.wait_calls("StartTransaction", 1)
    assert start["idTag"] == "APP1"
    transaction = backend.transaction_ids()[0]
    answer = await backend.call("RemoteStopTransaction", {"transactionId": transaction})
    assert answer["status"] == "Accepted"
    [stop] = await backend.wait_calls("StopTransaction", 1)
    assert stop["reason"] == "Remote"
    await opened(rig)


async def test_remote_start_times_out(make: Make) -> None:
    """No cable within ConnectionTimeOut: Available again, nothing billed."""
    rig, backend = await make(ocpp16={"ConnectionTimeOut": "2"})
    answer = await backend.call("RemoteStartTransaction", {"connectorId": 1, "idTag": "APP1"})
    assert answer["status"] == "Accepted"
    await backend.wait_status(1, "Available", after="Preparing")
    mark = rig.bench.last_event()
    rig.bench.plug(ready_after=0.0)
    await never_closes(rig, 1.5, mark)
    assert backend.calls("StartTransaction") == []


async def test_boot_with_the_cable_in(make: Make) -> None:
    """Never Available while a cable is in; a card then starts."""
    rig, backend = await make(attach=True)
    rig.bench.plug(ready_after=0.0)
    await backend.wait_status(1, "Preparing")
    assert rig.stop() == 0
    backend.mark()
    await rig.start()
    await backend.wait_calls("StatusNotification", 2)
    assert "Available" not in backend.statuses(1)


@pytest.mark.parametrize("card", [CARD, UNLISTED], ids=["listed", "unlisted"])
async def test_the_link_is_silent_at_the_tap(make: Make, card: str) -> None:
    """No Close, no answers: a known card starts, an unknown one is refused, both within 11 s."""
    rig, backend = await make(ocpp16={"WebSocketPingInterval": "0"})
    await learn(rig, backend, (CARD,))
    rig.bench.plug(ready_after=0.0)
    await backend.wait_status(1, "Preparing")
    await asyncio.sleep(2.3)  # the reader's dead time for the same card
    backend.fall_silent()
    mark = rig.bench.last_event()
    begin = time.monotonic()
    await asyncio.to_thread(rig.bench.tap, card)
    if card == CARD:
        await until(lambda: closed(rig), "the contactor closes", 12.0)
        assert time.monotonic() - begin <= 11.0
    else:
        await never_closes(rig, 11.0, mark)


async def test_a_backend_that_answers_later_than_the_time_out(make: Make) -> None:
    """R16-TX-5: each answer comes after MessageTimeout; one transaction, no second start, nothing undelivered."""
    rig, backend = await make(
        ocpp16={"MessageTimeout": "2", "LocalPreAuthorize": "true", "MeterValueSampleInterval": "0"}
    )
    await learn(rig, backend, (CARD,))
    backend.patience(1.5)  # the station counts from the sending, the books from the arrival
    backend.mark()
    for action in ("StartTransaction", "StopTransaction", "StatusNotification", "Authorize"):
        backend.delay(action, 3.0)
    rig.bench.plug(ready_after=0.0)
    await tap(rig, CARD)
    await charging(rig)
    await asyncio.sleep(2.0)
    await tap(rig, CARD)
    await opened(rig)
    await backend.wait_calls("StopTransaction", 1, timeout_s=30.0)
    rig.bench.unplug()
    await backend.wait_status(1, "Available", timeout_s=30.0)
    assert len(backend.transaction_ids()) == 1
    assert len(set(backend.message_ids("StartTransaction"))) == 1
    assert len(set(backend.message_ids("StopTransaction"))) == 1


async def test_weld_at_the_stop(make: Make) -> None:
    """The contactor stays closed: the transaction still ends once, the fault is reported and latched."""
    rig, backend = await make()
    rig.bench.plug(ready_after=0.0)
    await tap(rig, CARD)
    await charging(rig)
    rig.bench.fault("weld")
    await asyncio.sleep(0.3)
    await tap(rig, CARD)
    [stop] = await backend.wait_calls("StopTransaction", 1, timeout_s=30.0)
    faulted = await backend.wait_status(1, "Faulted")
    assert faulted["errorCode"] == "PowerSwitchFailure"
    assert stop["meterStop"] >= backend.calls("StartTransaction")[0]["meterStart"]


async def test_dead_meter_at_the_stop(make: Make) -> None:
    """DESIGN §5: after 10 s without a reading the last good value counts."""
    rig, backend = await make()
    rig.bench.plug(ready_after=0.0)
    await tap(rig, CARD)
    await charging(rig)
    await asyncio.sleep(2.0)
    rig.bench.fault("meter_silent")
    await asyncio.sleep(0.2)
    before = rig.bench.evse()["meter"]["energy_wh"]
    await tap(rig, CARD)
    [stop] = await backend.wait_calls("StopTransaction", 1, timeout_s=20.0)
    assert 0 <= before - stop["meterStop"] <= 10


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_backend_that_answers_every_call_after_45_s(make: Make) -> None:
    """The same in real time with the standard MessageTimeout; minutes long, so only on demand (-m slow)."""
    rig, backend = await make(ocpp16={"MeterValueSampleInterval": "0"})
    await learn(rig, backend, (CARD,))
    backend.mark()
    backend.patience(29.0)
    for action in ("Authorize", "StartTransaction", "StopTransaction", "StatusNotification"):
        backend.delay(action, 45.0)
    rig.bench.plug(ready_after=0.0)
    await asyncio.sleep(1.0)
    await tap(rig, CARD)
    begin = time.monotonic()
    await until(lambda: closed(rig), "the contactor closes", 20.0)
    assert time.monotonic() - begin <= 11.0
    await asyncio.sleep(5.0)
    await tap(rig, CARD)
    await opened(rig)
    rig.bench.unplug()
    await backend.wait_calls("StopTransaction", 1, timeout_s=400.0)
    await backend.wait_status(1, "Available", timeout_s=400.0)
    await asyncio.sleep(60.0)
    assert len(backend.transaction_ids()) == 1
    assert len(set(backend.message_ids("StartTransaction"))) == 1
    assert len(set(backend.message_ids("StopTransaction"))) == 1
