"""PEM text without any library: a bundle of roots, some of which are only a fall-back."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

FALLBACK = "# fall-back until the new root has worked"
_BLOCK = re.compile(
    r"(?P<mark>^# fall-back[^\n]*\n)?"
    r"(?P<pem>-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----)",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One certificate of a bundle. `fallback`: it is trusted until its successor has worked."""

    pem: str
    fallback: bool = False

    @property
    def der(self) -> bytes:
        """The certificate itself; empty if it is no base64."""
        try:
            return ssl.PEM_cert_to_DER_cert(self.pem)
        except ValueError:
            return b""


def roots(text: str) -> list[Root]:
    """All certificates of a bundle."""
    return [
        Root(pem=match["pem"], fallback=match["mark"] is not None)
        for match in _BLOCK.finditer(text.replace("\r\n", "\n"))
    ]


def bundle(certificates: Iterable[Root]) -> str:
    """Inverse of `roots`."""
    return "".join(
        (f"{FALLBACK}\n" if certificate.fallback else "") + certificate.pem + "\n"
        for certificate in certificates
    )
