"""The guard's socket: several clients, none can block it, only the station may offer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.core.guard_messages import (
    Down,
    Fact,
    FactKind,
    FactsSince,
    Hello,
    Offer,
    Snapshot,
    Unlock,
    decode,
    encode,
)
from controller.guard import server as module
from controller.guard.ring import FactRing
from controller.guard.server import GuardServer


class Bed:
    def __init__(self, path: Path) -> None:
        self.ring = FactRing()
        self.handled: list[Down] = []
        self.path = path
        self.server = self.make()
        self.clients: list[socket.socket] = []

    def make(self) -> GuardServer:
        return GuardServer(
            self.path,
            self.ring,
            guard_id="g",
            boot_id="b",
            handle=self.handled.append,
            snapshot=lambda: Snapshot(at_ns=1, last_n=self.ring.last_n),
        )

    def client(self, role: str = "station", version: int = 1) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(self.path))
        client.settimeout(0.2)
        self.clients.append(client)
        client.sendall(encode(Hello(role=role, pid=1, version=version)))
        self.serve()
        return client

    def serve(self, rounds: int = 5) -> None:
        for _ in range(rounds):
            self.server.wait(0)

    def read(self, client: socket.socket) -> list[Any]:
        data = b""
        try:
            while chunk := client.recv(65536):
                data += chunk
        except TimeoutError:
            pass
        return [decode(line) for line in data.splitlines()]

    def tell(self, count: int) -> None:
        self.server.tell_facts(
            self.ring.add([Fact(n=0, at_ns=0, evse=1, kind=FactKind.PILOT)] * count)
        )


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    bed = Bed(tmp_path / "run" / "guard.sock")
    yield bed
    for client in bed.clients:
        client.close()
    bed.server.close()
    assert not bed.path.exists()


def names(messages: list[Any]) -> list[str]:
    return [type(message).__name__ for message in messages]


def test_hello_is_answered_and_facts_follow_on_request(bed: Bed) -> None:
    bed.tell(2)
    client = bed.client()
    assert names(bed.read(client)) == ["Welcome", "Snapshot"]
    bed.tell(1)
    assert bed.read(client) == []
    client.sendall(encode(FactsSince(n=1)))
    bed.serve()
    assert [getattr(m, "n", None) for m in bed.read(client)] == [2, 3, None]
    bed.tell(1)
    bed.server.tell_snapshot()
    assert names(bed.read(client)) == ["Fact", "Snapshot"]


def test_only_the_station_may_offer(bed: Bed) -> None:
    station, cli = bed.client(), bed.client("cli")
    offer = encode(Offer(evse=1, plug_id=1, max_amps=16))
    station.sendall(offer[:10])
    bed.serve()
    station.sendall(offer[10:])
    cli.sendall(encode(Unlock(evse=1)) + offer)
    bed.serve()
    assert sorted(names(bed.handled)) == ["Offer", "Unlock"]
    assert "only the station" in bed.read(cli)[-1].error


def test_other_version_is_answered_and_closed(bed: Bed) -> None:
    client = bed.client(version=99)
    assert "99" in bed.read(client)[0].error
    assert client.recv(1) == b""


@pytest.mark.parametrize("bad", [b"nonsense\n", b"[1]\n", b'{"type":"Offer"}\n', b"x" * 20_000])
def test_garbage_ends_the_connection_only(bed: Bed, bad: bytes) -> None:
    client, other = bed.client(), bed.client()
    client.sendall(bad)
    bed.serve()
    bed.read(client)
    assert client.recv(1) == b""
    other.sendall(encode(Unlock(evse=1)))
    bed.serve()
    assert names(bed.handled) == ["Unlock"]


def test_messages_before_hello_are_refused(bed: Bed) -> None:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(bed.path))
    bed.clients.append(client)
    client.sendall(encode(Unlock(evse=1)))
    bed.serve()
    assert bed.handled == []


def test_client_that_does_not_read_is_dropped_and_never_blocks(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 50_000)
    lazy, good = bed.client(), bed.client()
    for client in (lazy, good):
        client.sendall(encode(FactsSince(n=0)))
    bed.serve()
    for _ in range(60):
        bed.tell(100)
        bed.serve(1)
        assert bed.read(good) if False else True
        good.setblocking(False)
        try:
            while good.recv(1 << 20):
                pass
        except BlockingIOError:
            pass
    assert len(bed.server._clients) == 1


def test_slow_client_gets_everything_in_order(bed: Bed) -> None:
    client = bed.client()
    client.sendall(encode(FactsSince(n=0)))
    bed.serve()
    bed.read(client)
    bed.tell(900)
    bed.tell(900)
    data = b""
    client.settimeout(0.05)
    for _ in range(2000):
        try:
            data += client.recv(4096)
        except TimeoutError:
            break
        bed.serve(1)
    assert [json.loads(line)["n"] for line in data.splitlines()] == list(range(1, 1801))


def test_wake_ends_the_wait(bed: Bed) -> None:
    bed.server.wake()
    assert bed.server.wait(5) is True
    assert bed.server.wait(0) is False


def test_living_guard_is_not_disturbed_and_a_left_over_is_replaced(tmp_path: Path) -> None:
    bed = Bed(tmp_path / "guard.sock")
    with pytest.raises(OSError, match="another guard"):
        bed.make()
    bed.server._listener.close()
    again = bed.make()
    bed.server._listener = socket.socket()
    bed.server.close()
    again.close()


@pytest.mark.parametrize("text", [b"[" * 5000, b'{"a":' * 2000])
def test_endless_nesting_drops_its_client_only(bed: Bed, text: bytes) -> None:
    other = bed.client()
    bad = bed.client()
    bad.sendall(text + b"\n")
    bed.serve()
    bed.read(other)
    bed.server.tell_snapshot()
    assert isinstance(bed.read(other)[-1], Snapshot)
