"""The units: correct for systemd itself, hardened, and safe around every end."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = ("chargepost-guard.service", "chargepost.service")

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is missing: apt install systemd",
)


def values(unit: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", (SYSTEMD / unit).read_text(), re.MULTILINE)


@needs_analyze
@pytest.mark.parametrize("unit", UNITS)
def test_verify_is_silent(unit: str, tmp_path: Path) -> None:
    """Unknown keys give exit 0 and a line on stderr: only silence is good."""
    program = tmp_path / "chargepost"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in UNITS:
        text = (SYSTEMD / name).read_text().replace("/usr/bin/chargepost", str(program))
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit)],
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@needs_analyze
@pytest.mark.parametrize("unit", UNITS)
def test_exposure_is_at_most_2_5(unit: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", str(SYSTEMD / unit)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.parametrize("unit", UNITS)
def test_is_watched_and_started_again_for_ever(unit: str) -> None:
    assert values(unit, "Type") == ["notify"]
    assert values(unit, "Restart") == ["always"]
    assert values(unit, "StartLimitIntervalSec") == ["0"]
    assert values(unit, "User") == ["chargepost"]


def test_the_guard_makes_outputs_safe_before_and_after() -> None:
    guard = UNITS[0]
    command = ["/usr/bin/chargepost safe-outputs --config /etc/chargepost/chargepost.toml"]
    assert values(guard, "ExecStartPre") == command
    assert values(guard, "ExecStopPost") == command
    assert values(guard, "WatchdogSec") == ["1"]


def test_only_the_guard_reaches_gpio() -> None:
    assert any("gpiochip" in value for value in values(UNITS[0], "DeviceAllow"))
    assert not any("gpio" in value or "spi" in value for value in values(UNITS[1], "DeviceAllow"))
    assert values(UNITS[1], "SupplementaryGroups") == ["dialout"]
    assert values(UNITS[1], "DevicePolicy") == ["closed"]


@pytest.mark.parametrize(
    ("tool", "file"), [("systemd-sysusers", "sysusers"), ("systemd-tmpfiles", "tmpfiles")]
)
def test_user_and_directories_are_understood(tool: str, file: str, tmp_path: Path) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is missing: apt install systemd")
    mode = ["--dry-run"] if tool == "systemd-sysusers" else ["--create"]
    if tool == "systemd-tmpfiles":
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nchargepost:x:0:0::/:/bin/sh\n")
        (tmp_path / "etc/group").write_text("root:x:0:\nchargepost:x:0:\n")
    done = subprocess.run(
        [tool, *mode, f"--root={tmp_path}", str(SYSTEMD / f"chargepost.{file}")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Unknown" not in done.stderr + done.stdout


@pytest.mark.parametrize("unit", UNITS)
def test_no_unit_names_an_address_that_nobody_keeps(unit: str) -> None:
    assert "://" not in (SYSTEMD / unit).read_text()
