"""Transactions, values, cache: what was stored comes back the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from operator import methodcaller
from pathlib import Path

import pytest

from controller.core.model import (
    AuthorizationStatus,
    IdToken,
    IdTokenInfo,
    IdTokenType,
    MeterSample,
    ReadingContext,
    SampledValue,
    StopReason,
    Transaction,
    TransactionEnded,
)
from controller.store.auth_cache import AuthCache
from controller.store.codec import (
    report_from_text,
    report_to_text,
    transaction_from_text,
    transaction_to_text,
)
from controller.store.store import Store
from tests.unit.store.reports import AT, started, transaction, values

FULL = Transaction(
    id="tx-9",
    evse=2,
    id_token=IdToken("04AB", IdTokenType.EMAID),
    group=IdToken("G", IdTokenType.CENTRAL),
    started_at=AT,
    meter_start_wh=1.5,
    guard_id="g",
    plug_id=3,
    boot_id="b",
    remote_start_id=4,
    reservation_id=5,
    offline=True,
    last_seen_at=AT,
    last_meter_wh=2.5,
    ended_at=AT,
    meter_stop_wh=3.5,
    stop_reason=StopReason.POWER_LOSS,
    estimated=True,
    stop_asked_at=AT,
    stopped_by=IdToken("B"),
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path)
    yield opened
    await opened.close()


def test_codec_keeps_every_field() -> None:
    assert transaction_from_text(transaction_to_text(FULL)) == FULL
    sample = MeterSample(
        at=AT,
        context=ReadingContext.END,
        values=(SampledValue(value=1.25, measurand="Voltage", unit="V", phase="L1-N"),),
    )
    end = TransactionEnded(
        transaction_id="x",
        evse=1,
        at=AT,
        meter_wh=1.0,
        reason=StopReason.OTHER,
        id_token=IdToken("A"),
        estimated=True,
        samples=(sample,),
        offline=True,
    )
    start = replace(started(1), reservation_id=1, remote_start_id=2, offline=True)
    for report in (end, start, values(3), replace(values(3), transaction_id=None)):
        assert report_from_text(report_to_text(report)) == report


async def test_open_transactions_come_back_with_their_last_moment_of_life(store: Store) -> None:
    """R16-TX-8."""
    await store.transactions.begin(transaction(1), started(1))
    later = AT + timedelta(minutes=5)
    await store.transactions.alive(1, "tx-1", AT, 10.0)
    await store.transactions.alive(1, "tx-1", later, 77.0)
    found = (await store.transactions.open_transactions())[1]
    assert (found.last_seen_at, found.last_meter_wh) == (later, 77.0)
    ended = replace(found, ended_at=later, meter_stop_wh=80.0, stop_reason=StopReason.LOCAL)
    await store.transactions.end(ended, None)
    assert await store.transactions.open_transactions() == {}
    assert await store.transactions.last(1) == ended
    await store.transactions.begin(replace(transaction(2), started_at=later), None)
    assert (await store.transactions.open_transactions())[1].last_meter_wh is None


async def test_a_last_transaction_that_cannot_be_read_stops_nobody(store: Store) -> None:
    await store.transactions.begin(transaction(1), started(1))
    for body in ("{", "{}", "[]"):
        change = methodcaller("execute", "UPDATE transactions SET body = ?", (body,))
        await store.database.write(change)
        assert await store.transactions.last(1) is None
        assert await store.transactions.open_transactions() == {}


async def test_the_start_and_its_report_are_one_commit(store: Store) -> None:
    await store.transactions.begin(transaction(1), started(1))
    with pytest.raises(Exception, match="UNIQUE"):
        await store.transactions.begin(transaction(1), started(1))
    assert store.outbox.waiting == 1


async def test_values(store: Store) -> None:
    await store.values.put("x/1", "a")
    await store.values.put("x/2", "b")
    await store.values.put("y", "c")
    await store.values.put("x/2", None)
    assert await store.values.all("x/") == {"x/1": "a"}
    assert await store.values.get("y") == "c"
    assert await store.values.get("z") is None


async def test_cache_keeps_valid_and_invalid_answers_without_regard_to_case(tmp_path: Path) -> None:
    """R16-AUTH-5, R16-AUTH-6."""
    store = await Store.open(tmp_path)
    good = IdTokenInfo(
        status=AuthorizationStatus.ACCEPTED, expires_at=AT, group=IdToken("G", IdTokenType.CENTRAL)
    )
    bad = IdTokenInfo(status=AuthorizationStatus.BLOCKED)
    await store.auth_cache.remember(IdToken("04ab"), good)
    await store.auth_cache.remember(IdToken("EE"), bad)
    await store.close()
    store = await Store.open(tmp_path)
    assert await store.auth_cache.find(IdToken("04AB")) == good
    assert await store.auth_cache.find(IdToken("ee")) == bad
    await store.auth_cache.clear()
    assert await store.auth_cache.find(IdToken("ee")) is None
    await store.close()


async def test_a_full_cache_loses_invalid_entries_first_then_the_oldest(store: Store) -> None:
    """R16-AUTH-5."""
    cache = AuthCache(store.database, limit=2)
    good = IdTokenInfo(status=AuthorizationStatus.ACCEPTED)
    await cache.remember(IdToken("A"), good)
    await cache.remember(IdToken("B"), IdTokenInfo(status=AuthorizationStatus.INVALID))
    await cache.remember(IdToken("C"), good)
    assert await cache.find(IdToken("B")) is None
    await cache.remember(IdToken("D"), good)
    assert await cache.find(IdToken("A")) is None
    assert await cache.find(IdToken("C")) == good


def test_times_are_aware() -> None:
    assert AT.tzinfo is UTC
    assert datetime.fromisoformat(AT.isoformat()) == AT


async def test_an_open_transaction_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    await store.transactions.begin(transaction(1), None)
    await store.transactions.begin(replace(transaction(2), evse=2), None)
    await store.database.write(
        lambda c: c.execute("UPDATE transactions SET body = '{}' WHERE id = 'tx-1'")
    )
    assert set(await store.transactions.open_transactions()) == {2}
    await store.close()
