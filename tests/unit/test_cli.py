"""The command line: exit codes and what is said (DESIGN 6.1)."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from controller import cli, cli_status, compiled

ROOT = Path(__file__).parents[2]
GOOD = ROOT / "config" / "examples" / "virtual.toml"
COMMANDS = [
    "run",
    "guard",
    "demo",
    "check",
    "doctor",
    "commission",
    "status",
    "choose",
    "clear-fault",
    "card",
    "report",
    "bench",
    "safe-outputs",
    "update",
    "support-bundle",
    "torture",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    assert f"chargepost {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", list(cli.NOT_BUILT_YET))
def test_what_is_not_built_says_so_in_one_line(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([command]) == 2
    assert capsys.readouterr().err == f"chargepost {command}: not built yet\n"


@pytest.mark.parametrize("more", [[], ["--once"]])
def test_the_demo_of_a_version_that_is_not_built_says_so_in_one_line(
    more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", "--protocol", "ocpp2.0.1", *more]) == 2
    assert capsys.readouterr().err == "demo: ocpp2.0.1 is not built yet; ocpp1.6 is\n"
    with pytest.raises(SystemExit):
        cli.main(["demo", "--help"])
    assert "ocpp2" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [[], ["nope"], ["bench"], ["check", "a", "b"], ["run", "--nope"]]
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2


def test_check_says_that_a_file_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "/nowhere/chargepost.toml"]) == 2
    assert capsys.readouterr().err == "/nowhere/chargepost.toml: does not exist\n"


def test_status_finds_the_services_of_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they compiled cannot be read by everybody, and `run` has its sockets elsewhere."""
    monkeypatch.delenv("CHARGEPOST_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    place = tmp_path / "run"
    place.mkdir()
    monkeypatch.setattr(cli_status, "UNIT_RUNTIME_DIR", place)
    config = tmp_path / "c.toml"
    config.write_text(f'[station]\nstate_dir = "{tmp_path}/state"\n')
    own = cli_status.runtime_dir(str(config))
    assert own is not None and str(own).startswith("/tmp/chargepost-")
    (place / "guard.sock").touch()
    assert cli_status.runtime_dir(str(config)) == place


def test_the_end_of_run_removes_its_own_directory_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "_IN_TMP", f"{tmp_path}/chargepost-")
    for name in ("chargepost-1", "chargepost-2", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "guard.sock").touch()
        compiled.remove_own(tmp_path / name)
    (tmp_path / "chargepost-3").mkdir()
    (tmp_path / "chargepost-3" / "a letter").touch()
    for name in ("chargepost-3", "chargepost-4"):
        compiled.remove_own(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chargepost-3", "elsewhere"]
    assert (tmp_path / "elsewhere" / "guard.sock").exists()


def test_check_says_good(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(GOOD)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{GOOD}: good\n"
    assert captured.err.startswith("warning: ")


def test_check_names_problems_on_stderr_and_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.toml"
    path.write_text(GOOD.read_text().replace("max_current = 32", 'max_current = "32A"'))
    assert cli.main(["check", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert cli.main(["check", "--json", str(path)]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    (problem,) = answer["problems"]
    line = path.read_text().splitlines().index('max_current = "32A"') + 1
    assert (problem["line"], problem["table"], problem["key"]) == (line, "evse 1", "max_current")
    assert problem["value"] == "32A"
    assert problem["did_you_mean"] == "32"


def test_status_without_a_station(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGEPOST_RUNTIME_DIR", str(tmp_path))
    assert cli.main(["status", "--config", str(GOOD)]) == 1
    assert "is it running?" in capsys.readouterr().err


def test_choose_without_a_station(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["choose", "2", "--config", str(GOOD)]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_bench_verbs_say_when_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "plug", "--bench", "127.0.0.1:1"]) == 1
    assert "127.0.0.1:1" in capsys.readouterr().err
    assert cli.main(["bench", "plug", "--config", "/nowhere.toml"]) == 2


def test_safe_outputs_without_a_running_world(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGEPOST_RUNTIME_DIR", str(tmp_path))
    assert cli.main(["safe-outputs", "--config", str(GOOD)]) == 0
    assert "evse 1 contactor: no virtual hardware is running" in capsys.readouterr().out


def test_safe_outputs_beside_a_running_guard_warns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGEPOST_RUNTIME_DIR", str(tmp_path))
    with socket.socket(socket.AF_UNIX) as guard:
        guard.bind(str(tmp_path / "guard.sock"))
        guard.listen()
        assert cli.main(["safe-outputs", "--config", str(GOOD)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: the station is running: its guard may raise faults")
    assert cli.main(["safe-outputs", "--config", str(GOOD)]) == 0
    assert capsys.readouterr().err == ""


def test_safe_outputs_on_a_computer_without_gpio_says_not_safe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = ROOT / "config" / "examples" / "stand-alone-free.toml"
    if list(Path("/dev").glob("gpiochip*")):
        pytest.skip("this computer has GPIO lines: they are left alone")
    assert cli.main(["safe-outputs", "--config", str(path)]) == 1
    assert "contactor: NOT SAFE: no GPIO chip of a Raspberry Pi" in capsys.readouterr().err


def test_run_and_safe_outputs_import_no_library() -> None:
    """They must start fast and stay small."""
    code = (
        "import sys; import controller.cli, controller.run, controller.safe_outputs; "
        "heavy = {'pydantic', 'asyncio', 'logging', 'gpiozero', 'aiohttp', 'ocpp', 'websockets', 'pymodbus', "
        "'ssl', 'sqlite3'}; print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"
