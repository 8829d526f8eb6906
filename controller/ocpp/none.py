"""No backend: the station stands alone."""

from __future__ import annotations

import asyncio
from typing import Any

from controller.core.model import EvseView, IdToken, IdTokenInfo
from controller.errors import BackendUnavailable


class NullBackend:
    """Implements `ports.Backend` without anybody behind it; reports stay in the store."""

    @property
    def connected(self) -> bool:
        """Never."""
        return False

    @property
    def ever_accepted(self) -> bool:
        """Never."""
        return False

    @property
    def why(self) -> str:
        """Nothing to tell."""
        return ""

    async def run(self) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()

    async def authorize(self, token: IdToken) -> IdTokenInfo:
        """There is nobody to ask."""
        raise BackendUnavailable("this station has no backend")

    def evse_changed(self, view: EvseView) -> None:
        """Nobody to tell."""

    def reports_waiting(self) -> None:
        """Nobody to tell."""

    async def connect(self) -> None:
        """Nothing to connect to."""

    async def disconnect(self) -> None:
        """Nothing to disconnect from."""

    def frames(self) -> list[tuple[str, list[Any]]]:
        """None."""
        return []
