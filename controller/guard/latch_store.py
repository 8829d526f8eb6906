"""Latched faults on disk: STATE/guard/latched.json, whole or not at all (DESIGN §1.4)."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from controller.files import write_whole

logger = logging.getLogger(__name__)

VERSION = 1
OTHER_STATE = ("station.db",)
"""Files that a station which is not factory-new has."""
RETRY_S = 1.0
THREAD_STACK_BYTES = 128 * 1024

Latched = dict[int, dict[str, str]]
"""EVSE → fault name → detail."""


def is_factory_new(state_dir: Path) -> bool:
    """No station has run with this directory yet."""
    return not any((state_dir / name).exists() for name in OTHER_STATE)


class StateLostError(Exception):
    """The file is damaged, unreadable or gone; the text says which."""


class LatchStore:
    """Reads and writes the file. `factory_new` is judged when the object is made: do that first.

    `told_new`: the supervisor looked before it started anything; the station may have made its files since.
    """

    def __init__(self, state_dir: Path, *, told_new: bool = False) -> None:
        self.path = state_dir / "guard" / "latched.json"
        self.factory_new = told_new or is_factory_new(state_dir)

    def load(self) -> Latched:
        """What is latched. Raises StateLostError; a factory-new station has nothing."""
        try:
            body = json.loads(self.path.read_bytes())
            if body["version"] != VERSION or body["crc32"] != _checksum(body["evses"]):
                raise StateLostError(f"{self.path} is damaged")
            return {int(evse): dict(faults) for evse, faults in body["evses"].items()}
        except FileNotFoundError as error:
            if self.factory_new:
                # whatever fails after this: the next start must not take a missing file for a loss
                with contextlib.suppress(OSError):
                    self.save({})
                return {}
            raise StateLostError(f"{self.path} is missing") from error
        except OSError as error:
            raise StateLostError(f"{self.path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateLostError(f"{self.path} is damaged: {error}") from error

    def save(self, latched: Mapping[int, Mapping[str, str]]) -> None:
        """Durable when this returns. Raises OSError."""
        evses = {str(evse): dict(faults) for evse, faults in latched.items()}
        body = {"version": VERSION, "evses": evses, "crc32": _checksum(evses)}
        write_whole(self.path, json.dumps(body, indent=1).encode())


def _checksum(evses: Any) -> int:
    return zlib.crc32(json.dumps(evses, sort_keys=True).encode())


class LatchWriter:
    """Saves in a thread of its own: an SD card may take 100 ms, the tick may not.

    While `pending`, no fact may be told yet: what others know of a latch is on disk.
    """

    def __init__(self, store: LatchStore, done: Callable[[], None]) -> None:
        self._store = store
        self._done = done
        self._condition = threading.Condition()
        self._next: Latched | None = None
        self._ending = False
        self.pending = False
        self.failing = False
        before = threading.stack_size(THREAD_STACK_BYTES)
        try:
            self._thread = threading.Thread(target=self._run, name="latch", daemon=True)
            self._thread.start()
        finally:
            threading.stack_size(before)

    def submit(self, latched: Latched) -> None:
        """Save this next; never waits for the disk."""
        with self._condition:
            self._next = latched
            self.pending = True
            self._condition.notify()

    def end(self, timeout_s: float) -> None:
        """Finish what was submitted, then stop."""
        with self._condition:
            self._ending = True
            self._condition.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._condition:
                while self._next is None and not self._ending:
                    self._condition.wait()
                latched, self._next = self._next, None
                if latched is None:
                    return
            saved = self._try(latched)
            with self._condition:
                if not saved and self._next is None:
                    self._next = None if self._ending else latched
                self.pending = self._next is not None and saved
            self._done()
            if not saved:
                with self._condition:
                    self._condition.wait(RETRY_S)

    def _try(self, latched: Latched) -> bool:
        try:
            self._store.save(latched)
        except OSError as error:
            if not self.failing:
                logger.error("latched faults cannot be stored, tried again every second: %s", error)
            self.failing = True
            return False
        if self.failing:
            logger.warning("latched faults are stored again")
        self.failing = False
        return True
