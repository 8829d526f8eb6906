"""The first BootNotification leaves while the station is still being made; nothing is answered too early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.clock import SystemClock
from controller.core.settings_list import settings_for
from controller.demo.csms import Csms
from controller.ocpp.v16.adapter import Adapter
from controller.ocpp.v16.connection import network_16
from controller.ocpp.v16.first_contact import FirstContact
from tests.unit.ocpp.fakes import Rig


@pytest.fixture
async def csms() -> AsyncIterator[Csms]:
    server = Csms()
    await server.start()
    yield server
    await server.stop()
    assert server.violations == []


class PassingClock(SystemClock):
    """Time passes when a test says so, besides the time it really takes."""

    passed_s = 0

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + self.passed_s * 1_000_000_000

    def utc(self) -> datetime:
        return super().utc() + timedelta(seconds=self.passed_s)


class LateRig(Rig):
    """The adapter is made over a contact that has been there for a while."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.clock: PassingClock = PassingClock()
        self.contact = FirstContact(
            installation=self.installation,
            settings=settings_for(self.installation),
            network=network_16(self.installation, self.settings),
            clock=self.clock,
            random_part=lambda: 0.0,
        )

    def complete(self) -> None:
        """The second stage."""
        self.adapter = Adapter(
            installation=self.installation,
            settings=self.settings,
            outbox=self.store,
            values=self.values,
            clock=self.clock,
            set_utc=self.clock.set_utc,
            contact=self.contact,
        )
        self.adapter.bind(self.station)
        self.start()


def frames(rig: Rig) -> list[tuple[str, Any]]:
    """Direction and action (of a call) or type."""
    return [(way, f[2] if f[0] == 2 else f[0]) for way, f in rig.adapter.frames()]


async def answered(rig: LateRig) -> None:
    """The answer to BootNotification is here too, and waits."""
    async with asyncio.timeout(5.0):
        while not rig.contact._held:
            await asyncio.sleep(0)


async def test_boot_is_on_the_wire_before_the_rest_exists_and_is_sent_once(csms: Csms) -> None:
    rig = LateRig(csms.url)
    await rig.contact.reach(5.0)
    await csms.until(lambda: len(csms.calls("BootNotification")) == 1)
    await answered(rig)
    assert rig.contact.frames.all()[1:] == []
    rig.complete()
    await csms.until(lambda: len(csms.calls("StatusNotification")) == 2)
    assert [action for action, _ in csms.calls()][:2] == ["BootNotification", "StatusNotification"]
    assert frames(rig)[:3] == [
        ("out", "BootNotification"),
        ("in", 3),
        ("out", "StatusNotification"),
    ]
    await rig.stop()


async def test_a_call_that_comes_before_the_rest_exists_is_answered_when_it_does(
    csms: Csms,
) -> None:
    rig = LateRig(csms.url)
    await rig.contact.reach(5.0)
    await csms.until(lambda: len(csms.calls("BootNotification")) == 1)
    asked = asyncio.create_task(csms.call("GetConfiguration", {"key": ["HeartbeatInterval"]}, 5.0))
    await asyncio.sleep(0.05)
    assert not asked.done()
    rig.complete()
    answer = await asked
    assert answer["configurationKey"][0]["key"] == "HeartbeatInterval"
    await rig.stop()


async def test_a_connection_that_is_lost_before_the_rest_exists_is_made_again(csms: Csms) -> None:
    rig = LateRig(csms.url)
    await rig.contact.reach(5.0)
    await csms.until(lambda: len(csms.calls("BootNotification")) == 1)
    rig.contact.link.drop()
    await csms.until(lambda: len(csms.calls("BootNotification")) == 2)
    rig.complete()
    await csms.until(lambda: len(csms.calls("StatusNotification")) == 2)
    assert len(csms.calls("BootNotification")) == 2
    await rig.stop()


async def test_a_backend_that_is_away_holds_nobody_up() -> None:
    rig = LateRig("ws://127.0.0.1:1/ocpp")
    await asyncio.wait_for(rig.contact.reach(60.0), 5.0)
    rig.complete()
    assert "nothing listens" in rig.adapter.why
    await rig.stop()


async def test_r16_boot_2_an_answer_that_had_to_wait_sets_no_clock_back(csms: Csms) -> None:
    rig = LateRig(csms.url)
    set_to: list[datetime] = []
    rig.clock.set_utc = lambda now: set_to.append(now) or 0.0  # type: ignore[func-returns-value,method-assign]
    await rig.contact.reach(5.0)
    await csms.until(lambda: len(csms.calls("BootNotification")) == 1)
    await answered(rig)
    rig.clock.passed_s += 90
    rig.complete()
    await csms.until(lambda: len(csms.calls("StatusNotification")) == 2)
    assert set_to == []
    await rig.stop()
