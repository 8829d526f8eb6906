"""Dialling the bench: the first words on its socket. Standard library only, light to import."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from hal.errors import WireMissing

EVSE_PARTS = ("pilot", "contactor", "meter", "rcd", "lock", "proximity", "temperature")
RETRY_S = 0.01


def bench_socket(installation: Mapping[str, Any]) -> str:
    """Path of the bench's socket: the attached one, else the one in the runtime directory."""
    bench = installation.get("bench") or {}
    attach = str(bench.get("attach") or "")
    if attach:
        return attach.removeprefix("unix:")
    return os.path.join(str(installation["runtime_dir"]), "bench.sock")


def compose_hello(installation: Mapping[str, Any], role: str) -> dict[str, Any]:
    """What the world must contain for this installation."""
    bench = installation.get("bench") or {}
    evses = {}
    for evse in installation.get("evses") or ():
        evses[str(evse["id"])] = {
            **{part: evse.get(part) for part in EVSE_PARTS},
            "phases": evse.get("phases", 1),
        }
    return {
        "role": role,
        "pid": os.getpid(),
        "evses": evses,
        "rfid": installation.get("rfid"),
        "voltage": (installation.get("site") or {}).get("voltage_v", 230.0),
        "outputs_on_death": bench.get("outputs_on_death", "kept"),
        "coil_gate": bool(bench.get("coil_gate", False)),
    }


def dial(
    path: str, hello: Mapping[str, Any], timeout_s: float = 5.0
) -> tuple[socket.socket, dict[str, Any], bytes]:
    """Connect with retry, say `hello`, wait for the welcome.

    Returns the blocking socket, the welcome and what came behind it. Raises WireMissing.
    """
    deadline = time.monotonic() + timeout_s
    sock = call(path, hello, timeout_s)
    return sock, *welcomed(sock, path, max(0.1, deadline - time.monotonic()))


def call(path: str, hello: Mapping[str, Any], timeout_s: float, more: bytes = b"") -> socket.socket:
    """Connect with retry and say `hello` and `more`, without waiting for the welcome. Raises WireMissing."""
    deadline = time.monotonic() + timeout_s
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(path)
            sock.sendall(json.dumps({"hello": hello}).encode() + b"\n" + more)
            return sock
        except OSError as error:
            sock.close()
            if time.monotonic() >= deadline:
                raise WireMissing(
                    f"no virtual hardware answers at {path} ({error.strerror or error})"
                ) from error
            time.sleep(RETRY_S)


def welcomed(
    sock: socket.socket, path: str, timeout_s: float = 5.0
) -> tuple[dict[str, Any], bytes]:
    """The answer to `call`, and what came behind it. Raises WireMissing."""
    try:
        sock.settimeout(timeout_s)
        buffer = b""
        while b"\n" not in buffer:
            data = sock.recv(65536)
            if not data:
                raise WireMissing(f"the virtual hardware at {path} closed the connection")
            buffer += data
    except TimeoutError as error:
        sock.close()
        raise WireMissing(f"the virtual hardware at {path} does not answer") from error
    except OSError:
        sock.close()
        raise
    line, _, rest = buffer.partition(b"\n")
    answer = json.loads(line)
    if "welcome" not in answer:
        sock.close()
        raise WireMissing(f"the virtual hardware at {path}: {answer.get('error', answer)}")
    sock.settimeout(None)
    return answer["welcome"], rest


def stay(installation: Mapping[str, Any], role: str, timeout_s: float = 5.0) -> socket.socket:
    """Make this process known to the bench under `role` for as long as the socket stays open."""
    sock, _, _ = dial(bench_socket(installation), compose_hello(installation, role), timeout_s)
    return sock
