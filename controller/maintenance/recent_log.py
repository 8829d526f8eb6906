"""The last lines of this process's log, kept in memory for diagnostics; the journal has more where there is one."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from controller.log import LineFormatter, blank

LINES = 1_000
LINE_LENGTH = 400
FILE = "last.log"
"""What the last run that ended in order had to say."""


class RecentLog(logging.Handler):
    """A ring of lines without secrets."""

    def __init__(self, process: str, *, lines: int = LINES) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(LineFormatter(process, under_systemd=False))
        self._lines: deque[tuple[float, str]] = deque(maxlen=lines)
        self._secrets: tuple[str, ...] = ()

    def install(self, secrets: Iterable[str] = ()) -> None:
        """Hear everything from now on."""
        self._secrets = tuple(secret for secret in secrets if secret)
        logging.getLogger().addHandler(self)

    def remove(self) -> None:
        """Hear nothing any more."""
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        with contextlib.suppress(
            Exception
        ):  # a log line that cannot be formatted is not worth more
            line = blank(self.format(record), self._secrets)[:LINE_LENGTH]
            self._lines.append((record.created, line))

    def lines(self, oldest: datetime | None = None, latest: datetime | None = None) -> list[str]:
        """Lines of a time, each with its date."""
        since = float("-inf") if oldest is None else oldest.timestamp()
        until = float("inf") if latest is None else latest.timestamp()
        return [
            f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d} {line}"
            for at, line in list(self._lines)
            if since <= at <= until
        ]

    def save(self, state_dir: Path) -> None:
        """Keep the lines for the next run; failing does no harm."""
        with contextlib.suppress(OSError):
            (state_dir / FILE).write_text("\n".join(self.lines()) + "\n")
