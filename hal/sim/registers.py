"""Meter registers that survive SIGKILL and restarts; nothing else of the world does.

The file in the state directory is touched when current stops, when a register is set and once a minute
while charging. In between the values stand in shared memory, so charging writes hardly anything to disk.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import time
from contextlib import suppress
from pathlib import Path

_SIZE = 4096
_ID = slice(0, 16)
_FIRST = 8
MAX_EVSES = _SIZE // 8 - _FIRST - 1
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (files of mode 0600, believed only with the right id)
SAVE_EVERY_NS = 60_000_000_000


class Registers:
    """Energy in Wh by EVSE."""

    def __init__(self, state_dir: Path, *, shared: Path = SHARED_MEMORY) -> None:
        directory = state_dir / "bench"
        directory.mkdir(parents=True, exist_ok=True)
        self._kept = _open(directory / "meters")
        fresh = not any(self._kept[_ID])
        if fresh:
            self._kept[_ID] = os.urandom(16)
        name = hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:16]
        self._live_path = shared / f"chargepost-{name}.meters"
        try:
            self._live = _open(self._live_path)
        except OSError:
            self._live_path = directory / "meters.live"
            self._live = _open(self._live_path)
        if self._live[_ID] == self._kept[_ID]:
            if self._live[:] != self._kept[:]:
                self._kept[:] = self._live[:]
        else:
            self._live[:] = self._kept[:]
        self._kept_values = memoryview(self._kept).cast("d")
        self._live_values = memoryview(self._live).cast("d")
        self._saved_at_ns = time.monotonic_ns()

    def get(self, evse: int) -> float:
        """The register as last set; 0 in a new state directory."""
        return self._live_values[_FIRST + evse]

    def set(self, evse: int, energy_wh: float, *, keep: bool) -> None:
        """Remember; `keep` = into the state directory at once."""
        at = _FIRST + evse
        if self._live_values[at] != energy_wh:
            self._live_values[at] = energy_wh
        if self._kept_values[at] == energy_wh:
            return
        now = time.monotonic_ns()
        if keep or now - self._saved_at_ns > SAVE_EVERY_NS:
            self._saved_at_ns = now
            self._kept_values[at] = energy_wh

    def close(self) -> None:
        """Write everything to the state directory and leave nothing in shared memory."""
        self._kept_values.release()
        self._live_values.release()
        if self._kept[:] != self._live[:]:
            self._kept[:] = self._live[:]
        self._kept.close()
        self._live.close()
        with suppress(OSError):
            self._live_path.unlink()


def _open(path: Path) -> mmap.mmap:
    """The file as shared memory, made when missing."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.fstat(fd).st_size != _SIZE:
            os.ftruncate(fd, _SIZE)
        return mmap.mmap(fd, _SIZE)
    finally:
        os.close(fd)
