"""Times that a wrong clock stamped are moved, those of an earlier start are not (R16-BOOT-8, RPC-15)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from controller.core.hindsight import Hindsight, stamps
from controller.core.model import (
    ConnectorUnplugged,
    IdToken,
    MeterSample,
    MeterValuesTaken,
    ReadingContext,
    SampledValue,
    StopReason,
    Transaction,
    TransactionEnded,
    TransactionStarted,
)

WRONG = datetime(2023, 3, 1, 8, 0, tzinfo=UTC)
RIGHT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER = timedelta(minutes=7)
TOLD_LATER = Hindsight(by=RIGHT - WRONG)


def sample(at: datetime) -> MeterSample:
    value = SampledValue(value=1.0)
    return MeterSample(at=at, context=ReadingContext.PERIODIC, values=(value,))


def transaction(at: datetime) -> Transaction:
    return Transaction(
        id="t",
        evse=1,
        id_token=IdToken("AB"),
        started_at=at,
        meter_start_wh=5.0,
        guard_id="g",
        plug_id=1,
    )


def test_every_kind_of_report_is_moved_with_all_its_times() -> None:
    start = TransactionStarted(
        transaction_id="t", evse=1, id_token=IdToken("AB"), at=WRONG, meter_wh=5.0
    )
    values = MeterValuesTaken(evse=1, sample=sample(WRONG), transaction_id="t")
    end = TransactionEnded(
        transaction_id="t",
        evse=1,
        at=WRONG + LATER,
        meter_wh=9.0,
        reason=StopReason.LOCAL,
        samples=(sample(WRONG), sample(WRONG + LATER)),
    )
    out = ConnectorUnplugged(transaction_id="t", evse=1, at=WRONG)
    assert TOLD_LATER.report(start) == replace(start, at=RIGHT)
    assert TOLD_LATER.report(values) == replace(values, sample=sample(RIGHT))
    assert TOLD_LATER.report(end) == replace(
        end, at=RIGHT + LATER, samples=(sample(RIGHT), sample(RIGHT + LATER))
    )
    assert TOLD_LATER.report(out) == replace(out, at=RIGHT)


def test_a_transaction_is_moved_with_all_its_times() -> None:
    running = replace(
        transaction(WRONG),
        last_seen_at=WRONG + LATER,
        stop_asked_at=WRONG + 2 * LATER,
        ended_at=WRONG + 3 * LATER,
    )
    assert TOLD_LATER.transaction(running) == replace(
        running,
        started_at=RIGHT,
        last_seen_at=RIGHT + LATER,
        stop_asked_at=RIGHT + 2 * LATER,
        ended_at=RIGHT + 3 * LATER,
    )


def test_what_an_earlier_start_wrote_down_stays() -> None:
    before = replace(transaction(RIGHT), last_seen_at=RIGHT + LATER)
    kept = Hindsight(by=timedelta(days=900), kept=stamps(before))
    end = TransactionEnded(
        transaction_id="t",
        evse=1,
        at=RIGHT + LATER,
        meter_wh=9.0,
        reason=StopReason.POWER_LOSS,
        samples=(sample(RIGHT), sample(RIGHT + LATER)),
    )
    assert kept.report(end) == end
    assert kept.transaction(before) == before


def test_a_transaction_never_ends_before_it_began() -> None:
    ended = replace(transaction(RIGHT), ended_at=RIGHT + LATER)
    back = Hindsight(by=-timedelta(days=900), kept=frozenset({RIGHT}))
    assert back.transaction(ended).ended_at == RIGHT


def test_a_clock_at_the_end_of_time_is_left_alone() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    assert TOLD_LATER.moment(last) == last
