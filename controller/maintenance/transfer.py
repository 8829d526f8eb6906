"""Files to and from the operator's servers: HTTP(S), FTP(S), SFTP; the library of each is loaded when needed.

Everything streams: memory stays bounded whatever the size. Addresses may carry user and password; they are
used and never logged.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from controller.clock import Clock
from controller.errors import ChargepostError

log = logging.getLogger(__name__)

CONNECT_S = 30.0
SILENCE_S = 60.0
"""A transfer in which nothing moves for so long has failed."""
WHOLE_S = 4 * 3600.0
RETRIES = 2
RETRY_INTERVAL_S = 60
MOST_RETRIES = 100
MOST_INTERVAL_S = 86_400
IMAGE_MOST_BYTES = 1 << 30
BLOCK_BYTES = 1 << 16


class Failure(StrEnum):
    """Why, as precisely as OCPP has words for it."""

    FAILED = "failed"
    BAD_MESSAGE = "bad_message"
    """the address cannot be understood, or the server did not understand us"""
    DENIED = "denied"
    """user, password, key or rights are not accepted"""
    NOT_SUPPORTED = "not_supported"
    """a protocol or operation that one side does not have"""


class TransferFailed(ChargepostError):
    """One attempt failed; the text says why and contains no secret."""

    def __init__(self, failure: Failure, text: str) -> None:
        self.failure = failure
        super().__init__(text)

    @property
    def is_final(self) -> bool:
        """Trying again leads to the same."""
        return self.failure in (Failure.BAD_MESSAGE, Failure.NOT_SUPPORTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A URL taken apart. `path`: decoded members; `shown`: for logs, without user and password."""

    scheme: str
    host: str
    port: int | None
    user: str
    password: str
    path: tuple[str, ...]
    url: str
    shown: str

    def __repr__(self) -> str:
        return f"Address({self.shown})"


def address(location: str) -> Address:
    """Take a URL apart. Raises TransferFailed."""
    try:
        parts = urlsplit(location.strip())
        port = parts.port
    except ValueError as error:
        raise TransferFailed(Failure.BAD_MESSAGE, "the address cannot be understood") from error
    scheme = parts.scheme.lower()
    if scheme not in SCHEMES:
        raise TransferFailed(
            Failure.NOT_SUPPORTED if scheme else Failure.BAD_MESSAGE,
            f"{scheme[:20]}: is not supported" if scheme else "the address has no protocol",
        )
    if not parts.hostname:
        raise TransferFailed(Failure.BAD_MESSAGE, "the address has no host")
    members = tuple(unquote(member) for member in parts.path.split("/") if member)
    if any(ord(c) < 32 for c in "".join((*members, unquote(parts.netloc)))):
        raise TransferFailed(Failure.BAD_MESSAGE, "the address contains control characters")
    return Address(
        scheme=scheme,
        host=parts.hostname,
        port=port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        path=members,
        url=location.strip(),
        shown=_shown(parts),
    )


SCHEMES = ("http", "https", "ftp", "ftps", "ftpes", "sftp")


def protocols() -> list[str]:
    """What can be used here, in the spelling of SupportedFileTransferProtocols."""
    here = ["HTTPS", "HTTP"] if find_spec("aiohttp") else []
    return here + ["FTP", "FTPS"] + (["SFTP"] if find_spec("asyncssh") else [])


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds and bytes."""

    connect_s: float = CONNECT_S
    silence_s: float = SILENCE_S
    whole_s: float = WHOLE_S
    most_bytes: int = IMAGE_MOST_BYTES


class Transfer:
    """One attempt each; `retrying` repeats them. `trust` makes the TLS context, `known_hosts` remembers SSH keys."""

    def __init__(
        self,
        trust: Callable[[], ssl.SSLContext],
        known_hosts: Path,
        limits: Limits | None = None,
    ) -> None:
        self._trust = trust
        self._known_hosts = known_hosts
        self._limits = limits or Limits()

    async def upload(self, file: Path, location: str, name: str) -> None:
        """Put `file` into the directory `location` under `name`. Raises TransferFailed."""
        where = address(location)
        match where.scheme:
            case "http" | "https":
                from controller.maintenance import transfer_http as http

                work: Awaitable[None] = http.upload(
                    file, where, name, self._tls(where), self._limits
                )
            case "sftp":
                from controller.maintenance import transfer_sftp as sftp

                work = sftp.upload(file, where, name, self._known_hosts, self._limits)
            case _:
                from controller.maintenance import transfer_ftp as ftp

                work = ftp.upload(file, where, name, self._trust, self._limits)
        await self._bounded(work, where)

    async def download(self, location: str, file: Path) -> None:
        """Fetch `location` into `file`. Raises TransferFailed; then `file` is gone."""
        where = address(location)
        match where.scheme:
            case "http" | "https":
                from controller.maintenance import transfer_http as http

                work: Awaitable[None] = http.download(file, where, self._tls(where), self._limits)
            case "sftp":
                from controller.maintenance import transfer_sftp as sftp

                work = sftp.download(file, where, self._known_hosts, self._limits)
            case _:
                from controller.maintenance import transfer_ftp as ftp

                work = ftp.download(file, where, self._trust, self._limits)
        try:
            await self._bounded(work, where)
        except BaseException:
            _forget(file)
            raise

    def _tls(self, where: Address) -> ssl.SSLContext | None:
        # An http server may lead us on to https.
        if where.scheme not in ("http", "https"):
            return None
        try:
            return self._trust()
        except (OSError, ValueError) as error:
            raise TransferFailed(Failure.FAILED, f"the roots cannot be read: {error}") from error

    async def _bounded(self, work: Awaitable[None], where: Address) -> None:
        try:
            async with asyncio.timeout(self._limits.whole_s):
                await work
        except TimeoutError as error:
            raise TransferFailed(Failure.FAILED, f"{where.shown}: took too long") from error
        except ssl.SSLCertVerificationError as error:
            text = f"{where.shown}: certificate not accepted: {error.verify_message}"
            raise TransferFailed(Failure.DENIED, text) from error
        except OSError as error:
            raise TransferFailed(Failure.FAILED, f"{where.shown}: {error}") from error


async def retrying(
    attempt: Callable[[], Awaitable[None]],
    *,
    retries: int | None,
    interval_s: int | None,
    clock: Clock,
) -> None:
    """Try once and then up to `retries` times more, `interval_s` apart. Raises the last TransferFailed."""
    again = RETRIES if retries is None else max(0, min(retries, MOST_RETRIES))
    wait_s = RETRY_INTERVAL_S if interval_s is None else max(0, min(interval_s, MOST_INTERVAL_S))
    while True:
        try:
            await attempt()
            return
        except TransferFailed as error:
            if again == 0 or error.is_final:
                raise
            log.warning("%s; %d more attempts, the next in %d s", error, again, wait_s)
        again -= 1
        await clock.sleep(wait_s)


def _forget(file: Path) -> None:
    file.unlink(missing_ok=True)


def _shown(parts: SplitResult) -> str:
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"[:200]
