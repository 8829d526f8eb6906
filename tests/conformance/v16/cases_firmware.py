"""Firmware: UpdateFirmware, SignedUpdateFirmware, and every way in which they can end."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from tests.conformance.lab import Lab
from tests.conformance.matching import ABSENT
from tests.conformance.registry import case
from tests.conformance.v16.files import (
    AFTER,
    BEFORE,
    VIRTUAL,
    FileServer,
    Manufacturer,
    file_server,
    time,
)

SIGNED = "SignedFirmwareStatusNotification"
PLAIN = "FirmwareStatusNotification"


def image(**head: Any) -> bytes:
    return json.dumps({"version": "2.0", **head}).encode() + b"\n" + bytes(50_000)


async def told(lab: Lab, *statuses: str, **fields: Any) -> None:
    """Signed notifications, or plain ones without a requestId, in this order."""
    action = SIGNED if "requestId" in fields else PLAIN
    for status in statuses:
        await lab.csms.expect(action, status=status, within=60, **fields)


async def plain_update(lab: Lab, server: FileServer, body: bytes, **more: Any) -> None:
    location = server.offer("firmware.bin", body)
    request = {"location": location, "retrieveDate": time(lab.utc), "retries": 0, **more}
    assert await lab.csms.call("UpdateFirmware", request) == {}


async def rooted(lab: Lab, manufacturer: Manufacturer) -> None:
    """The manufacturer's root gets into the station."""
    await lab.csms.call(
        "InstallCertificate",
        {
            "certificateType": "ManufacturerRootCertificate",
            "certificate": manufacturer.root_pem,
        },
        status="Accepted",
    )


def signed_request(
    lab: Lab,
    server: FileServer,
    manufacturer: Manufacturer,
    body: bytes,
    request_id: int = 5,
    *,
    signature: str | None = None,
    certificate: str | None = None,
    **firmware: Any,
) -> dict[str, Any]:
    return {
        "requestId": request_id,
        "retries": 0,
        "firmware": {
            "location": server.offer(f"firmware-{request_id}.bin", body),
            "retrieveDateTime": time(lab.utc),
            "signingCertificate": certificate or manufacturer.signing_pem(),
            "signature": signature or manufacturer.sign(body),
            **firmware,
        },
    }


async def boots(lab: Lab, version: str) -> None:
    """The restart after an installation."""
    await lab.csms.expect("BootNotification", firmwareVersion=version, within=60)
    assert lab.exits, "nothing was restarted"


# --- without a signature --------------------------------------------------------------------------


@case("TC_044_1_CS", "R16-FW-1", title="Firmware is downloaded and installed", installation=VIRTUAL)
async def update(lab: Lab) -> None:
    async with file_server(lab) as server:
        await plain_update(lab, server, image())
        await told(lab, "Downloading", "Downloaded", "Installing")
        await boots(lab, "2.0")
        await lab.csms.expect("StatusNotification", connectorId=1, status="Available")
        await told(lab, "Installed")
    trigger = {"requestedMessage": "FirmwareStatusNotification"}
    await lab.csms.call("TriggerMessage", trigger, status="Accepted")
    await told(lab, "Idle")
    await lab.csms.quiet(PLAIN, for_s=60)
    await lab.begin_charging()


@case("TC_044_2_CS", "R16-FW-1", title="The download fails", installation=VIRTUAL)
async def download_failed(lab: Lab) -> None:
    async with file_server(lab) as server:
        request = {
            "location": f"{server.url}/no-such-file",
            "retrieveDate": time(lab.utc),
            "retries": 2,
            "retryInterval": 20,
        }
        assert await lab.csms.call("UpdateFirmware", request) == {}
        began = await lab.csms.expect(PLAIN, status="Downloading")
        ended = await lab.csms.expect(PLAIN, status="DownloadFailed", within=60)
        assert 39.9 < ended.at_s - began.at_s < 45, "two retries, 20 s apart"
    await lab.csms.quiet("StatusNotification", for_s=10)
    await lab.begin_charging()


@case("TC_044_3_CS", "R16-FW-1", title="The installation fails", installation=VIRTUAL)
async def installation_failed(lab: Lab) -> None:
    for fails in ("check", "install"):
        async with file_server(lab) as server:
            await plain_update(lab, server, image(fails=fails))
            await told(lab, "Downloading", "Downloaded", "Installing", "InstallationFailed")
    assert not lab.exits
    await lab.begin_charging()


@case(
    "R16-FW-1", title="New firmware that does not start: the old one says so", installation=VIRTUAL
)
async def does_not_start(lab: Lab) -> None:
    async with file_server(lab) as server:
        await plain_update(lab, server, image(fails="start"))
        await told(lab, "Downloading", "Downloaded", "Installing")
        await boots(lab, "1.0")
        await told(lab, "InstallationFailed")


