"""The station's own hardware, opened when it is first used: meters, the card reader, the virtual world."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from controller.core.installation import Installation
from hal import registry
from hal.errors import HalPermanentError, MeterSilent, ReaderSilent
from hal.ports import SigningMeter
from hal.types import CardRead, MeterIdentity, MeterReading, SignedRecord, SigningContext

if TYPE_CHECKING:
    from controller.ports import Backend
    from controller.station.station import Station
    from hal.ports import CardReader, Meter
    from hal.wires import Wires

BACKEND_LOOK_S = 0.1


class Hardware:
    """Drivers by EVSE. Opening waits for the first use: start-up must not wait for a serial port."""

    def __init__(self, installation: Installation, data: Mapping[str, Any]) -> None:
        self._installation = installation
        self._data = data
        self._virtual: Wires | None = None
        self._real: Wires | None = None
        self._lock = asyncio.Lock()
        self.may_open = asyncio.Event()
        """Until it is set nothing is loaded that would delay the boot message."""
        self.meters: dict[int, Meter] = {
            evse.id: (LateSigningMeter if evse.meter_signs else LateMeter)(
                self, evse.meter, evse.id
            )
            for evse in installation.evses
            if evse.meter is not None
        }
        self.reader: CardReader | None = (
            LateReader(self, installation.rfid) if installation.rfid is not None else None
        )

    async def open(self, part: str, table: Mapping[str, Any], evse: int) -> Any:
        """Open one driver, off the event loop. Raises HalPermanentError with what is wrong."""
        await self.may_open.wait()
        async with self._lock:
            return await asyncio.to_thread(self._open, part, table, evse)

    def _open(self, part: str, table: Mapping[str, Any], evse: int) -> Any:
        return registry.open(part, table, self._wires(table), evse)

    def _wires(self, table: Mapping[str, Any]) -> Wires:
        if table.get("wires") == "sim":
            if self._virtual is None:
                from hal.sim.client import open_wires

                self._virtual = open_wires(self._data, "station")
            return self._virtual
        if self._real is None:
            from hal.wires import RealWires

            self._real = RealWires()
        return self._real

    def world(self, station: Station, backend: Backend) -> asyncio.Task[None] | None:
        """On virtual hardware: take link and text-card commands from the bench, tell it the link."""
        if self._installation.bench is None:
            return None
        return asyncio.create_task(_world(self._data, station, backend))

    async def close(self) -> None:
        """Give everything back."""
        for meter in self.meters.values():
            await meter.close()
        if self.reader is not None:
            await self.reader.close()
        for wires in (self._virtual, self._real):
            if wires is not None:
                wires.close()


class LateMeter:
    """A Meter that opens its driver at the first poll."""

    def __init__(self, hardware: Hardware, table: Mapping[str, Any], evse: int) -> None:
        self._hardware = hardware
        self._table = table
        self._evse = evse
        self._meter: Meter | None = None

    async def read(self) -> MeterReading:
        """As the driver; a port that is not there reads as a silent meter."""
        return await (await self._opened()).read()

    async def identify(self) -> MeterIdentity:
        """As the driver."""
        return await (await self._opened()).identify()

    async def close(self) -> None:
        """As the driver."""
        if self._meter is not None:
            await self._meter.close()

    async def _opened(self) -> Meter:
        if self._meter is None:
            try:
                self._meter = await self._hardware.open("meter", self._table, self._evse)
            except HalPermanentError as error:
                raise MeterSilent(str(error)) from error
        return self._meter


class LateSigningMeter(LateMeter):
    """The same for a meter that signs."""

    async def public_key(self) -> str:
        """As the driver."""
        return await (await self._signing()).public_key()

    async def sign_begin(self, about: SigningContext) -> SignedRecord:
        """As the driver."""
        return await (await self._signing()).sign_begin(about)

    async def sign_now(self) -> SignedRecord:
        """As the driver."""
        return await (await self._signing()).sign_now()

    async def sign_end(self) -> SignedRecord:
        """As the driver."""
        return await (await self._signing()).sign_end()

    async def _signing(self) -> SigningMeter:
        meter = await self._opened()
        if not isinstance(meter, SigningMeter):
            raise MeterSilent(f"the driver of EVSE {self._evse}'s meter does not sign")
        return meter


class LateReader:
    """A CardReader that opens its driver when it is first listened to."""

    def __init__(self, hardware: Hardware, table: Mapping[str, Any]) -> None:
        self._hardware = hardware
        self._table = table
        self._reader: CardReader | None = None

    async def cards(self) -> AsyncIterator[CardRead]:
        """As the driver; a port that is not there reads as a silent reader."""
        if self._reader is None:
            try:
                self._reader = await self._hardware.open("rfid", self._table, 0)
            except HalPermanentError as error:
                raise ReaderSilent(str(error)) from error
        async for card in self._reader.cards():
            yield card

    async def close(self) -> None:
        """As the driver."""
        if self._reader is not None:
            await self._reader.close()


async def _world(data: Mapping[str, Any], station: Station, backend: Backend) -> None:
    from hal.sim.client import (
        CardCommand,
        Command,
        HintCommand,
        LinkCommand,
        OtherFaultCommand,
        WorldLink,
    )

    link = WorldLink(data)

    def obey(command: Command) -> None:
        match command:
            case LinkCommand():
                station.tasks.start(backend.connect() if command.connect else backend.disconnect())
            case CardCommand():
                station.cards.present(command.text, command.evses)
            case HintCommand():
                station.cards.hint(command.uid, command.evses)
            case OtherFaultCommand():
                station.other_fault(command.evse, command.code, command.active)

    async def tell() -> None:
        told = False
        while True:
            if backend.connected is not told:
                told = backend.connected
                link.tell_backend(told)
            await asyncio.sleep(BACKEND_LOOK_S)

    telling = asyncio.create_task(tell())
    try:
        await link.run(obey)
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling
