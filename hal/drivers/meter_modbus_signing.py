"""Energy meters on Modbus RTU that sign what will be billed; the register map has a table [signing].

Reference: hal/signing_map.py; OCMF (SAFE-eV). The record is ASCII and leaves this file as it came.
"""

from __future__ import annotations

import asyncio

from hal.drivers.meter_modbus import READ_HOLDING, ModbusMeter, Settings
from hal.errors import MeterGarbage, MeterRefused, Misconfigured
from hal.register_map import Read, load
from hal.registry import driver
from hal.signing_map import SigningMap, bytes_of, words_of
from hal.types import SignedRecord, SigningContext
from hal.wires import Wires

LOOK_S = 0.1
"""How often a meter that is signing is asked whether it is ready."""
MOST_BYTES = 8192
"""No record is longer."""


@driver("meter", "modbus-signing", Settings)
class SigningModbusMeter(ModbusMeter):
    """A ModbusMeter that is a SigningMeter too."""

    signs = True

    def __init__(self, settings: Settings, wires: Wires, evse: int) -> None:
        signing = load(settings.map).signing
        if signing is None:
            raise Misconfigured(f"register map {settings.map!r} has no table [signing]")
        super().__init__(settings, wires, evse)
        self._signing: SigningMap = signing

    async def public_key(self) -> str:
        """As ASCII in the map's registers; "" = the map has none."""
        at = self._signing
        if not at.public_key:
            return ""
        text = bytes_of(await self._words(at.public_key, at.public_key_length))
        return _ascii(text.split(b"\0")[0])

    async def sign_begin(self, about: SigningContext) -> SignedRecord:
        """Tell whom it is for, then sign."""
        at = self._signing
        if at.id_token:
            token = about.id_token.encode("ascii", "replace")
            await self._write(at.id_token, words_of(token, at.id_token_length))
        if at.tariff_text:
            text = about.tariff_text.replace("€", "EUR").encode("ascii", "replace")
            await self._write(at.tariff_text, words_of(text, at.tariff_text_length))
        return await self._sign(at.begin)

    async def sign_now(self) -> SignedRecord:
        """A value in between."""
        return await self._sign(self._signing.now)

    async def sign_end(self) -> SignedRecord:
        """The end of the measurement."""
        return await self._sign(self._signing.end, covers_begin=self._signing.end_covers_begin)

    async def _sign(self, command: int, *, covers_begin: bool = False) -> SignedRecord:
        at = self._signing
        await self._write(at.command, [command])
        status = await self._finished(at)
        if status != 0:
            raise MeterRefused(
                f"the meter of address {self._address} cannot sign (status {status})"
            )
        length = (await self._words(at.length, 1))[0]
        if not 0 < length <= MOST_BYTES:
            raise MeterGarbage(f"a signed record of {length} bytes")
        text = bytes_of(await self._words(at.record, (length + 1) // 2))[:length]
        return SignedRecord(
            data=_ascii(text),
            encoding=at.encoding,
            signing_method=at.signing_method,
            covers_begin=covers_begin,
        )

    async def _finished(self, at: SigningMap) -> int:
        """The status when the meter is not busy any more; whoever asked has set a limit."""
        while True:
            status = (await self._words(at.status, 1))[0]
            if status != at.busy:
                return status
            await asyncio.sleep(LOOK_S)

    async def _words(self, address: int, count: int) -> list[int]:
        words: list[int] = []
        while len(words) < count:
            part = min(count - len(words), self._map.max_registers)
            read = Read(
                function=READ_HOLDING, address=address + len(words), count=part, registers=()
            )
            async with self._line.turn(self._map.pause_ms):
                words += await self._line.request(self._address, read)
        return words

    async def _write(self, address: int, words: list[int]) -> None:
        while words:
            part, words = words[: self._map.max_registers], words[self._map.max_registers :]
            async with self._line.turn(self._map.pause_ms):
                await self._line.write(self._address, address, part)
            address += len(part)


def _ascii(text: bytes) -> str:
    try:
        return text.decode("ascii")
    except UnicodeDecodeError as error:
        raise MeterGarbage("a signed record that is no ASCII") from error
