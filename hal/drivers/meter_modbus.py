"""Energy meters on Modbus RTU, one kind per register map in `meters/*.toml` (or your own file).

Reference: Modbus over Serial Line 1.02 (modbus.org); maps: hal/register_map.py. The only product
module that imports pymodbus. Several meters share one line: one client per port, one request at a
time.

What can go wrong is told apart: nothing heard = MeterSilent; something heard that is no valid
answer, NaN or an impossible value = MeterGarbage; a Modbus exception = MeterRefused. Whether a
register runs backwards or jumps is judged above, where the last good value is known.
"""

from __future__ import annotations

import asyncio
import logging
import termios
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hal.bus import Claim, bus_of, owner_name
from hal.errors import HalError, MeterGarbage, MeterRefused, MeterSilent
from hal.register_map import Read, Register, RegisterMap, load
from hal.registry import driver
from hal.settings import setting
from hal.types import MeterIdentity, MeterReading
from hal.wires import Wires

ANSWER_S = 0.3
"""Time for one answer; Modbus meters answer within 200 ms (hardware: SDM 60 ms typical)."""
RETRIES = 1
READ_HOLDING = 3
PHASES = ("l1", "l2", "l3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Which meter and where. 0 or "" = as the register map says."""

    map: str = setting("register map by name, or the path of a .toml file")
    port: str = setting("serial port, best by /dev/serial/by-id/…")
    address: int = setting("Modbus address", default=1, minimum=1, maximum=247)
    baudrate: int = setting(
        "bits per second",
        default=0,
        choices=(0, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200),
    )
    parity: str = setting("parity", default="", choices=("", "N", "E", "O"))
    stop_bits: int = setting("stop bits", default=0, choices=(0, 1, 2))
    max_registers: int = setting(
        "most registers per read, for meters that refuse long reads",
        default=0,
        minimum=0,
        maximum=125,
    )
    local_echo: bool = setting("the adapter hears its own requests", default=False)


@driver("meter", "modbus", Settings)
class ModbusMeter:
    """One address on a shared line."""

    def __init__(self, settings: Settings, wires: Wires, evse: int) -> None:
        owner = owner_name("meter", evse)
        port = wires.serial_port(evse, "meter", settings.port)
        self._map: RegisterMap = load(settings.map)
        self._address = settings.address
        self._reads = self._map.reads(settings.max_registers or None)
        terms = (
            settings.baudrate or self._map.baudrate,
            settings.parity or self._map.parity,
            settings.stop_bits or self._map.stop_bits,
            settings.local_echo,
        )
        self._bus = bus_of(wires)
        self._key = ("serial", port)
        self._claim: Claim | None = self._bus.claim(
            ("modbus", port, settings.address),
            f"Modbus address {settings.address} on {settings.port}",
            owner,
        )
        try:
            self._line: _Line = self._bus.share(
                self._key,
                f"serial port {settings.port}",
                owner,
                make=lambda: _Line(port, *terms),
                close=_Line.close,
                terms=terms,
            )
        except HalError:
            self._claim.release()
            raise

    async def read(self) -> MeterReading:
        """Poll all values once. Raises MeterSilent, MeterGarbage, MeterRefused."""
        values: dict[str, float | None] = {}
        async with self._line.turn(self._map.pause_ms):
            started_ns = time.monotonic_ns()
            for number, read in enumerate(self._reads):
                if number:
                    await self._line.pause(self._map.pause_ms)
                values |= read.decode(await self._line.request(self._address, read))
        energy_wh = values["energy_wh"]
        assert energy_wh is not None, (
            "a map without energy_wh is refused, and so is an absent value"
        )
        return MeterReading(
            energy_wh=energy_wh,
            taken_at_ns=started_ns,
            energy_export_wh=values.get("energy_export_wh"),
            power_w=values.get("power_w"),
            amps=_by_phase(values, "amps"),
            volts=_by_phase(values, "volts"),
            power_factor=values.get("power_factor"),
            frequency_hz=values.get("frequency_hz"),
            refresh_ms=self._map.refresh_ms,
        )

    async def identify(self) -> MeterIdentity:
        """Vendor, model and serial number. Raises MeterSilent and MeterGarbage."""
        async with self._line.turn(self._map.pause_ms):
            serial_number = await self._number(self._map.serial_number)
            code = await self._number(self._map.code)
        return MeterIdentity(
            vendor=self._map.vendor,
            model=self._map.models.get(code or 0, self._map.model),
            serial_number="" if serial_number is None else str(serial_number),
        )

    async def close(self) -> None:
        """Leave the line; the last meter closes it."""
        if self._claim is not None:
            self._claim.release()
            self._claim = None
            self._bus.unshare(self._key)

    async def _number(self, register: Register | None) -> int | None:
        """A register of the identity; None = none in the map, or the meter does not have it."""
        if register is None:
            return None
        read = Read(
            function=register.function,
            address=register.address,
            count=register.count,
            registers=(register,),
        )
        try:
            words = await self._line.request(self._address, read)
        except MeterRefused:
            return None
        number = register.decode(words)
        return None if number is None else int(number)


class _Line:
    """One serial line: one client, one request at a time, opened when first used."""

    def __init__(self, port: str, baudrate: int, parity: str, stop_bits: int, echo: bool) -> None:
        self._port = port
        self._framing: dict[str, Any] = {
            "baudrate": baudrate,
            "parity": parity,
            "stopbits": stop_bits,
            "handle_local_echo": echo,
        }
        self._client: Any = None
        self._heard = 0
        self._settle = False
        self._lock = asyncio.Lock()

    def turn(self, pause_ms: int) -> _Turn:
        """The line for one meter's poll, after the silence it wants."""
        return _Turn(self, self._lock, pause_ms)

    async def pause(self, pause_ms: int) -> None:
        """Silence on the line. After a repeated request: long enough for a late first answer."""
        wait_s = ANSWER_S if self._settle else pause_ms / 1000
        self._settle = False
        if wait_s:
            await asyncio.sleep(wait_s)

    async def request(self, address: int, read: Read) -> Sequence[int]:
        """One request, repeated once. Raises MeterSilent, MeterGarbage, MeterRefused."""
        where = f"address {address} on {self._port}"

        def ask(client: Any) -> Any:
            registers = (
                client.read_holding_registers
                if read.function == READ_HOLDING
                else client.read_input_registers
            )
            return registers(read.address, count=read.count, device_id=address)

        last = read.address + read.count - 1
        answer = await self._answer(where, ask, f"registers {read.address:#06x} to {last:#06x}")
        words: Sequence[int] = answer.registers
        if len(words) != read.count:
            raise MeterGarbage(f"{where} sent {len(words)} registers instead of {read.count}")
        return words

    async def write(self, address: int, start: int, words: Sequence[int]) -> None:
        """Write holding registers. Raises MeterSilent, MeterGarbage, MeterRefused."""

        def ask(client: Any) -> Any:
            return client.write_registers(start, list(words), device_id=address)

        where = f"address {address} on {self._port}"
        await self._answer(where, ask, f"to be written at {start:#06x}")

    async def _answer(self, where: str, ask: Callable[[Any], Awaitable[Any]], what: str) -> Any:
        """The good answer to one request; `what`: the request as a meter refuses it."""
        from pymodbus.exceptions import ModbusException

        client = await self._connected()
        self._heard = 0
        # Until the answer is here: a late one must not be taken for the next request's.
        self._settle = True
        try:
            answer: Any = await ask(client)
        except (ModbusException, OSError) as error:
            if self._heard:
                raise MeterGarbage(f"damaged answer from {where} ({self._heard} bytes)") from error
            raise MeterSilent(f"no answer from {where}") from error
        self._settle = bool(answer.retries)
        if answer.isError():
            raise MeterRefused(f"{where} refuses {what} (exception {answer.exception_code})")
        return answer

    def close(self) -> None:
        """Close the port."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _connected(self) -> Any:
        """The client with its port open. Raises MeterSilent."""
        if self._client is None:
            # Imported here: a station without a meter does not pay for it.
            from pymodbus.client import AsyncModbusSerialClient

            # It dumps recent frames at each time-out; what matters is in our own errors.
            logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
            self._client = AsyncModbusSerialClient(
                self._port,
                timeout=ANSWER_S,
                retries=RETRIES,
                reconnect_delay=0,
                trace_packet=self._listen,
                **self._framing,
            )
        try:
            connected = self._client.connected or await self._client.connect()
        except (OSError, termios.error) as error:
            # termios.error (a port that cannot do this parity) is no OSError.
            raise MeterSilent(f"{self._port} cannot be opened: {error}") from error
        if not connected:
            raise MeterSilent(f"{self._port} cannot be opened")
        return self._client

    def _listen(self, sending: bool, data: bytes) -> bytes:
        """Note that something was heard: that tells garbage from silence."""
        if not sending:
            self._heard = max(self._heard, len(data))
        return data


class _Turn:
    """Holds the line's lock, and keeps the silence before the first request."""

    def __init__(self, line: _Line, lock: asyncio.Lock, pause_ms: int) -> None:
        self._line = line
        self._lock = lock
        self._pause_ms = pause_ms

    async def __aenter__(self) -> None:
        await self._lock.acquire()
        try:
            await self._line.pause(self._pause_ms)
        except BaseException:
            self._lock.release()
            raise

    async def __aexit__(self, *exc: object) -> None:
        self._lock.release()


def _by_phase(
    values: dict[str, float | None], quantity: str
) -> tuple[float | None, float | None, float | None]:
    """The three phases of a quantity."""
    first, second, third = (values.get(f"{quantity}_{phase}") for phase in PHASES)
    return first, second, third
