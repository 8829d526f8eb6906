"""The yardstick: the least charge point on `ocpp` + `websockets`, one loop, no persistence, no safety.

Run as `python -m tests.bench.naive ws://HOST:PORT ID`. Lines on standard input drive it:
`plug`, `tap TAG`, `unplug`. It answers GetConfiguration and RemoteStartTransaction.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import Action, ChargePointErrorCode, ChargePointStatus, RemoteStartStopStatus


def now() -> str:
    """UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Naive(ChargePoint):  # type: ignore[misc]
    """Does what the examples of the package do."""

    plugged = False
    transaction: int | None = None

    @on(Action.get_configuration)  # type: ignore[untyped-decorator]
    async def configuration(self, **_: Any) -> Any:
        """One key."""
        return call_result.GetConfiguration(
            configuration_key=[{"key": "HeartbeatInterval", "readonly": False, "value": "300"}]
        )

    @on(Action.remote_start_transaction)  # type: ignore[untyped-decorator]
    async def remote_start(self, id_tag: str, **_: Any) -> Any:
        """Accept and start in a task."""
        self.task = asyncio.create_task(self.begin(id_tag))
        return call_result.RemoteStartTransaction(status=RemoteStartStopStatus.accepted)

    async def status(self, status: ChargePointStatus) -> None:
        """Report."""
        await self.call(
            call.StatusNotification(
                connector_id=1, error_code=ChargePointErrorCode.no_error, status=status
            )
        )

    async def begin(self, tag: str) -> None:
        """Start a transaction."""
        answer = await self.call(
            call.StartTransaction(connector_id=1, id_tag=tag, meter_start=0, timestamp=now())
        )
        self.transaction = answer.transaction_id
        await self.status(ChargePointStatus.charging)

    async def end(self, tag: str) -> None:
        """Stop it."""
        await self.call(
            call.StopTransaction(
                meter_stop=1, timestamp=now(), transaction_id=self.transaction, id_tag=tag
            )
        )
        self.transaction = None
        await self.status(ChargePointStatus.finishing)

    async def tap(self, tag: str) -> None:
        """A card."""
        if self.transaction is not None:
            await self.end(tag)
            return
        answer = await self.call(call.Authorize(id_tag=tag))
        if answer.id_tag_info["status"] == "Accepted":
            await self.begin(tag)

    async def commands(self) -> None:
        """Standard input."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := (await reader.readline()).decode().split():
            if line[0] == "plug":
                await self.status(ChargePointStatus.preparing)
            elif line[0] == "unplug":
                await self.status(ChargePointStatus.available)
            elif line[0] == "tap":
                await self.tap(line[1])


async def main() -> None:
    """Connect and run."""
    url, identity = sys.argv[1], sys.argv[2]
    async with websockets.connect(
        f"{url}/{identity}", subprotocols=["ocpp1.6"], proxy=None
    ) as link:  # type: ignore[list-item]
        station = Naive(identity, link)
        running = asyncio.create_task(station.start())
        await station.call(call.BootNotification(charge_point_model="n", charge_point_vendor="n"))
        await station.status(ChargePointStatus.available)
        await station.commands()
        running.cancel()


if __name__ == "__main__":
    asyncio.run(main())
