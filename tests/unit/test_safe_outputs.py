"""Outputs made safe by system calls (hal/bare.py) and from an unchecked file."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from controller.compiled import read_source
from controller.safe_outputs import installation_of, make_safe
from hal import bare


def pwm(root: Path, chip: str = "pwmchip0", period: int = 1_000_000, duty: int = 266_667) -> Path:
    directory = root / chip / "pwm0"
    directory.mkdir(parents=True)
    for name, value in (("period", period), ("duty_cycle", duty), ("enable", 1)):
        (directory / name).write_text(f"{value:010d}\n")
    return directory


def number(path: Path) -> int:
    return int(path.read_text().split("\n")[0])


def test_pwm_ends_at_static_plus_12_volts(tmp_path: Path) -> None:
    directory = pwm(tmp_path)
    assert bare.end_pwm(tmp_path, "pwmchip0", 0, inverted=False)
    assert number(directory / "duty_cycle") == 1_000_000


def test_an_inverting_stage_gets_the_other_level(tmp_path: Path) -> None:
    directory = pwm(tmp_path)
    assert bare.end_pwm(tmp_path, "pwmchip0", 0, inverted=True)
    assert number(directory / "duty_cycle") == 0


def test_a_chip_is_found_by_its_devices_name(tmp_path: Path) -> None:
    directory = pwm(tmp_path, "pwmchip2")
    (tmp_path / "pwmchip2" / "device").symlink_to("../1f00098000.pwm")
    assert bare.end_pwm(tmp_path, "1f00098000.pwm", 0, inverted=False)
    assert number(directory / "duty_cycle") == 1_000_000


def test_a_channel_that_was_never_exported_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pwmchip0").mkdir()
    assert not bare.end_pwm(tmp_path, "pwmchip0", 0, inverted=False)


def test_the_line_request_has_the_layout_of_the_kernel() -> None:
    """struct gpio_v2_line_request, include/uapi/linux/gpio.h: 592 bytes."""
    request = bare.line_request(17, False)
    assert len(request) == 592
    assert struct.unpack_from("=I", request, 0) == (17,)
    assert request[256:288].startswith(b"chargepost")
    flags, attributes = struct.unpack_from("=QI", request, 288)
    assert (flags, attributes) == (1 << 3, 1)
    identity, values, mask = struct.unpack_from("=I4xQQ", request, 320)
    assert (identity, values, mask) == (2, 0, 1)
    assert struct.unpack_from("=I", request, 560) == (1,)


def test_no_header_chip_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "gpiochip0").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="no GPIO chip of a Raspberry Pi"):
        bare.header_chip(tmp_path)


def test_pins_are_found_in_a_file_that_is_otherwise_wrong(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(
        '[[evse]]\nid = 3\nmax_current = "lots"\ncontactor = { driver = "gpio", pin = 17 }\n[[evse]]\n'
        'pilot = "sim"\ncontactor = 7\n[bench]\nattach = "unix:bench.sock"\n'
    )
    installation = installation_of(read_source(path))
    first, second = installation["evses"]
    assert first["id"] == 3
    assert first["contactor"]["pin"] == 17
    assert second["contactor"] is None
    assert second["pilot"]["driver"] == "pwm"
    assert installation["bench"]["attach"] == f"unix:{tmp_path}/bench.sock"


def test_one_output_that_fails_does_not_keep_the_next_from_its_turn() -> None:
    evses = [
        {"id": 1, "contactor": {"driver": "gpio"}, "pilot": None},
        {"id": 2, "contactor": {"driver": "nope"}, "pilot": {"driver": "pwm", "chip": "pwmchip99"}},
    ]
    results = make_safe({"evses": evses})
    assert [(result.evse, result.part, bool(result.problem)) for result in results] == [
        (1, "contactor", True),
        (2, "contactor", True),
        (2, "pilot", False),
    ]
