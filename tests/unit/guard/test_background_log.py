"""A log that nobody reads must not stop the guard's tick (its watchdog would kill it)."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator

import pytest

from controller.guard.background_log import WAITING_LINES, BackgroundLog


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, "", 0, text, None, None)


def test_lines_come_in_order_and_all_before_the_end(pipe: tuple[int, int]) -> None:
    log = BackgroundLog(pipe[1])
    for n in range(50):
        log.handle(record(str(n)))
    log.end(5)
    log.handle(record("afterwards"))
    assert os.read(pipe[0], 65536).decode().split() == [*map(str, range(50)), "afterwards"]


def test_a_stuck_log_never_waits_drops_and_counts(pipe: tuple[int, int]) -> None:
    log = BackgroundLog(pipe[1])
    begin = time.monotonic()
    for _ in range(WAITING_LINES + 200):
        log.handle(record("x" * 999))
    assert time.monotonic() - begin < 2
    log.end(0.05)
    log.handle(record("still stuck"))
    data = b""
    while b"were dropped" not in data:  # it is read again
        data += os.read(pipe[0], 65536)
    log.end(5)
    kept = data.count(b"x" * 999)
    assert WAITING_LINES <= kept < WAITING_LINES + 200
    dropped = WAITING_LINES + 200 - kept + (b"still stuck" not in data)
    assert f"{dropped} lines of the log were dropped".encode() in data
