"""What the station must know about certificates, over cryptography; imported at the first use only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.ocsp import OCSPRequestBuilder
from cryptography.x509.oid import NameOID

from controller.core.certificates import CertificateHash, HashAlgorithm

Certificate = x509.Certificate

LONGEST_CHAIN = 6
_WEAK_HASHES = (hashes.MD5, hashes.SHA1)
_HASHES: Mapping[HashAlgorithm, Callable[[], hashes.HashAlgorithm]] = {
    HashAlgorithm.SHA256: hashes.SHA256,
    HashAlgorithm.SHA384: hashes.SHA384,
    HashAlgorithm.SHA512: hashes.SHA512,
}


class Invalid(ValueError):
    """A certificate that must not be used; the text says why."""


def parse(pem: str) -> list[Certificate]:
    """All certificates of a PEM text. Raises Invalid."""
    try:
        return x509.load_pem_x509_certificates(pem.encode("ascii"))
    except (ValueError, TypeError) as error:
        raise Invalid("not a certificate in PEM form") from error


def der(certificate: Certificate) -> bytes:
    """The certificate itself."""
    return certificate.public_bytes(serialization.Encoding.DER)


def pem(certificate: Certificate) -> str:
    """As PEM, without anything around it."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii").strip()


def hash_data(
    certificate: Certificate, issuer: Certificate, algorithm: HashAlgorithm
) -> CertificateHash:
    """Its name as OCPP (and OCSP) forms it."""
    builder = OCSPRequestBuilder().add_certificate(certificate, issuer, _HASHES[algorithm]())
    request = builder.build()
    return CertificateHash(
        algorithm=algorithm,
        issuer_name_hash=request.issuer_name_hash.hex(),
        issuer_key_hash=request.issuer_key_hash.hex(),
        serial_number=f"{certificate.serial_number:x}",
    )


def check_root(certificate: Certificate, now: datetime) -> None:
    """A certificate of an authority that may be trusted. Raises Invalid."""
    _check_authority(certificate)
    _check_strength(certificate)
    check_period(certificate, now)
    if certificate.subject == certificate.issuer and not signed_by(certificate, certificate):
        raise Invalid("its own signature is wrong")


def check_period(certificate: Certificate, now: datetime, *, may_begin_later: bool = False) -> None:
    """Valid now, or (`may_begin_later`) some day. Raises Invalid."""
    if certificate.not_valid_after_utc < now:
        raise Invalid(f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if certificate.not_valid_before_utc > now and not may_begin_later:
        raise Invalid(f"not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M}")


def signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    """`issuer` signed it, by name and signature."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def check_chain(
    leaf: Certificate, others: Iterable[Certificate], roots: Sequence[Certificate], now: datetime
) -> None:
    """From the leaf over `others` to one of `roots`. Raises Invalid."""
    _check_strength(leaf)
    known, pool, current = {der(root) for root in roots}, list(others), leaf
    for _ in range(LONGEST_CHAIN):
        if current is not leaf and der(current) in known:
            return
        if any(signed_by(current, root) and _good_issuer(root, now) for root in roots):
            return
        issuer = next((c for c in pool if c is not current and signed_by(current, c)), None)
        if issuer is None:
            break
        _check_authority(issuer)
        _check_strength(issuer)
        check_period(issuer, now)
        pool.remove(issuer)
        current = issuer
    raise Invalid("no installed root of the backend has signed it")


def _good_issuer(certificate: Certificate, now: datetime) -> bool:
    return certificate.not_valid_after_utc >= now


def _check_authority(certificate: Certificate) -> None:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise Invalid("not a certificate of an authority") from None
    except ValueError as error:
        raise Invalid("its extensions cannot be read") from error
    if not constraints.ca:
        raise Invalid("not a certificate of an authority")


def _check_strength(certificate: Certificate) -> None:
    """At least 112 bits (A00.FR.501 to A00.FR.504)."""
    try:
        key = certificate.public_key()
        algorithm = certificate.signature_hash_algorithm
    except ValueError as error:
        raise Invalid("its key is of an unknown kind") from error
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < 2048:
            raise Invalid(f"an RSA key of {key.key_size} bits is too short")
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.key_size < 224:
            raise Invalid(f"an elliptic curve of {key.curve.key_size} bits is too short")
    elif not isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        raise Invalid("its key is of a kind that is not used")
    if isinstance(algorithm, _WEAK_HASHES):
        raise Invalid(f"signed with {algorithm.name.upper()}, which is broken")


def public_key_bytes(certificate: Certificate) -> bytes:
    """To compare with a private key."""
    return certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def public_half(key_pem: bytes, password: bytes | None) -> bytes | None:
    """The public key of a private key file; None = it cannot be read."""
    for secret in (password, None):
        try:
            key = serialization.load_pem_private_key(key_pem, secret)
        except (ValueError, TypeError):
            continue
        return key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    return None


def new_key(password: bytes | None) -> bytes:
    """A P-256 key as PEM, encrypted if there is a password."""
    key = ec.generate_private_key(ec.SECP256R1())
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def signing_request(
    key_pem: bytes, password: bytes | None, *, common_name: str, organization: str
) -> str:
    """A CSR as PEM (A02.FR.03, A02.FR.13)."""
    key = serialization.load_pem_private_key(key_pem, password)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization[:64]),
        ]
    )
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    signed = request.sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode("ascii")
