"""What tests put into a store, numbered."""

from __future__ import annotations

from datetime import UTC, datetime

from controller.core.model import (
    IdToken,
    MeterSample,
    MeterValuesTaken,
    ReadingContext,
    Report,
    SampledValue,
    StopReason,
    Transaction,
    TransactionEnded,
    TransactionStarted,
)
from controller.store.store import Store

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def started(number: int, at: datetime = AT) -> TransactionStarted:
    return TransactionStarted(
        transaction_id=f"tx-{number}", evse=1, id_token=IdToken("AB"), at=at, meter_wh=number
    )


def ended(number: int, at: datetime = AT) -> TransactionEnded:
    return TransactionEnded(
        transaction_id=f"tx-{number}", evse=1, at=at, meter_wh=number, reason=StopReason.LOCAL
    )


def values(number: int, at: datetime = AT) -> MeterValuesTaken:
    sample = MeterSample(
        at=at, context=ReadingContext.PERIODIC, values=(SampledValue(value=number),)
    )
    return MeterValuesTaken(evse=1, sample=sample, transaction_id="tx-1")


def transaction(number: int, at: datetime = AT, *, evse: int = 1) -> Transaction:
    return Transaction(
        id=f"tx-{number}",
        evse=evse,
        id_token=IdToken("AB"),
        started_at=at,
        meter_start_wh=number,
        guard_id="g",
        plug_id=1,
    )


async def drain(store: Store) -> list[Report]:
    """Deliver all that waits; in order."""
    found = []
    while (entry := await store.outbox.head()) is not None:
        found.append(entry.report)
        await store.outbox.delivered(entry.n)
    return found
