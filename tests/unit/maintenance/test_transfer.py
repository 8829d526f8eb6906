"""Uploads and downloads against real servers on loopback (R16-SEC-9, R16-DIAG-1, R16-FW-1)."""

from __future__ import annotations

import asyncio
import itertools
import logging
import ssl
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from controller.maintenance.transfer import (
    Failure,
    Limits,
    Transfer,
    TransferFailed,
    address,
    protocols,
    retrying,
)
from tests.unit.maintenance.servers import (
    PASSWORD,
    USER,
    certificate,
    free_port,
    ftp_server,
    http_server,
    sftp_server,
)
from tests.unit.station.fakes import FakeClock

BODY = bytes(range(256)) * 3000


class Files:
    """What is served, what is sent, and how the station trusts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.served = folder / "served"
        (self.served / "logs").mkdir(parents=True)
        (self.served / "firmware.bin").write_bytes(BODY)
        self.sent = folder / "sent.tar.gz"
        self.sent.write_bytes(BODY)
        self.root, self.both = certificate(folder)

    def transfer(self, *, trusting: bool = True, most_bytes: int = 1 << 24) -> Transfer:
        def trust() -> ssl.SSLContext:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if trusting:
                context.load_verify_locations(self.root)
            return context

        limits = Limits(connect_s=5.0, silence_s=5.0, most_bytes=most_bytes)
        return Transfer(trust, self.folder / "known_hosts", limits)

    async def round_trip(self, base: str) -> None:
        await self.transfer().upload(self.sent, f"{base}/logs/", "a log.tar.gz")
        assert (self.served / "logs" / "a log.tar.gz").read_bytes() == BODY
        await self.transfer().download(f"{base}/firmware.bin", self.folder / "image")
        assert (self.folder / "image").read_bytes() == BODY


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


async def failure(work: Callable[[], object]) -> TransferFailed:
    with pytest.raises(TransferFailed) as caught:
        await work()  # type: ignore[misc]
    assert PASSWORD not in str(caught.value)
    return caught.value


# --- HTTP -----------------------------------------------------------------------------------------


async def test_http(files: Files) -> None:
    async with http_server(files.served) as base:
        await files.round_trip(base)


async def test_https(files: Files) -> None:
    async with http_server(files.served, tls=files.both) as base:
        await files.round_trip(base)


async def test_https_with_a_certificate_that_no_root_vouches_for(files: Files) -> None:
    async with http_server(files.served, tls=files.both) as base:
        transfer = files.transfer(trusting=False)
        error = await failure(lambda: transfer.download(f"{base}/firmware.bin", files.folder / "x"))
    assert error.failure is Failure.DENIED
    assert "certificate" in str(error)


async def test_roots_that_cannot_be_read(files: Files) -> None:
    def trust() -> ssl.SSLContext:
        raise ssl.SSLError("no start line")

    transfer = Transfer(trust, files.folder / "known_hosts")
    for scheme in ("https", "ftpes"):
        url = f"{scheme}://127.0.0.1:{free_port()}/firmware.bin"
        error = await failure(lambda url=url: transfer.download(url, files.folder / "x"))
        assert error.failure is Failure.FAILED


async def test_a_server_without_put_gets_a_form(files: Files) -> None:
    async with http_server(files.served, put=False) as base:
        await files.transfer().upload(files.sent, f"{base}/logs", "a.tar.gz")
    assert (files.served / "logs" / "a.tar.gz").read_bytes() == BODY


async def test_a_signed_address_is_taken_as_it_is(files: Files) -> None:
    async with http_server(files.served) as base:
        await files.transfer().upload(files.sent, f"{base}/logs/there.gz?signature=1", "a.gz")
    assert (files.served / "logs" / "there.gz").read_bytes() == BODY


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (400, Failure.BAD_MESSAGE),
        (403, Failure.DENIED),
        (501, Failure.NOT_SUPPORTED),
        (503, Failure.FAILED),
    ],
)
async def test_http_refusals(files: Files, status: int, meaning: Failure) -> None:
    async with http_server(files.served, refuse=status) as base:
        error = await failure(lambda: files.transfer().upload(files.sent, f"{base}/logs", "a.gz"))
    assert error.failure is meaning


async def test_wrong_password(files: Files) -> None:
    async with http_server(files.served) as base:
        wrong = base.replace(PASSWORD, "other")
        error = await failure(lambda: files.transfer().upload(files.sent, f"{wrong}/logs", "a.gz"))
    assert error.failure is Failure.DENIED


async def test_too_large_leaves_nothing(files: Files) -> None:
    async with http_server(files.served) as base:
        transfer, image = files.transfer(most_bytes=1000), files.folder / "image"
        error = await failure(lambda: transfer.download(f"{base}/firmware.bin", image))
    assert "larger" in str(error)
    assert not image.exists()


async def test_nobody_listens(files: Files) -> None:
    for scheme in ("http", "ftp", "ftpes", "sftp"):
        url = f"{scheme}://{USER}:{PASSWORD}@127.0.0.1:{free_port()}/logs"
        error = await failure(lambda url=url: files.transfer().upload(files.sent, url, "a.gz"))
        assert error.failure is Failure.FAILED, scheme


# --- FTP ------------------------------------------------------------------------------------------


async def test_ftp(files: Files) -> None:
    with ftp_server(files.served) as host:
        await files.round_trip(f"ftp://{USER}:{PASSWORD}@{host}")


@pytest.mark.parametrize("scheme", ["ftpes", "ftps"])
async def test_explicit_ftps(files: Files, scheme: str) -> None:
    with ftp_server(files.served, tls=files.both) as host:
        await files.round_trip(f"{scheme}://{USER}:{PASSWORD}@{host}")


async def test_implicit_ftps(files: Files) -> None:
    with ftp_server(files.served, tls=files.both, implicit=True) as host:
        await files.round_trip(f"ftps://{USER}:{PASSWORD}@{host}")


async def test_ftps_with_a_certificate_that_no_root_vouches_for(files: Files) -> None:
    with ftp_server(files.served, tls=files.both) as host:
        url = f"ftpes://{USER}:{PASSWORD}@{host}/logs"
        transfer = files.transfer(trusting=False)
        error = await failure(lambda: transfer.upload(files.sent, url, "a.gz"))
    assert error.failure is Failure.DENIED


async def test_ftp_refusals(files: Files) -> None:
    with ftp_server(files.served) as host:
        wrong = f"ftp://{USER}:other@{host}/logs"
        error = await failure(lambda: files.transfer().upload(files.sent, wrong, "a.gz"))
        assert error.failure is Failure.DENIED
        nowhere = f"ftp://{USER}:{PASSWORD}@{host}/no/such"
        error = await failure(lambda: files.transfer().download(nowhere, files.folder / "x"))
        assert error.failure is Failure.DENIED


# --- SFTP -----------------------------------------------------------------------------------------


async def test_sftp_and_the_key_of_the_host(files: Files) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    async with sftp_server(files.served, key) as port:
        base = f"sftp://{USER}:{PASSWORD}@127.0.0.1:{port}"
        await files.round_trip(base)
        wrong = f"sftp://{USER}:other@127.0.0.1:{port}/logs"
        error = await failure(lambda: files.transfer().upload(files.sent, wrong, "a.gz"))
        assert error.failure is Failure.DENIED
        nowhere = f"{base}/no/such"
        error = await failure(lambda: files.transfer().download(nowhere, files.folder / "x"))
        assert error.failure is Failure.FAILED
    other = asyncssh.generate_private_key("ssh-ed25519")
    async with sftp_server(files.served, other, port):
        error = await failure(lambda: files.transfer().upload(files.sent, base, "a.gz"))
        assert error.failure is Failure.DENIED
        assert "another key" in str(error)


# --- addresses and attempts -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "meaning"),
    [
        ("gopher://host/x", Failure.NOT_SUPPORTED),
        ("/just/a/path", Failure.BAD_MESSAGE),
        ("http:///no-host", Failure.BAD_MESSAGE),
        ("ftp://host:port/x", Failure.BAD_MESSAGE),
        ("ftp://host/a%0d%0aDELE b", Failure.BAD_MESSAGE),
        ("http://[::1/x", Failure.BAD_MESSAGE),
        ("", Failure.BAD_MESSAGE),
    ],
)
def test_addresses_that_cannot_be_used(url: str, meaning: Failure) -> None:
    with pytest.raises(TransferFailed) as caught:
        address(url)
    assert caught.value.failure is meaning


def test_an_address_never_shows_its_password() -> None:
    where = address("ftp://us%40er:pass%2Fword@host.example:2121/a%20b/c")
    assert (where.user, where.password, where.path) == ("us@er", "pass/word", ("a b", "c"))
    assert "pass" not in repr(where)
    assert where.shown == "ftp://host.example:2121/a%20b/c"


def test_what_is_reported_is_what_can_be_used() -> None:
    assert protocols() == ["HTTPS", "HTTP", "FTP", "FTPS", "SFTP"]


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (2, 3), (None, 3), (-1, 1)])
async def test_retries_come_after_the_first_attempt(
    retries: int | None, attempts: int, caplog: pytest.LogCaptureFixture
) -> None:
    clock, at = FakeClock(), []

    async def attempt() -> None:
        at.append(clock.now_ns)
        raise TransferFailed(Failure.FAILED, "no luck")

    caplog.set_level(logging.ERROR)
    work = asyncio.ensure_future(retrying(attempt, retries=retries, interval_s=10, clock=clock))
    while not work.done():
        await asyncio.sleep(0)
        if (due := clock.next_due()) is not None:
            clock.now_ns = due
            clock.wake()
    with pytest.raises(TransferFailed):
        work.result()
    assert len(at) == attempts
    assert [(b - a) / 1e9 for a, b in itertools.pairwise(at)] == [10.0] * (attempts - 1)


async def test_what_cannot_succeed_is_not_repeated() -> None:
    tried = []

    async def attempt() -> None:
        tried.append(1)
        raise TransferFailed(Failure.NOT_SUPPORTED, "gopher: is not supported")

    with pytest.raises(TransferFailed):
        await retrying(attempt, retries=5, interval_s=10, clock=FakeClock())
    assert tried == [1]
