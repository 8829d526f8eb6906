"""HTTP and HTTPS: PUT into a directory (or POST as a form where PUT is unknown), GET."""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import aiohttp
from yarl import URL

from controller.maintenance.transfer import (
    BLOCK_BYTES,
    Address,
    Failure,
    Limits,
    TransferFailed,
)

MOST_REDIRECTS = 5
_FAILURES = {
    400: Failure.BAD_MESSAGE,
    401: Failure.DENIED,
    403: Failure.DENIED,
    405: Failure.NOT_SUPPORTED,
    407: Failure.DENIED,
    501: Failure.NOT_SUPPORTED,
}


async def upload(
    file: Path, where: Address, name: str, tls: ssl.SSLContext | None, limits: Limits
) -> None:
    """PUT to DIRECTORY/NAME; an address with a query is taken as it is (it may be signed)."""
    target = URL(where.url, encoded=True).with_user(None).with_fragment(None)
    if not target.query_string:
        directory = target.raw_path.rstrip("/")
        target = target.with_path(f"{directory}/{quote(name)}", encoded=True)
    async with _session(where, tls, limits) as session:
        with file.open("rb") as body:
            headers = {
                "Content-Length": str(os.fstat(body.fileno()).st_size),
                "Content-Type": "application/octet-stream",
            }
            async with session.put(
                target, data=body, headers=headers, allow_redirects=False
            ) as answer:
                status = answer.status
        if status in (404, 405, 501) and not target.query_string:
            plain = URL(where.url, encoded=True).with_user(None).with_fragment(None)
            with file.open("rb") as body:
                form = aiohttp.FormData()
                form.add_field("file", body, filename=name, content_type="application/gzip")
                async with session.post(plain, data=form, allow_redirects=False) as answer:
                    posted = answer.status
            status = posted if posted not in (404, 405) else status
    _judge(status, where)


async def download(file: Path, where: Address, tls: ssl.SSLContext | None, limits: Limits) -> None:
    """GET; never from https on to http."""
    target = URL(where.url, encoded=True).with_user(None).with_fragment(None)
    async with (
        _session(where, tls, limits) as session,
        session.get(target, max_redirects=MOST_REDIRECTS) as answer,
    ):
        _judge(answer.status, where)
        if where.scheme == "https" and answer.url.scheme != "https":
            raise TransferFailed(Failure.DENIED, f"{where.shown}: leads to an unprotected address")
        if (answer.content_length or 0) > limits.most_bytes:
            raise _too_large(where, limits)
        received = 0
        with file.open("wb") as out:
            async for block in answer.content.iter_chunked(BLOCK_BYTES):
                received += len(block)
                if received > limits.most_bytes:
                    raise _too_large(where, limits)
                out.write(block)


@asynccontextmanager
async def _session(
    where: Address, tls: ssl.SSLContext | None, limits: Limits
) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(
        total=None,
        connect=limits.connect_s,
        sock_connect=limits.connect_s,
        sock_read=limits.silence_s,
    )
    headers = {}
    if where.user:
        basic = base64.b64encode(f"{where.user}:{where.password}".encode()).decode()
        headers["Authorization"] = f"Basic {basic}"
    connector = aiohttp.TCPConnector(ssl=tls if tls is not None else True)
    try:
        async with aiohttp.ClientSession(
            timeout=timeout, headers=headers, connector=connector, auto_decompress=False
        ) as session:
            yield session
    except aiohttp.ClientConnectorCertificateError as error:
        text = f"{where.shown}: certificate not accepted: {error.certificate_error}"
        raise TransferFailed(Failure.DENIED, text) from error
    except aiohttp.InvalidURL as error:
        text = f"{where.shown}: the address cannot be understood"
        raise TransferFailed(Failure.BAD_MESSAGE, text) from error
    except TimeoutError as error:
        raise TransferFailed(Failure.FAILED, f"{where.shown}: does not answer in time") from error
    except aiohttp.ClientError as error:
        text = f"{where.shown}: {type(error).__name__}"
        if isinstance(error, aiohttp.ClientOSError):
            text = f"{where.shown}: {error.strerror or 'the connection broke'}"
        raise TransferFailed(Failure.FAILED, text) from error


def _judge(status: int, where: Address) -> None:
    if not 200 <= status < 300:
        failure = _FAILURES.get(status, Failure.FAILED)
        raise TransferFailed(failure, f"{where.shown}: the server answered {status}")


def _too_large(where: Address, limits: Limits) -> TransferFailed:
    return TransferFailed(
        Failure.FAILED, f"{where.shown}: larger than {limits.most_bytes // 1_000_000} MB"
    )
