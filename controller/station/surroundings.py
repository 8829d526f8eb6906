"""What the parts of one EVSE need of their station."""

from __future__ import annotations

from typing import Protocol

from controller.core.authorization import AuthorizationMode, Decision
from controller.core.charging_profile import ChargingProfile
from controller.core.model import EvseView, IdToken, Transaction
from controller.core.sharing_values import Grant


class Surroundings(Protocol):
    """The station as its EVSEs see it."""

    async def decide(self, id_token: IdToken, mode: AuthorizationMode) -> Decision:
        """Ask list, cache, backend."""
        ...

    def card_led_to(self, id_token: IdToken, result: str) -> None:
        """What came of a card that was shown."""
        ...

    def view_changed(self, view: EvseView) -> None:
        """Publish."""
        ...

    def reports_waiting(self) -> None:
        """The outbox has something new."""
        ...

    def wants_current(self, evse: int, wanting: bool) -> None:
        """A transaction permits current to what is plugged in there, or not any more."""
        ...

    def grant(self, evse: int) -> Grant:
        """What this EVSE may offer now, and what decides that."""
        ...

    async def keep_profile(self, transaction: Transaction, profile: ChargingProfile) -> bool:
        """The transaction about to start has this TxProfile; False = it cannot be stored."""
        ...

    @property
    def online(self) -> bool:
        """The backend is connected."""
        ...

    @property
    def tells_backend(self) -> bool:
        """There is a backend that must learn about transactions."""
        ...

    def question_for(self, evse: int) -> str:
        """What somebody has to answer before a card counts here, or an empty text."""
        ...

    def backend_hint(self) -> str:
        """A sentence why the operator cannot be asked, or an empty text."""
        ...

    @property
    def reader_lost(self) -> bool:
        """The card reader does not answer."""
        ...
