"""The virtual meters' bus: a Modbus RTU server behind a pty, with the faults of a real line.

Imported when the first meter is wanted: pymodbus' server takes half a second to load.
"""

from __future__ import annotations

import logging
import time

from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from hal.sim.meter_face import MeterFace
from hal.sim.pty_port import PtyPort

REQUEST_BYTES = 8
PIECES_S = 0.02
RECORD_REGISTERS = 2048
"""Room for a signed record behind its address."""


class MeterServer:
    """One meter. Requests come in by `request`; answers leave through `outer`."""

    def __init__(self, face: MeterFace, address: int, outer: PtyPort) -> None:
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
        self._face = face
        self._outer = outer
        self._address = address
        self._ours = False
        self._heard_at = 0.0
        self._inner = PtyPort(self._answer)
        device = SimDevice(id=address, simdata=_ranges(face), action=self._fill)
        self._server = ModbusSerialServer(device, port=self._inner.path, baudrate=115_200)

    async def start(self) -> None:
        """Open the inner port."""
        await self._server.serve_forever(background=True)

    async def stop(self) -> None:
        """Close the inner port."""
        await self._server.shutdown()  # type: ignore[no-untyped-call]
        self._inner.close()

    def request(self, data: bytes) -> None:
        """Bytes from the controller. What is meant for another address is not answered.

        Pieces that follow each other within a few milliseconds are one request.
        """
        now = time.monotonic()
        if now - self._heard_at > PIECES_S or len(data) >= REQUEST_BYTES:
            self._ours = data[0] == self._address
        self._heard_at = now
        if self._ours and not self._face.silent:
            self._inner.write(data)

    def _answer(self, data: bytes) -> None:
        if self._face.silent:
            return
        if self._face.garbage:
            data = bytes(byte ^ 0x5A for byte in data)
        self._outer.write(data)

    async def _fill(
        self,
        function_code: int,
        start_address: int,
        address: int,
        count: int,
        current_registers: list[int],
        set_values: list[int] | list[bool] | None,
    ) -> None:
        """Registers as of now; called by the server for each request."""
        if set_values:
            self._face.written(address, [int(value) for value in set_values])
        for first, words in self._face.words().items():
            at = first - start_address
            current_registers[at : at + len(words)] = words


def _ranges(face: MeterFace) -> list[SimData]:
    """The map's blocks and the identity, merged where they touch."""
    spans = [(start, start + count) for _, start, count in face.map.blocks]
    for register in (face.map.serial_number, face.map.code):
        if register is not None:
            spans.append((register.address, register.address + register.count))
    if (at := face.map.signing) is not None:
        first = min(n for n in (at.command, at.status, at.length, at.id_token, at.record) if n)
        spans.append((first, at.record + RECORD_REGISTERS))
        if at.tariff_text:
            spans.append((at.tariff_text, at.tariff_text + at.tariff_text_length))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return [
        SimData(start, count=end - start, values=0, datatype=DataType.REGISTERS)
        for start, end in merged
    ]
