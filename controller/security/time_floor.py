"""What time it is at least: a computer without a battery starts in the past (RPC-15)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from controller.files import write_whole

log = logging.getLogger(__name__)

FILE = "time-floor"
RELEASED_AT = datetime(2026, 11, 1, tzinfo=UTC)
"""No clock that shows an earlier time than this release can be right."""
STEP = timedelta(days=1)
"""how much later it must be before it is written down again"""
GROSS = timedelta(hours=1)
"""a machine's clock that differs by more from what the backend told is not used for certificates"""


class TimeFloor:
    """Written down once a day, when a certificate of the backend showed that the clock is plausible."""

    def __init__(
        self, state_dir: Path, utc: Callable[[], datetime], machine_utc: Callable[[], datetime]
    ) -> None:
        """`utc`: corrected by the backend; `machine_utc`: what the TLS library goes by."""
        self._path = state_dir / FILE
        self._utc = utc
        self._machine_utc = machine_utc
        self._floor = max(RELEASED_AT, self._read())
        self._told = False

    def now(self) -> datetime:
        """The best guess, never before the floor."""
        return max(self._utc(), self._floor)

    def doubt(self) -> datetime | None:
        """None = the machine's clock is good enough; else the best guess to use instead."""
        machine, now = self._machine_utc(), self.now()
        if machine >= self._floor and abs(machine - now) <= GROSS:
            self._told = False
            return None
        if not self._told:
            self._told = True
            log.warning(
                "the clock shows %s, which cannot be right: certificates are checked as if it were %s",
                f"{machine:%Y-%m-%d %H:%M}",
                f"{now:%Y-%m-%d %H:%M}",
            )
        return now

    def confirmed(self) -> None:
        """A backend with a good certificate talked to us while the machine's clock was good."""
        now = self._utc()
        if now < self._floor + STEP or self.doubt() is not None:
            return
        with contextlib.suppress(OSError):  # the release date is floor enough
            write_whole(self._path, now.isoformat().encode())
            self._floor = now

    def _read(self) -> datetime:
        try:
            at = datetime.fromisoformat(self._path.read_text(encoding="ascii").strip())
        except (OSError, ValueError):
            return RELEASED_AT
        return at if at.tzinfo is not None else RELEASED_AT
