"""`station.sock`: what the CLI asks."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from controller.core.model import SessionPhase
from controller.station.control_socket import ControlSocket
from controller.station.waiting import cancel
from tests.unit.station.fakes import World


async def ask(world: World, *requests: Any) -> list[dict[str, Any]]:
    path = world.state_dir / "station.sock"
    serving = asyncio.ensure_future(ControlSocket(path, world.station).run())
    while not path.exists():
        await asyncio.sleep(0.001)
    assert path.stat().st_mode & 0o777 == 0o600
    reader, writer = await asyncio.open_unix_connection(str(path))
    answers = []
    for request in requests:
        line = request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n"
        writer.write(line)
        answers.append(json.loads(await reader.readline()))
    writer.close()
    await writer.wait_closed()
    await cancel(serving)
    return answers


async def test_status_is_json_and_says_why(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.charge(5)
        (status,) = await ask(world, {"do": "status"})
        (evse,) = status["evses"]
        assert evse["why"] == "Charging: 16 A are offered."
        assert (evse["phase"], evse["charging_state"]) == ("transaction", "Charging")
        assert status["backend"]["connected"] and status["guard"]["connected"]
        assert status["queue"] == 1


async def test_a_person_clears_a_fault(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        answers = await ask(
            world,
            {"do": "clear-fault", "evse": 1, "name": "rcd"},
            {"do": "clear-fault", "evse": 2, "name": "rcd"},
            {"do": "clear-fault", "evse": 1, "name": "nonsense"},
        )
        assert answers[0] == {"ok": True}
        assert "no EVSE 2" in answers[1]["error"]
        assert "no fault" in answers[2]["error"]
        assert ("clear", 1, "rcd") in world.guard.sent


async def test_a_person_chooses_the_evse_of_a_card(tmp_path: Path) -> None:
    async with World(tmp_path, evses=2) as world:
        await world.plug(1)
        await world.plug(2)
        await world.tap()
        answers = await ask(world, {"do": "choose", "evse": 3}, {"do": "choose", "evse": 2})
        assert "no EVSE 3" in answers[0]["error"]
        assert answers[1] == {"ok": True, "says": "the card shown is for EVSE 2"}
        await world.settle()
        assert world.view(2).phase is SessionPhase.TRANSACTION


async def test_cards_of_the_local_list_charge_without_a_backend(tmp_path: Path) -> None:
    """Stand-alone operation."""
    world = World(tmp_path, backend=False)
    async with world:
        await world.plug()
        await world.tap()
        assert "not on the local list" in world.view().why
        assert (await ask(world, {"do": "list", "add": "04a2b3c4"})) == [{"list": ["04A2B3C4"]}]
        await world.restart()
        await world.tap()
        assert world.view().phase is SessionPhase.TRANSACTION
        assert (await ask(world, {"do": "list", "remove": "04A2B3C4"})) == [{"list": []}]


async def test_the_rest_and_nonsense(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        answers = await ask(
            world,
            {"do": "card", "uid": "DEMO-CARD"},
            {"do": "backend", "connect": False},
            {"do": "undelivered"},
            {"do": "send-again", "n": 1},
            {"do": "dance"},
            b"[]\n",
            b"nonsense\n",
        )
        await world.settle()
        assert answers[:4] == [{"ok": True}, {"ok": True}, {"undelivered": []}, {"ok": False}]
        assert all("error" in answer for answer in answers[4:])
        assert world.backend.asked == ["DEMO-CARD"]
        assert not world.backend.connected


async def test_what_is_sent_again_goes_out_without_waiting_for_the_next_report(
    tmp_path: Path,
) -> None:
    async with World(tmp_path) as world:
        await world.charge()
        entry = await world.store.outbox.head()
        assert entry is not None
        await world.store.outbox.undeliverable(entry.n, "InternalError")
        ((number, _, _, _),) = await world.store.undelivered.all()
        told = world.backend.waiting
        assert await ask(world, {"do": "send-again", "n": number}) == [{"ok": True}]
        assert world.backend.waiting > told
