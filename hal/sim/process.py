"""The bench process: binds its sockets first, then builds the world, then loads what is heavy."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BIND_RETRY_S = 3.0
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (a directory of mode 0700, made anew)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m hal.sim.process`. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="chargepost bench", description="virtual hardware")
    parser.add_argument("--installation", default="", help="compiled installation (JSON)")
    parser.add_argument("--socket", required=True, help="Unix socket, PATH or unix:PATH")
    parser.add_argument("--listen", default="", help="HOST:PORT of the bench API")
    parser.add_argument("--state", required=True, help="directory for the meter registers")
    parser.add_argument("--outputs-on-death", choices=("kept", "released"), default="kept")
    parser.add_argument("--coil-gate", action="store_true")
    options = parser.parse_args(argv)
    try:
        serve(
            listen=options.listen,
            socket_path=options.socket,
            state_dir=options.state,
            installation_path=options.installation,
            outputs_on_death=options.outputs_on_death,
            coil_gate=options.coil_gate,
        )
    except (OSError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def serve(
    *,
    listen: str,
    socket_path: str,
    state_dir: str,
    installation_path: str = "",
    outputs_on_death: str = "kept",
    coil_gate: bool = False,
) -> None:
    """Run the world until SIGTERM or SIGINT. `listen` "" = no bench API."""
    unix = bind_unix(Path(socket_path.removeprefix("unix:")))
    tcp = bind_tcp(listen) if listen else None
    installation: dict[str, Any] = {}
    if installation_path:
        with contextlib.suppress(FileNotFoundError):
            installation = json.loads(Path(installation_path).read_text())
    import asyncio

    from hal.sim.runtime import Runtime

    asyncio.run(
        Runtime.serve(
            unix=unix,
            tcp=tcp,
            directory=world_directory(Path(socket_path.removeprefix("unix:")).absolute()),
            state_dir=Path(state_dir),
            installation=installation,
            outputs_on_death=outputs_on_death,
            coil_gate=coil_gate,
        )
    )


def world_directory(socket_path: Path) -> Path:
    """Where the wires lie as files: in memory, so that no virtual pin wears the card.

    The name follows from the socket's, so that what a SIGKILL left behind is replaced at the next start.
    """
    if os.access(SHARED_MEMORY, os.W_OK):
        digest = hashlib.sha256(os.fsencode(socket_path)).hexdigest()
        return SHARED_MEMORY / f"chargepost-{digest[:12]}.world"
    return socket_path.with_suffix(".world")


def bind_unix(path: Path) -> socket.socket:
    """A listening socket in place of whatever lies there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    sock.bind(os.fspath(path))
    os.chmod(path, 0o600)
    sock.listen(16)
    sock.setblocking(False)
    return sock


def bind_tcp(listen: str) -> socket.socket:
    """A listening socket; waits a little for a predecessor that is just being killed."""
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline = time.monotonic() + BIND_RETRY_S
    while True:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host.strip("[]") or "127.0.0.1", int(port)))
        except OSError as error:
            sock.close()
            if time.monotonic() > deadline:
                raise OSError(f"cannot listen on {listen}: {error.strerror}") from error
            time.sleep(0.02)
            continue
        sock.listen(128)
        sock.setblocking(False)
        return sock


if __name__ == "__main__":
    sys.exit(main())
