"""What the cases of firmware and logs share: the operator's file server and the manufacturer's keys."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from controller.core.installation import BenchInstallation
from tests.conformance.lab import Lab
from tests.unit.maintenance.servers import http_server

VIRTUAL: dict[str, Any] = {"bench": BenchInstallation(listen="127.0.0.1:1")}
"""`installation=` of a station with the virtual installer."""
BEFORE, AFTER = dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2027, 1, 1, tzinfo=dt.UTC)


@dataclass
class FileServer:
    """A directory on the operator's web server."""

    url: str
    folder: Path

    def offer(self, name: str, body: bytes) -> str:
        """Put a file there; returns its address."""
        (self.folder / name).write_bytes(body)
        return f"{self.url}/{name}"

    def received(self, name: str) -> bytes:
        """What a station has put there."""
        return (self.folder / name).read_bytes()


@contextlib.asynccontextmanager
async def file_server(lab: Lab, **how: Any) -> AsyncIterator[FileServer]:
    """Serves as long as the block lasts."""
    folder = lab.directory / "served"
    folder.mkdir(exist_ok=True)
    async with http_server(folder, **how) as url:
        yield FileServer(url, folder)


def time(at: dt.datetime) -> str:
    """As a backend writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


class Manufacturer:
    """Signs firmware; its root must be installed in the station."""

    def __init__(self, kind: str = "ec", name: str = "Manufacturer") -> None:
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self._root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} Root")])
        self._root = self._certificate(self._root_key.public_key(), self._root_name, ca=True)
        self._key: Any
        if kind == "rsa":
            self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        else:
            self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def root_pem(self) -> str:
        return _pem(self._root)

    def signing_pem(self, *, before: dt.datetime = BEFORE, after: dt.datetime = AFTER) -> str:
        """The firmware signing certificate."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Firmware Signing")])
        return _pem(self._certificate(self._key.public_key(), name, before=before, after=after))

    def sign(self, image: bytes) -> str:
        """Base64 of the signature over the whole file."""
        if isinstance(self._key, rsa.RSAPrivateKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
            return base64.b64encode(self._key.sign(image, pss, hashes.SHA256())).decode()
        return base64.b64encode(self._key.sign(image, ec.ECDSA(hashes.SHA256()))).decode()

    def revocations(self, *signing_pems: str) -> str:
        """A revocation list in PEM."""
        made = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._root_name)
            .last_update(BEFORE)
            .next_update(AFTER)
        )
        for pem in signing_pems:
            revoked = (
                x509.RevokedCertificateBuilder()
                .serial_number(x509.load_pem_x509_certificate(pem.encode()).serial_number)
                .revocation_date(BEFORE)
                .build()
            )
            made = made.add_revoked_certificate(revoked)
        crl = made.sign(self._root_key, hashes.SHA256())
        return crl.public_bytes(serialization.Encoding.PEM).decode()

    def _certificate(
        self,
        key: Any,
        name: x509.Name,
        *,
        ca: bool = False,
        before: dt.datetime = BEFORE,
        after: dt.datetime = AFTER,
    ) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._root_name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(before)
            .not_valid_after(after)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(self._root_key, hashes.SHA256())
        )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
