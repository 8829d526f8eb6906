"""Uploads of logs in the words of OCPP 2.x (GetLog); GetDiagnostics of 1.6 is one of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class LogKind(StrEnum):
    """What is asked for."""

    DIAGNOSTICS = "DiagnosticsLog"
    SECURITY = "SecurityLog"


class UploadStatus(StrEnum):
    """UploadLogStatusEnumType."""

    IDLE = "Idle"
    UPLOADING = "Uploading"
    UPLOADED = "Uploaded"
    UPLOAD_FAILURE = "UploadFailure"
    BAD_MESSAGE = "BadMessage"
    PERMISSION_DENIED = "PermissionDenied"
    NOT_SUPPORTED_OPERATION = "NotSupportedOperation"
    ACCEPTED_CANCELED = "AcceptedCanceled"


class LogStatus(StrEnum):
    """LogStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    ACCEPTED_CANCELED = "AcceptedCanceled"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRequest:
    """`location`: a directory (URL). `retries`: further attempts after the first; None = we decide.

    `oldest`, `latest`: aware UTC bounds of what is wanted. `request_id`: None = 1.6 GetDiagnostics.
    """

    kind: LogKind
    location: str
    request_id: int | None = None
    oldest: datetime | None = None
    latest: datetime | None = None
    retries: int | None = None
    retry_interval_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAnswer:
    """`file_name`: "" = nothing to upload."""

    status: LogStatus
    file_name: str = ""
