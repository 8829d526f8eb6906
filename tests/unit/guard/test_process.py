"""The guard as a process on virtual wires: how it starts, and every way it ends (DESIGN §1.2, §1.4, §2)."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.core.guard_messages import Hello, Snapshot, decode, encode
from controller.core.installation import (
    BenchInstallation,
    Charging,
    EvseInstallation,
    Installation,
    StationIdentity,
)
from hal.sim.defaults import default_table


class House:
    def __init__(self, tmp_path: Path) -> None:
        self.state = tmp_path / "state"
        self.state.mkdir()
        self.run = tmp_path / "run"
        self.file = tmp_path / "installation.json"
        parts: dict[str, Any] = {p: default_table(p) for p in ("pilot", "contactor", "rcd")}
        installation = Installation(
            station=StationIdentity(id="CP1"),
            state_dir=str(self.state),
            runtime_dir=str(self.run),
            evses=tuple(EvseInstallation(id=n, **parts) for n in (1, 2)),
            charging=Charging(authorization="free"),
            bench=BenchInstallation(attach=f"unix:{self.run}/bench.sock"),
        )
        self.file.write_text(json.dumps(installation.to_dict()))
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen([sys.executable, "-m", *args], stderr=subprocess.PIPE)
        self.children.append(child)
        return child

    def bench(self) -> subprocess.Popen[bytes]:
        return self.start(
            "hal.sim.process", "--socket", f"{self.run}/bench.sock", "--state", str(self.state)
        )

    def guard(self) -> subprocess.Popen[bytes]:
        return self.start("controller.guard.process", "--installation", str(self.file))

    def snapshot(self, good: Callable[[Snapshot], bool], within_s: float = 15) -> Snapshot:
        """The first snapshot that is `good`."""
        give_up = time.monotonic() + within_s
        while time.monotonic() < give_up:
            try:
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.settimeout(2)
                    sock.connect(f"{self.run}/guard.sock")
                    sock.sendall(encode(Hello(role="cli", pid=1)))
                    for line in sock.makefile("rb"):
                        message = decode(line)
                        if isinstance(message, Snapshot) and good(message):
                            return message
                        if time.monotonic() > give_up:
                            break
            except OSError:
                time.sleep(0.05)
        raise AssertionError("no such snapshot")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    for child in house.children:
        child.kill()
        child.communicate()


def seen(snapshot: Snapshot) -> bool:
    return all(evse.state == "A1" for evse in snapshot.evses)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_guard_with_exit_0(house: House, number: signal.Signals) -> None:
    house.bench()
    guard = house.guard()
    found = house.snapshot(seen)
    assert [evse.faults for evse in found.evses] == [(), ()]
    guard.send_signal(number)
    assert guard.wait(2) == 0
    assert not (house.run / "guard.sock").exists()
    assert (house.state / "guard" / "latched.json").exists()


def test_killed_guard_starts_again_and_lost_state_blocks(house: House) -> None:
    house.bench()
    guard = house.guard()
    house.snapshot(seen)
    guard.kill()
    guard.wait(2)
    (house.state / "station.db").touch()
    (house.state / "guard" / "latched.json").write_text("{")
    house.guard()
    found = house.snapshot(seen)
    for evse in found.evses:
        assert [fault.name for fault in evse.faults] == ["guard_state_lost"]
        assert evse.refusal == "fault"


def test_a_world_that_ends_presses_no_button(house: House) -> None:
    """`run` was killed and took the bench with it: nothing of that may block the next start."""
    bench = house.bench()
    guard = house.guard()
    house.snapshot(seen)
    bench.kill()
    assert guard.wait(2) == 0
    latched = json.loads((house.state / "guard" / "latched.json").read_text())
    assert not any(latched["evses"].values())


def test_wrong_usage(house: House) -> None:
    for args in ((), ("--installation", "/nowhere")):
        child = house.start("controller.guard.process", *args)
        assert child.wait(10) == 2
