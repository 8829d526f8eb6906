"""The guard's log, written by a thread of its own: a pipe or journal that is stuck must not stop the tick."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections import deque

WAITING_LINES = 500
THREAD_STACK_BYTES = 128 * 1024


class BackgroundLog(logging.Handler):
    """Takes records without ever waiting; when too many wait, the newest are dropped and counted."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._ending = False
        self._condition = threading.Condition()
        before = threading.stack_size(THREAD_STACK_BYTES)
        try:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()
        finally:
            threading.stack_size(before)

    def emit(self, record: logging.LogRecord) -> None:
        """Format now, write later."""
        try:
            text = self.format(record) + "\n"
        except Exception:  # noqa: BLE001
            return  # logging must not raise, and its own error report would write to stderr here
        with self._condition:
            if len(self._lines) >= WAITING_LINES:
                self._dropped += 1
                return
            self._lines.append(text)
            self._condition.notify()
            written = self._ending and not self._thread.is_alive()
        if written:
            self._write_waiting()

    def end(self, timeout_s: float = 0.5) -> None:
        """Write what waits; what comes later is written at once, unless the log is still stuck."""
        with self._condition:
            self._ending = True
            self._condition.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # of this thread alone
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        while True:
            with self._condition:
                while not self._lines and not self._ending:
                    self._condition.wait()
                ending = self._ending
            self._write_waiting()
            if ending:
                return

    def _write_waiting(self) -> None:
        while True:
            with self._condition:
                if not self._lines:
                    return
                text = self._lines.popleft()
                dropped = self._dropped if not self._lines else 0
                self._dropped -= dropped
            self._write(text)
            if dropped:
                self._write(f"{dropped} lines of the log were dropped: nobody read them in time\n")

    def _write(self, text: str) -> None:
        data = text.encode(errors="replace")
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            return  # nobody reads any more


def log_in_background() -> BackgroundLog:
    """From now on the root logger's handler writes in a thread; `end` finishes it."""
    root = logging.getLogger()
    background = BackgroundLog(sys.stderr.fileno())
    for handler in root.handlers:
        background.setFormatter(handler.formatter)
        for filter_ in handler.filters:
            background.addFilter(filter_)
    root.handlers[:] = [background]
    return background
