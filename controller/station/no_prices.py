"""The money of a station without a display: nothing; the rest is loaded only where prices are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from controller.core.model import EvseView, IdToken
from controller.core.settings_pricing import DISPLAY

if TYPE_CHECKING:
    from controller.ports_prices import Prices
    from controller.station.station import Station


class StationPrices(Protocol):
    """What the station asks of its prices."""

    @property
    def service(self) -> Prices | None:
        """What a backend may use; None = there is no display."""
        ...

    async def load(self) -> None:
        """Read what was known when the station stopped."""
        ...

    def asking(self, token: IdToken) -> None:
        """The backend is about to be asked about a token."""
        ...

    async def answered(self, token: IdToken, *, accepted: bool) -> None:
        """It has answered; returns when the driver's price is there, or does not come."""
        ...

    def view_changed(self, view: EvseView) -> None:
        """Something changed at an EVSE."""
        ...

    def tick(self) -> None:
        """A second has passed."""
        ...

    def view(self, evse: int) -> dict[str, Any] | None:
        """What the page shows."""
        ...

    def tariff_text(self, token: IdToken) -> str:
        """The price that the driver with this token is shown; "" = none."""
        ...


class NoPrices:
    """A StationPrices that does nothing."""

    service = None

    async def load(self) -> None:
        """Nothing is kept."""

    def asking(self, token: IdToken) -> None:
        """Nobody waits."""

    async def answered(self, token: IdToken, *, accepted: bool) -> None:
        """Nobody waits."""

    def view_changed(self, view: EvseView) -> None:
        """Nothing follows."""

    def tick(self) -> None:
        """Nothing counts."""

    def view(self, evse: int) -> dict[str, Any] | None:
        """Nothing is shown."""
        return None

    def tariff_text(self, token: IdToken) -> str:
        """Nothing is shown."""
        return ""


def prices_of(station: Station) -> StationPrices:
    """What this station shows about money."""
    if not station.settings.boolean(DISPLAY):
        return NoPrices()
    from controller.station.prices import Prices

    return Prices(station)
