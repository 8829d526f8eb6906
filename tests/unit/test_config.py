"""The configuration: every problem at once, one clear line each (DESIGN 6.2)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from controller import config
from controller.compiled import read_source
from controller.config_model import ConfigFile, Table
from controller.core.installation import Installation
from controller.errors import ConfigError

ROOT = Path(__file__).parents[2]
MINIMAL = """
[station]
state_dir = "state"
[[evse]]
pilot = "sim"
contactor = "sim"
meter = "sim"
[bench]
listen = "127.0.0.1:9180"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "x.toml"
    path.write_text(text)
    return path


def problems(tmp_path: Path, text: str) -> list[str]:
    path = write(tmp_path, text)
    return [line.removeprefix(f"{tmp_path}/") for line in config.check(path).lines()]


def warnings(tmp_path: Path, text: str) -> str:
    return "\n".join(config.check(write(tmp_path, text)).warning_lines())


def test_nine_mistakes_give_nine_clear_lines(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """[station]
vendr = "x"
id = 7
[backend]
url = "http://csms"
protocol = "ocpp1.7"
[[evse]]
pilot = "sim"
contactor = { driver = "gpoi", pin = 17 }
max_current = "32A"
phases = 2
[charging]
before_accepted = "yes"
[bench]
listen = "0.0.0.0:9180"
""",
    )
    assert len(found) == 9
    for line, number in zip(found, (2, 3, 5, 6, 9, 10, 11, 13, 15), strict=True):
        assert line.startswith(f"x.toml:{number}: ["), line
    assert '[station] vendr = "x": is not a key' in found[0]
    assert found[0].endswith('did you mean "vendor"?')
    assert found[1].endswith('did you mean "7"?')
    assert "ws://HOST" in found[2]
    assert '"ocpp1.6", "ocpp2.0.1" or "ocpp2.1"' in found[3]
    assert found[3].endswith('did you mean "ocpp1.6"?')
    assert found[4].endswith('did you mean "gpio"?')
    expected = '[evse 1] max_current = "32A": must be a number from 6 to 80 (amps per phase); did you mean 32?'
    assert found[5] == f"x.toml:10: {expected}"
    assert "must be 1 or 3" in found[6]
    assert found[7].endswith("did you mean true?")
    assert found[8].endswith('did you mean "127.0.0.1:9180"?')


def test_problems_inside_an_inline_table_stand_where_it_stands(tmp_path: Path) -> None:
    text = MINIMAL.replace(
        'contactor = "sim"',
        'max_current = 0\ncontactor = "sim"\nrcd = { driver = "x" }\nphases = 2',
    )
    numbers = [int(line.split(":")[1]) for line in problems(tmp_path, text)]
    assert len(numbers) == 3
    assert numbers == sorted(numbers)


def test_first_boot_values_of_standard_keys_are_checked(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + """[ocpp16]
MeterValueSampleInterval = "abc"
HeartbeatInterval = "86400"
LocalPreAuthorize = "perhaps"
AnythingElse = "abc"
"""
    )
    found = problems(tmp_path, text)
    assert len(found) == 2
    assert '[ocpp16] MeterValueSampleInterval = "abc": must be a whole number' in found[0]
    assert '[ocpp16] LocalPreAuthorize = "perhaps": must be true or false' in found[1]


