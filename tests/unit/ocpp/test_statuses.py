"""What a backend hears of statuses follows the table of the specification, whatever happened unseen."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from controller.clock import SystemClock
from controller.demo.csms_rules_status import CHANGES
from controller.ocpp.v16.statuses import StatusReporter
from controller.ocpp.v16.translate import Status, StatusWord


async def told(*statuses: Status) -> list[str]:
    found: list[str] = []

    def send(payload: dict[str, Any]) -> asyncio.Future[object]:
        found.append(payload["status"])
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        done.set_result({})
        return done

    async def settled(_: float) -> None:
        return

    reporter = StatusReporter(send, is_settled=lambda: True, settled=settled, minimum_s=lambda: 0.0, clock=SystemClock())  # fmt: skip
    reporter.online(announce=True)
    for status in statuses:
        reporter.update(1, StatusWord(status=status))
    await asyncio.sleep(0)
    return found


async def test_another_cable_right_after_the_last_was_available_in_between() -> None:
    """R16-ST-1: from SuspendedEV the table knows no way to Preparing."""
    assert await told(Status.SUSPENDED_EV, Status.PREPARING) == [
        "SuspendedEV", "Available", "Preparing"
    ]  # fmt: skip


@pytest.mark.parametrize("before", list(Status))
@pytest.mark.parametrize("after", list(Status))
async def test_every_pair_is_told_by_the_table(before: Status, after: Status) -> None:
    """R16-ST-1: at most one status in between is needed."""
    found = await told(before, after)
    assert found[0] == before.value
    assert found[-1] == after.value
    assert len(found) <= 3
    for one, next_one in pairwise(found):
        assert next_one in CHANGES[one]
