"""What `check` must not call good: settings with which the station could not do its work."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from controller import cli, config
from hal import register_map
from hal.sim.hello import compose_hello
from hal.sim.runtime import Runtime
from hal.sim.timers import LoopTimers
from hal.sim.world import World
from tests.unit.test_config import MINIMAL, problems, warnings, write

METER = 'meter = { driver = "modbus", map = "eastron-sdm12", port = "/dev/x", address = 1 }'
BACKEND = '[backend]\nurl = "ws://127.0.0.1:9000"\n'


def test_an_unknown_register_map_is_named_with_what_is_allowed(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, MINIMAL.replace('meter = "sim"', METER))
    assert line.startswith('x.toml:7: [evse 1] meter.map = "eastron-sdm12": ')
    assert ", ".join(register_map.built_in()) in line
    assert line.endswith('did you mean "eastron-sdm120"?')


def test_an_unknown_register_map_is_told_beside_other_problems(tmp_path: Path) -> None:
    text = MINIMAL.replace('meter = "sim"', METER + "\nphases = 2")
    assert [line.split(":")[1] for line in problems(tmp_path, text)] == ["7", "8"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("./none.toml", "there is no register map"),
        ("~nobody-here/m.toml", "register map"),
        ("/", ""),
    ],
)
def test_a_map_file_that_cannot_be_read_is_a_problem(tmp_path: Path, name: str, words: str) -> None:
    (line,) = problems(
        tmp_path, MINIMAL.replace('meter = "sim"', METER.replace("eastron-sdm12", name))
    )
    assert f'meter.map = "{name}"' in line and words in line


def test_the_path_of_a_map_starts_at_the_configuration_file(tmp_path: Path) -> None:
    shutil.copy(register_map.BUILT_IN / "eastron-sdm120.toml", tmp_path / "mine.toml")
    path = write(
        tmp_path, MINIMAL.replace('meter = "sim"', METER.replace("eastron-sdm12", "mine.toml"))
    )
    (evse,) = config.load(path).evses
    assert evse.meter is not None and evse.meter["map"] == str(tmp_path / "mine.toml")


async def test_the_bench_says_what_is_wrong_without_a_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The map file went away after the check."""
    world = World(
        directory=tmp_path,
        state_dir=tmp_path,
        timers=LoopTimers(),
        outputs_on_death="kept",
        coil_gate=False,
    )
    runtime = Runtime(world)
    meter = {"driver": "modbus", "map": "gone", "port": "meter", "wires": "sim"}
    runtime.furnish(compose_hello({"evses": [{"id": 1, "meter": meter}]}, "station"))
    while not caplog.records:
        await asyncio.sleep(0)
    await runtime.close()
    (record,) = caplog.records
    assert record.getMessage().startswith("bench: there is no register map 'gone'; allowed: ")
    assert record.exc_info is None


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ('listen = "127.0.0.1:9180"\n', "[bench] listen: they need a port each"),
        ('listen = "localhost:9180"\n', "[bench] listen = 127.0.0.1:9180"),
        ('listen = "0.0.0.0:9180"\n', "[bench] listen = 127.0.0.1:9180"),
    ],
)
def test_page_and_bench_cannot_share_a_port(tmp_path: Path, page: str, expected: str) -> None:
    (line,) = problems(tmp_path, MINIMAL + "[web]\n" + page)
    assert line.startswith("x.toml:11: [web] listen = ") and expected in line


@pytest.mark.parametrize("page", ["127.0.0.1:9181", "127.0.0.2:9180"])
def test_a_port_each_is_good(tmp_path: Path, page: str) -> None:
    assert problems(tmp_path, MINIMAL + f'[web]\nlisten = "{page}"\n') == []
    free = MINIMAL.replace("9180", "0") + '[web]\nlisten = "127.0.0.1:0"\n'
    assert problems(tmp_path, free) == []


def test_the_default_address_of_the_page_counts(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, MINIMAL.replace("9180", "8080") + "[web]\n")
    assert "[web] listen" in line


@pytest.mark.parametrize("value", ['"ocpp2.0.1"', '"ocpp2.1"', '["ocpp2.1", "ocpp2.0.1"]'])
def test_a_protocol_that_is_not_built_is_an_error(tmp_path: Path, value: str) -> None:
    (line,) = problems(tmp_path, MINIMAL + BACKEND + f"protocol = {value}\n")
    assert line.startswith("x.toml:12: [backend] protocol = ")
    assert line.endswith("is not built yet: this version speaks ocpp1.6 only")


def test_run_ends_at_once_with_a_protocol_that_is_not_built(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, MINIMAL + BACKEND + 'protocol = "ocpp2.0.1"\n')
    assert cli.main(["run", "--config", str(path)]) == 2
    assert "this version speaks ocpp1.6 only" in capfd.readouterr().err


def test_a_list_with_a_protocol_that_is_built_is_a_warning(tmp_path: Path) -> None:
    text = MINIMAL + BACKEND + 'protocol = ["ocpp2.0.1", "ocpp1.6"]\n'
    assert problems(tmp_path, text) == []
    assert "ocpp2.0.1 is not built yet: this version speaks ocpp1.6 only" in warnings(
        tmp_path, text
    )
    assert "ocpp1.6" not in warnings(tmp_path, MINIMAL + BACKEND)


def test_sim_is_named_where_virtual_wires_are_allowed(tmp_path: Path) -> None:
    wrong = '[rfid]\ndriver = "smi"\n'
    (line,) = problems(tmp_path, MINIMAL + wrong)
    assert 'allowed: pn532, rdm6300, or "sim" (virtual)' in line
    assert line.endswith('did you mean "sim"?')
    real = '[station]\nstate_dir = "s"\n[[evse]]\npilot = { driver = "pwm", chip = "pwmchip0", hold_reset_pin = 25 }\n'
    real += 'contactor = { driver = "gpio", pin = 17 }\n'
    (line,) = [line for line in problems(tmp_path, real + wrong) if "rfid" in line]
    assert "sim" not in line.split("allowed")[1]


def test_a_mistake_of_syntax_names_its_line_once(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, "[station]\nid = \n")
    assert line.startswith("x.toml:2: is not valid TOML: ") and line.endswith("(column 6)")
    assert "line 2" not in line


def test_a_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    """At the end of a document the parser has no line to name."""
    (line,) = problems(tmp_path, 'id = """x')
    assert line.startswith("x.toml: is not valid TOML: ")
