"""What a person types while a station runs: `chargepost choose`, `card`, `clear-fault` (DESIGN 6.1)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from controller import cli, cli_card, cli_status
from controller.core.model import SessionPhase
from controller.station.control_socket import ControlSocket
from controller.station.waiting import cancel
from tests.unit.station.fakes import World

UID = "04A2B3C4"


async def command(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    path = world.state_dir / "station.sock"
    config = world.state_dir / "x.toml"
    config.write_text("[station]\n")
    monkeypatch.setenv("CHARGEPOST_RUNTIME_DIR", str(world.state_dir))
    serving = asyncio.ensure_future(ControlSocket(path, world.station).run())
    while not path.exists():
        await asyncio.sleep(0.001)
    code = await asyncio.to_thread(cli.main, [*arguments, "--config", str(config)])
    await cancel(serving)
    out, err = capsys.readouterr()
    return code, out, err


async def test_choosing_before_a_card_says_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with World(tmp_path, evses=2) as world:
        ask = (world, monkeypatch, capsys)
        assert await command(*ask, "choose", "1") == (
            0,
            "the next card within 30 s is for EVSE 1\n",
            "",
        )
        assert await command(*ask, "choose", "7") == (1, "", "there is no EVSE 7\n")


async def test_a_card_is_added_listed_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stand-alone operation."""
    async with World(tmp_path, backend=False) as world:
        ask = (world, monkeypatch, capsys)
        assert await command(*ask, "card", "list") == (0, "no card is on the local list\n", "")
        code, out, _ = await command(*ask, "card", "add", "04:a2:b3:c4")
        assert (code, out) == (0, f"{UID} is on the local list; cards on it: 1\n")
        await world.plug()
        await world.tap(UID)
        assert world.view().phase is SessionPhase.TRANSACTION
        code, out, _ = await command(*ask, "card", "list", "--json")
        assert (code, json.loads(out)) == (0, {"cards": [UID]})
        code, out, _ = await command(*ask, "card", "remove", UID, "--json")
        assert (code, json.loads(out)) == (0, {"cards": []})
        code, out, err = await command(*ask, "card", "remove", UID)
        assert (code, out, err) == (1, "", f"{UID} is not on the local list\n")
        assert (await command(*ask, "card", "add", "x" * 37))[0] == 2


async def test_the_list_of_the_operator_stays_his(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with World(tmp_path) as world:
        world.station.local_list._version = 3
        code, out, err = await command(world, monkeypatch, capsys, "card", "add", UID)
        assert (code, out) == (1, "")
        assert err == "the operator keeps this list (version 3)\n"


def test_a_station_that_does_not_run_cannot_change_its_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHARGEPOST_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "x.toml").write_text("")
    assert cli.main(["card", "add", UID, "--config", str(tmp_path / "x.toml")]) == 1
    assert "is it running?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("04:a2:b3:c4", UID),
        ("04 A2 B3 C4", UID),
        ("04a2b3c4", UID),
        ("04-A2-B3-C4-D5-E6-F7", "04A2B3C4D5E6F7"),
        ("Visitor-7", "Visitor-7"),
        (" DEMO ", "DEMO"),
    ],
)
def test_a_uid_may_be_typed_as_phones_show_it(typed: str, meant: str) -> None:
    assert cli_card.plain(typed) == meant


def test_faults_of_an_evse_that_is_not_there_cannot_be_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(tmp_path)
    monkeypatch.setattr(cli_status, "_snapshot", lambda _: world.guard.snapshot)
    (tmp_path / "x.toml").write_text("")
    config = str(tmp_path / "x.toml")
    assert cli.main(["clear-fault", "all", "--evse", "7", "--config", config]) == 1
    assert capsys.readouterr().err == "there is no EVSE 7; there is: 1\n"
