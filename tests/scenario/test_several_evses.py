"""Several EVSEs on one supply with the real processes, judged by what the pilots signalled (DESIGN §1.7)."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from controller.core.duty import amps_read_by_vehicle
from tests.scenario.backend import ScriptedBackend
from tests.scenario.deaths import CARD, OTHER
from tests.scenario.rig import Rig, until

pytestmark = pytest.mark.timeout(90)


@pytest_asyncio.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Rig, ScriptedBackend]]:
    """Two EVSEs of 32 A on 16 A; a backend and one reader."""
    backend = ScriptedBackend()
    backend.card(CARD)
    backend.card(OTHER)
    url = await backend.start()
    rig = Rig(tmp_path, url, evses=2, site="max_current = 16")
    await rig.start()
    await backend.wait_status(1, "Available")
    yield rig, backend
    rig.close()
    await backend.stop()
    assert backend.violations() == [], rig.log()


@pytest_asyncio.fixture
async def four(tmp_path: Path) -> AsyncIterator[Rig]:
    """Four free EVSEs on 20 A, which is enough for three at a time."""
    rig = Rig(
        tmp_path, None, evses=4, site="max_current = 20", charging='authorization = "free"', rfid=""
    )
    await rig.start()
    yield rig
    rig.close()


def offers(rig: Rig) -> list[float]:
    """What the pilots signal now."""
    return [_read(evse["pilot"]["duty"]) for evse in rig.bench.state()["evses"]]


def drawn(rig: Rig) -> list[float]:
    """What the vehicles draw now."""
    return [evse["vehicle"]["amps"] for evse in rig.bench.state()["evses"]]


def highest_sum(rig: Rig) -> float:
    """The highest sum of offers that the pilots ever signalled, event by event."""
    now: dict[int, float] = {}
    highest = 0.0
    for event in rig.bench.events(0):
        if event["what"] == "duty":
            now[event["evse"]] = _read(event["value"])
            highest = max(highest, sum(now.values()))
    return highest


def _read(duty: Any) -> float:
    return amps_read_by_vehicle(float(duty)) if 0 < float(duty) < 1 else 0.0


def about(*amps: float) -> Any:
    return pytest.approx(list(amps), abs=0.05)


async def test_two_share_sixteen_amps_through_a_death_of_the_station(
    two: tuple[Rig, ScriptedBackend],
) -> None:
    rig, backend = two
    rig.bench.plug(1, ready_after=0.0)
    await backend.wait_status(1, "Preparing")
    rig.bench.tap(CARD)
    await until(lambda: drawn(rig) == about(16.0, 0.0), "the first one takes all")
    rig.bench.plug(2, ready_after=0.0)
    await backend.wait_status(2, "Preparing")
    rig.bench.tap(OTHER)
    await until(lambda: drawn(rig) == about(8.0, 8.0), "both share", 30)
    # A killed station is back before its offers expire; one that hangs first is not.
    rig.signal("station", signal.SIGSTOP)
    await until(lambda: offers(rig) == about(6.0, 6.0), "both are held", 10)
    rig.signal("station", signal.SIGKILL)
    await until(lambda: drawn(rig) == about(8.0, 8.0), "the new station shares again", 30)
    rig.bench.unplug(1)
    await until(lambda: drawn(rig) == about(0.0, 16.0), "the other one takes all", 30)
    assert highest_sum(rig) <= 16.0 + 1e-6
    starts = backend.calls("StartTransaction")
    assert [(s["connectorId"], s["idTag"]) for s in starts] == [(1, CARD), (2, OTHER)]


async def test_four_share_twenty_amps_and_the_newest_waits(four: Rig) -> None:
    rig = four
    for evse in range(1, 5):
        rig.bench.plug(evse, ready_after=0.0)
        await asyncio.sleep(0.3)
    await until(
        lambda: drawn(rig) == about(6.6, 6.6, 6.6, 0.0), "three share, the newest waits", 40
    )
    rig.bench.unplug(2)
    await until(lambda: drawn(rig) == about(6.6, 0.0, 6.6, 6.6), "it is the fourth one's turn", 30)
    assert highest_sum(rig) <= 20.0 + 1e-6
