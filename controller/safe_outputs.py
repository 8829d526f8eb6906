"""Opens every contactor and ends every pilot signal, when the process that should do it cannot.

Runs before the guard starts and after it ended, however it ended. Imports almost nothing: outputs that
are GPIO lines and PWM channels are driven by system calls, other boards through their driver.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from controller.compiled import UNIT_RUNTIME_DIR, Source, beside, read_compiled
from hal import bare

BENCH_TIMEOUT_S = 0.25
SYSFS_PWM = Path("/sys/class/pwm")
ON_ONE_PIN = {("contactor", "gpio"), ("pilot", "relay")}
"""Drivers whose output is the one line `pin`, active high."""


class Result(NamedTuple):
    """One output. `problem` "" = it is safe now."""

    evse: int
    part: str
    done: str
    problem: str = ""

    def __str__(self) -> str:
        return f"evse {self.evse} {self.part}: {self.problem or self.done}"


def installation_of(source: Source) -> dict[str, Any]:
    """What is known about the wiring: the file itself, else what was compiled from an older one."""
    if source.table is None:
        return read_compiled(source.compiled) or {}
    bench = source.table.get("bench")
    if isinstance(bench, dict) and isinstance(bench.get("attach"), str):
        path = beside(source.path, bench["attach"].removeprefix("unix:"))
        bench = {**bench, "attach": f"unix:{path}"}
    return {
        "evses": list(_evses(source.table)),
        "bench": bench,
        "rfid": None,
        "state_dir": str(source.state_dir),
        "runtime_dir": str(source.runtime_dir),
    }


def make_safe(installation: Mapping[str, Any]) -> list[Result]:
    """All contactors first, then all pilots. Never raises; what failed says why."""
    results: list[Result] = []
    world = _World(installation)
    try:
        for part in ("contactor", "pilot"):
            for evse in installation.get("evses") or ():
                table = evse.get(part)
                if table:
                    results.append(_one(evse["id"], part, table, world))
    finally:
        world.close()
    return results


def main(source: Source) -> int:
    """`chargepost safe-outputs`: one line for each output; 0 = all are safe."""
    installation = installation_of(source)
    results = make_safe(installation)
    for result in results:
        print(result, file=sys.stderr if result.problem else sys.stdout)
    if not results:
        print(f"{source.path}: {source.error or 'no [[evse]] with outputs'}", file=sys.stderr)
    if results and _guard_runs(Path(installation["runtime_dir"])):
        print(
            "warning: the station is running: its guard may raise faults, because it did not do this",
            file=sys.stderr,
        )
    return 0 if results and not any(result.problem for result in results) else 1


def _guard_runs(runtime_dir: Path) -> bool:
    """Somebody answers at the socket of the guard, of `run` or of the services of systemd."""
    for place in (runtime_dir, UNIT_RUNTIME_DIR):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(BENCH_TIMEOUT_S)
            with contextlib.suppress(OSError):
                if probe.connect_ex(str(place / "guard.sock")) == 0:
                    return True
    return False


def _one(evse: int, part: str, table: Mapping[str, Any], world: _World) -> Result:
    try:
        if table.get("wires") == "sim":
            return Result(evse, part, world.make_safe(evse, part, table))
        if (part, table.get("driver")) in ON_ONE_PIN:
            bare.drive(table["pin"], False)
            return Result(evse, part, f"open (GPIO {table['pin']} low)")
        if part == "pilot" and table.get("driver") == "pwm":
            return Result(evse, part, _end_pwm(SYSFS_PWM, table))
        return Result(evse, part, _through_driver(evse, part, table))
    except Exception as error:  # noqa: BLE001  whatever it is, the next output must get its turn
        return Result(evse, part, "", f"NOT SAFE: {error}")


def _end_pwm(root: Path, table: Mapping[str, Any]) -> str:
    inverted = table.get("inverted", False) is True
    was = bare.end_pwm(root, str(table["chip"]), table.get("channel", 0), inverted=inverted)
    return "no PWM" if was else "never started"


def _through_driver(evse: int, part: str, table: Mapping[str, Any], wires: Any = None) -> str:
    from hal import registry
    from hal.wires import RealWires

    registry.open(part, table, wires or RealWires(), evse).close()
    return f"safe (driver {table.get('driver')})"


class _World:
    """The virtual outside world, dialled when the first virtual output comes."""

    def __init__(self, installation: Mapping[str, Any]) -> None:
        self._installation = installation
        self._sock: Any = None
        self._directory = Path()
        self._wires: Any = None

    def make_safe(self, evse: int, part: str, table: Mapping[str, Any]) -> str:
        """One output of the world. No world = no output."""
        if self._sock is None and self._wires is None and not self._reachable():
            return "no virtual hardware is running"
        if (part, table.get("driver")) in ON_ONE_PIN:
            self._dial()
            self._say({"pin": [evse, table["pin"], 0, time.monotonic_ns()]})
            return f"open (virtual GPIO {table['pin']})"
        if part == "pilot" and table.get("driver") == "pwm":
            self._dial()
            return _end_pwm(self._directory / f"evse{evse}" / "pwm", table)
        if self._wires is None:
            from hal.sim.client import open_wires

            self._wires = open_wires(self._installation, "safe-outputs", timeout_s=BENCH_TIMEOUT_S)
        return _through_driver(evse, part, table, self._wires)

    def close(self) -> None:
        """Hang up; what was said has arrived."""
        if self._wires is not None:
            self._wires.close()
        if self._sock is not None:
            self._sock.close()

    def _reachable(self) -> bool:
        """False = nobody listens, so there is nothing that could be switched on."""
        from hal.sim.hello import bench_socket

        if not isinstance(self._installation.get("bench"), dict):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(BENCH_TIMEOUT_S)
            return probe.connect_ex(bench_socket(self._installation)) == 0

    def _dial(self) -> None:
        if self._sock is None:
            from hal.sim.hello import bench_socket, compose_hello, dial

            hello = {**compose_hello(self._installation, "safe-outputs"), "wires": True}
            path = bench_socket(self._installation)
            self._sock, welcome, _ = dial(path, hello, BENCH_TIMEOUT_S)
            self._directory = Path(welcome["dir"])

    def _say(self, message: Mapping[str, Any]) -> None:
        self._sock.sendall(json.dumps(message).encode() + b"\n")


def _evses(table: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Contactor and pilot tables as far as the unchecked file tells."""
    rows = table.get("evse")
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        if not isinstance(row, dict):
            continue
        evse: dict[str, Any] = {
            "id": row.get("id") if isinstance(row.get("id"), int) else index + 1
        }
        for part in ("contactor", "pilot"):
            evse[part] = _expanded(part, row.get(part))
        yield evse


def _expanded(part: str, value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict) and value.get("driver") not in (None, "sim", "none"):
        return value
    if value == "sim" or (isinstance(value, dict) and value.get("driver") == "sim"):
        from hal.sim.defaults import default_table

        extra = {k: v for k, v in value.items() if k != "driver"} if isinstance(value, dict) else {}
        return {**default_table(part), **extra}
    return None
