"""R16-TX-1 to R16-TX-5: first in, first out; nothing dropped without an answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from controller.core.model import (
    IdToken,
    IdTokenInfo,
    MeterValuesTaken,
    Report,
    StopReason,
    TransactionEnded,
    TransactionStarted,
)
from controller.ocpp.calls import CallRefused, LinkLost, NoAnswer
from controller.ocpp.outbox import Outbox, Unusable, message_id_of
from controller.ocpp.v16.translate import id_token_info, report_16
from controller.ports import OutboxEntry
from tests.unit.ocpp.fakes import T0, FakeOutbox, sample

START = TransactionStarted(
    transaction_id="t1", evse=1, id_token=IdToken("AA"), at=T0, meter_wh=1000.0
)
VALUES = MeterValuesTaken(evse=1, sample=sample(1001.0), transaction_id="t1")
END = TransactionEnded(transaction_id="t1", evse=1, at=T0, meter_wh=1002.0, reason=StopReason.LOCAL)
IDLE_VALUES = MeterValuesTaken(evse=1, sample=sample(1003.0))


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic_ns(self) -> int:
        return int(sum(self.slept) * 1e9)

    def utc(self) -> datetime:
        return T0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@dataclass
class Rig:
    """An outbox before a scripted backend: each answer is a payload or an exception."""

    answers: list[dict[str, Any] | Exception] = field(default_factory=list)
    attempts: int = 3
    interval_s: float = 60.0

    def __post_init__(self) -> None:
        self.store = FakeOutbox()
        self.clock = Clock()
        self.sent: list[tuple[str, dict[str, Any], str, float]] = []
        self.told: list[tuple[Report, dict[str, Any]]] = []
        self.outbox = Outbox(
            self.store,
            self,
            self.send,
            attempts=lambda: self.attempts,
            retry_interval_s=lambda: self.interval_s,
            clock=self.clock,
        )

    async def send(
        self, action: str, payload: dict[str, Any], message_id: str, late_s: float
    ) -> dict[str, Any]:
        self.sent.append((action, payload, message_id, late_s))
        await asyncio.sleep(0)
        usual = {"transactionId": 7} if action == "StartTransaction" else {}
        answer = self.answers.pop(0) if self.answers else usual
        if isinstance(answer, LinkLost):
            self.outbox.online(False)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def request(self, report: Report, backend_id: int | None) -> tuple[str, dict[str, Any]] | None:
        return report_16(report, backend_id)

    def backend_transaction_id(self, answer: dict[str, Any]) -> int | None:
        if "transactionId" not in answer:
            raise Unusable("no transactionId")
        return int(answer["transactionId"])

    def verdict(self, answer: dict[str, Any]) -> IdTokenInfo | None:
        return id_token_info(answer.get("idTagInfo"))

    async def delivered(self, report: Report, answer: dict[str, Any]) -> None:
        self.told.append((report, answer))

    async def run(self, *reports: Report) -> None:
        self.store.add(*reports)
        self.outbox.wake()
        self.outbox.online(True)
        task = asyncio.create_task(self.outbox.run())
        async with asyncio.timeout(5):
            while self.store.entries and self.outbox._online.is_set():
                await asyncio.sleep(0)
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    @property
    def actions(self) -> list[str]:
        return [action for action, *_ in self.sent]


async def test_r16_tx_1_in_order_with_the_id_that_the_backend_gave() -> None:
    rig = Rig()
    await rig.run(START, VALUES, END, IDLE_VALUES)
    assert rig.actions == ["StartTransaction", "MeterValues", "StopTransaction", "MeterValues"]
    assert [payload.get("transactionId") for _, payload, *_ in rig.sent] == [None, 7, 7, None]
    assert [report for report, _ in rig.told] == [START, VALUES, END, IDLE_VALUES]


async def test_r16_tx_10_zero_is_a_real_id() -> None:
    rig = Rig(answers=[{"transactionId": 0}])
    await rig.run(START, END)
    assert rig.sent[1][1]["transactionId"] == 0


async def test_a_time_out_is_no_refusal_same_message_same_id_for_ever() -> None:
    rig = Rig(answers=[NoAnswer("") for _ in range(20)])
    await rig.run(START, END)
    assert rig.actions == ["StartTransaction"] * 21 + ["StopTransaction"]
    assert len({message_id for _, _, message_id, _ in rig.sent[:21]}) == 1
    assert len({str(payload) for _, payload, *_ in rig.sent[:21]}) == 1
    assert not rig.store.undelivered
    assert [late for *_, late in rig.sent[:5]] == [60.0, 120.0, 180.0, 180.0, 180.0]


async def test_r16_tx_2_a_callerror_uses_up_an_attempt_and_waits_longer_each_time() -> None:
    refused = [CallRefused("StartTransaction", "InternalError", "") for _ in range(2)]
    rig = Rig(answers=[*refused])
    await rig.run(START)
    assert rig.actions == ["StartTransaction"] * 3
    assert rig.clock.slept == [60.0, 120.0]
    assert not rig.store.undelivered
    assert rig.store.ids == {"t1": 7}


async def test_r16_tx_4_after_the_last_attempt_undelivered_and_later_messages_say_minus_one() -> (
    None
):
    rig = Rig(answers=[CallRefused("StartTransaction", "InternalError", "x") for _ in range(3)])
    await rig.run(START, VALUES, END)
    assert rig.actions == [*["StartTransaction"] * 3, "MeterValues", "StopTransaction"]
    assert [entry.report for entry, _ in rig.store.undelivered] == [START]
    assert "InternalError" in rig.store.undelivered[0][1]
    assert [payload["transactionId"] for _, payload, *_ in rig.sent[3:]] == [-1, -1]


async def test_an_answer_without_a_transaction_id_counts_as_an_attempt() -> None:
    rig = Rig(answers=[{"idTagInfo": {"status": "Accepted"}}])
    await rig.run(START)
    assert rig.actions == ["StartTransaction"] * 2
    assert rig.store.ids == {"t1": 7}


async def test_r16_tx_3_offline_time_is_no_attempt() -> None:
    rig = Rig(answers=[LinkLost("")])
    await rig.run(START, END)
    assert rig.actions == ["StartTransaction"]
    assert rig.store.entries[0].attempts == 0
    await rig.run()
    assert rig.actions == ["StartTransaction", "StartTransaction", "StopTransaction"]
    assert rig.sent[0][2] == rig.sent[1][2], "the same message id on the next connection"


async def test_settled_waits_for_what_is_stored_but_not_longer_than_asked() -> None:
    rig = Rig()
    assert rig.outbox.is_settled(), "nothing goes out while offline, so nothing is waited for"
    rig.outbox.online(True)
    rig.store.add(START)
    rig.outbox.wake()
    await rig.outbox.settled(0.01)
    assert not rig.outbox.is_settled()
    task = asyncio.create_task(rig.outbox.run())
    await rig.outbox.settled(5.0)
    assert rig.actions == ["StartTransaction"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_empty_queue_is_settled_at_once_after_a_reconnection() -> None:
    """Statuses wait until the queue is settled: with nothing in it they must not wait after a lost link."""
    rig = Rig()
    rig.outbox.online(True)
    task = asyncio.create_task(rig.outbox.run())
    await rig.outbox.settled(5.0)
    for _ in range(2):
        rig.outbox.online(False)
        rig.outbox.online(True)
        await asyncio.sleep(0.01)
        assert rig.outbox.is_settled()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_failing_disk_does_not_end_the_deliveries() -> None:
    rig = Rig()
    failures = [OSError("disk full")]
    usual = rig.store.delivered

    async def delivered(
        n: int,
        backend_transaction_id: int | None = None,
        verdict: IdTokenInfo | None = None,
    ) -> None:
        if failures:
            raise failures.pop()
        await usual(n, backend_transaction_id)

    rig.store.delivered = delivered  # type: ignore[method-assign]
    await rig.run(START)
    assert rig.actions == ["StartTransaction"] * 2
    assert rig.sent[0][2] == rig.sent[1][2]


def test_message_ids_depend_on_entry_and_attempt_only() -> None:
    def entry(n: int = 1, report: Report = START, attempts: int = 0) -> OutboxEntry:
        return OutboxEntry(n=n, report=report, attempts=attempts)

    ids = {message_id_of(e) for e in (entry(), entry(2), entry(report=END), entry(attempts=1))}
    assert len(ids) == 4
    assert message_id_of(entry()) == message_id_of(entry())
