"""The guard's first act: every coil that hangs on one GPIO pin is driven low by the bare kernel or wire.

Standard library and light modules only: the drivers, which load gpiozero, come a fifth of a second later.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from hal import bare
from hal.errors import WireMissing


def open_coils(installation: Mapping[str, Any]) -> socket.socket | None:
    """Open what can be opened at once; returns the call to the bench, to go on with, if it answers already.

    What fails here is left to the drivers, which say why: without them nothing closes either.
    """
    lines = b""
    for evse in installation["evses"]:
        table = evse["contactor"]
        if table is None or table["driver"] != "gpio":
            continue
        if table.get("wires") == "sim":
            pin = (evse["id"], table["pin"], time.monotonic_ns())
            lines += b'{"pin":[%d,%d,0,%d]}\n' % pin
        else:
            with suppress(OSError):
                bare.drive(table["pin"], False)
    return _tell_bench(installation, lines) if lines else None


def _tell_bench(installation: Mapping[str, Any], lines: bytes) -> socket.socket | None:
    from hal.sim.hello import bench_socket, call, compose_hello

    hello = {**compose_hello(installation, "guard"), "wires": True}
    try:
        return call(bench_socket(installation), hello, 0.0, lines)
    except WireMissing:
        return None  # no world yet, so nothing that could be switched on
