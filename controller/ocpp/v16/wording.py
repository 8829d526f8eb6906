"""Reports in words of 1.6, and what the backend's answers to them mean."""

from __future__ import annotations

from controller.core.model import (
    ConnectorUnplugged,
    IdTokenInfo,
    MeterValuesTaken,
    Report,
    TransactionStarted,
)
from controller.core.settings import Settings
from controller.ocpp.outbox import Unusable
from controller.ocpp.v16 import translate
from controller.ocpp.v16.blocks import Payload
from controller.ports import StationControl


class Wording16:
    """Implements `outbox.Wording`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._control: StationControl | None = None

    def bind(self, control: StationControl) -> None:
        """The station that is told what a card is worth."""
        self._control = control

    def request(self, report: Report, backend_id: int | None) -> tuple[str, Payload] | None:
        """A report in words of 1.6."""
        most = self._settings.integer("StopTransactionMaxMeterValues")
        return translate.report_16(report, backend_id, most_values=most)

    def backend_transaction_id(self, answer: Payload) -> int | None:
        """Any integer is an id, also 0 and negative ones (R16-TX-10)."""
        given = answer.get("transactionId")
        if isinstance(given, float) and given.is_integer():
            given = int(given)
        if isinstance(given, bool) or not isinstance(given, int):
            raise Unusable("the answer to StartTransaction has no transactionId")
        return given

    def verdict(self, answer: Payload) -> IdTokenInfo | None:
        """The idTagInfo of an answer."""
        return translate.id_token_info(answer.get("idTagInfo"))

    async def delivered(self, report: Report, answer: Payload) -> None:
        """The answers to start and stop also say what the card is worth."""
        info = self.verdict(answer)
        if info is None or self._control is None:
            return
        if isinstance(report, MeterValuesTaken | ConnectorUnplugged):
            return
        # A refusal first: it must arrive also when the cache cannot be written.
        if isinstance(report, TransactionStarted):
            await self._control.start_answered(report.transaction_id, info)
        if report.id_token is not None:
            await self._control.remember(report.id_token, info)
