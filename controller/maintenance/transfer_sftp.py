"""SFTP. The key of a host is remembered at the first visit; another one later is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import asyncssh

from controller.maintenance.transfer import (
    BLOCK_BYTES,
    Address,
    Failure,
    Limits,
    TransferFailed,
)

PORT = 22

asyncssh.set_log_level("WARNING")  # it tells every step of every handshake otherwise


async def upload(file: Path, where: Address, name: str, known_hosts: Path, limits: Limits) -> None:
    """Write DIRECTORY/NAME."""
    async with _client(where, known_hosts, limits) as sftp:
        with file.open("rb") as body:
            async with sftp.open("/".join((*_path(where), name)), "wb") as out:
                while block := body.read(BLOCK_BYTES):
                    async with asyncio.timeout(limits.silence_s):
                        await out.write(block)


async def download(file: Path, where: Address, known_hosts: Path, limits: Limits) -> None:
    """Read the file at the address."""
    async with (
        _client(where, known_hosts, limits) as sftp,
        sftp.open("/".join(_path(where)), "rb") as body,
    ):
        received = 0
        with file.open("wb") as out:
            while True:
                async with asyncio.timeout(limits.silence_s):
                    block = cast(bytes, await body.read(BLOCK_BYTES))
                if not block:
                    return
                received += len(block)
                if received > limits.most_bytes:
                    text = f"{where.shown}: larger than {limits.most_bytes // 1_000_000} MB"
                    raise TransferFailed(Failure.FAILED, text)
                out.write(block)


@asynccontextmanager
async def _client(
    where: Address, known_hosts: Path, limits: Limits
) -> AsyncIterator[asyncssh.SFTPClient]:
    host = _host(where)
    try:
        known = _known(known_hosts, host)
        async with asyncssh.connect(
            where.host,
            where.port or PORT,
            username=where.user or "anonymous",
            password=where.password,
            known_hosts=asyncssh.import_known_hosts(known) if known else None,
            client_keys=None,
            agent_path=None,
            config=None,
            connect_timeout=limits.connect_s,
            login_timeout=limits.connect_s,
            keepalive_interval=limits.silence_s / 2,
            encoding="utf-8",
        ) as connection:
            if not known:
                _remember(known_hosts, host, connection)
            async with connection.start_sftp_client() as sftp:
                yield sftp
    except asyncssh.HostKeyNotVerifiable as error:
        text = f"{where.shown}: the server shows another key than at the first visit"
        raise TransferFailed(Failure.DENIED, text) from error
    except (asyncssh.PermissionDenied, asyncssh.SFTPPermissionDenied) as error:
        raise TransferFailed(Failure.DENIED, f"{where.shown}: permission denied") from error
    except asyncssh.SFTPOpUnsupported as error:
        raise TransferFailed(Failure.NOT_SUPPORTED, f"{where.shown}: not supported") from error
    except asyncssh.SFTPBadMessage as error:
        raise TransferFailed(Failure.BAD_MESSAGE, f"{where.shown}: bad message") from error
    except (asyncssh.Error, TimeoutError) as error:
        reason = getattr(error, "reason", "") or "does not answer in time"
        raise TransferFailed(Failure.FAILED, f"{where.shown}: {reason}") from error


def _path(where: Address) -> tuple[str, ...]:
    """Relative to where the log-in leads; `//` at its begin makes it absolute, as elsewhere."""
    absolute = where.url.split("://", 1)[1].partition("/")[2].startswith(("/", "%2F", "%2f"))
    return ("", *(member.lstrip("/") for member in where.path)) if absolute else where.path


def _host(where: Address) -> str:
    port = where.port or PORT
    return where.host if port == PORT else f"[{where.host}]:{port}"


def _known(known_hosts: Path, host: str) -> str:
    try:
        lines = known_hosts.read_text().splitlines()
    except OSError:
        return ""
    return "\n".join(line for line in lines if line.partition(" ")[0] == host)


def _remember(known_hosts: Path, host: str, connection: asyncssh.SSHClientConnection) -> None:
    key = connection.get_server_host_key()
    if key is None:
        return
    known_hosts.parent.mkdir(parents=True, exist_ok=True)
    with known_hosts.open("a") as out:
        out.write(f"{host} {key.export_public_key('openssh').decode().strip()}\n")