@case("R16-FW-1", title="A download for later waits", installation=VIRTUAL)
async def scheduled(lab: Lab) -> None:
    async with file_server(lab) as server:
        begin = lab.utc + timedelta(seconds=120)
        asked_s = lab.now_s
        await plain_update(lab, server, image(), retrieveDate=time(begin))
        await lab.csms.quiet(PLAIN, for_s=100)
        downloading = await lab.csms.expect(PLAIN, status="Downloading", within=60)
        assert 118 < downloading.at_s - asked_s < 160
        await told(lab, "Downloaded", "Installing")
        await boots(lab, "2.0")
        await told(lab, "Installed")


@case(
    "R16-FW-1",
    title="An installation waits for the end of transactions; free EVSEs are unavailable meanwhile",
    installation=VIRTUAL,
    evses=2,
    config={"MeterValueSampleInterval": "0"},
)
async def waits_for_transactions(lab: Lab) -> None:
    await lab.begin_charging(1)
    async with file_server(lab) as server:
        await plain_update(lab, server, image())
        await told(lab, "Downloading")
        await lab.csms.expect_together(
            (PLAIN, {"status": "Downloaded"}),
            ("StatusNotification", {"connectorId": 2, "status": "Unavailable"}),
        )
        await lab.csms.quiet(PLAIN, for_s=60)
        assert lab.evse(1).closed
        assert "update" in lab.sentence(2)
        lab.unplug(1)
        await lab.csms.expect("StopTransaction", reason="EVDisconnected")
        await told(lab, "Installing")
        await boots(lab, "2.0")
        await lab.csms.expect("StatusNotification", connectorId=2, status="Available")
        await told(lab, "Installed")


@case("R16-FW-1", title="Without an installer it is said honestly")
async def no_installer(lab: Lab) -> None:
    async with file_server(lab) as server:
        await plain_update(lab, server, image())
        await told(lab, "InstallationFailed")
        manufacturer = Manufacturer()
        await rooted(lab, manufacturer)
        request = signed_request(lab, server, manufacturer, image())
        await lab.csms.call("SignedUpdateFirmware", request, status="Rejected")
    await lab.csms.quiet(SIGNED, for_s=30)


@case(
    "R16-FW-1", title="A new request replaces one that is not installing yet", installation=VIRTUAL
)
async def replaced(lab: Lab) -> None:
    async with file_server(lab) as server:
        later = time(lab.utc + timedelta(seconds=300))
        await plain_update(lab, server, image(version="1.9"), retrieveDate=later)
        await lab.sleep(5)
        await plain_update(lab, server, image(version="2.1"))
        await told(lab, "Downloading", "Downloaded", "Installing")
        await boots(lab, "2.1")
        await told(lab, "Installed")
        await lab.csms.quiet(PLAIN, for_s=400)


@case(
    "R16-FW-1",
    title="Statuses that came while the backend was away are told in order",
    installation=VIRTUAL,
)
async def told_later(lab: Lab) -> None:
    async with file_server(lab) as server:
        later = time(lab.utc + timedelta(seconds=30))
        await plain_update(lab, server, image(fails="check"), retrieveDate=later)
        await lab.csms.offline()
        await lab.sleep(90)
        await lab.csms.online()
        await lab.csms.expect(PLAIN, status="Downloading", within=300)
        await told(lab, "Downloaded", "Installing", "InstallationFailed")


@case("R16-FW-1", title="A power cut in each phase leads to a true status", installation=VIRTUAL)
async def power_cuts(lab: Lab) -> None:
    body = image(version="3.0")
    async with file_server(lab) as server:
        later = time(lab.utc + timedelta(seconds=60))
        await plain_update(lab, server, body, retrieveDate=later, retries=1, retryInterval=60)
        await lab.power_loss()
        await lab.registered()
        (server.folder / "firmware.bin").unlink()
        await told(lab, "Downloading")
        await lab.sleep(30)
        await lab.power_loss()
        server.offer("firmware.bin", body)
        await lab.csms.expect("BootNotification", firmwareVersion="1.0", within=60)
        await told(lab, "Downloaded", "Installing")
        await boots(lab, "3.0")
        await told(lab, "Installed")


@case(
    "R16-FW-1",
    title="A power cut while transactions are waited for: the update goes on",
    installation=VIRTUAL,
    evses=2,
    config={"MeterValueSampleInterval": "0"},
)
async def power_cut_while_waiting(lab: Lab) -> None:
    await lab.begin_charging(1)
    async with file_server(lab) as server:
        await plain_update(lab, server, image(version="3.1"))
        await told(lab, "Downloading")
        await lab.csms.expect_together(
            (PLAIN, {"status": "Downloaded"}),
            ("StatusNotification", {"connectorId": 2, "status": "Unavailable"}),
        )
        await lab.sleep(20)
        await lab.power_loss()
        await lab.csms.expect("StopTransaction", reason="PowerLoss", within=60)
        await told(lab, "Installing")
        await boots(lab, "3.1")
        await told(lab, "Installed")


# --- with a signature -----------------------------------------------------------------------------


