"""`chargepost status` and `chargepost clear-fault`: asks the running processes through their sockets."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from controller.compiled import UNIT_RUNTIME_DIR, read_compiled, read_source
from controller.core.guard_messages import (
    ClearFault,
    Hello,
    Message,
    Snapshot,
    Welcome,
    decode,
    encode,
)

ANSWER_S = 3.0


def show(config: str, *, as_json: bool) -> int:
    """What guard and station say now. 0 = both run and no fault, 1 otherwise, 2 = no such station."""
    runtime = runtime_dir(config)
    if runtime is None:
        return 2
    snapshot = _snapshot(runtime)
    station = _station_status(runtime)
    if as_json:
        print(
            json.dumps(
                {"guard": asdict(snapshot) if snapshot else None, "station": station}, indent=1
            )
        )
    else:
        _print(snapshot, station)
    faults = [fault for evse in snapshot.evses for fault in evse.faults] if snapshot else []
    return 0 if snapshot and station is not None and not faults else 1


def clear(config: str, fault: str, evse: int) -> int:
    """Clear `fault` ("all" = every one) at `evse` (0 = everywhere); 1 when something stays."""
    runtime = runtime_dir(config)
    if runtime is None:
        return 2
    snapshot = _snapshot(runtime)
    if snapshot is None:
        return 1
    evses = [row.evse for row in snapshot.evses]
    if evse and evse not in evses:
        print(f"there is no EVSE {evse}; there is: {', '.join(map(str, evses))}", file=sys.stderr)
        return 1
    present = [
        (row.evse, view.name)
        for row in snapshot.evses
        for view in row.faults
        if fault in ("all", view.name) and evse in (0, row.evse)
    ]
    if not present:
        names = sorted({view.name for row in snapshot.evses for view in row.faults})
        there = f"present: {', '.join(names)}" if names else "there is no fault"
        print(f"nothing to clear by that name; {there}", file=sys.stderr)
        return 1
    left = set(present)
    with _guard(runtime) as (send, messages):
        for number, name in present:
            send(ClearFault(evse=number, name=name, by="command"))
        for message in messages:
            if isinstance(message, Snapshot):
                still = {(row.evse, view.name) for row in message.evses for view in row.faults}
                left &= still
                if not left:
                    break
    for number, name in present:
        gone = (number, name) not in left
        print(
            f"evse {number} {name}: " + ("cleared" if gone else "stays: its cause is still there")
        )
    return 1 if left else 0


def choose(config: str, evse: int) -> int:
    """A card is for this EVSE: the one that is asked about, else the next one shown. 1 = it cannot be chosen."""
    runtime = runtime_dir(config)
    if runtime is None:
        return 2
    answer = ask_station(runtime, {"do": "choose", "evse": evse})
    problem = "the station does not answer" if answer is None else answer.get("error")
    if problem:
        print(problem, file=sys.stderr)
        return 1
    print(answer.get("says", "") if answer else "")
    return 0


def runtime_dir(config: str) -> Path | None:
    """Where the sockets of this station are; None = no such file, said on stderr."""
    source = read_source(config)
    compiled = read_compiled(source.compiled) if source.table is not None else None
    if compiled is None and source.error:
        print(f"{config}: {source.error}", file=sys.stderr)
        return None
    chosen = source.runtime_dir if compiled is None else Path(compiled["runtime_dir"])
    # The services of systemd keep their state to themselves: what they compiled cannot be read here.
    return next((place for place in (chosen, UNIT_RUNTIME_DIR) if _has_socket(place)), chosen)


def _has_socket(place: Path) -> bool:
    try:
        return (place / "guard.sock").exists() or (place / "station.sock").exists()
    except OSError:
        return False


def _snapshot(runtime: Path) -> Snapshot | None:
    try:
        with _guard(runtime) as (_, messages):
            for message in messages:
                if isinstance(message, Snapshot):
                    return message
    except OSError as error:
        print(
            f"the guard does not answer ({error.strerror or error}): is it running?",
            file=sys.stderr,
        )
    return None


@contextmanager
def _guard(runtime: Path) -> Iterator[tuple[Any, Iterator[Message]]]:
    import os

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(ANSWER_S)
        sock.connect(str(runtime / "guard.sock"))

        def send(message: Message) -> None:
            sock.sendall(encode(message))

        send(Hello(role="cli", pid=os.getpid()))
        yield send, _messages(sock)


def _messages(sock: socket.socket) -> Iterator[Message]:
    """What the guard says within the time for an answer."""
    deadline, buffer = time.monotonic() + ANSWER_S, b""
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            data = sock.recv(65_536)
        except TimeoutError:
            return
        if not data:
            return
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            message = decode(line)
            if isinstance(message, Welcome) and message.error:
                raise ConnectionRefusedError(message.error)
            yield message


def _station_status(runtime: Path) -> dict[str, Any] | None:
    """Its snapshot; None = the station does not answer."""
    return ask_station(runtime, {"do": "status"})


def ask_station(runtime: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """One request to `station/control_socket.py`; None = the station does not answer."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(ANSWER_S)
            sock.connect(str(runtime / "station.sock"))
            sock.sendall(json.dumps(request).encode() + b"\n")
            line = sock.makefile("rb").readline()
        answer = json.loads(line)
    except (OSError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def _print(snapshot: Snapshot | None, station: dict[str, Any] | None) -> None:
    sentences = {}
    if station is None:
        print("station: does not answer")
    else:
        backend = station.get("backend")
        if isinstance(backend, dict):
            link = "connected" if backend.get("connected") else "not connected"
            print("backend: " + (link if backend.get("configured") else "none (stand-alone)"))
        rows = station.get("evses")
        for row in rows if isinstance(rows, list) else []:
            sentences[row.get("evse")] = row.get("why", "")
    if snapshot is None:
        print("guard: does not answer")
        return
    for evse in snapshot.evses:
        contactor = "closed" if evse.contactor_closed else "open"
        print(
            f"evse {evse.evse}: pilot {evse.state}, contactor {contactor}, offer {evse.offered_amps:g} A"
        )
        reason = sentences.get(evse.evse) or evse.refusal
        if reason:
            print(f"  {reason}")
        for fault in evse.faults:
            kind = "latched" if fault.latched else "present"
            print(f"  fault {fault.name} ({kind}): {fault.detail}")
