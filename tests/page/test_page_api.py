"""The page's API: state, event stream, headers, who may ask."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession

from controller.errors import PermanentError
from controller.web.api import StateApi, to_json
from controller.web.server import STATIC, WebServer, parse_listen

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def serving(station: Any, bench_url: str | None = None) -> AsyncIterator[tuple[str, Any]]:
    server = WebServer(station, "127.0.0.1:0", bench_url)
    await server.start()
    async with ClientSession() as session:
        yield server.url, session
    await server.stop()


async def next_event(stream: Any) -> tuple[str, Any]:
    """Name and parsed data of the next event of a stream."""
    name = ""
    async with asyncio.timeout(5):
        while True:
            line = (await stream.readline()).decode().rstrip("\n")
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                return name, json.loads(line.removeprefix("data: "))


async def test_state_is_the_snapshot(station: Any) -> None:
    async with serving(station) as (url, session), session.get(f"{url}api/state") as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        assert await answer.json() == {**station.state, "virtual": False}


async def test_stream_gives_the_full_state_and_then_every_change(station: Any) -> None:
    async with serving(station) as (url, session), session.get(f"{url}api/events") as answer:
        assert answer.content_type == "text/event-stream"
        assert await next_event(answer.content) == ("state", {**station.state, "virtual": False})
        station.change({"why": "Show your card."})
        name, state = await next_event(answer.content)
        assert name == "state"
        assert state["evses"][0]["why"] == "Show your card."


async def test_many_changes_become_few_events_and_the_last_one_is_shown(station: Any) -> None:
    async with serving(station) as (url, session), session.get(f"{url}api/events") as answer:
        await next_event(answer.content)
        loop = asyncio.get_running_loop()
        began, events, shown = loop.time(), 0, -1
        for n in range(100):
            station.change({"power_w": n})
            await asyncio.sleep(0.005)
        while shown != 99:
            _, state = await next_event(answer.content)
            events, shown = events + 1, state["evses"][0]["power_w"]
        assert events <= (loop.time() - began) * 5 + 2


async def test_a_change_that_changes_nothing_is_not_sent(station: Any) -> None:
    async with serving(station) as (url, session), session.get(f"{url}api/events") as answer:
        await next_event(answer.content)
        station.change()
        await asyncio.sleep(0.3)
        station.change({"why": "other"})
        _, state = await next_event(answer.content)
        assert state["evses"][0]["why"] == "other"


async def test_keep_alive_is_a_comment_and_an_event(station: Any) -> None:
    api = StateApi(station, keep_alive_s=0.05, min_interval_s=0.0)
    written = bytearray()

    class Response:
        async def write(self, data: bytes) -> None:
            written.extend(data)
            if written.count(b": keep-alive\nevent: alive") >= 2:
                api.close()

    async with asyncio.timeout(5):
        await api._feed(Response(), asyncio.Event())  # type: ignore[arg-type]
    assert written.count(b"event: state") == 1


async def test_nothing_is_computed_while_nobody_looks(station: Any) -> None:
    async with serving(station):
        for _ in range(10):
            station.change({"power_w": 1.0})
        assert station.asked == 0


async def test_stop_ends_open_streams_at_once_and_unsubscribes(station: Any) -> None:
    server = WebServer(station, "127.0.0.1:0", None)
    await server.start()
    async with ClientSession() as session, session.get(f"{server.url}api/events") as answer:
        await next_event(answer.content)
        async with asyncio.timeout(1.0):
            await server.stop()
    assert station.listeners == []


async def test_a_port_in_use_is_said_and_the_same_port_serves_again_after_stop(
    station: Any,
) -> None:
    first = WebServer(station, "127.0.0.1:0", None)
    await first.start()
    listen = first.url.removeprefix("http://").rstrip("/")
    second = WebServer(station, listen, None)
    with pytest.raises(PermanentError, match=r"cannot listen on 127\.0\.0\.1"):
        await second.start()
    await first.stop()
    await second.start()
    await second.stop()


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("", "text/html"),
        ("static/style.css", "text/css"),
        ("static/app.js", "text/javascript"),
        ("static/icon.svg", "image/svg+xml"),
    ],
)
async def test_files_have_their_type_and_headers(
    station: Any, path: str, content_type: str
) -> None:
    async with serving(station) as (url, session):
        async with session.get(url + path) as answer:
            assert answer.status == 200
            assert answer.content_type == content_type
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            etag = answer.headers["ETag"]
        async with session.get(url + path, headers={"If-None-Match": etag}) as answer:
            assert answer.status == 304


@pytest.mark.parametrize(
    "path", ["static/none.js", "static/..%2fserver.py", "static/../server.py", "etc/passwd"]
)
async def test_other_files_do_not_exist(station: Any, path: str) -> None:
    async with serving(station) as (url, session), session.get(url + path) as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]


async def test_page_is_small_and_asks_nobody_else() -> None:
    files = [path for path in STATIC.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 48_000
    for path in files:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text and "style=" not in text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("evil.example:80", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
        ("[::1", 421),
        ("localhost:80", 200),
        ("192.168.1.20:8080", 200),
        ("[fe80::1]:8080", 200),
    ],
)
async def test_a_foreign_host_name_is_refused(station: Any, host: str, status: int) -> None:
    """DNS rebinding."""
    async with (
        serving(station) as (url, session),
        session.get(f"{url}api/state", headers={"Host": host}) as answer,
    ):
        assert answer.status == status


async def test_buttons_reach_the_bench_only_from_our_own_page(station: Any, bench: Any) -> None:
    await bench.start()
    async with serving(station, bench.url) as (url, session):
        own = {"Origin": url.rstrip("/")}
        call = {"current": 16.0, "phases": 3}
        path = f"{url}bench/evses/1/plug"
        async with session.post(path, json=call, headers=own) as answer:
            assert answer.status == 204
        for origin in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
            async with session.post(path, json=call, headers=origin) as answer:
                assert answer.status == 403
        async with session.delete(f"{url}bench/evses/1/faults/rcd", headers=own) as answer:
            assert answer.status == 204
        async with session.get(f"{url}bench") as answer:
            assert (await answer.json())["evses"][0]["id"] == 1
        bench.refuse = (409, "already plugged")
        async with session.post(path, json=call, headers=own) as answer:
            assert (answer.status, await answer.json()) == (409, {"error": "already plugged"})
        await bench.stop()
        async with session.post(path, json=call, headers=own) as answer:
            assert answer.status == 503
    assert bench.calls == [
        ("POST", "/bench/evses/1/plug", call),
        ("DELETE", "/bench/evses/1/faults/rcd", {}),
    ]


async def test_a_latch_is_cleared_only_from_our_own_page_and_where_it_is_offered(
    station: Any,
) -> None:
    cleared = []
    server = WebServer(
        station, "127.0.0.1:0", "http://127.0.0.1:9", lambda *what: cleared.append(what)
    )
    await server.start()
    path = f"{server.url}api/evses/1/clear-fault/rcd"
    own = {"Origin": server.url.rstrip("/")}
    async with ClientSession() as session:
        async with session.post(path) as answer:
            assert answer.status == 403
        assert cleared == []
        async with session.post(path, headers=own) as answer:
            assert answer.status == 204
    await server.stop()
    assert cleared == [(1, "rcd")]
    async with serving(station, "http://127.0.0.1:9") as (url, session):
        path = f"{url}api/evses/1/clear-fault/rcd"
        async with session.post(path, headers={"Origin": url.rstrip("/")}) as answer:
            assert answer.status == 501
    async with serving(station) as (url, session):
        path = f"{url}api/evses/1/clear-fault/rcd"
        async with session.post(path, headers={"Origin": url.rstrip("/")}) as answer:
            assert answer.status == 404


async def test_without_virtual_hardware_there_is_no_bench(station: Any) -> None:
    async with (
        serving(station) as (url, session),
        session.post(f"{url}bench/evses/1/plug", headers={"Origin": url.rstrip("/")}) as answer,
    ):
        assert answer.status == 404


async def test_what_is_no_number_becomes_null() -> None:
    state = {"a": math.nan, "b": [math.inf, 1.5], "c": (1, {"d": -math.inf})}
    assert json.loads(to_json(state)) == {"a": None, "b": [None, 1.5], "c": [1, {"d": None}]}


@pytest.mark.parametrize("listen", ["", "8080", "127.0.0.1", "host:", "host:x", "host:70000"])
async def test_wrong_listen_is_said(listen: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_listen(listen)


async def test_listen_addresses() -> None:
    assert parse_listen("127.0.0.1:8080") == ("127.0.0.1", 8080)
    assert parse_listen("[::1]:80") == ("::1", 80)
    assert parse_listen("0.0.0.0:0") == ("0.0.0.0", 0)
