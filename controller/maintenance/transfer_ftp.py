"""FTP and FTPS (explicit and implicit), passive, in a thread of its own.

`ftpes://` upgrades after the greeting; with `ftps://` the server decides: who greets first wants the upgrade,
who stays silent wants TLS at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ftplib
import select
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from controller.maintenance.transfer import (
    BLOCK_BYTES,
    Address,
    Failure,
    Limits,
    TransferFailed,
)

IMPLICIT_PORT = 990
GREETING_S = 1.5
Trust = Callable[[], ssl.SSLContext]


async def upload(file: Path, where: Address, name: str, trust: Trust, limits: Limits) -> None:
    """Store NAME in the directory of the address."""

    def work(session: _Session) -> None:
        ftp = session.open()
        _enter(ftp, where.path)
        with file.open("rb") as body:
            ftp.storbinary(f"STOR {name}", body, BLOCK_BYTES, session.check)

    await _in_thread(work, where, trust, limits)


async def download(file: Path, where: Address, trust: Trust, limits: Limits) -> None:
    """Retrieve the file at the address."""
    if not where.path:
        raise TransferFailed(Failure.BAD_MESSAGE, f"{where.shown}: names no file")

    def work(session: _Session) -> None:
        ftp = session.open()
        _enter(ftp, where.path[:-1])
        with file.open("wb") as out:
            ftp.retrbinary(
                f"RETR {where.path[-1]}", _Bounded(out, where, limits, session).write, BLOCK_BYTES
            )

    await _in_thread(work, where, trust, limits)


class _Bounded:
    def __init__(self, out: BinaryIO, where: Address, limits: Limits, session: _Session) -> None:
        self._out, self._where, self._limits, self._session = out, where, limits, session
        self._received = 0

    def write(self, block: bytes) -> None:
        self._session.check(block)
        self._received += len(block)
        if self._received > self._limits.most_bytes:
            text = f"{self._where.shown}: larger than {self._limits.most_bytes // 1_000_000} MB"
            raise TransferFailed(Failure.FAILED, text)
        self._out.write(block)


class _Session:
    """One connection; `cancel` may come from another thread."""

    def __init__(self, where: Address, trust: Trust, limits: Limits) -> None:
        self._where, self._trust, self._limits = where, trust, limits
        self._ftp: ftplib.FTP | None = None
        self._cancelled = False

    def open(self) -> ftplib.FTP:
        """Connect, protect, log in."""
        where = self._where
        if where.scheme == "ftp":
            self._ftp = ftp = ftplib.FTP(timeout=self._limits.connect_s)  # noqa: S321
            ftp.connect(where.host, where.port or ftplib.FTP_PORT)
        else:
            self._ftp = ftp = tls = _Tls(context=self._trust(), timeout=self._limits.connect_s)
            if self._is_implicit():
                tls.connect_implicit(where.host, where.port or IMPLICIT_PORT)
            else:
                tls.connect(where.host, where.port or ftplib.FTP_PORT)
        ftp.login(where.user or "anonymous", where.password or "anonymous@")
        if isinstance(ftp, _Tls):
            ftp.prot_p()
        if ftp.sock is not None:
            ftp.sock.settimeout(self._limits.silence_s)
        ftp.timeout = self._limits.silence_s
        return ftp

    def _is_implicit(self) -> bool:
        where = self._where
        if where.scheme == "ftpes" or where.port == ftplib.FTP_PORT:
            return False
        if where.port in (None, IMPLICIT_PORT):
            return True
        with socket.create_connection((where.host, where.port), self._limits.connect_s) as probe:
            greets, _, _ = select.select([probe], [], [], GREETING_S)
            return not greets

    def check(self, block: bytes) -> None:
        """Called for each block."""
        if self._cancelled:
            raise TransferFailed(Failure.FAILED, "cancelled")

    def cancel(self) -> None:
        """Make the thread end soon."""
        self._cancelled = True
        self._shut(self._ftp.sock if self._ftp is not None else None)

    def close(self) -> None:
        """Say goodbye if that is possible at once."""
        if self._ftp is None or self._ftp.sock is None:
            return
        with contextlib.suppress(OSError, EOFError, ftplib.Error):
            self._ftp.sock.settimeout(2.0)
            self._ftp.quit()
        self._ftp.close()

    @staticmethod
    def _shut(sock: socket.socket | None) -> None:
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class _Tls(ftplib.FTP_TLS):
    """FTP over TLS; also implicit, and with the session reuse that some servers insist on."""

    def connect_implicit(self, host: str, port: int) -> None:
        """TLS before the greeting."""
        self.host, self.port = host, port
        plain = socket.create_connection((host, port), self.timeout)
        self.af = plain.family
        self.sock = self.context.wrap_socket(plain, server_hostname=host)
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()

    def login(self, user: str = "", passwd: str = "", acct: str = "", secure: bool = True) -> str:
        """Nothing secret leaves before the connection is protected."""
        if secure and not isinstance(self.sock, ssl.SSLSocket):
            self.auth()
        return ftplib.FTP.login(self, user, passwd, acct)  # noqa: S321

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int]:
        """The data connection, protected with the session of the control connection."""
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321
        session = self.sock.session if isinstance(self.sock, ssl.SSLSocket) else None
        protected = self.context.wrap_socket(connection, server_hostname=self.host, session=session)
        return protected, size or 0


def _enter(ftp: ftplib.FTP, path: tuple[str, ...]) -> None:
    for member in path:
        ftp.cwd(member)


async def _in_thread(
    work: Callable[[_Session], Any], where: Address, trust: Trust, limits: Limits
) -> None:
    session = _Session(where, trust, limits)

    def run() -> None:
        try:
            work(session)
        except TransferFailed:
            raise
        except ssl.SSLCertVerificationError as error:
            text = f"{where.shown}: certificate not accepted: {error.verify_message}"
            raise TransferFailed(Failure.DENIED, text) from error
        except ftplib.Error as error:
            raise TransferFailed(_failure(str(error)), f"{where.shown}: {error}") from error
        except EOFError as error:
            text = f"{where.shown}: the server closed the connection"
            raise TransferFailed(Failure.FAILED, text) from error
        except OSError as error:
            raise TransferFailed(Failure.FAILED, f"{where.shown}: {error}") from error
        finally:
            session.close()

    thread = asyncio.ensure_future(asyncio.to_thread(run))
    try:
        await asyncio.shield(thread)
    except asyncio.CancelledError:
        session.cancel()
        with contextlib.suppress(TransferFailed):
            await thread
        raise


def _failure(reply: str) -> Failure:
    match reply[:3]:
        case "530" | "532" | "550" | "553":
            return Failure.DENIED
        case "500" | "502" | "504" | "534":
            return Failure.NOT_SUPPORTED
        case "501" | "503":
            return Failure.BAD_MESSAGE
    return Failure.FAILED
