"""The station's own certificates: pairs of a certificate file and a key file that never leaves.

A pair counts when both files are there and fit; the key is written when it is made, the certificate when it was
signed, each as a whole: a death leaves the pair or the pair before.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from controller.files import PRIVATE, PUBLIC, make_directory, remove, write_whole

if TYPE_CHECKING:
    from controller.security.x509 import Certificate

log = logging.getLogger(__name__)

SUFFIXES = (".pem", ".crt", ".key")
KEPT_WAITING = 3
"""keys whose certificate never came"""
FALLBACK_FOR = timedelta(days=31)
"""so long the certificate before stays (A02.FR.10)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate with its key. Times are aware UTC."""

    certificate_file: Path
    key_file: Path
    not_before: datetime
    not_after: datetime

    def valid(self, now: datetime) -> bool:
        """Its time has come and is not over."""
        return self.not_before <= now <= self.not_after


class OwnCertificates:
    """The two directories. Reading is cached by what the directories contain."""

    def __init__(self, certificates: Path, keys: Path, password: str | None) -> None:
        self._certificates = certificates
        self._keys = keys
        self._password = None if password is None else password.encode()
        self._seen: tuple[tuple[str, int, int], ...] = ()
        self._pairs: list[Pair] = []
        self._waiting: list[Path] = []

    @property
    def password(self) -> str | None:
        """Of the key files."""
        return None if self._password is None else self._password.decode()

    def pairs(self) -> list[Pair]:
        """The newest first, as measured by the start of its validity (A02.FR.09)."""
        seen = self._look()
        if seen != self._seen:
            self._read()
            self._seen = seen
        return self._pairs

    def valid(self, now: datetime) -> list[Pair]:
        """Those whose time has come and is not over."""
        return [pair for pair in self.pairs() if pair.valid(now)]

    def new_key(self, now: datetime) -> bytes:
        """Make a key; durable. The oldest keys without a certificate go. Raises OSError."""
        from controller.security import x509

        self.pairs()
        for old in sorted(self._waiting)[: -KEPT_WAITING + 1 or None]:
            if len(self._waiting) >= KEPT_WAITING:
                remove(old)
        key = x509.new_key(self._password)
        name = f"station-{now:%Y%m%d%H%M%S}-{secrets.token_hex(4)}.key"
        write_whole(self._keys / name, key, PRIVATE)
        return key

    def request(self, key: bytes, *, common_name: str, organization: str) -> str:
        """The CSR of a key."""
        from controller.security import x509

        return x509.signing_request(
            key, self._password, common_name=common_name, organization=organization
        )

    def key_of(self, certificate: Certificate) -> Path | None:
        """The key file that fits."""
        from controller.security import x509

        wanted = x509.public_key_bytes(certificate)
        for file in _files(self._keys):
            if x509.public_half(file.read_bytes(), self._password) == wanted:
                return file
        return None

    def keep(self, chain_pem: str, key_file: Path) -> None:
        """The certificate of this key; durable. Raises OSError."""
        make_directory(self._certificates)
        write_whole(
            self._certificates / (key_file.stem + ".pem"), chain_pem.encode("ascii"), PUBLIC
        )

    def tidy(self, now: datetime, proven: Pair | None) -> None:
        """What is long over goes, and what was replaced a month ago by one that works. Raises OSError."""
        for pair in self.pairs():
            over = pair.not_after + FALLBACK_FOR < now
            replaced = (
                proven is not None
                and pair.not_before < proven.not_before
                and proven.not_before + FALLBACK_FOR < now
            )
            if pair != proven and (over or replaced):
                log.info("certificate %s is no longer needed", pair.certificate_file.name)
                remove(pair.certificate_file)
                if pair.key_file != pair.certificate_file:
                    remove(pair.key_file)

    # --- inside -----------------------------------------------------------------------------------

    def _look(self) -> tuple[tuple[str, int, int], ...]:
        found = []
        for file in [*_files(self._certificates), *_files(self._keys)]:
            stat = file.stat()
            found.append((str(file), stat.st_mtime_ns, stat.st_size))
        return tuple(found)

    def _read(self) -> None:
        self._pairs, self._waiting = [], []
        certificates = _files(self._certificates)
        keys = _files(self._keys)
        if not keys:
            return
        from controller.security import x509

        halves: dict[bytes, Path] = {}
        for file in keys:
            public = x509.public_half(file.read_bytes(), self._password)
            if public is not None:
                halves[public] = file
                if file.stat().st_mode & 0o077:
                    log.warning("%s can be read by others than the service", file)
        used: set[Path] = set()
        for file in certificates:
            try:
                leaf = x509.parse(file.read_text(encoding="ascii", errors="replace"))[0]
            except (x509.Invalid, OSError):
                continue
            key = halves.get(x509.public_key_bytes(leaf))
            if key is not None:
                used.add(key)
                self._pairs.append(
                    Pair(
                        certificate_file=file,
                        key_file=key,
                        not_before=leaf.not_valid_before_utc,
                        not_after=leaf.not_valid_after_utc,
                    )
                )
        # Of two that began at the same time the one that was written later is the newer.
        self._pairs.sort(
            key=lambda pair: (pair.not_before, pair.certificate_file.stat().st_mtime_ns),
            reverse=True,
        )
        self._waiting = [file for file in halves.values() if file not in used]


def _files(directory: Path) -> list[Path]:
    try:
        entries = sorted(directory.iterdir())
    except OSError:
        return []
    return [e for e in entries if e.suffix in SUFFIXES and not e.name.startswith(".")]
