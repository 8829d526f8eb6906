"""The course of a firmware update, in the words of OCPP 2.x (L01, L02; R16-FW-1, R16-SEC-10).

Pure: `Update` is a value that is stored after each step; functions lead from one to the next. The phase
says what has to be done now, whoever does it tells the outcome.

    WAIT_DOWNLOAD → DOWNLOAD → (VERIFY) → WAIT_INSTALL → WAIT_IDLE → INSTALL → RESTART → OVER
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

INSTALL_ATTEMPTS = 3
"""How often an installation that a power cut interrupted is begun."""


class FirmwareStatus(StrEnum):
    """FirmwareStatusEnumType."""

    IDLE = "Idle"
    DOWNLOAD_SCHEDULED = "DownloadScheduled"
    DOWNLOADING = "Downloading"
    DOWNLOADED = "Downloaded"
    DOWNLOAD_FAILED = "DownloadFailed"
    SIGNATURE_VERIFIED = "SignatureVerified"
    INVALID_SIGNATURE = "InvalidSignature"
    INSTALL_SCHEDULED = "InstallScheduled"
    INSTALLING = "Installing"
    INSTALL_REBOOTING = "InstallRebooting"
    INSTALL_VERIFICATION_FAILED = "InstallVerificationFailed"
    INSTALLATION_FAILED = "InstallationFailed"
    INSTALLED = "Installed"


class UpdateAnswer(StrEnum):
    """UpdateFirmwareStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    ACCEPTED_CANCELED = "AcceptedCanceled"
    INVALID_CERTIFICATE = "InvalidCertificate"
    REVOKED_CERTIFICATE = "RevokedCertificate"


class CertificateVerdict(StrEnum):
    """What a firmware signing certificate is worth."""

    VALID = "valid"
    INVALID = "invalid"
    REVOKED = "revoked"


