"""Authorities, servers and stations with certificates, valid in the laboratory's time."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.x509.ocsp import OCSPRequestBuilder

from controller.ocpp.tls import NO_CHECK_TIME
from tests.conformance.lab import Lab
from tests.unit.security.pki import Holder, issue, signed
from tests.unit.security.server import server_context


class Pki:
    """One operator with one root."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._clients = False
        self.root = self.authority("Operator Root")

    @classmethod
    async def serve(cls, lab: Lab, *, clients: bool = False) -> Pki:
        """The backend speaks TLS from now on; `clients`: it wants a certificate of the station."""
        pki = cls(lab)
        pki._clients = clients
        await pki.serve_with(pki.server())
        return pki

    async def serve_with(self, holder: Holder) -> None:
        """The backend is down for a moment and comes back with this certificate."""
        roots = self.root.pem if self._clients else ""
        await self._lab.csms.offline()
        self._lab.csms.tls = self._context(holder, roots)
        await self._lab.csms.online()

    def _context(self, holder: Holder, roots: str) -> ssl.SSLContext:
        context = server_context(holder, self._lab.directory / "pki", client_roots=roots)
        context.verify_flags |= NO_CHECK_TIME  # the library goes by the machine's clock
        return context

    def server(self, issuer: Holder | None = None, ends: datetime | None = None) -> Holder:
        """A good one, or one that ended."""
        span = self._span()
        if ends is not None:
            span |= {"now": ends, "begins": -timedelta(days=90), "lasts": timedelta(days=90)}
        return issue("127.0.0.1", issuer or self.root, hosts=("127.0.0.1",), **span)

    def stranger(self) -> Holder:
        """Of another root."""
        return self.server(self.authority("Somebody else"))

    def authority(self, name: str, issuer: Holder | None = None, **more: Any) -> Holder:
        """A root, or one that another root signed."""
        return issue(name, issuer, ca=True, **{**self._span(), **more})

    def sign(self, csr: str, issuer: Holder | None = None, **more: Any) -> str:
        """A chain as the backend sends it."""
        return signed(csr, issuer or self.root, **{**self._span(), **more})

    def provision_root(self) -> None:
        """The factory put it there."""
        directory = self._lab.directory / "state" / "certificates"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "csms-roots.pem").write_text(self.root.pem)

    def provision_station(self, name: str, ends_in: timedelta | None = None) -> None:
        """The factory put a certificate and its key there."""
        directory = self._lab.directory / "state" / "certificates"
        span = self._span()
        if ends_in is not None:
            span["lasts"] = ends_in - span["begins"]
        holder = issue(name, self.root, **span)
        for kind, text in (("station", holder.pem), ("station-keys", holder.key_pem)):
            (directory / kind).mkdir(parents=True, exist_ok=True)
            (directory / kind / "factory.pem").write_text(text)
            (directory / kind / "factory.pem").chmod(0o600)

    def _span(self) -> dict[str, Any]:
        return {
            "now": self._lab.utc,
            "begins": timedelta(days=-1),
            "lasts": timedelta(days=800),
        }


def hash_data(holder: Holder) -> dict[str, str]:
    """certificateHashData of a root that signed itself."""
    certificate = holder.certificate
    asked = OCSPRequestBuilder().add_certificate(certificate, certificate, hashes.SHA256()).build()
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": asked.issuer_name_hash.hex(),
        "issuerKeyHash": asked.issuer_key_hash.hex(),
        "serialNumber": f"{certificate.serial_number:x}",
    }
