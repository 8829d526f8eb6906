"""Certificates for tests: authorities, servers, stations; RSA and elliptic curves."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC)


@cache
def rsa_key(number: int, bits: int = 2048) -> Any:
    """RSA keys are slow to make: each is made once."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@dataclass(frozen=True)
class Holder:
    """A certificate with its key and its issuers."""

    certificate: x509.Certificate
    key: Any
    issuer: Holder | None = None

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    def write(self, directory: Path, name: str) -> Path:
        """Certificate and key in one file, as a server wants them."""
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / f"{name}.pem"
        chain = self.pem
        above = self.issuer
        while above is not None and above.issuer is not None:
            chain += above.pem
            above = above.issuer
        file.write_text(chain + self.key_pem)
        return file


def issue(
    name: str,
    issuer: Holder | None = None,
    *,
    ca: bool = False,
    key: Any = None,
    public_key: Any = None,
    hosts: tuple[str, ...] = (),
    begins: timedelta = timedelta(days=-1),
    lasts: timedelta = timedelta(days=400),
    now: datetime = NOW,
    organization: str = "Operator",
    digest: Any = None,
    basic: bool = True,
) -> Holder:
    """A certificate; without an issuer it signs itself."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
        ]
    )
    begin = now + begins
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(public_key or key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + lasts)
    )
    if basic:
        builder = builder.add_extension(
            x509.BasicConstraints(ca=ca, path_length=None), critical=True
        )
    if hosts:
        names: list[x509.GeneralName] = []
        for host in hosts:
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(issuer.key if issuer else key, digest or hashes.SHA256())
    return Holder(certificate, key, issuer)


def authority(name: str = "Root", issuer: Holder | None = None, **more: Any) -> Holder:
    return issue(name, issuer, ca=True, **more)


def signed(csr_pem: str, issuer: Holder, **more: Any) -> str:
    """What an authority makes of a CSR: a chain as PEM."""
    csr = x509.load_pem_x509_csr(csr_pem.encode())
    assert csr.is_signature_valid
    name = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return issue(str(name), issuer, public_key=csr.public_key(), **more).pem
