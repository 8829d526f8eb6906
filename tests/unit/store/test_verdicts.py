"""R16-TX-7: what the backend said about the card is as durable as the delivery of the start."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.core.model import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType
from controller.store.store import Store
from tests.unit.store.reports import started, transaction

REFUSED = IdTokenInfo(status=AuthorizationStatus.INVALID)
GROUPED = IdTokenInfo(
    status=AuthorizationStatus.ACCEPTED,
    expires_at=datetime(2027, 1, 1, tzinfo=UTC),
    group=IdToken("FLEET", IdTokenType.CENTRAL),
)


@pytest.mark.parametrize("info", [REFUSED, GROUPED])
async def test_a_verdict_is_kept_in_the_commit_that_deletes_the_start(
    tmp_path: Path, info: IdTokenInfo
) -> None:
    store = await Store.open(tmp_path)
    await store.transactions.begin(transaction(1), started(1))
    await store.outbox.delivered(1, 7, info)
    await store.close()
    store = await Store.open(tmp_path)
    assert await store.outbox.head() is None
    assert await store.transactions.verdicts() == {"tx-1": info}
    await store.close()


async def test_nothing_is_kept_of_a_card_that_is_simply_accepted(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    await store.transactions.begin(transaction(1), started(1))
    await store.outbox.delivered(1, 7, IdTokenInfo(status=AuthorizationStatus.ACCEPTED))
    await store.database.probe()
    assert await store.transactions.verdicts() == {}
    await store.close()


@pytest.mark.parametrize("text", ["[1", "", "Accepted\tsoon", "Accepted\t\tNoKind\tG"])
async def test_a_verdict_that_cannot_be_read_stops_nothing(tmp_path: Path, text: str) -> None:
    store = await Store.open(tmp_path)
    await store.transactions.begin(transaction(1), started(1))
    await store.database.write(lambda c: c.execute("UPDATE transactions SET verdict = ?", (text,)))
    assert await store.transactions.verdicts() == {}
    await store.close()
