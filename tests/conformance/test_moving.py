"""Moving to another backend by configuration keys: whole station, two backends, virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conformance.backend import LabBackend
from tests.conformance.lab import Lab, run_case
from tests.conformance.matching import ANY
from tests.conformance.registry import Case
from tests.conformance.v16.keys import change, value_of

PASSWORD, NEXT_PASSWORD = "0123456789abcdef", "fedcba9876543210"
SETUP: dict[str, Any] = {"config": {"MeterValueSampleInterval": "0"}}


@asynccontextmanager
async def another(lab: Lab, **options: Any) -> AsyncIterator[LabBackend]:
    backend = LabBackend(lab.loop, **options)
    backend.interval_s = 86_400
    await backend.start()
    try:
        yield backend
    finally:
        await backend.stop()
    assert backend.violations == []


async def there(lab: Lab, backend: LabBackend, within: float = 60.0) -> None:
    """Registered there, and nowhere else."""
    await backend.expect("BootNotification", within=within, chargePointModel=ANY)
    await lab.until(lambda: lab.station.backend.connected, 30, "the registration")
    await backend.expect("StatusNotification", connectorId=1)


async def idle_station_moves(lab: Lab) -> None:
    async with another(lab, password=NEXT_PASSWORD) as new:
        await change(lab.csms, "BackendUrl", new.url)
        await change(lab.csms, "BackendIdentity", "CP 9")
        await change(lab.csms, "BackendPassword", NEXT_PASSWORD)
        answer = await lab.csms.call("GetConfiguration", {"key": ["BackendPassword"]})
        assert answer == {"unknownKey": ["BackendPassword"]}
        await lab.csms.quiet(None, for_s=60)
        assert new.handshakes == []
        await change(lab.csms, "backendapply", "whenidle")
        await there(lab, new)
        assert new.handshakes[0][1] == "/ocpp/CP 9"
        assert not lab.csms.connected
        assert await value_of(new, "BackendStatus") == f"moved to {new.url}"
        assert NEXT_PASSWORD not in str(lab.station.backend.frames())
        await lab.kill()
        await there(lab, new)
        assert not lab.csms.connected
        start_here = len(new.seen)
        lab.plug()
        lab.tap()
        await lab.until(
            lambda: any(c.action == "Authorize" for c in new.seen[start_here:]), 20, "the card"
        )


async def a_transaction_ends_at_the_old_backend(lab: Lab) -> None:
    start = await lab.begin_charging()
    async with another(lab) as new:
        await change(lab.csms, "BackendUrl", new.url)
        await change(lab.csms, "BackendApply", "WhenIdle")
        await lab.sleep(120)
        assert new.handshakes == []
        assert "waiting to move" in await value_of(lab.csms, "BackendStatus")
        await lab.kill()
        await lab.until(lambda: lab.station.backend.connected, 60, "the registration")
        assert lab.csms.connected, "it still waits"
        lab.unplug()
        await lab.csms.expect("StopTransaction", transactionId=start.transaction_id, within=60)
        await there(lab, new)
        assert new.count("StopTransaction") == 0


async def nobody_there(lab: Lab) -> None:
    await change(lab.csms, "BackendUrl", "ws://127.0.0.1:9/x")
    await change(lab.csms, "BackendApply", "WhenIdle")
    await lab.csms.expect(
        "StatusNotification",
        within=120,
        connectorId=0,
        info="no move: nothing listens at the backend's address",
    )
    await lab.csms.quiet("BootNotification", for_s=30)
    assert "stayed with" in await value_of(lab.csms, "BackendStatus")
    assert "nothing listens" in await value_of(lab.csms, "BackendStatus")
    assert await value_of(lab.csms, "BackendUrl") == "ws://127.0.0.1:9/x", "still staged"
    await change(lab.csms, "BackendApply", "Cancel")
    assert await value_of(lab.csms, "BackendUrl") == lab.csms.url


async def the_new_one_does_not_accept(lab: Lab) -> None:
    await change(lab.csms, "BackendTrialTime", "90")
    async with another(lab) as new:
        new.boot_status = "Pending"
        new.interval_s = 20
        await change(lab.csms, "BackendUrl", new.url)
        await change(lab.csms, "BackendApply", "WhenIdle")
        began_s = lab.now_s
        await lab.csms.expect("BootNotification", within=200, chargePointModel=ANY)
        assert 89 <= lab.now_s - began_s <= 100
        assert new.count("BootNotification") >= 3
        assert not new.connected
        await lab.csms.expect("StatusNotification", via=None, connectorId=0, info=ANY)
        assert "did not accept the station within 90 s" in await value_of(lab.csms, "BackendStatus")


async def a_death_during_the_trial_goes_on_with_it(lab: Lab) -> None:
    async with another(lab) as new:
        new.boot_status = "Pending"
        await change(lab.csms, "BackendUrl", new.url)
        await change(lab.csms, "BackendApply", "WhenIdle")
        await new.expect("BootNotification", chargePointModel=ANY)
        new.boot_status = "Accepted"
        await lab.kill()
        await there(lab, new)


async def now_ends_the_transaction_first(lab: Lab) -> None:
    start = await lab.begin_charging()
    async with another(lab) as new:
        await change(lab.csms, "BackendUrl", new.url)
        await change(lab.csms, "BackendApply", "Now")
        await lab.csms.expect(
            "StopTransaction", transactionId=start.transaction_id, reason="Remote"
        )
        await there(lab, new)
        assert new.count("StopTransaction") == 0


async def now_does_not_wait_for_a_silent_backend(lab: Lab) -> None:
    lab.tolerate("StopTransaction")
    await lab.begin_charging()
    lab.csms.reply("StopTransaction", silent=True, times=None)
    async with another(lab) as new:
        await change(lab.csms, "BackendUrl", new.url)
        await change(lab.csms, "BackendApply", "Now")
        await there(lab, new, within=120)
        await lab.sleep(120)
        assert new.count("StopTransaction") == 0
        store = lab.station.store
        assert store.outbox.waiting == 0
        kept = await store.database.write(
            lambda c: c.execute("SELECT error FROM undelivered").fetchall()
        )
        assert [error for (error,) in kept] == ["the station has moved to another backend"]


async def what_is_refused(lab: Lab) -> None:
    csms = lab.csms
    await change(csms, "BackendApply", "WhenIdle", "Rejected")
    await change(csms, "BackendApply", "Someday", "Rejected")
    for url in ("http://x", "new.example", "ws://", "ws://user:pw@host/x", "ws://h/?a"):
        await change(csms, "BackendUrl", url, "Rejected")
    for url in (
        "ws://h:65536/x",
        "ws://h:0/x",
        "ws://h:/x",
        "ws://h:1:2/x",
        "ws://[::1/x",
        "ws://[::::]/",
    ):
        await change(csms, "BackendUrl", url, "Rejected")
    await change(csms, "BackendIdentity", "x" * 49, "Rejected")
    await change(csms, "BackendPassword", "short", "Rejected")
    await change(csms, "BackendStatus", "x", "Rejected")
    await change(csms, "BackendUrl", "ws://127.0.0.1:9/x")
    await change(csms, "BackendSecurityProfile", "0")
    await change(csms, "BackendApply", "Now", "Rejected")  # lower than now
    await change(csms, "BackendSecurityProfile", "2")
    await change(csms, "BackendApply", "Now", "Rejected")  # no root
    await lab.csms.quiet(None, for_s=60)
    assert len(csms.handshakes) == 1


BASIC = {"backend": {"security_profile": 1, "password": PASSWORD}, "csms": {"password": PASSWORD}}


@pytest.mark.parametrize(
    ("body", "setup"),
    [
        (idle_station_moves, {}),
        (a_transaction_ends_at_the_old_backend, {}),
        (nobody_there, {}),
        (the_new_one_does_not_accept, {}),
        (a_death_during_the_trial_goes_on_with_it, {}),
        (now_ends_the_transaction_first, {}),
        (now_does_not_wait_for_a_silent_backend, {}),
        (what_is_refused, BASIC),
    ],
    ids=lambda p: getattr(p, "__name__", ""),
)
def test_moving(body: Any, setup: dict[str, Any]) -> None:
    run_case(Case(ids=("moving",), title=body.__name__, body=body, setup={**SETUP, **setup}))
