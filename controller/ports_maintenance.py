"""Where maintenance (security events, logs, firmware) meets the backend, the store and the security parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from controller.clock import Clock
    from controller.core.firmware_update import (
        CertificateVerdict,
        FirmwareNews,
        FirmwareRequest,
        FirmwareStatus,
        UpdateAnswer,
    )
    from controller.core.log_upload import LogAnswer, LogRequest, UploadStatus
    from controller.core.security_events import SecurityEvent, SecurityEventType


# --- security events ------------------------------------------------------------------------------


class SecurityEvents(Protocol):
    """Whoever notices something raises it here; log, queue and delivery follow (R16-SEC-11)."""

    def raise_event(self, type: SecurityEventType, tech_info: str = "") -> None:  # noqa: A002
        """Log it and, if it is one that backends are told, queue it durably. Cheap, never raises.

        `tech_info`: at most 255 characters are kept; never a secret.
        """
        ...


class SecurityEventQueue(Protocol):
    """What the backend must still be told, oldest first; survives restarts."""

    async def waiting(self) -> SecurityEvent | None:
        """The oldest event that was not told; None also while telling is switched off."""
        ...

    def told(self, n: int) -> None:
        """The backend knows it."""
        ...

    def on_news(self, news: Callable[[], None]) -> None:
        """Call `news` whenever an event waits that did not wait before."""
        ...


class SecurityEventKeeper(Protocol):
    """The store of all events."""

    async def last_n(self) -> int:
        """The number of the newest event; 0 = there was none."""
        ...

    def append(self, events: Sequence[tuple[SecurityEvent, bool]]) -> Awaitable[None]:
        """Keep events; True = the backend must be told. Durable when this returns."""
        ...

    async def waiting(self, limit: int) -> list[SecurityEvent]:
        """The oldest events that the backend must still be told."""
        ...

    def told(self, n: int) -> Awaitable[object]:
        """The backend knows this one."""
        ...

    async def between(
        self, oldest: datetime | None, latest: datetime | None
    ) -> list[SecurityEvent]:
        """The log in order; None = no bound."""
        ...

    async def clear(self) -> None:
        """Forget what the backend need not be told."""
        ...


# --- logs -----------------------------------------------------------------------------------------

TellUpload = Callable[["UploadStatus", int | None], None]
"""How the asker is told about an upload: status and its request id."""


class LogUploads(Protocol):
    """Uploads of diagnostics and of the security log, one at a time."""

    def request(self, request: LogRequest, tell: TellUpload) -> LogAnswer:
        """Answer at once. An upload under way is cancelled (R16-SEC-9)."""
        ...

    def start(self) -> None:
        """The answer left: begin with what was asked for last."""
        ...

    @property
    def status(self) -> tuple[UploadStatus, int | None]:
        """Uploading with its request id, else Idle."""
        ...


# --- firmware -------------------------------------------------------------------------------------


class SignatureCheck(Protocol):
    """Cryptography of firmware; `controller/security` has it."""

    async def signing_certificate(self, pem: str, now: datetime) -> tuple[CertificateVerdict, str]:
        """Judge a firmware signing certificate against the manufacturer's roots; the text says why not."""
        ...

    async def file(self, image: Path, signature: str, pem: str) -> str:
        """Check the base64 signature over the whole file; "" = good, else why not."""
        ...


class InstallRefused(Exception):
    """The installer does not take this image, or could not write it; the text says why."""


class Installer(Protocol):
    """The one way in which firmware gets installed."""

    async def check(self, image: Path) -> None:
        """Whether the image is one for this station and whole. Raises InstallRefused."""
        ...

    async def stage(self, image: Path) -> str:
        """Write it, so that the next start runs it; returns its version. Durable. Raises InstallRefused."""
        ...

    async def activated(self) -> str | None:
        """After a start: the version staged last, if it is the one that runs now; None also once confirmed."""
        ...

    async def confirm(self) -> None:
        """The outcome is recorded; `activated` need not tell it again."""
        ...


class Upkeep(Protocol):
    """What a firmware update asks of the station."""

    @property
    def busy(self) -> bool:
        """Somebody charges or is about to."""
        ...

    def hold(self, why: str) -> None:
        """No new transactions; EVSEs that are free (or get free) are out of service, until `release`."""
        ...

    def release(self) -> None:
        """Everything as before `hold`."""
        ...

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call `changed` when `busy` may have changed."""
        ...

    def restart(self) -> None:
        """Stop and start again; nothing charges."""
        ...


class FirmwareUpdates(Protocol):
    """Firmware updates, one at a time; what is promised survives restarts."""

    async def request(self, request: FirmwareRequest) -> UpdateAnswer:
        """Durable before it returns. An update under way is cancelled unless it is too late for that."""
        ...

    def start(self) -> None:
        """The answer left: begin."""
        ...

    @property
    def status(self) -> FirmwareNews:
        """The last status; Idle after Installed and when there was none."""
        ...

    @property
    def running(self) -> FirmwareStatus | None:
        """The status of an update that is under way, or None."""
        ...

    def untold(self) -> FirmwareNews | None:
        """The oldest status that the backend was not told."""
        ...

    async def told(self, news: FirmwareNews) -> None:
        """The backend knows it."""
        ...

    def on_news(self, news: Callable[[], None]) -> None:
        """Call `news` when there is something to tell."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """What a backend uses of maintenance."""

    events: SecurityEvents
    queue: SecurityEventQueue
    logs: LogUploads
    firmware: FirmwareUpdates
    clock: Clock
    clock_set: Callable[[float], None]
    """The station's clock was corrected by so many seconds."""
