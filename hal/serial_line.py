"""A serial port in an asyncio loop: the only product module that imports pyserial.

Reference: https://pyserial.readthedocs.io. The port is exclusive: a second program is refused.
"""

from __future__ import annotations

import asyncio
import os
import termios
from typing import Any

from hal.errors import ReaderSilent

CHUNK = 4096


class SerialLine:
    """Opens when asked to, reads what is there, says ReaderSilent when the port is gone."""

    def __init__(self, path: str, baudrate: int) -> None:
        self._path = path
        self._baudrate = baudrate
        self._port: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived = asyncio.Event()
        self._received = b""
        self._gone = ""

    @property
    def path(self) -> str:
        """The device file."""
        return self._path

    def open(self) -> None:
        """Open the port (again) in the running loop. Raises ReaderSilent."""
        self.close()
        import serial  # type: ignore[import-untyped,unused-ignore]

        try:
            self._port = serial.Serial(
                self._path, self._baudrate, timeout=0, write_timeout=0, exclusive=True
            )
        except (OSError, termios.error, ValueError) as error:
            raise ReaderSilent(f"{self._path} cannot be opened: {error}") from error
        self._received, self._gone = b"", ""
        self._arrived.clear()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._port.fileno(), self._readable)

    def write(self, data: bytes) -> None:
        """Send; a few dozen bytes always fit the kernel's buffer. Raises ReaderSilent."""
        if self._port is None:
            raise ReaderSilent(f"{self._path} is closed")
        try:
            os.write(self._port.fileno(), data)
        except OSError as error:
            raise ReaderSilent(f"{self._path} is gone: {error.strerror}") from error

    async def read(self, timeout_s: float | None = None) -> bytes:
        """What has arrived; b"" when nothing came in `timeout_s`. Raises ReaderSilent."""
        if not self._received and not self._gone:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._arrived.wait()
            except TimeoutError:
                return b""
        self._arrived.clear()
        data, self._received = self._received, b""
        if self._gone and not data:
            raise ReaderSilent(f"{self._path} is gone: {self._gone}")
        return data

    def close(self) -> None:
        """Close the port; harmless when closed."""
        self._deafen()
        if self._port is not None:
            self._port.close()
            self._port = None

    def _readable(self) -> None:
        try:
            data = os.read(self._port.fileno(), CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error.strerror or "read error")
            return
        if not data:
            self._lost("hung up")
            return
        self._received += data
        self._arrived.set()

    def _lost(self, why: str) -> None:
        self._gone = why
        self._deafen()
        self._arrived.set()

    def _deafen(self) -> None:
        if self._loop is not None and self._port is not None:
            self._loop.remove_reader(self._port.fileno())
        self._loop = None
