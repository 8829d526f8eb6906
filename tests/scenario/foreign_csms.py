"""Runs inside the other project's own environment: the central system of the PyPI package `ocpp-csms`.

Prints one JSON object a line: events, and answers to the commands read from standard input
(`start ID_TAG`, `stop`, `configuration`).
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.metadata
import json
import sys
from typing import Any


def out(**values: Any) -> None:
    """One line."""
    print(json.dumps(values, default=str), flush=True)


async def main() -> None:
    """Listen on loopback, on a port of the system's choice."""
    from ocpp_csms import CentralSystem

    async with CentralSystem(host="127.0.0.1", port=0) as central:
        central.add_listener(
            lambda event: out(event=type(event).__name__, **dataclasses.asdict(event))
        )
        out(port=central.port, version=importlib.metadata.version("ocpp-csms"))
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while words := (await reader.readline()).decode().split():
            point = next(iter(central.charge_points.values()))
            if words[0] == "start":
                out(answer=await point.async_remote_start_transaction(words[1], connector_id=1))
            elif words[0] == "stop":
                running = next(iter(point.transactions))
                out(answer=await point.async_remote_stop_transaction(running))
            elif words[0] == "configuration":
                found = await point.async_get_configuration()
                out(keys=sorted(found.values))


asyncio.run(main())
