"""What goes wrong between stations and backends in the field, each as a test (ocpp-requirements §1.4, RPC-2, RPC-9, RPC-10)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from controller.ocpp.backoff import BackOff
from controller.ocpp.endpoint import Endpoint, Problem
from controller.ocpp.link import Link
from controller.ports_security import Peer
from tests.unit.security.server import Server


class Station:
    """A link that notes what happened and how long it wanted to wait each time."""

    def __init__(self, server: Server, **more: Any) -> None:
        options = {"url": server.url(), "station_id": "CP1", "subprotocols": ("ocpp1.6",), **more}
        self.endpoint = Endpoint(**options)
        self.happened: list[str] = []
        self.problems: list[tuple[Problem, str]] = []
        self.ups = 0
        self.changed = asyncio.Event()
        self.back_off = BackOff(
            wait_minimum_s=0.02, random_range_s=0.0, repeat_times=3, random=lambda: 0.0
        )
        self.link = Link(
            self,
            self.back_off,
            on_up=self.up,
            on_down=lambda: self.note("down"),
            on_frame=lambda raw: self.note("frame"),
            ping_interval_s=lambda: 0.0,
            pong_timeout_s=0.2,
            open_timeout_s=2.0,
        )
        self.task = asyncio.create_task(self.link.run())

    def next(self) -> Endpoint:
        return self.endpoint

    def opened(self, peer: Peer) -> None:
        self.note("opened")

    def worked(self) -> None:
        self.note("worked")

    def failed(self, problem: Problem, why: str) -> bool:
        self.problems.append((problem, why))
        self.note("failed")
        return False

    def up(self) -> None:
        self.ups += 1
        self.note("up")

    def note(self, what: str) -> None:
        self.happened.append(what)
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server() as made:
        yield made


@pytest.fixture
async def station(server: Server) -> AsyncIterator[Station]:
    made = Station(server)
    yield made
    made.task.cancel()
    await asyncio.gather(made.task, return_exceptions=True)


async def test_one_socket_at_a_time_whatever_ends_it(server: Server, station: Station) -> None:
    for round_ in range(1, 7):
        await station.until(lambda n=round_: station.ups >= n)
        await server.until(lambda n=round_: len(server.connections) >= n)
        if round_ % 3 == 0:
            station.link.renew()
        elif round_ % 3 == 1:
            station.link.drop()
        else:
            await server.connections[-1].close(1001, "maintenance")
    await station.until(lambda: station.ups >= 7)
    assert server.most_open == 1


async def test_one_handshake_offers_everything_and_no_compression(server: Server) -> None:
    station = Station(server, subprotocols=("ocpp2.1", "ocpp2.0.1", "ocpp1.6"))
    await station.until(lambda: station.ups == 1)
    assert len(server.headers) == 1
    assert server.headers[0]["Sec-WebSocket-Protocol"] == "ocpp2.1, ocpp2.0.1, ocpp1.6"
    assert "Sec-WebSocket-Extensions" not in server.headers[0]
    assert station.link.subprotocol == "ocpp1.6"
    station.task.cancel()


async def test_renew_lets_out_what_was_said_and_connects_at_once(
    server: Server, station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    await station.until(lambda: station.ups == 1)
    said: list[str] = []
    server.heard = said.append
    station.back_off.wait_minimum_s = 60.0
    for n in range(3):
        station.link.send(f"[3,{n},{{}}]")
    station.link.renew()
    await station.until(lambda: station.ups == 2)
    assert said == ["[3,0,{}]", "[3,1,{}]", "[3,2,{}]"]
    assert server.connections[0].close_code == 1000
    assert "not reachable" not in caplog.text
    assert station.problems == []


async def test_a_backend_that_accepts_and_closes_is_never_back(
    server: Server, station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "controller.ocpp.link")
    await server.until(lambda: len(server.connections) == 1)
    await server.say("[2]")
    await station.until(lambda: "worked" in station.happened)
    server.close_at_once = True
    station.link.drop()
    await server.until(lambda: len(server.connections) >= 5)
    assert "backend back" not in caplog.text
    assert caplog.text.count("closed the connection (1008 not you)") == 1
    assert {problem for problem, _ in station.problems} == {Problem.CLOSED}
    server.close_at_once = False
    count = len(server.connections)
    await server.until(lambda: len(server.connections) > count)
    await server.say("[2]")
    await station.until(lambda: station.happened.count("worked") == 2)
    assert caplog.text.count("backend back") == 1


async def test_rpc_2_a_backend_that_names_no_sub_protocol_may_be_tolerated() -> None:
    server = Server()
    server.subprotocols = ()
    async with server:
        strict = Station(server)
        await strict.until(lambda: bool(strict.problems))
        assert strict.problems[0][0] is Problem.SUBPROTOCOL
        assert strict.ups == 0
        strict.task.cancel()
        lenient = Station(server, any_subprotocol=True)
        await lenient.until(lambda: lenient.ups == 1)
        assert lenient.link.subprotocol == "ocpp1.6"
        lenient.task.cancel()
        await asyncio.gather(strict.task, lenient.task, return_exceptions=True)


async def test_a_quiet_backend_counts_as_working_when_it_stays(
    server: Server, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.ocpp.link.LIVED_S", 0.05)
    station.link.drop()
    await station.until(lambda: "worked" in station.happened)
    assert station.problems == []
