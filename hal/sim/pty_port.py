"""A serial port whose far end is the bench: a pty in raw mode, kept open so that it may be reopened."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Callable
from contextlib import suppress

READ_BYTES = 4096


class PtyPort:
    """`path` is what the driver opens; `received` gets what it writes."""

    def __init__(self, received: Callable[[bytes], None]) -> None:
        self._received = received
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._read)

    def write(self, data: bytes) -> None:
        """Send to the driver; what nobody reads is lost, as on a real line."""
        with suppress(BlockingIOError):
            os.write(self._master, data)

    def close(self) -> None:
        """Cut the line."""
        self._loop.remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)

    def _read(self) -> None:
        try:
            data = os.read(self._master, READ_BYTES)
        except OSError:
            return
        if data:
            self._received(data)
