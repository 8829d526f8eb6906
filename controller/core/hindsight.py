"""What was stamped by a clock that was wrong, told with the right time (R16-BOOT-8, RPC-15)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controller.core.model import (
    MeterSample,
    MeterValuesTaken,
    Report,
    Transaction,
    TransactionEnded,
)

MARK = "restart/clock"
"""Stored value: from which entry on nobody has confirmed the clock, and how it stood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindsight:
    """`by`: how far the clock was behind. `kept`: moments that an earlier start wrote down; they stay."""

    by: timedelta
    kept: frozenset[datetime] = frozenset()

    def moment(self, at: datetime) -> datetime:
        """When it was."""
        if at in self.kept:
            return at
        try:
            return at + self.by
        except OverflowError:
            return at

    def perhaps(self, at: datetime | None) -> datetime | None:
        """The same for what may not have happened."""
        return None if at is None else self.moment(at)

    def sample(self, sample: MeterSample) -> MeterSample:
        """A sample with the time at which it was taken."""
        return replace(sample, at=self.moment(sample.at))

    def report(self, report: Report) -> Report:
        """A report with all its times."""
        if isinstance(report, MeterValuesTaken):
            return replace(report, sample=self.sample(report.sample))
        if isinstance(report, TransactionEnded):
            samples = tuple(self.sample(sample) for sample in report.samples)
            return replace(report, at=self.moment(report.at), samples=samples)
        return replace(report, at=self.moment(report.at))

    def transaction(self, transaction: Transaction) -> Transaction:
        """A transaction with all its times; it does not end before it began."""
        t = transaction
        started_at, ended_at = self.moment(t.started_at), self.perhaps(t.ended_at)
        return replace(
            t,
            started_at=started_at,
            last_seen_at=self.perhaps(t.last_seen_at),
            stop_asked_at=self.perhaps(t.stop_asked_at),
            ended_at=None if ended_at is None else max(ended_at, started_at),
        )


def stamps(transaction: Transaction) -> frozenset[datetime]:
    """Every moment that a transaction tells."""
    t = transaction
    found = (t.started_at, t.last_seen_at, t.stop_asked_at, t.ended_at)
    return frozenset(at for at in found if at is not None)
