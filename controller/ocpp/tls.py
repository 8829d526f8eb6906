"""TLS as the security whitepaper wants it: 1.2 or newer, its cipher suites, chain and host name (R16-SEC-5)."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Any

from controller.ports_security import Peer, TlsMaterial

CIPHERS_1_2 = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
)
"""best first; the suites of TLS 1.3 are all good and stay as they are"""
NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which the ssl module has no name for"""


def context(material: TlsMaterial) -> ssl.SSLContext:
    """For one attempt. Raises OSError or ValueError when a file cannot be used."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    made.set_ciphers(":".join(CIPHERS_1_2))
    made.check_hostname = material.verify_hostname
    # A root that was signed by the root before it is trusted for itself (whitepaper §7.1).
    flags = ssl.VERIFY_X509_PARTIAL_CHAIN
    if material.not_before_floor is not None:
        flags |= NO_CHECK_TIME  # `check_time` does it with a better clock
    made.verify_flags |= flags
    if material.use_system_trust:
        made.load_default_certs()
    if "BEGIN CERTIFICATE" in material.roots_pem:
        made.load_verify_locations(cadata=material.roots_pem)
    if material.certificate_file:
        made.load_cert_chain(
            material.certificate_file, material.key_file or None, material.key_password
        )
    return made


def peer(transport: Any) -> Peer:
    """Who is at the other end of this asyncio transport; empty without TLS."""
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return Peer()
    cipher = tls.cipher()
    return Peer(
        tls_version=tls.version() or "", cipher=cipher[0] if cipher else "", chain=_chain(tls)
    )


def check_time(transport: Any, floor: datetime) -> None:
    """With a clock that is wrong: nothing of the chain ended before the time that it is at least.

    That a certificate is not valid yet cannot be told then (RPC-15). Raises ssl.SSLCertVerificationError.
    """
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate:
        return
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    if ends < floor:
        error = ssl.SSLCertVerificationError(1, f"certificate has expired ({ends:%Y-%m-%d})")
        error.verify_message = f"certificate has expired on {ends:%Y-%m-%d}"
        raise error


def _chain(tls: Any) -> tuple[bytes, ...]:
    """The verified chain as DER, leaf first; Python names the method publicly since 3.13."""
    public = getattr(tls, "get_verified_chain", None)
    if public is not None:
        return tuple(public())
    private = getattr(getattr(tls, "_sslobj", None), "get_verified_chain", None)
    chain = private() if private is not None else None
    if not chain:
        return ()
    return tuple(ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain)