def test_the_least_file_is_good_and_complete(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, MINIMAL))
    assert loaded.state_dir == str(tmp_path / "state")
    assert loaded.evses[0].id == 1
    assert loaded.evses[0].pilot["driver"] == "pwm"
    assert loaded.evses[0].pilot["wires"] == "sim"
    assert loaded.evses[0].lock is None
    assert loaded.charging.failsafe_amps == 6
    assert loaded.charging.hold_s == 600
    assert loaded.site.phases == 1
    assert Installation.from_dict(json.loads(json.dumps(loaded.to_dict()))) == loaded


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('driver = "rdm6300"', {"driver": "rdm6300", "port": "rfid", "wires": "sim"}),
        (
            'driver = "rdm6300"\nwires = "sim"',
            {"driver": "rdm6300", "port": "rfid", "wires": "sim"},
        ),
        ('driver = "pn532"', {"driver": "pn532", "port": "rfid", "wires": "sim"}),
        ('driver = "pn532"\nport = "/dev/x"', {"driver": "pn532", "port": "/dev/x"}),
    ],
)
def test_beside_a_bench_a_reader_without_a_port_is_virtual(
    tmp_path: Path, table: str, expected: dict[str, str]
) -> None:
    assert config.load(write(tmp_path, MINIMAL + f"[rfid]\n{table}\n")).rfid == expected


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("", "free"),
        ('[rfid]\ndriver = "sim"\n', "local"),
        ('[rfid]\ndriver = "none"\n', "free"),
        ('[backend]\nurl = "ws://127.0.0.1:1"\n', "backend"),
        ('[charging]\nauthorization = "free"\n[backend]\nurl = "ws://127.0.0.1:1"\n', "free"),
    ],
)
def test_who_may_charge_follows_from_the_rest(tmp_path: Path, extra: str, expected: str) -> None:
    assert config.load(write(tmp_path, MINIMAL + extra)).charging.authorization == expected
    assert ("free for everybody" in warnings(tmp_path, MINIMAL + extra)) == (expected == "free")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            MINIMAL.replace("[bench]\n", "").replace('listen = "127.0.0.1:9180"', ""),
            "needs [bench]",
        ),
        (MINIMAL.replace('listen = "127.0.0.1:9180"', ""), "exactly one of listen"),
        (MINIMAL + 'attach = "unix:/tmp/x"\n', "exactly one of listen"),
        (MINIMAL.replace('contactor = "sim"', 'contactor = "none"'), "a contactor is required"),
        (MINIMAL.replace('pilot = "sim"', 'pilot = "none"'), "cannot be without a pilot"),
        (MINIMAL.replace("9180", "99999"), '"HOST:PORT"'),
        (MINIMAL + "[charging]\nfailsafe_amps = 3\n", "0 (pause) or at least 6"),
        (MINIMAL + '[charging]\nauthorization = "backend"\n', "no [backend]"),
        (MINIMAL + '[[evse]]\nid = 1\npilot = "sim"\ncontactor = "sim"\n', "EVSE 1 exists already"),
        (MINIMAL + '[backend]\nurl = "ws://h"\nsecurity_profile = 2\npassword = "p"\n', "wss://"),
        (
            MINIMAL + '[backend]\nurl = "wss://h"\nsecurity_profile = 1\npassword = "p"\n',
            "profile 2",
        ),
        (MINIMAL + '[backend]\nurl = "wss://h"\nsecurity_profile = 2\n', "password: is required"),
        (MINIMAL + '[backend]\nurl = "wss://u:p@h"\n', "must not contain user"),
        (MINIMAL + '[backend]\nurl = "ws://127.0.0.1"\npassword_file = "nope"\n', "cannot be read"),
        (
            MINIMAL + '[backend]\nurl = "ws://h"\npassword = "p"\npassword_file = "q"\n',
            "only one of",
        ),
        (MINIMAL + "[ocpp16]\nHeartbeatInterval = 86400\n", 'did you mean "86400"?'),
        (MINIMAL + '[ocpp201]\nNoDot = "1"\n', "Component.Variable"),
        (
            MINIMAL + "[site]\nphases = 1\n[[evse]]\nphases = 3\n"
            'pilot = "sim"\ncontactor = "sim"\n',
            "one phase",
        ),
        ("[station]\nid = \n", "is not valid TOML"),
        ("", "evse: is required"),
        ("[[evse]]\npilot = 7\ncontactor = []\n", "a table"),
        ("evse = 3\n", "evse = 3: must be"),
    ],
)
def test_what_contradicts_is_named(tmp_path: Path, text: str, expected: str) -> None:
    found = problems(tmp_path, text)
    assert expected in "\n".join(found)
    assert all(re.match(r"x\.toml:\d+: ", line) for line in found)


def test_one_pin_cannot_have_two_owners(tmp_path: Path) -> None:
    text = """
[[evse]]
pilot = { driver = "pwm", chip = "pwmchip0", hold_reset_pin = 25 }
contactor = { driver = "gpio", pin = 17, mirror_pin = 25 }
[[evse]]
pilot = { driver = "pwm", chip = "pwmchip0", hold_reset_pin = 26 }
contactor = { driver = "gpio", pin = 17 }
"""
    found = "\n".join(problems(tmp_path, text))
    assert "[evse 1] contactor.mirror_pin = 25: GPIO 25 belongs to EVSE 1 pilot already" in found
    assert "[evse 2] contactor.pin = 17: GPIO 17 belongs to EVSE 1 contactor already" in found
    assert "pwmchip0 channel 0 belongs to EVSE 1 pilot already" in found


