"""The link against a real WebSocket server on loopback: comes back from everything, and says why."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator

import pytest

from controller.demo.csms import Csms
from controller.ocpp.backoff import BackOff
from controller.ocpp.endpoint import Endpoint
from controller.ocpp.link import Link


class Peer:
    """A link and what it reported."""

    def __init__(self, url: str, **options: object) -> None:
        password = options.pop("password", None)
        ping_s = options.pop("ping_s", 0.0)
        station_id = options.pop("station_id", "CP1")
        self.ups = 0
        self.downs = 0
        self.frames: list[bytes | str] = []
        self.changed = asyncio.Event()
        self.link = Link(
            Endpoint(
                url=url,
                station_id=str(station_id),
                subprotocols=("ocpp1.6",),
                password=password if isinstance(password, bytes) else None,
            ),
            BackOff(
                wait_minimum_s=0.05,
                random_range_s=0.0,
                repeat_times=2,
                random=lambda: 0.0,
            ),
            on_up=self.up,
            on_down=self.down,
            on_frame=self.frame,
            ping_interval_s=lambda: ping_s,  # type: ignore[arg-type, return-value]
            pong_timeout_s=0.2,
            open_timeout_s=1.0,
        )
        self.task = asyncio.create_task(self.link.run())

    def up(self) -> None:
        self.ups += 1
        self.changed.set()

    def down(self) -> None:
        self.downs += 1
        self.changed.set()

    def frame(self, raw: bytes | str) -> None:
        self.frames.append(raw)
        self.changed.set()

    async def until(self, ups: int = 0, downs: int = 0, frames: int = 0) -> None:
        async with asyncio.timeout(5):
            while self.ups < ups or self.downs < downs or len(self.frames) < frames:
                self.changed.clear()
                await self.changed.wait()

    async def until_why(self, why: str) -> None:
        """The link says so."""
        async with asyncio.timeout(5):
            while self.link.why != why:
                await asyncio.sleep(0.001)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
async def csms() -> AsyncIterator[Csms]:
    server = Csms()
    await server.start()
    yield server
    await server.stop()


async def test_rpc_1_url_with_the_percent_encoded_identity() -> None:
    assert Endpoint(
        url="ws://host/ocpp/", station_id="RDAM 12|3", subprotocols=("ocpp1.6",)
    ).address == ("ws://host/ocpp/RDAM%2012%7C3")
    assert Endpoint(
        url="wss://host:9/a?token=x", station_id="a/b", subprotocols=("ocpp1.6",)
    ).address == ("wss://host:9/a/a%2Fb?token=x")


async def test_frames_go_both_ways(csms: Csms) -> None:
    peer = Peer(csms.url, station_id="CP 1")
    await peer.until(ups=1)
    assert csms.handshakes[0][1] == "/ocpp/CP 1"
    assert peer.link.why == "connected with ocpp1.6"
    peer.link.send('[2,"1","Heartbeat",{}]')
    await peer.until(frames=1)
    await csms.send_raw("ü")
    await peer.until(frames=2)
    assert peer.frames[1] == "ü".encode()
    await peer.stop()
    assert peer.downs == 1


async def test_rpc_9_comes_back_after_a_break_and_after_a_close(
    csms: Csms, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "controller.ocpp.link")
    peer = Peer(csms.url)
    await peer.until(ups=1)
    await csms.send_raw("x")
    await peer.until(frames=1)
    csms.drop()
    await peer.until(ups=2)
    assert "without a goodbye" in caplog.text
    await csms.send_raw("x")
    await peer.until(frames=2)
    await csms.close(1012, "restart")
    await peer.until(ups=3)
    assert "closed the connection (1012 restart)" in caplog.text
    await peer.stop()


async def test_a_backend_that_comes_later_is_found_and_the_loss_is_logged_once(
    csms: Csms, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "controller.ocpp.link")
    await csms.stop()
    peer = Peer(csms.url)
    await peer.until_why("nothing listens at the backend's address")
    await csms.start()
    await peer.until(ups=1)
    assert "backend back after" not in caplog.text
    await csms.send_raw("x")
    await peer.until(frames=1)
    losses = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(losses) == 1
    assert sum("backend back after" in r.message for r in caplog.records) == 1
    await peer.stop()


@pytest.mark.parametrize("status", [301, 401, 403, 404, 429, 500, 502, 503])
async def test_r16_boot_9_every_http_answer_is_survived(csms: Csms, status: int) -> None:
    csms.refuse_with = status
    peer = Peer(csms.url)
    await csms.until(lambda: len(csms.handshakes) >= 2)
    assert str(status) in peer.link.why
    csms.refuse_with = None
    await peer.until(ups=1)
    await peer.stop()


async def test_rpc_16_basic_authentication_on_every_handshake() -> None:
    csms = Csms(password="geheim:ü")
    await csms.start()
    wrong = Peer(csms.url, password=b"wrong")
    await csms.until(lambda: len(csms.handshakes) >= 2)
    assert "refused the password" in wrong.link.why
    await wrong.stop()
    right = Peer(csms.url, password="geheim:ü".encode())
    await right.until(ups=1)
    assert "geheim" not in repr(right.link._attempts.next())
    await right.stop()
    await csms.stop()


def test_r16_sec_2_password_bytes_need_not_be_text() -> None:
    endpoint = Endpoint(url="ws://h/", station_id="C", subprotocols=("x",), password=b"\x00\xff")
    coded = endpoint.headers()["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(coded) == b"C:\x00\xff"


async def test_rpc_2_a_server_without_our_sub_protocol_is_left() -> None:
    csms = Csms(subprotocols=())
    await csms.start()
    peer = Peer(csms.url)
    await csms.until(lambda: len(csms.handshakes) >= 3)
    assert peer.ups == 0
    assert "none of the sub-protocols ocpp1.6" in peer.link.why
    await peer.stop()
    await csms.stop()


async def test_an_immediate_close_is_backed_off(csms: Csms) -> None:
    csms.close_at_once = True
    peer = Peer(csms.url)
    await csms.until(lambda: len(csms.handshakes) >= 4)
    times = [at for at, _ in csms.handshakes]
    assert times[3] - times[2] > times[1] - times[0]
    assert times[3] - times[2] >= 0.09
    csms.close_at_once = False
    await csms.until(lambda: csms.connected)
    await peer.stop()


async def test_rpc_10_a_half_open_link_is_noticed_by_ping(csms: Csms) -> None:
    peer = Peer(csms.url, ping_s=0.1)
    await peer.until(ups=1)
    csms.go_silent()
    await peer.until(downs=1)
    await peer.until(ups=2)
    await peer.stop()


async def test_a_probe_finds_a_half_open_link_even_without_pings(csms: Csms) -> None:
    peer = Peer(csms.url, ping_s=0.0)
    await peer.until(ups=1)
    csms.go_silent()
    peer.link.probe()
    await peer.until(downs=1)
    await peer.stop()


async def test_pings_are_answered_so_the_link_stays(csms: Csms) -> None:
    peer = Peer(csms.url, ping_s=0.02)
    await peer.until(ups=1)
    await asyncio.sleep(0.5)
    assert (peer.ups, peer.downs) == (1, 0)
    await peer.stop()


async def test_disconnect_stays_off_and_connect_comes_back_at_once(csms: Csms) -> None:
    peer = Peer(csms.url)
    await peer.until(ups=1)
    await peer.link.disconnect()
    await peer.until(downs=1)
    assert peer.link.why == "disconnected on request"
    await asyncio.sleep(0.2)
    assert peer.ups == 1
    await peer.link.connect()
    await peer.until(ups=2)
    await peer.stop()


async def test_connect_ends_the_back_off(csms: Csms) -> None:
    await csms.stop()
    peer = Peer(csms.url)
    peer.link._back_off.wait_minimum_s = 60.0
    await peer.until_why("nothing listens at the backend's address")
    await csms.start()
    await peer.link.connect()
    await peer.until(ups=1)
    await peer.stop()


async def test_rpc_12_five_megabytes_come_through(csms: Csms) -> None:
    peer = Peer(csms.url)
    await peer.until(ups=1)
    await csms.send_raw("x" * 5_000_000)
    await peer.until(frames=1)
    assert len(peer.frames[0]) == 5_000_000
    await peer.stop()


async def test_rpc_13_bad_utf_8_does_not_end_the_connection(csms: Csms) -> None:
    peer = Peer(csms.url)
    await peer.until(ups=1)
    await csms.send_raw(b"\xff\xfe")
    await peer.until(frames=1)
    assert peer.frames[0] == b"\xff\xfe"
    assert peer.downs == 0
    await peer.stop()


async def test_a_wrong_url_is_explained() -> None:
    peer = Peer("http://127.0.0.1:1/x")
    await peer.until_why("the backend's URL is not valid")
    await peer.stop()