class Phase(StrEnum):
    """What has to be done now."""

    WAIT_DOWNLOAD = "wait_download"
    DOWNLOAD = "download"
    VERIFY = "verify"
    WAIT_INSTALL = "wait_install"
    WAIT_IDLE = "wait_idle"
    INSTALL = "install"
    RESTART = "restart"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareRequest:
    """`retries`: further attempts after the first; None = we decide. Times are aware UTC.

    `signed`: certificate (PEM) and signature (base64) must be right; otherwise there is neither.
    """

    location: str
    retrieve_at: datetime
    install_at: datetime | None = None
    retries: int | None = None
    retry_interval_s: int | None = None
    request_id: int | None = None
    signed: bool = False
    certificate: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareNews:
    """A status that a backend is told. `n` orders those of one update."""

    status: FirmwareStatus
    request_id: int | None = None
    signed: bool = False
    n: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One update. `untold`: statuses that the backend does not know yet; `version`: what was staged."""

    request: FirmwareRequest
    phase: Phase
    status: FirmwareStatus = FirmwareStatus.IDLE
    version: str = ""
    installs: int = 0
    told_to: int = 0
    untold: tuple[FirmwareNews, ...] = ()

    @property
    def holds(self) -> bool:
        """Free EVSEs are out of service (L01.FR.07)."""
        return self.phase in (Phase.WAIT_IDLE, Phase.INSTALL, Phase.RESTART)

    @property
    def cancellable(self) -> bool:
        """Nothing was changed yet (L01.FR.26)."""
        return self.phase not in (Phase.INSTALL, Phase.RESTART, Phase.OVER)

    @property
    def due(self) -> datetime | None:
        """When a phase that waits for a time ends."""
        if self.phase is Phase.WAIT_DOWNLOAD:
            return self.request.retrieve_at
        return self.request.install_at if self.phase is Phase.WAIT_INSTALL else None


_S = FirmwareStatus


def begin(request: FirmwareRequest, now: datetime) -> Update:
    """A request was accepted."""
    if request.retrieve_at > now:
        return _to(
            Update(request=request, phase=Phase.OVER), Phase.WAIT_DOWNLOAD, _S.DOWNLOAD_SCHEDULED
        )
    return _to(Update(request=request, phase=Phase.OVER), Phase.DOWNLOAD, _S.DOWNLOADING)


def refuse(request: FirmwareRequest) -> Update:
    """A request that this station cannot carry out, told honestly."""
    return _to(Update(request=request, phase=Phase.OVER), Phase.OVER, _S.INSTALLATION_FAILED)


def look(update: Update, now: datetime, *, busy: bool) -> Update:
    """What time and the end of transactions lead to."""
    due = update.due
    if update.phase is Phase.WAIT_DOWNLOAD and due is not None and due <= now:
        return _to(update, Phase.DOWNLOAD, _S.DOWNLOADING)
    if update.phase is Phase.WAIT_INSTALL and (due is None or due <= now):
        update = replace(update, phase=Phase.WAIT_IDLE)
    if update.phase is Phase.WAIT_IDLE and not busy:
        return _to(update, Phase.INSTALL, _S.INSTALLING)
    return update


def downloaded(update: Update, now: datetime) -> Update:
    """The image is here."""
    if update.request.signed:
        return _to(update, Phase.VERIFY, _S.DOWNLOADED)
    return _installable(_to(update, Phase.WAIT_INSTALL, _S.DOWNLOADED), now)


def verified(update: Update, now: datetime) -> Update:
    """The signature is right."""
    return _installable(_to(update, Phase.WAIT_INSTALL, _S.SIGNATURE_VERIFIED), now)


def staged(update: Update, version: str) -> Update:
    """The next start runs the new version."""
    return replace(_to(update, Phase.RESTART, _S.INSTALL_REBOOTING), version=version)


def failed(update: Update, status: FirmwareStatus) -> Update:
    """It ends here: DownloadFailed, InvalidSignature, InstallVerificationFailed, InstallationFailed."""
    return _to(update, Phase.OVER, status)


def resumed(update: Update, activated: str | None, *, image_is_there: bool) -> Update:
    """The station started again. `activated`: the version that the installer staged, if it runs now."""
    if update.phase in (Phase.INSTALL, Phase.RESTART) and activated is not None:
        return replace(_to(update, Phase.OVER, _S.INSTALLED), version=activated)
    if update.phase is Phase.RESTART:
        return _to(update, Phase.OVER, _S.INSTALLATION_FAILED)
    if update.phase is Phase.INSTALL:
        if not image_is_there or update.installs + 1 >= INSTALL_ATTEMPTS:
            return _to(update, Phase.OVER, _S.INSTALLATION_FAILED)
        return replace(update, installs=update.installs + 1)
    needs_image = (Phase.VERIFY, Phase.WAIT_INSTALL, Phase.WAIT_IDLE)
    if update.phase in needs_image and not image_is_there:
        return _to(update, Phase.DOWNLOAD, _S.DOWNLOADING)
    return update


def told(update: Update, n: int) -> Update:
    """The backend knows all news up to `n`."""
    return replace(update, untold=tuple(news for news in update.untold if news.n > n))


def news_of(update: Update) -> FirmwareNews:
    """What a trigger is answered with: the last status; Idle after Installed (L01.FR.28, FR.29)."""
    if update.status in (_S.INSTALLED, _S.IDLE):
        return FirmwareNews(status=_S.IDLE, signed=update.request.signed)
    return FirmwareNews(
        status=update.status, request_id=update.request.request_id, signed=update.request.signed
    )


def to_json(update: Update) -> dict[str, Any]:
    """As JSON-able values."""
    body = asdict(update)
    for name in ("retrieve_at", "install_at"):
        at = getattr(update.request, name)
        body["request"][name] = None if at is None else at.isoformat()
    return body


def from_json(body: Mapping[str, Any]) -> Update:
    """Inverse of `to_json`. Raises KeyError, ValueError or TypeError when the shape is not ours."""
    request = dict(body["request"])
    for name in ("retrieve_at", "install_at"):
        request[name] = None if request[name] is None else datetime.fromisoformat(request[name])
    return Update(
        request=FirmwareRequest(**request),
        phase=Phase(body["phase"]),
        status=FirmwareStatus(body["status"]),
        version=str(body["version"]),
        installs=int(body["installs"]),
        told_to=int(body["told_to"]),
        untold=tuple(
            FirmwareNews(**{**news, "status": FirmwareStatus(news["status"])})
            for news in body["untold"]
        ),
    )


def _installable(update: Update, now: datetime) -> Update:
    at = update.request.install_at
    if at is not None and at > now:
        return _to(update, Phase.WAIT_INSTALL, _S.INSTALL_SCHEDULED)
    return update


def _to(update: Update, phase: Phase, status: FirmwareStatus) -> Update:
    n = update.told_to + 1
    request = update.request
    news = FirmwareNews(status=status, request_id=request.request_id, signed=request.signed, n=n)
    return replace(update, phase=phase, status=status, told_to=n, untold=(*update.untold, news))