def test_virtual_evses_have_a_header_each(tmp_path: Path) -> None:
    text = MINIMAL + '[[evse]]\npilot = "sim"\ncontactor = "sim"\nmeter = "sim"\nphases = 3\n'
    loaded = config.load(write(tmp_path, text))
    assert [evse.id for evse in loaded.evses] == [1, 2]
    assert [dict(evse.meter or {})["map"] for evse in loaded.evses] == [
        "eastron-sdm120",
        "eastron-sdm630",
    ]
    assert loaded.site.phases == 3


def test_custom_names_and_open_links_are_warned_about(tmp_path: Path) -> None:
    text = MINIMAL + '[backend]\nurl = "ws://csms.example.org"\n[ocpp16]\nHartbeatInterval = "60"\n'
    found = warnings(tmp_path, text)
    assert "[ocpp16] HartbeatInterval" in found
    assert 'did you mean "HeartbeatInterval"?' in found
    assert "unencrypted" in found
    assert "[web]" not in found
    assert "no login" in warnings(tmp_path, MINIMAL + '[web]\nlisten = "0.0.0.0:8080"\n')


def test_several_vehicles_on_too_little_supply_take_turns(tmp_path: Path) -> None:
    """DESIGN §1.7: no contradiction, but worth a word."""
    second = '[[evse]]\npilot = "sim"\ncontactor = "sim"\n'
    found = warnings(tmp_path, MINIMAL + "[site]\nmax_current = 10\n" + second)
    assert "is enough for 1 of 2 vehicles at a time" in found
    assert "turns" not in warnings(tmp_path, MINIMAL + "[site]\nmax_current = 12\n" + second)


def test_free_charging_per_evse_is_checked(tmp_path: Path) -> None:
    backend = '[backend]\nurl = "ws://127.0.0.1:1"\n'
    second = '[[evse]]\npilot = "sim"\ncontactor = "sim"\n'
    free = second + 'authorization = "free"\n'
    loaded = config.load(write(tmp_path, MINIMAL + free + 'free_id_tag = "GUEST"\n' + backend))
    assert [evse.authorization for evse in loaded.evses] == [None, "free"]
    assert [evse.free_id_tag for evse in loaded.evses] == ["", "GUEST"]
    assert "empty idTag" in warnings(tmp_path, MINIMAL + free + backend)
    assert "empty idTag" not in warnings(tmp_path, MINIMAL + free)
    unused = second + 'free_id_tag = "GUEST"\n'
    found = warnings(tmp_path, MINIMAL + unused + backend)
    assert "free_id_tag" in found
    assert 'authorization is "backend" here' in found
    local = second + 'authorization = "local"\n'
    assert "nobody can show a card" in warnings(tmp_path, MINIMAL + local)
    reader = '[rfid]\ndriver = "sim"\n'
    assert "nobody can show a card" not in warnings(tmp_path, MINIMAL + local + reader)


def test_a_password_never_stands_in_a_report(tmp_path: Path) -> None:
    text = MINIMAL + '[backend]\nurl = "ws://csms.example.org"\npassword = "sesame-open-123"\n'
    verdict = config.check(write(tmp_path, text))
    assert "sesame" not in json.dumps(verdict.to_dict()) + "".join(verdict.warning_lines())
    assert verdict.installation is not None
    assert verdict.installation.backend is not None
    assert verdict.installation.backend.password == "sesame-open-123"


def test_load_raises_with_all_problems(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(write(tmp_path, MINIMAL + "[web]\nlisten = 3\n[nope]\n"))
    assert len(caught.value.problems) == 2


def test_check_writes_nothing_and_compile_writes_privately(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGEPOST_RUNTIME_DIR", str(tmp_path / "r"))
    path = write(tmp_path, MINIMAL)
    config.check(path)
    assert {entry.name for entry in tmp_path.iterdir()} == {"x.toml"}
    config.compile_to_state(path)
    compiled = tmp_path / "state" / "installation.json"
    assert compiled.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "r").stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in compiled.parent.iterdir()] == ["installation.json"]
    assert read_source(path).fresh_compiled() == json.loads(compiled.read_text())


