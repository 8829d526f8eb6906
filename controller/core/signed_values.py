"""Signed meter values on their way to the backend (SMV §3.2, REG-EICH-1, REG-EICH-5); pure.

What the meter signed is data: it is carried as it is, never parsed, never written anew.
"""

from __future__ import annotations

import base64
import binascii
import re
from enum import StrEnum

_MARKER = "oca"
_DER_SEQUENCE = 0x30
KEY_LENGTH = 500
"""The most a 1.6 configuration value can show; a longer key can only be sent with the values."""


class PublicKeyRule(StrEnum):
    """When the public key goes along (PublicKeyWithSignedMeterValue)."""

    NEVER = "Never"
    ONCE_PER_TRANSACTION = "OncePerTransaction"
    EVERY_METER_VALUE = "EveryMeterValue"


def public_key_field(printed: str) -> str:
    """What goes into publicKey for a key as it is printed on the meter; "" stays "".

    Takes hexadecimal or Base64 of the ASN.1 structure, or the whole text "oca:ENCODING:asn1:KEY".
    Raises ValueError with what is wrong.
    """
    text = printed.strip()
    if not text:
        return ""
    encoding, key = _split(text)
    _check_structure(_decoded(encoding, key))
    return base64.b64encode(f"{_MARKER}:{encoding}:asn1:{key}".encode()).decode()


def _split(text: str) -> tuple[str, str]:
    """("base16" or "base64", the key as printed)."""
    if text.startswith(f"{_MARKER}:"):
        parts = text.split(":", 3)
        if len(parts) != 4 or parts[1] not in ("base16", "base64") or parts[2] != "asn1":
            raise ValueError('must be "oca:base16:asn1:KEY" or "oca:base64:asn1:KEY"')
        return parts[1], parts[3]
    return ("base16" if _hex_digits(text) else "base64"), text


def _hex_digits(text: str) -> str:
    """The digits of a key in groups; "" = it is not hexadecimal."""
    digits = re.sub(r"[\s:.\-]", "", text.removeprefix("0x").removeprefix("0X"))
    return digits if re.fullmatch(r"[0-9A-Fa-f]+", digits) and len(digits) % 2 == 0 else ""


def _decoded(encoding: str, key: str) -> bytes:
    if encoding == "base16":
        digits = _hex_digits(key)
        if not digits:
            raise ValueError("is not hexadecimal")
        return bytes.fromhex(digits)
    try:
        return base64.b64decode(re.sub(r"\s", "", key), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is neither hexadecimal nor Base64") from None


def _check_structure(der: bytes) -> None:
    """One ASN.1 sequence of exactly this length, as a SubjectPublicKeyInfo is."""
    if len(der) < 2 or der[0] != _DER_SEQUENCE:
        raise ValueError("must be the whole ASN.1 structure of the key; it begins with 30")
    length, header = der[1], 2
    if length & 0x80:
        size = length & 0x7F
        length, header = int.from_bytes(der[2 : 2 + size], "big"), 2 + size
    if header + length != len(der):
        raise ValueError(
            f"its ASN.1 structure says {header + length} bytes, but there are {len(der)}"
        )
