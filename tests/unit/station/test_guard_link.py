"""The guard's socket as the station uses it: facts once and in order, offers every second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from controller.core.guard_messages import (
    Fact,
    FactKind,
    FactsSince,
    Hello,
    Lock,
    Message,
    Offer,
    RaiseFault,
    Snapshot,
    Unlock,
    Welcome,
    Withdraw,
    decode,
    encode,
)
from controller.station.guard_link import GuardSocket
from controller.station.waiting import cancel
from tests.unit.station.fakes import FakeClock


class Guard:
    """The other end of the socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.guard_id = "g1"
        self.facts: list[Fact] = []
        self.first_n = 1
        self.got: list[Message] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Guard:
        self.server = await asyncio.start_unix_server(self._serve, str(self.path))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        self.hang_up()
        await asyncio.sleep(0.01)

    def hang_up(self) -> None:
        for writer in self.writers:
            writer.close()
        self.writers.clear()

    def add(self, kind: FactKind = FactKind.PILOT) -> Fact:
        fact = Fact(n=len(self.facts) + 1, at_ns=1, evse=1, kind=kind)
        self.facts.append(fact)
        return fact

    def tell(self, *messages: Message) -> None:
        for message in messages:
            self.writers[-1].write(encode(message))

    def snapshot(self) -> Snapshot:
        return Snapshot(at_ns=1, last_n=len(self.facts))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while line := await reader.readline():
            message = decode(line)
            self.got.append(message)
            if isinstance(message, Hello):
                self.tell(
                    Welcome(
                        guard_id=self.guard_id,
                        boot_id="b",
                        last_n=len(self.facts),
                        first_n=self.first_n,
                    ),
                    self.snapshot(),
                )
            elif isinstance(message, FactsSince):
                kept = [f for f in self.facts if f.n > message.n and f.n >= self.first_n]
                self.tell(*kept, self.snapshot())

    def of(self, kind: type) -> list[Message]:
        return [m for m in self.got if isinstance(m, kind)]


