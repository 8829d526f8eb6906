"""`chargepost run` with stand-ins for its processes: who dies with whom, and how fast."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HARNESS = Path(__file__).with_name("run_harness.py")
ROOT = HARNESS.parents[2]


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Events arrive through files: look every 10 ms."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Ended; a zombie counts (nobody reaps orphans in some containers)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return state == "Z"


class Run:
    """One `run` in a temporary directory."""

    def __init__(
        self, directory: Path, stubs: tuple[str, ...] = ("bench", "guard", "station")
    ) -> None:
        self.directory = directory
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        config = directory / "chargepost.toml"
        config.write_text(
            '[station]\nid = "cp1"\nstate_dir = "state"\n'
            '[[evse]]\npilot = "sim"\ncontactor = "sim"\nmeter = "sim"\n'
            f'[bench]\nlisten = "127.0.0.1:{self.port}"\n'
        )
        self.log = (directory / "log").open("w")
        argv = [sys.executable, "-P", str(HARNESS), str(config), str(directory), *stubs]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "CHARGEPOST_RUNTIME_DIR": str(directory / "r"),
        }
        self.process = subprocess.Popen(
            argv, stdout=self.log, stderr=self.log, env=environment, start_new_session=True
        )

    def pids(self, name: str) -> list[int]:
        path = self.directory / f"{name}.pids"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def pid(self, name: str) -> int:
        return self.pids(name)[-1]

    def ready(self) -> None:
        until(lambda: all(self.pids(name) for name in ("bench", "guard", "station")))

    def wait(self, seconds: float = 10.0) -> int:
        return self.process.wait(seconds)

    def text(self) -> str:
        return (self.directory / "log").read_text()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    started = Run(tmp_path)
    try:
        started.ready()
        yield started
    finally:
        started.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_everything_within_a_second(run: Run, number: signal.Signals) -> None:
    begin = time.monotonic()
    run.process.send_signal(number)
    assert run.wait() == 0
    assert time.monotonic() - begin < 1.0
    assert all(gone(run.pid(name)) for name in ("bench", "guard", "station"))
    assert (run.directory / "guard.ended").exists()


def test_a_stubborn_station_does_not_hold_up_the_end(run: Run) -> None:
    (run.directory / "station.stubborn").touch()
    begin = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    assert run.wait() == 0
    assert time.monotonic() - begin < 1.5
    assert gone(run.pid("station"))


def test_the_guards_death_ends_the_station_then_the_bench_and_exits_1(run: Run) -> None:
    os.kill(run.pid("guard"), signal.SIGKILL)
    until(lambda: (run.directory / "station.ended").exists(), 2.0)
    assert not gone(run.pid("bench")), "the bench stays to be asked"
    assert run.wait() == 1
    assert gone(run.pid("bench"))
    assert "signal SIGKILL" in run.text()


def test_a_hung_guard_is_killed_after_its_watchdog(run: Run) -> None:
    begin = time.monotonic()
    os.kill(run.pid("guard"), signal.SIGSTOP)
    assert run.wait() == 1
    assert 0.8 < time.monotonic() - begin < 3.0
    assert "guard gave no sign of life for 1 s" in run.text()


def test_a_dead_station_is_started_again_while_the_guard_goes_on(run: Run) -> None:
    guard = run.pid("guard")
    os.kill(run.pid("station"), signal.SIGKILL)
    until(lambda: len(run.pids("station")) == 2)
    (run.directory / "station.exit").write_text("1")
    until(lambda: len(run.pids("station")) == 3)
    assert run.pids("guard") == [guard]
    assert not gone(guard)
    assert "next start in 0.2 s" in run.text()
    assert "next start in 0.4 s" in run.text()


def test_exit_3_restarts_the_station_alone_and_at_once(run: Run) -> None:
    (run.directory / "station.exit").write_text("3")
    until(lambda: len(run.pids("station")) == 2)
    assert len(run.pids("guard")) == 1
    assert "next start" not in run.text()


def test_exit_4_restarts_guard_and_station(run: Run) -> None:
    (run.directory / "station.exit").write_text("4")
    until(lambda: len(run.pids("station")) == 2 and len(run.pids("guard")) == 2)
    assert (run.directory / "guard.ended").exists()
    assert run.process.poll() is None
    assert len(run.pids("bench")) == 1


def test_sigkill_of_run_takes_all_children_with_it(run: Run) -> None:
    run.process.kill()
    run.wait()
    until(lambda: all(gone(run.pid(name)) for name in ("bench", "guard", "station")), 2.0)
    assert (run.directory / "guard.ended").exists(), "the guard had its normal end"


def test_a_second_run_on_the_same_state_is_refused(run: Run) -> None:
    argv = [
        sys.executable,
        "-m",
        "controller.cli",
        "run",
        "--config",
        str(run.directory / "chargepost.toml"),
    ]
    environment = {**os.environ, "CHARGEPOST_RUNTIME_DIR": str(run.directory / "r")}
    second = subprocess.run(
        argv, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=10
    )
    assert second.returncode == 1
    assert f"in use by another run (pid {run.process.pid})" in second.stderr


def test_nobody_else_may_read_what_the_station_keeps(run: Run) -> None:
    """Cards, and addresses with passwords, stand in the database as well."""
    state = run.directory / "state"
    open_to_others = [
        str(path) for path in (state, *state.rglob("*")) if path.stat().st_mode & 0o077
    ]
    assert not open_to_others
    child = Path(f"/proc/{run.pid('station')}/status").read_text()
    assert "Umask:\t0077" in child


def test_settings_that_fit_the_file_are_not_compiled_again(run: Run) -> None:
    compiled = run.directory / "state" / "installation.json"
    assert compiled.stat().st_mode & 0o777 == 0o600
    before = compiled.stat().st_ino
    run.process.send_signal(signal.SIGTERM)
    run.wait()
    again = Run.__new__(Run)
    again.__dict__.update(run.__dict__)
    argv = run.process.args
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "CHARGEPOST_RUNTIME_DIR": str(run.directory / "r"),
    }
    again.process = subprocess.Popen(argv, stdout=run.log, stderr=run.log, env=environment)
    until(lambda: len(run.pids("guard")) == 2)
    again.process.send_signal(signal.SIGTERM)
    assert again.process.wait(5) == 0
    assert compiled.stat().st_ino == before


def test_an_invalid_file_is_refused_with_exit_2(tmp_path: Path) -> None:
    config = tmp_path / "chargepost.toml"
    config.write_text('[station]\nstate_dir = "state"\n[[evse]]\npilot = "sim"\n')
    argv = [sys.executable, "-m", "controller.cli", "run", "--config", str(config)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, timeout=20)
    assert done.returncode == 2
    assert "[evse 1] contactor: is required" in done.stderr
    assert not (tmp_path / "state").exists()
