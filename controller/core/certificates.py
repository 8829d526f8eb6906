"""What is said about certificates: uses, identities and results, in words of OCPP 2.x."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CertificateUse(StrEnum):
    """What an installed certificate of an authority is trusted for."""

    CSMS_ROOT = "CSMSRootCertificate"
    MANUFACTURER_ROOT = "ManufacturerRootCertificate"


class HashAlgorithm(StrEnum):
    """How a certificate is named."""

    SHA256 = "SHA256"
    SHA384 = "SHA384"
    SHA512 = "SHA512"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateHash:
    """The name of a certificate: hashes of its issuer's name and key in hex, and its serial number in hex."""

    algorithm: HashAlgorithm
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str

    def matches(self, other: CertificateHash) -> bool:
        """The same certificate; hex compares without case and leading zeros."""
        return self.algorithm is other.algorithm and self._plain() == other._plain()

    def _plain(self) -> tuple[str, str, str]:
        return (
            self.issuer_name_hash.casefold(),
            self.issuer_key_hash.casefold(),
            self.serial_number.casefold().lstrip("0"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledCertificate:
    """A certificate of an authority in the store."""

    use: CertificateUse
    hash: CertificateHash


class InstallResult(StrEnum):
    """What came of installing a certificate of an authority."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    """no certificate that may be trusted, or no room"""
    FAILED = "Failed"
    """it could not be written"""


class DeleteResult(StrEnum):
    """What came of deleting a certificate."""

    ACCEPTED = "Accepted"
    FAILED = "Failed"
    """in use, the station's own, or it could not be written"""
    NOT_FOUND = "NotFound"
