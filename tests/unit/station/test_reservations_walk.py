"""Random days with reservations: every status follows from the one before it, nobody gets another's EVSE."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.core.model import (
    AuthorizationStatus,
    EvseView,
    IdToken,
    IdTokenInfo,
    TransactionStarted,
)
from controller.core.reservation import Reservation, ReserveStatus
from controller.ocpp.v16.statuses import StatusReporter
from controller.ocpp.v16.translate import ALLOWED, Status, status_16
from tests.unit.station.fakes import World

CARDS = ("04A2B3C4", "04FFEE11", "04000001")
CLUB = IdToken("CLUB")
STEPS = 45


class Judge:
    """Told what the backend would be told."""

    def __init__(self, world: World) -> None:
        self.last: dict[int, Status] = {}
        self.wrong: list[str] = []
        self.seen: set[Status] = set()
        self._reporter = StatusReporter(
            self._sent,
            is_settled=lambda: True,
            settled=lambda _: asyncio.sleep(0),
            minimum_s=lambda: 0.0,
            clock=world.clock,
        )
        self._reporter.online(announce=True)
        self._next = world.backend.evse_changed
        world.backend.evse_changed = self.changed  # type: ignore[method-assign]

    def changed(self, view: EvseView) -> None:
        self._next(view)
        self._reporter.update(view.evse, status_16(view))

    def _sent(self, payload: dict[str, Any]) -> asyncio.Future[object]:
        evse, status = payload["connectorId"], Status(payload["status"])
        before = self.last.get(evse)
        if before is not None and status is not before and status not in ALLOWED[before]:
            self.wrong.append(f"{evse}: {status} after {before}")
        self.last[evse] = status
        self.seen.add(status)
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        done.set_result({})
        return done


@pytest.mark.parametrize("seed", [3, 10, 103, 127])
async def test_a_random_day(tmp_path: Path, seed: int) -> None:
    """R16-RES-1, §4.9 rows A, B, G."""
    chance = random.Random(seed)
    evses = chance.choice((1, 2, 3))
    async with World(tmp_path, evses=evses) as world:
        world.backend.answers = {
            CARDS[2]: IdTokenInfo(status=AuthorizationStatus.ACCEPTED, group=CLUB)
        }
        judge = Judge(world)
        made: dict[int, Reservation] = {}
        used: list[int] = []
        for _ in range(STEPS):
            number, evse = chance.randrange(3), chance.randint(1, evses)
            card = chance.choice(CARDS)
            standing = world.station.reservations.all()
            holds = {n: a.session.hold for n, a in world.station.actors.items()}
            match chance.randrange(10):
                case 0 | 1:
                    wanted = Reservation(
                        id=number,
                        evse=chance.choice((evse, evse, None)),
                        id_token=IdToken(card),
                        group=chance.choice((None, CLUB)),
                        expires_at=world.clock.utc() + timedelta(seconds=chance.choice((30, 600))),
                    )
                    status = await world.station.reservations.reserve(wanted)
                    if status is ReserveStatus.ACCEPTED:
                        made[number] = wanted
                case 2:
                    await world.station.reservations.cancel(number)
                case 3 if world.guard.evses[evse].plugged:
                    await world.unplug(evse)
                case 3 | 4 if not world.guard.evses[evse].plugged:
                    await world.plug(evse)
                case 5 | 6:
                    await world.tap(card, (evse,))
                case 8 if world.guard.evses[evse].faults:
                    world.guard.fault_gone(evse, "rcd")
                case 8 if chance.random() < 0.4:
                    world.guard.fault(evse, "rcd")
                case 7:
                    where = chance.choice((evse, None))
                    await world.station.control.remote_start(IdToken(card), where)
                case _:
                    await world.advance(chance.choice((1.0, 20.0, 70.0)))
            await world.settle()
            for start in await world.reports():
                if not isinstance(start, TransactionStarted):
                    continue
                group = CLUB if start.id_token.same_as(IdToken(CARDS[2])) else None
                hold = holds[start.evse]
                assert hold.admits(start.id_token, group), (hold, start)
                if start.reservation_id is not None:
                    assert made[start.reservation_id].admits(start.id_token, group)
                    assert start.reservation_id in [r.id for r in standing]
                    assert start.reservation_id not in [
                        r.id for r in world.station.reservations.all()
                    ]
                    used.append(start.reservation_id)
            kept = sorted(await world.store.reservations.load(), key=lambda r: r.id)
            assert kept == sorted(world.station.reservations.all(), key=lambda r: r.id)
        assert judge.wrong == []
