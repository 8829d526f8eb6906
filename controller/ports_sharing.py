"""Port of the shared supply: what each EVSE may offer now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from controller.core.sharing_values import Grant

from hal.types import MeterReading


class CurrentSharing(Protocol):
    """Shares supply and operator's limits among the EVSEs (DESIGN §1.7); `energy/limits.py`."""

    def bind(
        self, reading: Callable[[int], MeterReading | None], changed: Callable[[int], None]
    ) -> None:
        """`reading`: the newest good reading of an EVSE; `changed` is called with each EVSE whose grant changes."""
        ...

    def wants(self, evse: int, wanting: bool) -> None:
        """A transaction permits current to what is plugged in there (or not any more)."""
        ...

    def grant(self, evse: int) -> Grant:
        """What it may offer now; nothing as long as it does not want any."""
        ...

    def look(self) -> None:
        """A second has passed, or something has changed: share anew."""
        ...
