"""Uploads of diagnostics and of the security log: one at a time, a new request cancels the old (R16-SEC-9)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from controller.clock import Clock
from controller.core.log_upload import LogAnswer, LogKind, LogRequest, LogStatus, UploadStatus
from controller.maintenance.diagnostics import Diagnostics, log_text
from controller.maintenance.security_log import SecurityLog
from controller.maintenance.transfer import Failure, Transfer, TransferFailed, retrying
from controller.ports_maintenance import TellUpload

log = logging.getLogger(__name__)

_STATUSES = {
    Failure.FAILED: UploadStatus.UPLOAD_FAILURE,
    Failure.BAD_MESSAGE: UploadStatus.BAD_MESSAGE,
    Failure.DENIED: UploadStatus.PERMISSION_DENIED,
    Failure.NOT_SUPPORTED: UploadStatus.NOT_SUPPORTED_OPERATION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Upload:
    request: LogRequest
    tell: TellUpload
    name: str


class LogService:
    """The `LogUploads` of a station. `folder`: where archives lie until they are sent."""

    def __init__(
        self,
        *,
        station_id: str,
        folder: Path,
        diagnostics: Diagnostics,
        security_log: SecurityLog,
        transfer: Transfer,
        clock: Clock,
    ) -> None:
        self._station_id = re.sub(r"[^A-Za-z0-9._-]", "_", station_id)[:100]
        self._folder = folder
        self._diagnostics = diagnostics
        self._security_log = security_log
        self._transfer = transfer
        self._clock = clock
        self._next: _Upload | None = None
        self._now: _Upload | None = None
        self._task: asyncio.Task[None] | None = None

    def request(self, request: LogRequest, tell: TellUpload) -> LogAnswer:
        """Answer at once. An upload under way is cancelled by `start`."""
        stamp = f"{self._clock.utc():%Y%m%dT%H%M%SZ}"
        if request.kind is LogKind.SECURITY:
            name = f"security-log-{self._station_id}-{stamp}.jsonl"
        else:
            name = f"diagnostics-{self._station_id}-{stamp}.tar.gz"
        cancels = self._now is not None or self._next is not None
        self._next = _Upload(request=request, tell=tell, name=name)
        status = LogStatus.ACCEPTED_CANCELED if cancels else LogStatus.ACCEPTED
        return LogAnswer(status=status, file_name=name)

    def start(self) -> None:
        """The answer left: begin with what was asked for last."""
        upload, self._next = self._next, None
        if upload is None:
            return
        before, self._now = self._now, upload
        old = self._task
        if old is not None:
            old.cancel()
        if before is not None:
            before.tell(UploadStatus.ACCEPTED_CANCELED, before.request.request_id)
        self._task = asyncio.get_running_loop().create_task(self._work(upload, old))

    @property
    def status(self) -> tuple[UploadStatus, int | None]:
        """Uploading with its request id, else Idle."""
        if self._now is None:
            return UploadStatus.IDLE, None
        return UploadStatus.UPLOADING, self._now.request.request_id

    async def close(self) -> None:
        """Give up what is under way."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _work(self, upload: _Upload, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        request = upload.request
        upload.tell(UploadStatus.UPLOADING, request.request_id)
        file = self._folder / upload.name
        status = UploadStatus.UPLOAD_FAILURE
        try:
            await self._write(file, request)
            await retrying(
                lambda: self._transfer.upload(file, request.location, upload.name),
                retries=request.retries,
                interval_s=request.retry_interval_s,
                clock=self._clock,
            )
            status = UploadStatus.UPLOADED
        except TransferFailed as error:
            log.warning("%s was not uploaded: %s", upload.name, error)
            status = _STATUSES[error.failure]
        except Exception:
            log.exception("%s could not be made", upload.name)
        finally:
            _remove(file)
            if self._now is upload:
                self._now = None
        upload.tell(status, request.request_id)

    async def _write(self, file: Path, request: LogRequest) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if request.kind is LogKind.DIAGNOSTICS:
            await self._diagnostics.write(file, request.oldest, request.latest)
            return
        events = await self._security_log.entries(request.oldest, request.latest)
        await asyncio.to_thread(file.write_text, log_text(events))


def _remove(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)
