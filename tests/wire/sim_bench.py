"""A bench process for tests, and a client of its API."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from hal.sim.defaults import default_table

HELD_S = 10.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def evse(number: int, phases: int = 1, *parts: str, **others: Any) -> dict[str, Any]:
    tables: dict[str, Any] = {
        p: default_table(p, phases=phases) for p in ("pilot", "contactor", *parts)
    }
    return {"id": number, "phases": phases, **tables, **others}


class Bench:
    """One process; `installation` is what guard and station would get."""

    def __init__(self, directory: Path, *evses: dict[str, Any], **bench: Any) -> None:
        self.directory = directory
        self.port = free_port()
        self.installation: dict[str, Any] = {
            "runtime_dir": str(directory),
            "state_dir": str(directory / "state"),
            "evses": list(evses),
            "rfid": default_table("rfid"),
            "bench": {"listen": f"127.0.0.1:{self.port}", **bench},
        }
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "hal.sim.process",
                "--socket",
                str(self.directory / "bench.sock"),
                "--state",
                self.installation["state_dir"],
                "--listen",
                self.installation["bench"]["listen"],
            ],
        )

    def restart_after_sigkill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process = self._start()

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}/bench{path}"
        request = urllib.request.Request(url, method=method, data=data)
        give_up = time.monotonic() + HELD_S
        while True:
            try:
                with urllib.request.urlopen(request, timeout=HELD_S) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, json.load(error)
            except OSError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.02)

    def done(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = self.call(method, path, body)
        assert status == 200, answer
        return answer

    def evse(self, number: int = 1) -> Any:
        return next(e for e in self.done("GET", "")["evses"] if e["id"] == number)

    def events(self, since: int = 0, what: str | None = None, number: int = 1) -> list[Any]:
        events = self.done("GET", f"/events?since={since}")["events"]
        return [e for e in events if e["evse"] == number and what in (None, e["what"])]

    def last_event(self) -> int:
        return int(self.done("GET", "/events")["next"])

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(5) == 0


def wait_for(condition: Any, seconds: float = 3.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.005)
