"""The ways to the backend in one file of mode 0600: passwords lie in it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from controller.core.network_profile import NetworkState
from controller.files import write_whole

log = logging.getLogger(__name__)

FILE = "network.json"


class NetworkFile:
    """Implements `ports_security.NetworkStore`; one rename is one change."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE
        self._saved: NetworkState | None = None

    def load(self) -> NetworkState | None:
        """What was saved; a file that cannot be read counts as none, and is kept aside."""
        try:
            data = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._unreadable(error)
            return None
        try:
            self._saved = NetworkState.from_dict(data)
        except (KeyError, TypeError, ValueError) as error:
            self._unreadable(error)
            return None
        return self._saved

    def save(self, state: NetworkState) -> None:
        """Durable when this returns; what is there already is not written again. Raises OSError."""
        if state != self._saved:
            write_whole(self._path, json.dumps(state.to_dict(), indent=1).encode())
            self._saved = state

    def _unreadable(self, error: Exception) -> None:
        aside = self._path.with_name(self._path.name + ".corrupt")
        try:
            self._path.replace(aside)
        except OSError:
            aside = self._path
        log.error(
            "%s cannot be read (%s), the configuration counts: %s",
            self._path,
            type(error).__name__,
            aside,
        )
