"""Real handshakes on loopback: whom the station trusts, with what, and how it says what was wrong (R16-SEC-5, RPC-14)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from controller.ocpp.backoff import BackOff
from controller.ocpp.endpoint import Endpoint, Problem
from controller.ocpp.link import Link
from controller.ocpp.tls import CIPHERS_1_2
from controller.ports_security import Peer, TlsMaterial
from tests.unit.security.pki import Holder, authority, issue, rsa_key
from tests.unit.security.server import Blunt, Server, server_context


class Once:
    """A link and what it learnt."""

    def __init__(self, url: str, material: TlsMaterial | None, password: bytes | None = None):
        self.endpoint = Endpoint(
            url=url,
            station_id="CP1",
            subprotocols=("ocpp1.6",),
            password=password,
            tls=material,
        )
        self.peer: Peer | None = None
        self.problems: list[tuple[Problem, str]] = []
        self.changed = asyncio.Event()
        self.link = Link(
            self,
            BackOff(wait_minimum_s=0.02, random_range_s=0, repeat_times=1, random=lambda: 0.0),
            on_up=lambda: None,
            on_down=lambda: None,
            on_frame=lambda _raw: None,
            ping_interval_s=lambda: 0.0,
            open_timeout_s=3.0,
        )
        self.task = asyncio.create_task(self.link.run())

    def next(self) -> Endpoint:
        return self.endpoint

    def opened(self, peer: Peer) -> None:
        self.peer = peer
        self.changed.set()

    def worked(self) -> None:
        pass

    def failed(self, problem: Problem, why: str) -> bool:
        self.problems.append((problem, why))
        self.changed.set()
        return False

    async def result(self) -> Peer | Problem:
        async with asyncio.timeout(8):
            await self.changed.wait()
        return self.peer if self.peer is not None else self.problems[0][0]

    @property
    def why(self) -> str:
        return self.problems[0][1]


@pytest.fixture
async def once() -> AsyncIterator[Any]:
    made: list[Once] = []

    def make(url: str, material: TlsMaterial | None, password: bytes | None = None) -> Once:
        made.append(Once(url, material, password))
        return made[-1]

    yield make
    for one in made:
        one.task.cancel()
        await asyncio.gather(one.task, return_exceptions=True)


def trust(root: Holder, **more: Any) -> TlsMaterial:
    return TlsMaterial(roots_pem=root.pem, **more)


def server_of(root: Holder, rsa: bool = False, **more: Any) -> Holder:
    options: dict[str, Any] = {"hosts": ("localhost",), **more}
    return issue("localhost", root, key=rsa_key(1) if rsa else None, **options)


@pytest.mark.parametrize("rsa", [False, True])
@pytest.mark.parametrize("high", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_trusted_backend(tmp_path: Path, once: Any, rsa: bool, high: Any) -> None:
    root = authority(key=rsa_key(0) if rsa else None)
    middle = authority("Middle", root)
    server = server_of(middle, rsa)
    async with Server(server_context(server, tmp_path, high=high)) as backend:
        peer = await once(backend.url(), trust(root), b"geheim").result()
        assert isinstance(peer, Peer)
        assert peer.tls_version in ("TLSv1.2", "TLSv1.3")
        assert peer.chain[0] == server.der
        assert peer.chain[-1] == root.der
        assert backend.sni == ["localhost"]
        assert "Authorization" in backend.headers[0]
        assert "Sec-WebSocket-Extensions" not in backend.headers[0]


@pytest.mark.parametrize("suite", CIPHERS_1_2)
async def test_r16_sec_5_every_suite_of_the_paper(tmp_path: Path, once: Any, suite: str) -> None:
    root = authority()
    server = server_of(root, rsa="ECDSA" not in suite)
    context = server_context(server, tmp_path, high=ssl.TLSVersion.TLSv1_2, ciphers=suite)
    async with Server(context) as backend:
        peer = await once(backend.url(), trust(root)).result()
        assert isinstance(peer, Peer)
        assert peer.cipher == suite


async def test_r16_sec_5_with_a_name_in_the_common_name_only(tmp_path: Path, once: Any) -> None:
    root = authority()
    async with Server(server_context(server_of(root, hosts=()), tmp_path)) as backend:
        assert isinstance(await once(backend.url(), trust(root)).result(), Peer)


async def test_trustme_agrees(tmp_path: Path, once: Any) -> None:
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    roots = ca.cert_pem.bytes().decode()
    async with Server(context) as backend:
        assert isinstance(await once(backend.url(), TlsMaterial(roots_pem=roots)).result(), Peer)


async def refused(backend: Server, once: Any, material: TlsMaterial) -> Once:
    one: Once = once(backend.url(), material, b"geheimgeheimgehe")
    await one.result()
    assert backend.headers == [], "nothing may be told to it"
    return one


@pytest.mark.parametrize(
    "wrong",
    [
        {"hosts": ("other.example",)},
        {"begins": timedelta(days=-30), "lasts": timedelta(days=20)},
        {"begins": timedelta(days=3)},
        {"key": rsa_key(9, 1024)},
    ],
    ids=["host", "expired", "not yet", "short key"],
)
async def test_r16_sec_5_a_wrong_certificate_is_named_and_nothing_is_told(
    tmp_path: Path, once: Any, wrong: dict[str, Any]
) -> None:
    root = authority()
    server = issue("localhost", root, **{"hosts": ("localhost",), **wrong})
    context = server_context(server, tmp_path, ciphers="DEFAULT:@SECLEVEL=0")
    async with Server(context) as backend:
        one = await refused(backend, once, trust(root))
        assert one.problems[0][0] is Problem.CERTIFICATE
        assert "not trusted" in one.why


async def test_r16_sec_5_another_root_is_not_trusted(tmp_path: Path, once: Any) -> None:
    async with Server(server_context(server_of(authority("Other")), tmp_path)) as backend:
        one = await refused(backend, once, trust(authority()))
        assert one.problems[0][0] is Problem.CERTIFICATE


async def test_no_root_at_all_trusts_nobody(tmp_path: Path, once: Any) -> None:
    async with Server(server_context(server_of(authority()), tmp_path)) as backend:
        one = await refused(backend, once, TlsMaterial())
        assert one.problems[0][0] is Problem.CERTIFICATE


async def test_the_host_name_may_be_left_unchecked(tmp_path: Path, once: Any) -> None:
    root = authority()
    server = server_of(root, hosts=("other.example",))
    async with Server(server_context(server, tmp_path)) as backend:
        material = trust(root, verify_hostname=False)
        assert isinstance(await once(backend.url(), material).result(), Peer)


async def test_r16_sec_5_a_backend_with_tls_1_1_only(tmp_path: Path, once: Any) -> None:
    root = authority(key=rsa_key(0))
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context = server_context(
            server_of(root, rsa=True),
            tmp_path,
            low=ssl.TLSVersion.TLSv1_1,
            high=ssl.TLSVersion.TLSv1_1,
            ciphers="ALL:@SECLEVEL=0",
        )
    with Blunt(context) as backend:
        one = once(backend.url, trust(root), b"geheimgeheimgehe")
        assert await one.result() is Problem.TLS_VERSION
        assert "new enough" in one.why
        assert backend.heard == b""


async def test_r16_sec_5_a_backend_with_weak_suites_only(tmp_path: Path, once: Any) -> None:
    root = authority(key=rsa_key(0))
    context = server_context(
        server_of(root, rsa=True),
        tmp_path,
        high=ssl.TLSVersion.TLSv1_2,
        ciphers="AES128-SHA:@SECLEVEL=0",
    )
    with Blunt(context) as backend:
        one = once(backend.url, trust(root), b"geheimgeheimgehe")
        assert await one.result() is Problem.TLS_CIPHER
        assert "no cipher suite" in one.why
        assert backend.heard == b""


@pytest.mark.parametrize("high", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_r16_sec_1_profile_3_shows_the_certificate(
    tmp_path: Path, once: Any, high: Any
) -> None:
    root = authority()
    station = issue("SN-1", root).write(tmp_path, "station")
    context = server_context(server_of(root), tmp_path, client_roots=root.pem, high=high)
    async with Server(context) as backend:
        material = trust(root, certificate_file=str(station))
        assert isinstance(await once(backend.url(), material).result(), Peer)
        await backend.until(lambda: backend.peers == ["SN-1"])


@pytest.mark.parametrize("high", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_backend_that_refuses_our_certificate_is_understood(
    tmp_path: Path, once: Any, high: Any
) -> None:
    root = authority()
    station = issue("SN-1", authority("Foreign")).write(tmp_path, "station")
    context = server_context(server_of(root), tmp_path, client_roots=root.pem, high=high)
    with Blunt(context) as backend:
        one = once(backend.url, trust(root, certificate_file=str(station)))
        problem = await one.result()
        if high is ssl.TLSVersion.TLSv1_3 and problem is Problem.CLOSED:
            # The station has asked already when the alert comes: the reset may overtake it.
            assert "may not like the station's certificate" in one.why
            return
        assert problem is Problem.OUR_CERTIFICATE
        assert "refused the station's certificate" in one.why


@pytest.mark.parametrize("high", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_backend_that_hangs_up_without_a_word(tmp_path: Path, once: Any, high: Any) -> None:
    root = authority()
    context = server_context(server_of(root), tmp_path, client_roots=root.pem, high=high)
    async with Server(context) as backend:
        one = once(backend.url(), trust(root))
        assert await one.result() is Problem.CLOSED
        assert "hung up" in one.why


async def test_a_server_without_tls_is_no_wss(once: Any) -> None:
    with Blunt(None) as backend:
        one = once(backend.url, trust(authority()), b"geheimgeheimgehe")
        assert await one.result() is Problem.TLS


async def test_a_client_certificate_that_cannot_be_read(once: Any) -> None:
    material = trust(authority(), certificate_file="/nowhere/x.pem")
    one = once("wss://localhost:1/", material)
    await one.result()
    assert "No such file" in one.why


async def test_rpc_15_with_a_wrong_clock_the_floor_judges(tmp_path: Path, once: Any) -> None:
    root = authority()
    later = server_of(root, begins=timedelta(days=3), lasts=timedelta(days=5))
    async with Server(server_context(later, tmp_path)) as backend:
        floor = datetime.now(UTC)
        material = trust(root, not_before_floor=floor)
        assert isinstance(await once(backend.url(), material).result(), Peer)
    async with Server(server_context(later, tmp_path)) as backend:
        material = trust(root, not_before_floor=floor + timedelta(days=30))
        one = await refused(backend, once, material)
        assert one.problems[0][0] is Problem.CERTIFICATE
        assert "expired" in one.why


async def test_rpc_15_a_wrong_clock_trusts_no_other_root(tmp_path: Path, once: Any) -> None:
    async with Server(server_context(server_of(authority("Other")), tmp_path)) as backend:
        material = trust(authority(), not_before_floor=datetime.now(UTC))
        one = await refused(backend, once, material)
        assert one.problems[0][0] is Problem.CERTIFICATE


async def test_rpc_17_a_redirect_is_not_followed(tmp_path: Path, once: Any) -> None:
    async with Server() as elsewhere, Server() as backend:
        backend.redirect = elsewhere.url() + "/CP1"
        one = once(backend.url(), None, b"geheimgeheimgehe")
        assert await one.result() is Problem.HTTP
        assert "do not go" in one.why
        assert elsewhere.headers == []
