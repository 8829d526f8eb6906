"""Real file servers on loopback, each in its own thread or in the test's event loop."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncssh
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "station", "sEcReT42"


def certificate(folder: Path) -> tuple[Path, Path]:
    """(certificate, key and certificate in one file) for 127.0.0.1; it is its own root."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "root.pem").write_bytes(pem)
    (folder / "both.pem").write_bytes(secret + pem)
    return folder / "root.pem", folder / "both.pem"


@contextlib.asynccontextmanager
async def http_server(
    root: Path, *, tls: Path | None = None, put: bool = True, refuse: int = 0
) -> AsyncIterator[str]:
    """PUT, POST (form field `file`) and GET below `root`; with tls: the PEM of key and certificate."""

    async def serve(request: web.Request) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if given != f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}":
            return web.Response(status=401)
        if refuse:
            return web.Response(status=refuse)
        path = root / request.path.lstrip("/")
        if request.method == "PUT":
            if not put:
                return web.Response(status=405)
            path.write_bytes(await request.read())
            return web.Response(status=201)
        if request.method == "POST":
            field = (await request.post())["file"]
            assert isinstance(field, web.FileField)
            (path / field.filename).write_bytes(field.file.read())
            return web.Response(status=200)
        return web.FileResponse(path) if path.is_file() else web.Response(status=404)

    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", serve)
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    scheme = "http" if tls is None else "https"
    try:
        yield f"{scheme}://{USER}:{PASSWORD}@127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def ftp_server(root: Path, *, tls: Path | None = None, implicit: bool = False) -> Iterator[str]:
    """An FTP server whose users may read and write; TLS is then a must."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # asyncore of Python 3.11
        from pyftpdlib.authorizers import DummyAuthorizer
        from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
        from pyftpdlib.ioloop import IOLoop
        from pyftpdlib.servers import FTPServer

    authorizer = DummyAuthorizer()
    authorizer.add_user(USER, PASSWORD, str(root), perm="elradfmwMT")
    base = FTPHandler if tls is None else TLS_FTPHandler

    class Handler(base):
        pass

    Handler.authorizer = authorizer
    Handler.auth_failed_timeout = 0
    if tls is not None:
        Handler.certfile = str(tls)
        Handler.tls_control_required = not implicit
        Handler.tls_data_required = not implicit
        if implicit:

            def handle(self) -> None:  # type: ignore[no-untyped-def]
                self.secure_connection(self.ssl_context)
                base.handle(self)

            Handler.handle = handle
    loop = IOLoop()
    server = FTPServer(("127.0.0.1", 0), Handler, ioloop=loop)
    port = server.socket.getsockname()[1]
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            server.serve_forever(timeout=0.02, blocking=False)
        server.close_all()
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        ended.set()
        thread.join()


@contextlib.asynccontextmanager
async def sftp_server(root: Path, key: asyncssh.SSHKey, port: int = 0) -> AsyncIterator[int]:
    """An SFTP server below `root`; yields its port."""

    class Server(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == (USER, PASSWORD)

    server = await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=Server,
        server_host_keys=[key],
        sftp_factory=lambda chan: asyncssh.SFTPServer(chan, chroot=str(root).encode()),
    )
    try:
        yield server.get_port()
    finally:
        server.close()
        await server.wait_closed()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
