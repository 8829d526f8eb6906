"""GetDiagnostics and GetLog, and the notifications about their uploads (R16-DIAG-1, R16-SEC-9)."""

from __future__ import annotations

import logging
from collections import deque

from controller.core.log_upload import LogKind, LogRequest, UploadStatus
from controller.core.settings import Settings
from controller.errors import BackendUnavailable
from controller.ocpp.calls import Answer, LinkLost
from controller.ocpp.rpc import ErrorName
from controller.ocpp.v16.blocks import Block, BlockMaker, Payload, Sender, status_answer, whole
from controller.ocpp.wire_time import parse_time
from controller.ports_maintenance import LogUploads, Maintenance

log = logging.getLogger(__name__)

KEPT = 20
"""Notifications that wait for the backend; the oldest are dropped."""


def logs(service: Maintenance) -> BlockMaker:
    """The maker of the block."""

    def make(sender: Sender, settings: Settings) -> Block:
        uploads = _Uploads(service.logs, sender)
        return Block(
            actions={"GetDiagnostics": uploads.get_diagnostics, "GetLog": uploads.get_log},
            triggers={"DiagnosticsStatusNotification": uploads.diagnostics_status},
            extended_triggers={"LogStatusNotification": uploads.log_status},
            connected=uploads.wake,
        )

    return make


class _Uploads:
    def __init__(self, service: LogUploads, sender: Sender) -> None:
        self._service = service
        self._sender = sender
        self._waiting: deque[tuple[str, Payload]] = deque(maxlen=KEPT)
        self._busy = False

    # --- requests ---------------------------------------------------------------------------------

    def get_diagnostics(self, request: Payload) -> Answer:
        """The answer names the file that will come."""
        wrong = _not_times(request, "startTime", "stopTime")
        if wrong is not None:
            return wrong
        answer = self._service.request(
            LogRequest(
                kind=LogKind.DIAGNOSTICS,
                location=request["location"],
                oldest=parse_time(request.get("startTime")),
                latest=parse_time(request.get("stopTime")),
                retries=whole(request.get("retries")),
                retry_interval_s=whole(request.get("retryInterval")),
            ),
            self._tell_diagnostics,
        )
        payload = {"fileName": answer.file_name} if answer.file_name else {}
        return Answer(payload=payload, then=self._service.start)

    def get_log(self, request: Payload) -> Answer:
        """Accepted, or AcceptedCanceled when another upload ends for it."""
        what = request["log"]
        wrong = _not_times(what, "oldestTimestamp", "latestTimestamp")
        if wrong is not None:
            return wrong
        answer = self._service.request(
            LogRequest(
                kind=LogKind(request["logType"]),
                location=what["remoteLocation"],
                request_id=request["requestId"],
                oldest=parse_time(what.get("oldestTimestamp")),
                latest=parse_time(what.get("latestTimestamp")),
                retries=whole(request.get("retries")),
                retry_interval_s=whole(request.get("retryInterval")),
            ),
            self._tell_log,
        )
        payload: Payload = {"status": answer.status.value}
        if answer.file_name:
            payload["filename"] = answer.file_name
        return Answer(payload=payload, then=self._service.start)

    # --- triggers ---------------------------------------------------------------------------------

    def diagnostics_status(self, connector: int | None) -> Answer:
        """Uploading, else Idle, which nothing but a trigger brings about."""
        status, _ = self._service.status
        busy = status is UploadStatus.UPLOADING
        payload: Payload = {"status": "Uploading" if busy else "Idle"}
        return _accepted(lambda: self._send("DiagnosticsStatusNotification", payload))

    def log_status(self, connector: int | None) -> Answer:
        """The same with the request it belongs to (N01.FR.12)."""
        status, request_id = self._service.status
        payload: Payload = {"status": status.value}
        if request_id is not None:
            payload["requestId"] = request_id
        elif status is not UploadStatus.IDLE:
            payload["status"] = UploadStatus.IDLE.value  # GetDiagnostics has no request id
        return _accepted(lambda: self._send("LogStatusNotification", payload))

    # --- notifications ----------------------------------------------------------------------------

    def _tell_diagnostics(self, status: UploadStatus, request_id: int | None) -> None:
        words = {UploadStatus.UPLOADING: "Uploading", UploadStatus.UPLOADED: "Uploaded"}
        self._send("DiagnosticsStatusNotification", {"status": words.get(status, "UploadFailed")})

    def _tell_log(self, status: UploadStatus, request_id: int | None) -> None:
        # 1.6 has no word for an upload that ended for another one.
        if status is UploadStatus.ACCEPTED_CANCELED:
            status = UploadStatus.UPLOAD_FAILURE
        payload: Payload = {"status": status.value}
        if request_id is not None:
            payload["requestId"] = request_id
        self._send("LogStatusNotification", payload)

    def _send(self, action: str, payload: Payload) -> None:
        self._waiting.append((action, payload))
        self.wake()

    def wake(self) -> None:
        """Send what waits, in order, if the backend is there."""
        if self._waiting and not self._busy and self._sender.connected:
            self._busy = True
            self._sender.spawn(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self._waiting and self._sender.connected:
                action, payload = self._waiting[0]
                try:
                    await self._sender.call(action, payload)
                except LinkLost:
                    return
                except BackendUnavailable as error:
                    log.warning("%s", error)
                if self._waiting and self._waiting[0] == (action, payload):
                    self._waiting.popleft()
        finally:
            self._busy = False


def _not_times(window: Payload, *names: str) -> Answer | None:
    """The refusal of a window that cannot be read; a whole log instead would be more than was asked for."""
    for name in names:
        if name in window and parse_time(window[name]) is None:
            return Answer(error=ErrorName.PROPERTY, description=f"{name}: is not a time")
    return None


def _accepted(then: object) -> Answer:
    assert callable(then)
    return status_answer("Accepted", then=then)