@case(
    "TC_080_CS",
    "R16-SEC-10",
    title="Secure firmware update",
    installation=VIRTUAL,
)
async def secure_update(lab: Lab) -> None:
    manufacturer, body = Manufacturer("rsa"), image()
    await rooted(lab, manufacturer)
    async with file_server(lab) as server:
        request = signed_request(lab, server, manufacturer, body)
        await lab.csms.call("SignedUpdateFirmware", request, status="Accepted")
        await told(lab, "Downloading", "Downloaded", "SignatureVerified", requestId=5)
        await told(lab, "Installing", "InstallRebooting", requestId=5)
        await boots(lab, "2.0")
        await lab.csms.expect_together(
            (SIGNED, {"status": "Installed", "requestId": 5}),
            ("SecurityEventNotification", {"type": "FirmwareUpdated"}),
        )
    trigger = {"requestedMessage": "FirmwareStatusNotification"}
    await lab.csms.call("ExtendedTriggerMessage", trigger, status="Accepted")
    await lab.csms.expect(SIGNED, status="Idle", requestId=ABSENT)


@case("TC_081_CS", "R16-SEC-10", title="The signature is wrong", installation=VIRTUAL)
async def invalid_signature(lab: Lab) -> None:
    manufacturer, body = Manufacturer(), image()
    await rooted(lab, manufacturer)
    async with file_server(lab) as server:
        wrong = manufacturer.sign(body + b"x")
        request = signed_request(lab, server, manufacturer, body, signature=wrong)
        await lab.csms.call("SignedUpdateFirmware", request, status="Accepted")
        await told(lab, "Downloading", "Downloaded", requestId=5)
        await lab.csms.expect_together(
            (SIGNED, {"status": "InvalidSignature", "requestId": 5}),
            ("SecurityEventNotification", {"type": "InvalidFirmwareSignature"}),
        )
    trigger = {"requestedMessage": "FirmwareStatusNotification"}
    await lab.csms.call("ExtendedTriggerMessage", trigger, status="Accepted")
    await lab.csms.expect(SIGNED, status="InvalidSignature", requestId=5)
    assert not lab.exits


@case("R16-SEC-10", title="Signing certificates that are not accepted", installation=VIRTUAL)
async def invalid_certificate(lab: Lab) -> None:
    manufacturer, stranger, body = Manufacturer(), Manufacturer(name="Stranger"), image()
    async with file_server(lab) as server:
        await rooted(lab, manufacturer)
        for certificate in (
            stranger.signing_pem(),
            manufacturer.signing_pem(after=BEFORE + timedelta(days=1)),
            manufacturer.signing_pem(before=AFTER - timedelta(days=1)),
            "no certificate",
        ):
            request = signed_request(lab, server, manufacturer, body, certificate=certificate)
            await lab.csms.call("SignedUpdateFirmware", request, status="InvalidCertificate")
            await lab.csms.expect(
                "SecurityEventNotification", type="InvalidFirmwareSigningCertificate"
            )
    await lab.csms.quiet(SIGNED, for_s=10)


@case("R16-SEC-10", title="Scheduled download and installation", installation=VIRTUAL)
async def scheduled_installation(lab: Lab) -> None:
    manufacturer, body = Manufacturer(), image()
    await rooted(lab, manufacturer)
    async with file_server(lab) as server:
        request = signed_request(
            lab,
            server,
            manufacturer,
            body,
            retrieveDateTime=time(lab.utc + timedelta(seconds=60)),
            installDateTime=time(lab.utc + timedelta(seconds=300)),
        )
        asked_s = lab.now_s
        await lab.csms.call("SignedUpdateFirmware", request, status="Accepted")
        await told(lab, "DownloadScheduled", requestId=5)
        await lab.csms.expect(SIGNED, status="Downloading", requestId=5, within=100)
        await told(lab, "Downloaded", "SignatureVerified", "InstallScheduled", requestId=5)
        await lab.csms.quiet("StatusNotification", for_s=60)
        await lab.power_loss()
        await lab.registered()
        installing = await lab.csms.expect(SIGNED, status="Installing", requestId=5, within=300)
        assert 299 < installing.at_s - asked_s < 335
        await told(lab, "InstallRebooting", requestId=5)
        await boots(lab, "2.0")
        await told(lab, "Installed", requestId=5)


@case("R16-SEC-10", title="A new request cancels one that is under way", installation=VIRTUAL)
async def cancelled(lab: Lab) -> None:
    manufacturer, body = Manufacturer(), image()
    await rooted(lab, manufacturer)
    async with file_server(lab) as server:
        later = time(lab.utc + timedelta(seconds=600))
        first = signed_request(lab, server, manufacturer, body, 1, installDateTime=later)
        await lab.csms.call("SignedUpdateFirmware", first, status="Accepted")
        await told(lab, "Downloading", "Downloaded", requestId=1)
        await told(lab, "SignatureVerified", "InstallScheduled", requestId=1)
        trigger = {"requestedMessage": "FirmwareStatusNotification"}
        await lab.csms.call("ExtendedTriggerMessage", trigger, status="Accepted")
        await told(lab, "InstallScheduled", requestId=1)
        second = signed_request(lab, server, manufacturer, b"gone", 2)
        (server.folder / "firmware-2.bin").unlink()
        await lab.csms.call("SignedUpdateFirmware", second, status="AcceptedCanceled")
        await told(lab, "Downloading", "DownloadFailed", requestId=2)
        await lab.csms.quiet(SIGNED, for_s=700)
