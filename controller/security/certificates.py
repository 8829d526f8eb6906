"""Whom the station trusts and how it proves who it is: the files behind installing, deleting, signing and TLS."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from controller.core.certificates import (
    CertificateHash,
    CertificateUse,
    DeleteResult,
    HashAlgorithm,
    InstalledCertificate,
    InstallResult,
)
from controller.core.installation import Installation
from controller.core.security_events import SecurityEventType
from controller.core.settings import Settings
from controller.files import PUBLIC, write_whole
from controller.ports_security import Peer, TlsMaterial
from controller.security.own import OwnCertificates, Pair
from controller.security.pem import Root, bundle, roots
from controller.security.time_floor import TimeFloor

if TYPE_CHECKING:
    from controller.security.x509 import Certificate

log = logging.getLogger(__name__)

T = TypeVar("T")
RENEW_BEFORE = timedelta(days=30)
DIRECTORY = "certificates"
_Event = SecurityEventType


class CertificateService:
    """Implements `ports_security.Certificates` and `Trust`.

    Work with certificates runs in a thread, one piece after the other: loading the library takes a second on a
    small computer. `material`, `worked` and `refused` are the link's and do not wait.
    """

    def __init__(
        self,
        installation: Installation,
        settings: Settings,
        floor: TimeFloor,
        tell: Callable[[SecurityEventType, str], None] = lambda _event, _info: None,
    ) -> None:
        tls = installation.tls
        home = Path(installation.state_dir) / DIRECTORY
        backend = installation.backend
        self._bundles = {
            CertificateUse.CSMS_ROOT: Path(tls.get("csms_roots") or home / "csms-roots.pem"),
            CertificateUse.MANUFACTURER_ROOT: Path(
                tls.get("manufacturer_roots") or home / "manufacturer-roots.pem"
            ),
        }
        self._own = OwnCertificates(
            Path(tls.get("client_cert_dir") or home / "station"),
            Path(tls.get("client_key_dir") or home / "station-keys"),
            tls.get("private_key_password"),
        )
        self._use_system_trust = backend is not None and backend.use_system_trust
        self._verify_hostname = backend is None or backend.verify_hostname
        station = installation.station
        self._common_name = station.serial_number or station.id
        self._settings = settings
        self._floor = floor
        self._tell = tell
        self._lock = asyncio.Lock()
        self._events: asyncio.AbstractEventLoop | None = None
        self._in_use: tuple[bytes, ...] = ()
        self._turn = 0
        self._discarded = False
        self._used: Pair | None = None
        self._proven: Pair | None = None

    # --- Trust ------------------------------------------------------------------------------------

    def material(self, *, with_certificate: bool) -> TlsMaterial | None:
        """For the next attempt; None = there is no valid certificate of the station."""
        self._used = None
        if with_certificate:
            valid = self._own.valid(self._floor.now())
            if not valid:
                return None
            self._used = valid[self._turn % len(valid)]
        return TlsMaterial(
            roots_pem=self._text(CertificateUse.CSMS_ROOT),
            use_system_trust=self._use_system_trust,
            verify_hostname=self._verify_hostname,
            certificate_file=str(self._used.certificate_file) if self._used else "",
            key_file=str(self._used.key_file) if self._used else "",
            key_password=self._own.password if self._used else None,
            not_before_floor=self._floor.doubt(),
        )

    def worked(self, peer: Peer) -> None:
        """A new root has worked: the one before is not needed. A certificate of ours has worked: it stays."""
        self._in_use = peer.chain
        self._floor.confirmed()
        if self._used is not None:
            self._proven = self._used
            newest = self._own.valid(self._floor.now())[:1]
            if self._used not in newest and not self._discarded:
                self._discarded = True
                name = self._used.certificate_file.name
                self._tell(
                    _Event.DISCARDED_RENEWED_CLIENT_CERTIFICATE,
                    f"the backend refused the newest certificate, {name} works",
                )
        installed = roots(self._text(CertificateUse.CSMS_ROOT))
        new_works = any(root.der in peer.chain for root in installed if not root.fallback)
        if new_works and any(root.fallback for root in installed):
            try:
                kept = [root for root in installed if not root.fallback]
                self._write(CertificateUse.CSMS_ROOT, kept)
            except OSError as error:
                log.error("the root before could not be removed: %s", error)
            else:
                log.info("the new root of the backend works, the one before is removed")

    def refused(self) -> None:
        """The next attempt uses the certificate before, if there is one."""
        if self._used is not None and self._used != self._proven:
            self._turn += 1

    # --- Certificates: roots ----------------------------------------------------------------------

    async def install(self, use: CertificateUse, pem: str) -> InstallResult:
        """Trust another certificate of an authority (M05)."""
        return await self._aside(lambda: self._install(use, pem))

    def _install(self, use: CertificateUse, pem: str) -> InstallResult:
        from controller.security import x509

        try:
            given = x509.parse(pem)
            if len(given) != 1:
                raise x509.Invalid("not exactly one certificate")
            new = given[0]
            x509.check_root(new, self._floor.now())
            installed = roots(self._text(use))
            present = [root for root in installed if not root.fallback]
            root = Root(pem=x509.pem(new))
            if any(root.der == known.der for known in present):
                return InstallResult.ACCEPTED
            if self._count() >= self._settings.integer("CertificateStoreMaxLength"):
                raise x509.Invalid("the certificate store is full")
            if use is CertificateUse.CSMS_ROOT and self._checks_successor() and present:
                needed = [r for r in installed if r.fallback and r.der in self._in_use]
                present = [*self._successor(new, present), *needed]
        except x509.Invalid as error:
            log.warning("a %s was not installed: %s", use.value, error)
            if use is CertificateUse.CSMS_ROOT:
                self._later(_Event.INVALID_CSMS_CERTIFICATE, f"not installed: {error}")
            return InstallResult.REJECTED
        try:
            self._write(use, [root, *present])
        except OSError as error:
            log.error("a %s could not be installed: %s", use.value, error)
            return InstallResult.FAILED
        self._changed(f"{use.value} installed: {_shown(new)}")
        return InstallResult.ACCEPTED

    def _successor(self, new: Certificate, present: Sequence[Root]) -> list[Root]:
        """The roots before, as fall-back; one of them must have signed the new one (M05.FR.09 to M05.FR.11)."""
        from controller.security import x509

        if not any(x509.signed_by(new, old) for old in _parsed(present)):
            raise x509.Invalid("the root that is there has not signed it")
        return [replace(root, fallback=True) for root in present]

    def _checks_successor(self) -> bool:
        return self._settings.boolean("AdditionalRootCertificateCheck")

    async def delete(self, name: CertificateHash) -> DeleteResult:
        """Trust it no longer; never the station's own, never the one in use (M04)."""
        return await self._aside(lambda: self._delete(name))

    def _delete(self, name: CertificateHash) -> DeleteResult:
        for use in CertificateUse:
            installed = roots(self._text(use))
            for root in installed:
                if not any(known.matches(name) for known in self._names(root, name.algorithm)):
                    continue
                if use is CertificateUse.CSMS_ROOT and root.der in self._in_use:
                    log.warning("the root that the connection rests on is not deleted")
                    return DeleteResult.FAILED
                try:
                    self._write(use, [other for other in installed if other is not root])
                except OSError as error:
                    log.error("a %s could not be deleted: %s", use.value, error)
                    return DeleteResult.FAILED
                self._changed(f"{use.value} deleted: serial number {name.serial_number}")
                return DeleteResult.ACCEPTED
        if self._is_own(name):
            log.warning("the station's own certificate is not deleted")
            return DeleteResult.FAILED
        return DeleteResult.NOT_FOUND

    async def installed(
        self, uses: Sequence[CertificateUse], limit: int | None = None
    ) -> list[InstalledCertificate]:
        """What is installed (M03); SHA-256."""
        if not any(self._text(use) for use in uses):
            return []  # without loading the library
        found = await self._aside(lambda: self._installed(uses))
        return found[:limit]

    def _installed(self, uses: Sequence[CertificateUse]) -> list[InstalledCertificate]:
        return [
            InstalledCertificate(use=use, hash=names[0])
            for use in uses
            for root in roots(self._text(use))
            if (names := self._names(root, HashAlgorithm.SHA256))
        ]

    def _names(self, root: Root, algorithm: HashAlgorithm) -> list[CertificateHash]:
        """By its issuer's key, if that one is installed, and as if it had signed itself."""
        from controller.security import x509

        try:
            certificate = x509.parse(root.pem)[0]
        except x509.Invalid:
            return []
        everyone = [c for use in CertificateUse for c in _parsed(roots(self._text(use)))]
        issuers = [c for c in everyone if x509.signed_by(certificate, c)]
        return [x509.hash_data(certificate, c, algorithm) for c in [*issuers, certificate]]

    def _is_own(self, name: CertificateHash) -> bool:
        from controller.security import x509

        authorities = [c for use in CertificateUse for c in _parsed(roots(self._text(use)))]
        for pair in self._own.pairs():
            chain = x509.parse(pair.certificate_file.read_text(encoding="ascii", errors="replace"))
            for issuer in (*chain[1:], *authorities):
                if x509.hash_data(chain[0], issuer, name.algorithm).matches(name):
                    return True
        return False

    # --- Certificates: the station's own ----------------------------------------------------------

    async def make_request(self) -> str | None:
        """A new key and its CSR as PEM; None = the organization is not set or the key could not be kept."""
        organization = self._settings.text("CpoName").strip()
        if not organization:
            log.warning("no certificate is asked for: CpoName is not set")
            return None
        return await self._aside(lambda: self._request(organization))

    def _request(self, organization: str) -> str | None:
        try:
            key = self._own.new_key(self._floor.now())
        except OSError as error:
            log.error("a new key could not be kept: %s", error)
            return None
        return self._own.request(key, common_name=self._common_name, organization=organization)

    async def accept_signed(self, chain_pem: str) -> bool:
        """Keep the signed certificate; False = not valid, an event was raised (A02.FR.06, A02.FR.07)."""
        return await self._aside(lambda: self._accept(chain_pem))

    def _accept(self, chain_pem: str) -> bool:
        from controller.security import x509

        now = self._floor.now()
        try:
            if len(chain_pem) > self._settings.integer("CertificateSignedMaxChainSize"):
                raise x509.Invalid("the chain is too long")
            leaf, *others = x509.parse(chain_pem)
            x509.check_period(leaf, now, may_begin_later=True)
            trusted = _parsed(roots(self._text(CertificateUse.CSMS_ROOT)))
            x509.check_chain(leaf, others, trusted, now)
            key_file = self._own.key_of(leaf)
            if key_file is None:
                raise x509.Invalid("it fits no key of this station")
            self._own.keep("".join(f"{x509.pem(c)}\n" for c in (leaf, *others)), key_file)
        except x509.Invalid as error:
            log.warning("a signed certificate was refused: %s", error)
            self._later(_Event.INVALID_CHARGING_STATION_CERTIFICATE, str(error))
            return False
        except OSError as error:
            log.error("a signed certificate could not be kept: %s", error)
            return False
        self._turn, self._discarded = 0, False
        self._changed(f"certificate of the station installed: {_shown(leaf)}")
        return True

    async def has_root(self, use: CertificateUse) -> bool:
        """At least one valid certificate of an authority is installed."""
        return bool(self._text(use)) and await self._aside(lambda: self._has_root(use))

    def _has_root(self, use: CertificateUse) -> bool:
        now = self._floor.now()
        return any(c.not_valid_after_utc >= now for c in _parsed(roots(self._text(use))))

    async def has_station_certificate(self) -> bool:
        """The station can prove with a certificate who it is, now."""
        return bool(await self._aside(lambda: self._own.valid(self._floor.now())))

    async def next_change(self) -> datetime | None:
        """When a certificate that was signed for later becomes valid (aware UTC)."""
        pairs = await self._aside(self._own.pairs)
        return min((p.not_before for p in pairs if p.not_before > self._floor.now()), default=None)

    async def renewal_due(self) -> bool:
        """The newest own certificate ends within a month (A03.FR.02); tidies away what is long over."""
        return await self._aside(self._renewal_due)

    def _renewal_due(self) -> bool:
        now = self._floor.now()
        try:
            self._own.tidy(now, self._proven)
        except OSError as error:
            log.error("old certificates could not be removed: %s", error)
        pairs = self._own.pairs()
        return bool(pairs) and max(pair.not_after for pair in pairs) < now + RENEW_BEFORE

    # --- inside -----------------------------------------------------------------------------------

    async def _aside(self, work: Callable[[], T]) -> T:
        async with self._lock:
            self._events = asyncio.get_running_loop()
            return await asyncio.to_thread(work)

    def _text(self, use: CertificateUse) -> str:
        try:
            return self._bundles[use].read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return ""
        except OSError as error:
            log.error("%s cannot be read: %s", self._bundles[use], error)
            return ""

    def _write(self, use: CertificateUse, installed: Sequence[Root]) -> None:
        write_whole(self._bundles[use], bundle(installed).encode("ascii"), PUBLIC)

    def _count(self) -> int:
        return sum(not root.fallback for use in CertificateUse for root in roots(self._text(use)))

    def _changed(self, what: str) -> None:
        log.info("%s", what)
        self._later(_Event.RECONFIGURATION_OF_SECURITY_PARAMETERS, what)

    def _later(self, event: SecurityEventType, info: str) -> None:
        """From the thread: events are raised in the event loop."""
        if self._events is not None:
            self._events.call_soon_threadsafe(self._tell, event, info)


def _parsed(installed: Sequence[Root]) -> list[Certificate]:
    from controller.security import x509

    found = []
    for root in installed:
        try:
            found += x509.parse(root.pem)
        except x509.Invalid:
            log.warning("a certificate of a bundle cannot be read and is left out")
    return found


def _shown(certificate: Certificate) -> str:
    return f"{certificate.subject.rfc4514_string()}, serial number {certificate.serial_number:x}"
