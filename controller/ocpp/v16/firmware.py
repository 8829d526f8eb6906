"""UpdateFirmware and SignedUpdateFirmware, and the notifications of their course (R16-FW-1, R16-SEC-10)."""

from __future__ import annotations

import logging

from controller.core.firmware_update import (
    FirmwareNews,
    FirmwareRequest,
    FirmwareStatus,
    UpdateAnswer,
)
from controller.core.settings import Settings
from controller.errors import BackendUnavailable
from controller.ocpp.calls import Answer, LinkLost
from controller.ocpp.rpc import ErrorName
from controller.ocpp.v16.blocks import Block, BlockMaker, Payload, Sender, status_answer, whole
from controller.ocpp.wire_time import parse_time
from controller.ports_maintenance import FirmwareUpdates, Maintenance

log = logging.getLogger(__name__)

UNSIGNED_UP_TO = 1
"""From the next security profile on firmware without a signature is NotSupported (L01.FR.20)."""

_S = FirmwareStatus
PLAIN = {
    _S.DOWNLOADING: "Downloading",
    _S.DOWNLOADED: "Downloaded",
    _S.DOWNLOAD_FAILED: "DownloadFailed",
    _S.INSTALLING: "Installing",
    _S.INSTALLED: "Installed",
    _S.INSTALLATION_FAILED: "InstallationFailed",
    _S.INSTALL_VERIFICATION_FAILED: "InstallationFailed",
    _S.INVALID_SIGNATURE: "InstallationFailed",
}
"""The words of FirmwareStatusNotification; the other statuses are not told."""
_ASKED = {
    _S.SIGNATURE_VERIFIED: "Downloaded",
    _S.INSTALL_SCHEDULED: "Downloaded",
    _S.INSTALL_REBOOTING: "Installing",
}
"""What comes nearest when FirmwareStatusNotification is asked for by a trigger; else Idle."""


def firmware(service: Maintenance) -> BlockMaker:
    """The maker of the block."""

    def make(sender: Sender, settings: Settings) -> Block:
        updates = _Updates(service.firmware, sender, settings)
        service.firmware.on_news(updates.wake)
        return Block(
            actions={
                "UpdateFirmware": updates.update_firmware,
                "SignedUpdateFirmware": updates.signed_update_firmware,
            },
            triggers={"FirmwareStatusNotification": updates.plain_status},
            extended_triggers={"FirmwareStatusNotification": updates.signed_status},
            connected=updates.connected,
        )

    return make


class _Updates:
    def __init__(self, service: FirmwareUpdates, sender: Sender, settings: Settings) -> None:
        self._service = service
        self._sender = sender
        self._settings = settings
        self._busy = False

    # --- requests ---------------------------------------------------------------------------------

    async def update_firmware(self, request: Payload) -> Answer:
        """The answer is empty whatever comes of it."""
        if self._settings.integer("SecurityProfile") > UNSIGNED_UP_TO:
            return Answer(error=ErrorName.NOT_SUPPORTED, description="firmware must be signed here")
        retrieve_at = parse_time(request["retrieveDate"])
        if retrieve_at is None:
            return _not_a_time("retrieveDate")
        await self._service.request(
            FirmwareRequest(
                location=request["location"],
                retrieve_at=retrieve_at,
                retries=whole(request.get("retries")),
                retry_interval_s=whole(request.get("retryInterval")),
            )
        )
        return Answer(payload={}, then=self._service.start)

    async def signed_update_firmware(self, request: Payload) -> Answer:
        """Accepted once the signing certificate is (L01.FR.23)."""
        wanted = request["firmware"]
        retrieve_at = parse_time(wanted["retrieveDateTime"])
        if retrieve_at is None:
            return _not_a_time("firmware.retrieveDateTime")
        install = wanted.get("installDateTime")
        install_at = parse_time(install)
        if install is not None and install_at is None:
            return _not_a_time("firmware.installDateTime")
        status = await self._service.request(
            FirmwareRequest(
                location=wanted["location"],
                retrieve_at=retrieve_at,
                install_at=install_at,
                retries=whole(request.get("retries")),
                retry_interval_s=whole(request.get("retryInterval")),
                request_id=request["requestId"],
                signed=True,
                certificate=wanted["signingCertificate"],
                signature=wanted["signature"],
            )
        )
        begins = status in (UpdateAnswer.ACCEPTED, UpdateAnswer.ACCEPTED_CANCELED)
        return Answer(
            payload={"status": status.value}, then=self._service.start if begins else None
        )

    # --- triggers ---------------------------------------------------------------------------------

    def plain_status(self, connector: int | None) -> Answer:
        """Idle unless an update is under way."""
        running = self._service.running
        word = "Idle" if running is None else PLAIN.get(running) or _ASKED.get(running, "Idle")
        return self._triggered("FirmwareStatusNotification", {"status": word})

    def signed_status(self, connector: int | None) -> Answer:
        """The last status; Idle after Installed (L01.FR.28, L01.FR.29)."""
        news = self._service.status
        signed = news.request_id is not None
        payload: Payload = {"status": news.status.value if signed else _S.IDLE.value}
        if signed:
            payload["requestId"] = news.request_id
        return self._triggered("SignedFirmwareStatusNotification", payload)

    def _triggered(self, action: str, payload: Payload) -> Answer:
        def then() -> None:
            self._sender.spawn(self._sender.call(action, payload))

        return status_answer("Accepted", then=then)

    # --- notifications ----------------------------------------------------------------------------

    def connected(self) -> None:
        """An update whose answer went down with its connection begins now."""
        self._service.start()
        self.wake()

    def wake(self) -> None:
        """Tell what was not told, in order, if the backend is there."""
        if not self._busy and self._sender.connected and self._service.untold() is not None:
            self._busy = True
            self._sender.spawn(self._tell_all())

    async def _tell_all(self) -> None:
        try:
            while self._sender.connected and (news := self._service.untold()) is not None:
                request = _notification(news)
                if request is not None:
                    try:
                        await self._sender.call(*request)
                    except LinkLost:
                        return
                    except BackendUnavailable as error:
                        log.warning("%s", error)
                await self._service.told(news)
        finally:
            self._busy = False


def _notification(news: FirmwareNews) -> tuple[str, Payload] | None:
    if not news.signed:
        word = PLAIN.get(news.status)
        return None if word is None else ("FirmwareStatusNotification", {"status": word})
    payload: Payload = {"status": news.status.value}
    if news.request_id is not None:
        payload["requestId"] = news.request_id
    return "SignedFirmwareStatusNotification", payload


def _not_a_time(where: str) -> Answer:
    return Answer(error=ErrorName.PROPERTY, description=f"{where}: is not a time")