def test_a_changed_file_or_password_file_makes_the_compiled_settings_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGEPOST_RUNTIME_DIR", str(tmp_path / "r"))
    (tmp_path / "secret").write_text("first-password-16\n")
    text = MINIMAL + '[backend]\nurl = "ws://127.0.0.1"\npassword_file = "secret"\n'
    path = write(tmp_path, text)
    config.compile_to_state(path)
    fresh = read_source(path).fresh_compiled()
    assert fresh is not None
    assert fresh["backend"]["password"] == "first-password-16"
    (tmp_path / "secret").write_text("second-password-16\n")
    assert read_source(path).fresh_compiled() is None
    config.compile_to_state(path)
    assert read_source(path).fresh_compiled() is not None
    write(tmp_path, text + "# a comment\n")
    assert read_source(path).fresh_compiled() is None


JUNK = [
    "7",
    "-1.5",
    '"x"',
    "true",
    "[]",
    "[[]]",
    "{}",
    "[{}]",
    "1979-05-27",
    "{ driver = 7, wires = [] }",
]


def test_no_value_anywhere_can_upset_the_check(tmp_path: Path) -> None:
    """Every key with every kind of value: the answer is lines, never an exception."""
    import typing

    for table, field in ConfigFile.model_fields.items():
        for junk in JUNK:
            assert problems(tmp_path, f"{table} = {junk}\n")
        models = [field.annotation, *typing.get_args(field.annotation)]
        keys = [
            key
            for m in models
            if isinstance(m, type) and issubclass(m, Table)
            for key in m.model_fields
        ]
        head = "[[evse]]" if table == "evse" else f"[{table}]"
        for key in [*keys, "driver", "port", "no_such_key"]:
            for junk in JUNK:
                problems(tmp_path, f"{head}\n{key} = {junk}\n")


EXAMPLES = sorted((ROOT / "config" / "examples").glob("*.toml"))


@pytest.mark.parametrize(
    "path", [ROOT / "config" / "chargepost.toml", *EXAMPLES], ids=lambda p: p.stem
)
def test_every_file_that_we_ship_is_good(path: Path) -> None:
    assert config.check(path).lines() == []


def test_the_default_file_stays_good_with_every_line_uncommented(tmp_path: Path) -> None:
    lines = (ROOT / "config" / "chargepost.toml").read_text().splitlines()
    active = [re.sub(r"^#(?=[\[\"\w])", "", line) for line in lines]
    found = problems(tmp_path, "\n".join(active))
    # what cannot stand together: two forms of a password, two kinds of bench, a real build with a bench
    assert not [
        line for line in found if not re.search(r"\] (password|bench)|\[bench\]|password", line)
    ]


def test_the_default_file_explains_every_key() -> None:
    text = (ROOT / "config" / "chargepost.toml").read_text()

    def keys(model: type[Table]) -> list[str]:
        return list(model.model_fields)

    import typing

    for table, field in ConfigFile.model_fields.items():
        assert re.search(rf"^#?\[\[?{table}\]", text, re.MULTILINE), table
        for model in [field.annotation, *typing.get_args(field.annotation)]:
            if isinstance(model, type) and issubclass(model, Table):
                for key in keys(model):
                    assert re.search(rf"^#?{key} = ", text, re.MULTILINE), f"[{table}] {key}"


def test_a_pilot_relay_needs_a_contact_at_the_plug(tmp_path: Path) -> None:
    """While the pilot is cut the board sees nothing, so no vehicle would ever be served."""
    relay = '{ driver = "relay", pin = 17, current = 16, connected_pin = 23, charging_pin = 24 }'
    text = MINIMAL.replace('pilot = "sim"', f"pilot = {relay}")
    assert any("plug_contact = true" in line for line in problems(tmp_path, text))
    whole = text.replace("= 24 }", "= 24, plug_contact = true }")
    assert not any("plug_contact" in line for line in problems(tmp_path, whole))


@pytest.mark.parametrize(
    "line",
    [
        'contactor = {driver = "gpio", pin = 5}',
        'contactor = {driver = "gpio", pin = 14}',
        'contactor = {driver = "gpio", pin = 17}\nlock = {driver = "gpio", lock_pin = 6, unlock_pin = 21, feedback_pin = 26}',
    ],
)
def test_no_output_on_a_pin_that_is_live_at_boot(tmp_path: Path, line: str) -> None:
    """hardware.md §4: GPIO 0 to 8 are pulled up, 14 toggles while the computer boots."""
    text = f'[[evse]]\npilot = {{driver = "pwm", chip = "pwmchip0", hold_reset_pin = 25}}\n{line}\n'
    [found] = problems(tmp_path, text)
    assert "16 to 27" in found
