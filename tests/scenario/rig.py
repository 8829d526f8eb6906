"""Black-box rig: `chargepost run` as a user starts it, a bench, and a scripted backend."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from controller.demo.bench_client import BenchClient, BenchError

T = TypeVar("T")


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def until(
    condition: Callable[[], T], what: str, timeout_s: float = 15.0, every_s: float = 0.02
) -> T:
    """Wait until `condition()` is truthy (called in a thread, so it may use the bench)."""
    end = time.monotonic() + timeout_s
    while True:
        value = await asyncio.to_thread(condition)
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        await asyncio.sleep(every_s)


class Rig:
    """One station on virtual hardware. `attach`: the bench is a process of its own that survives `run`."""

    def __init__(
        self,
        directory: Path,
        backend_url: str | None,
        *,
        evses: int = 1,
        attach: bool = False,
        ocpp16: dict[str, str] | None = None,
        charging: str = "",
        evse_extra: str = "",
        bench_extra: str = "",
        backend_extra: str = "",
        rfid: str = 'driver = "sim"',
        site: str = "",
        web: bool = False,
        first: str = "",
    ) -> None:
        self.directory = directory
        self.bench_port = free_port()
        self.web_port = free_port()
        self.attach = attach
        self.bench = BenchClient(f"127.0.0.1:{self.bench_port}")
        self.process: subprocess.Popen[bytes] | None = None
        self.world: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.environment = dict(os.environ)
        self.config = directory / "chargepost.toml"
        bench_socket = Path("/tmp") / f"cp-world-{os.getpid()}-{self.bench_port}.sock"
        self.bench_socket = bench_socket
        lines = [
            "[station]",
            'id = "CP1"',
            'vendor = "chargepost"',
            'model = "virtual"',
            f'state_dir = "{directory / "state"}"',
        ]
        if backend_url:
            lines += ["[backend]", f'url = "{backend_url}"', "retry_wait_minimum = 1",
                      "retry_random_range = 1", "retry_repeat_times = 1", backend_extra]  # fmt: skip
        for _ in range(evses):
            lines += [
                "[[evse]]",
                'pilot = "sim"',
                'contactor = "sim"',
                'meter = "sim"',
                'rcd = "sim"',
                evse_extra,
            ]
        if rfid:
            lines += ["[rfid]", rfid]
        lines += ["[site]", site, "[charging]", charging]
        lines += ["[bench]", f'attach = "unix:{bench_socket}"' if attach else f'listen = "127.0.0.1:{self.bench_port}"',
                  bench_extra]  # fmt: skip
        if web:
            lines += ["[web]", f'listen = "127.0.0.1:{self.web_port}"']
        keys = {"MeterValueSampleInterval": "1", "HeartbeatInterval": "3600"} | (ocpp16 or {})
        lines += ["[ocpp16]", *(f'{key} = "{value}"' for key, value in keys.items())]
        self.config.write_text(first + "\n".join(lines) + "\n")

    async def start(self, *, wait: bool = True) -> None:
        """Start the world (if separate) and `chargepost run`."""
        if self.attach and self.world is None:
            self.world = subprocess.Popen(
                [sys.executable, "-m", "controller.cli", "bench", "serve",
                 "--listen", f"127.0.0.1:{self.bench_port}", "--socket", f"unix:{self.bench_socket}",
                 "--state", str(self.directory / "world")],
                stdin=subprocess.DEVNULL, env=self.environment,
            )  # fmt: skip
            await until(self._bench_up, "the separate bench answers")
        self.starts += 1
        log = (self.directory / f"run{self.starts}.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "controller.cli", "run", "--config", str(self.config)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=self.environment,
            start_new_session=True,
        )  # fmt: skip
        log.close()
        if wait:
            await until(self._all_up, f"guard and station are up; log: {self.log_path}")

    @property
    def log_path(self) -> Path:
        """Output of the newest `run`."""
        return self.directory / f"run{self.starts}.log"

    def log(self) -> str:
        """What the newest `run` printed."""
        return self.log_path.read_text(errors="replace")

    def _bench_up(self) -> bool:
        try:
            self.bench.state()
        except BenchError:
            return False
        return True

    def _all_up(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"run ended with {self.process.returncode}:\n{self.log()}")
        try:
            state = self.bench.state()
        except BenchError:
            return False
        return bool(state["processes"].get("guard") and state["processes"].get("station"))

    def station_ready(self) -> bool:
        """The station has dialled the bench."""
        try:
            return bool(self.bench.state()["processes"].get("station"))
        except BenchError:
            return False

    def pid(self, role: str) -> int:
        """Process id of "run", "guard", "station" or "bench"."""
        value = self.bench.state()["processes"][role]
        assert value, f"{role} is down"
        return int(value)

    def signal(self, role: str, number: int) -> None:
        """Send a signal to one of the processes."""
        os.kill(self.pid(role), number)

    def stop(self) -> int:
        """SIGTERM to `run`; returns its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(10)

    def kill_all(self) -> None:
        """The power is cut: every process of `run` dies at once (a separate world lives on)."""
        assert self.process is not None
        processes = self.bench.state()["processes"]
        roles = ["run", "guard", "station"] + ([] if self.attach else ["bench"])
        for role in roles:
            if processes.get(role):
                try:
                    os.kill(processes[role], signal.SIGKILL)
                except ProcessLookupError:
                    continue
        self.process.kill()
        self.process.wait(5)

    def close(self) -> None:
        """End everything, whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(5)
        if self.world is not None:
            self.world.terminate()
            self.world.wait(5)
        self.bench_socket.unlink(missing_ok=True)