class Station:
    """A link that runs, and what came out of it."""

    def __init__(self, path: Path) -> None:
        self.clock = FakeClock()
        self.link = GuardSocket(path, self.clock)
        self.up: list[Fact | Snapshot] = []

    async def __aenter__(self) -> Station:
        self.tasks = [
            asyncio.ensure_future(self.link.run()),
            asyncio.ensure_future(self._collect()),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel(*self.tasks)

    async def _collect(self) -> None:
        async for item in self.link.facts():
            self.up.append(item)

    async def until(self, condition: Callable[[], object], step_s: float = 0.0) -> None:
        for _ in range(2000):
            if condition():
                return
            if step_s:  # when the other side begins to wait is not known here
                await self.pass_time(step_s)
            await asyncio.sleep(0.001)
        raise AssertionError("it did not happen")

    async def pass_time(self, seconds: float) -> None:
        self.clock.now_ns += int(seconds * 1e9)
        self.clock.wake()
        await asyncio.sleep(0.01)

    def numbers(self) -> list[int]:
        return [item.n for item in self.up if isinstance(item, Fact)]


@pytest.fixture
async def guard(tmp_path: Path) -> AsyncIterator[Guard]:
    async with Guard(tmp_path / "guard.sock") as guard:
        yield guard


async def test_history_comes_before_the_first_snapshot(guard: Guard) -> None:
    """A snapshot that knows more than the facts handed on would hide an unplug."""
    for _ in range(3):
        guard.add()
    async with Station(guard.path) as station:
        await station.until(lambda: len(station.up) >= 4)
        assert station.numbers() == [1, 2, 3]
        assert isinstance(station.up[3], Snapshot)
        assert station.link.connected and station.link.guard_id == "g1"


async def test_after_a_reconnect_only_the_missed_facts_come(guard: Guard) -> None:
    guard.add()
    async with Station(guard.path) as station:
        await station.until(lambda: station.numbers() == [1])
        guard.hang_up()
        await station.until(lambda: not station.link.connected)
        guard.add()
        await station.pass_time(0.3)
        await station.until(lambda: station.numbers() == [1, 2])
        assert guard.of(FactsSince) == [FactsSince(n=0), FactsSince(n=1)]


async def test_facts_that_fell_out_of_the_ring_do_not_stop_the_rest(guard: Guard) -> None:
    for _ in range(5):
        guard.add()
    guard.first_n = 4
    async with Station(guard.path) as station:
        await station.until(lambda: any(isinstance(i, Snapshot) for i in station.up))
        assert station.numbers() == [4, 5]


async def test_offers_are_sent_at_once_and_every_second_until_withdrawn(guard: Guard) -> None:
    async with Station(guard.path) as station:
        await station.until(lambda: station.up)
        station.link.offer(1, 7, 16.0, 1)
        await station.until(lambda: guard.of(Offer))
        for count in (2, 3):
            await station.pass_time(1.0)
            await station.until(lambda n=count: len(guard.of(Offer)) == n)  # type: ignore[misc]
        station.link.withdraw(1, 7, "Local")
        await station.until(lambda: guard.of(Withdraw))
        await station.pass_time(1.0)
        assert len(guard.of(Offer)) == 3


async def test_another_guard_gets_no_old_offer_but_the_faults_that_last(guard: Guard) -> None:
    """An offer belongs to a plug-in of one guard (DESIGN §1.3)."""
    guard.add()
    async with Station(guard.path) as station:
        await station.until(lambda: station.numbers() == [1])
        station.link.offer(1, 7, 16.0, 1)
        station.link.raise_fault(1, "meter_silent", "x")
        station.link.raise_fault(1, "reader_dead", "x")
        station.link.clear_fault(1, "reader_dead")
        await station.until(lambda: len(guard.of(RaiseFault)) == 2)
        guard.hang_up()
        guard.got.clear()
        guard.guard_id = "g2"
        await station.until(lambda: not station.link.connected)
        await station.pass_time(0.3)
        await station.until(lambda: station.link.guard_id == "g2")
        await station.until(lambda: guard.of(RaiseFault))
        await station.pass_time(1.0)
        assert guard.of(Offer) == []
        assert [m.name for m in guard.got if isinstance(m, RaiseFault)] == ["meter_silent"]
        assert station.numbers() == [1, 1]


async def test_the_same_guard_gets_the_offer_again_at_once(guard: Guard) -> None:
    async with Station(guard.path) as station:
        await station.until(lambda: station.up)
        station.link.offer(1, 7, 16.0, 1)
        await station.until(lambda: guard.of(Offer))
        guard.hang_up()
        guard.got.clear()
        await station.until(lambda: not station.link.connected)
        await station.until(lambda: guard.of(Offer), step_s=0.05)


async def test_a_guard_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "guard.sock"
    async with Station(path) as station:
        await asyncio.sleep(0.01)
        assert not station.link.connected
        station.link.offer(1, 7, 16.0, 1)
        async with Guard(path):
            await station.pass_time(0.3)
            await station.until(lambda: station.link.connected)


async def test_a_line_that_is_no_message_ends_the_connection_not_the_link(guard: Guard) -> None:
    async with Station(guard.path) as station:
        await station.until(lambda: station.up)
        guard.writers[-1].write(b"nonsense\n")
        await station.until(lambda: not station.link.connected)
        await station.pass_time(0.3)
        await station.until(lambda: station.link.connected)


async def test_a_withdrawal_reaches_the_guard_also_when_its_socket_was_down(guard: Guard) -> None:
    """Otherwise the guard goes on with its hold offer for minutes (DESIGN §1.2)."""
    async with Station(guard.path) as station:
        await station.until(lambda: station.up)
        station.link.offer(1, 7, 16.0, 1)
        await station.until(lambda: guard.of(Offer))
        guard.hang_up()
        guard.got.clear()
        await station.until(lambda: not station.link.connected)
        station.link.withdraw(1, 7, "Local")
        await station.until(lambda: guard.of(Withdraw), step_s=0.05)
        assert guard.of(Withdraw) == [Withdraw(evse=1, plug_id=7, why="Local")]
        await station.pass_time(1.0)
        assert guard.of(Offer) == []


async def test_a_new_offer_ends_the_withdrawal_before_it(guard: Guard) -> None:
    async with Station(guard.path) as station:
        await station.until(lambda: station.up)
        station.link.withdraw(1, 7, "Local")
        station.link.offer(1, 7, 16.0, 1)
        await station.until(lambda: guard.of(Offer))
        guard.hang_up()
        guard.got.clear()
        await station.until(lambda: not station.link.connected)
        await station.until(lambda: guard.of(Offer), step_s=0.05)
        assert guard.of(Withdraw) == []


async def test_a_lock_given_while_the_socket_is_down_reaches_the_same_guard(guard: Guard) -> None:
    async with Station(guard.path) as station:
        await station.until(lambda: station.link.connected)
        station.link.offer(1, 7, 16.0, 1)
        guard.hang_up()
        await station.until(lambda: not station.link.connected)
        station.link.lock(1, keep=True)
        guard.got.clear()
        await station.until(lambda: guard.of(Lock), step_s=0.3)
        assert guard.of(Lock) == [Lock(evse=1, keep=True)]
        # The transaction is over: nobody wants the lock any more.
        station.link.withdraw(1, 7)
        guard.hang_up()
        await station.until(lambda: not station.link.connected)
        guard.got.clear()
        await station.until(lambda: guard.of(Withdraw), step_s=0.3)
        assert guard.of(Lock) == []


async def test_an_unlock_given_while_the_socket_is_down_is_told_while_somebody_waits(
    guard: Guard,
) -> None:
    async with Station(guard.path) as station:
        await station.until(lambda: station.link.connected)
        for wait_s, told in ((0.0, [Unlock(evse=1)]), (10.0, [])):
            guard.server.close()
            guard.hang_up()
            await station.until(lambda: not station.link.connected)
            station.link.unlock(1)
            await station.pass_time(wait_s)
            guard.path.unlink(missing_ok=True)
            guard.server = await asyncio.start_unix_server(guard._serve, str(guard.path))
            guard.got.clear()
            await station.until(lambda: guard.of(FactsSince), step_s=0.3)
            await asyncio.sleep(0.02)
            assert guard.of(Unlock) == told


async def test_another_guard_gets_no_old_lock(guard: Guard) -> None:
    async with Station(guard.path) as station:
        await station.until(lambda: station.link.connected)
        station.link.unlock(1)
        guard.guard_id = "g2"
        guard.hang_up()
        await station.until(lambda: not station.link.connected)
        guard.got.clear()
        await station.until(lambda: guard.of(FactsSince), step_s=0.3)
        await asyncio.sleep(0.02)
        assert guard.of(Unlock) == []
