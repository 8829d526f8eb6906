"""The laboratory itself: what it must notice, and that time and order are the same in every run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from tests.conformance.backend import Missed
from tests.conformance.lab import CARD, Lab, LabFailure, run_case
from tests.conformance.registry import Case


def run(body: Callable[[Lab], Awaitable[None]], **setup: object) -> None:
    run_case(Case(ids=("lab",), title="", body=body, setup=dict(setup)))


def test_ten_minutes_cost_little() -> None:
    async def idle(lab: Lab) -> None:
        before = lab.utc
        await lab.sleep(600)
        assert (lab.utc - before).total_seconds() == pytest.approx(600)

    before_s = time.process_time()
    run(idle)
    assert time.process_time() - before_s < 10


def test_two_runs_are_alike() -> None:
    logs: list[list[str]] = []

    async def session(lab: Lab) -> None:
        await lab.begin_charging()
        await lab.sleep(130)
        lab.tap(CARD)
        await lab.csms.expect("StopTransaction", idTag=CARD)
        logs.append(lab.csms.log)

    run(session)
    run(session)
    assert logs[0] == logs[1]
    assert len(logs[0]) > 15


def test_energy_outside_transactions_is_noticed() -> None:
    async def welded(lab: Lab) -> None:
        lab.fault("weld")
        evse = lab.evse()
        evse.meter.set_energy(evse.energy_wh + 100, lab.loop.now_ns())
        await lab.sleep(1)

    with pytest.raises(LabFailure, match=r"100\.0 Wh outside transactions"):
        run(welded)


def test_an_exception_nobody_waits_for_is_noticed() -> None:
    async def broken(lab: Lab) -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await lab.sleep(1)

    with pytest.raises(LabFailure, match="ZeroDivisionError"):
        run(broken)


def test_what_the_strict_backend_objects_to_is_noticed_and_may_be_meant() -> None:
    async def objected(lab: Lab) -> None:
        lab.csms.violations.append("something planted")

    async def meant(lab: Lab) -> None:
        lab.tolerate("planted")
        await objected(lab)

    with pytest.raises(LabFailure, match="something planted"):
        run(objected)
    run(meant)


def test_no_end_of_a_transaction_is_passed_over() -> None:
    async def ended(lab: Lab) -> None:
        await lab.begin_charging()
        lab.unplug()
        await lab.csms.expect("StatusNotification", connectorId=1, status="Available", via=None)

    with pytest.raises(Missed, match=r"StopTransaction .* came before"):
        run(ended)
