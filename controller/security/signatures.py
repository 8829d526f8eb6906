"""Signatures of firmware: the `SignatureCheck` of `controller/ports_maintenance.py` (R16-SEC-10).

The signing certificate must come straight from a manufacturer root (no intermediates); the signature over
the whole file is RSA-PSS or ECDSA, with SHA-256.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from controller.core.firmware_update import CertificateVerdict

if TYPE_CHECKING:
    from cryptography import x509

BLOCK_BYTES = 1 << 16
RSA_LEAST_BITS = 2048
EC_LEAST_BITS = 224
_CRL = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----\s*", re.DOTALL)
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\s*", re.DOTALL)

Judgement = tuple[CertificateVerdict, str]


class Signatures:
    """`roots` gives the manufacturer's roots as PEM, with revocation lists among them if there are any."""

    def __init__(self, roots: Callable[[], bytes]) -> None:
        self._roots = roots

    async def signing_certificate(self, pem: str, now: datetime) -> Judgement:
        """Judge a firmware signing certificate; the text says why it is not accepted."""
        return await asyncio.to_thread(_judge, pem.encode(), self._roots(), now)

    async def file(self, image: Path, signature: str, pem: str) -> str:
        """Check the base64 signature over the whole file; "" = good, else why not."""
        return await asyncio.to_thread(_check, image, signature, pem.encode())


def _judge(pem: bytes, roots: bytes, now: datetime) -> Judgement:
    from cryptography import x509

    def invalid(why: str) -> Judgement:
        return CertificateVerdict.INVALID, why

    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        return invalid("it is not a certificate in PEM")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return invalid("it is not valid now")
    weak = _weakness(certificate)
    if weak:
        return invalid(weak)
    issuer = next((root for root in _load(roots) if _issued(certificate, root)), None)
    if issuer is None:
        return invalid("no manufacturer root has issued it")
    if not issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc:
        return invalid("its manufacturer root is not valid now")
    if _revoked(certificate, issuer, roots):
        return CertificateVerdict.REVOKED, "it was revoked"
    return CertificateVerdict.VALID, ""


def _weakness(certificate: x509.Certificate) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < RSA_LEAST_BITS:
            return f"its key has {key.key_size} bits, {RSA_LEAST_BITS} are the least"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if key.key_size < EC_LEAST_BITS:
            return f"its key has {key.key_size} bits, {EC_LEAST_BITS} are the least"
    else:
        return "its key is neither RSA nor of an elliptic curve"
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return ""
    except ValueError:
        return "its extensions cannot be read"
    return "" if usage.digital_signature else "its key may not sign"


def _load(roots: bytes) -> list[x509.Certificate]:
    from cryptography import x509

    found = []
    for block in _CERTIFICATE.findall(roots):
        try:
            found.append(x509.load_pem_x509_certificate(block))
        except ValueError:
            continue  # one bad block does not spoil the others
    return found


def _issued(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _revoked(certificate: x509.Certificate, issuer: x509.Certificate, roots: bytes) -> bool:
    from cryptography import x509

    for block in _CRL.findall(roots):
        try:
            crl = x509.load_pem_x509_crl(block)
            ours = crl.issuer == issuer.subject and crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
        except (ValueError, TypeError):
            continue
        if ours and crl.get_revoked_certificate_by_serial_number(certificate.serial_number):
            return True
    return False


def _check(image: Path, signature: str, pem: bytes) -> str:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

    try:
        given = base64.b64decode("".join(signature.split()), validate=True)
        key = x509.load_pem_x509_certificate(pem).public_key()
    except (binascii.Error, ValueError):
        return "the signature or its certificate cannot be read"
    if not given:
        return "there is no signature"
    digest = hashlib.sha256()
    try:
        with image.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
    except OSError as error:
        return f"the image cannot be read: {error}"
    sha256 = hashes.SHA256()
    try:
        if isinstance(key, rsa.RSAPublicKey):
            pss = padding.PSS(mgf=padding.MGF1(sha256), salt_length=padding.PSS.AUTO)
            key.verify(given, digest.digest(), pss, utils.Prehashed(sha256))
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(given, digest.digest(), ec.ECDSA(utils.Prehashed(sha256)))
        else:
            return "the key of the certificate is neither RSA nor of an elliptic curve"
    except InvalidSignature:
        return "the signature does not fit the image"
    return ""
