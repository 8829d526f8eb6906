"""A time without meter values inside a transaction has one beginning and one end (R16-MV-3)."""

from __future__ import annotations

from datetime import timedelta

from controller.core.model import ReadingContext
from controller.station.interruptions import Interruptions
from hal.types import MeterReading
from tests.unit.store.reports import AT, transaction

BEGIN, END = ReadingContext.INTERRUPTION_BEGIN, ReadingContext.INTERRUPTION_END
LATER = AT + timedelta(minutes=1)
READING = MeterReading(
    energy_wh=50.0, taken_at_ns=0, power_w=None, amps=(None, None, None),
    volts=(None, None, None), refresh_ms=0,
)  # fmt: skip


def told() -> tuple[Interruptions, list[tuple[str, ReadingContext, float]]]:
    """What goes to the backend: transaction, context, register."""
    found: list[tuple[str, ReadingContext, float]] = []
    return Interruptions(lambda t, context, at, wh: found.append((t.id, context, wh))), found


def test_r16_mv_3_a_second_cause_in_the_same_gap_is_not_told_again() -> None:
    gap, found = told()
    gap.begin(transaction(1), AT, 40.0)
    gap.begin(transaction(1), LATER, 40.0)
    assert gap.read(transaction(1), LATER, READING)
    assert not gap.read(transaction(1), LATER, READING)
    assert found == [("tx-1", BEGIN, 40.0), ("tx-1", END, 50.0)]


def test_r16_mv_3_a_gap_ends_with_its_transaction() -> None:
    gap, found = told()
    gap.begin(transaction(1), AT, 40.0)
    assert not gap.read(transaction(2), LATER, READING)
    assert found == [("tx-1", BEGIN, 40.0)]
    gap.begin(None, AT, 40.0)
    assert not gap.read(None, LATER, READING)
    assert len(found) == 1
