"""Diagnostics and logs: GetDiagnostics, GetLog and what is told about their uploads."""

from __future__ import annotations

import io
import json
import tarfile

from tests.conformance.lab import Lab
from tests.conformance.matching import ABSENT
from tests.conformance.registry import case
from tests.conformance.v16.files import file_server

PASSWORD = "0123456789abcdef0123"


def unpacked(archive: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        found = {m.name.rpartition("/")[2]: tar.extractfile(m) for m in tar.getmembers()}
        return {name: file.read().decode() for name, file in found.items() if file is not None}


@case(
    "TC_045_1_CS",
    "R16-DIAG-1",
    title="Diagnostics are uploaded",
    backend={"password": PASSWORD},
    csms={"password": PASSWORD},
)
async def diagnostics(lab: Lab) -> None:
    async with file_server(lab) as server:
        answer = await lab.csms.call(
            "GetDiagnostics",
            {"location": f"{server.url}/", "retries": 1, "retryInterval": 10},
            fileName=lambda name: 0 < len(name) <= 255,
        )
        await lab.csms.expect("DiagnosticsStatusNotification", status="Uploading")
        await lab.csms.expect("DiagnosticsStatusNotification", status="Uploaded")
        files = unpacked(server.received(answer["fileName"]))
    assert {"station.log", "snapshot.json", "settings.json", "undelivered.json"} <= set(files)
    assert json.loads(files["settings.json"])["HeartbeatInterval"] == "86400"
    assert json.loads(files["installation.json"])["station"]["id"] == "CP1"
    assert not [name for name, text in files.items() if PASSWORD in text]
    await lab.csms.quiet("DiagnosticsStatusNotification", for_s=60)


@case("TC_045_2_CS", "R16-DIAG-1", title="Diagnostics cannot be uploaded, after all attempts")
async def diagnostics_refused(lab: Lab) -> None:
    async with file_server(lab, refuse=500) as server:
        await lab.csms.call(
            "GetDiagnostics",
            {"location": server.url, "retries": 2, "retryInterval": 20},
            fileName=lambda name: name.endswith(".tar.gz"),
        )
        began = await lab.csms.expect("DiagnosticsStatusNotification", status="Uploading")
        ended = await lab.csms.expect(
            "DiagnosticsStatusNotification", status="UploadFailed", within=60
        )
    took_s = ended.at_s - began.at_s
    assert 39.9 < took_s < 45, f"two retries, 20 s apart, are not {took_s}"


@case("R16-DIAG-1", "R16-TRG-1", title="Idle is told only when asked for")
async def diagnostics_trigger(lab: Lab) -> None:
    trigger = {"requestedMessage": "DiagnosticsStatusNotification"}
    await lab.csms.call("TriggerMessage", trigger, status="Accepted")
    await lab.csms.expect("DiagnosticsStatusNotification", status="Idle")
    async with file_server(lab, refuse=500) as server:
        await lab.csms.call(
            "GetDiagnostics",
            {"location": server.url, "retries": 1, "retryInterval": 60},
            fileName=lambda name: bool(name),
        )
        await lab.csms.expect("DiagnosticsStatusNotification", status="Uploading")
        await lab.sleep(10)
        await lab.csms.call("TriggerMessage", trigger, status="Accepted")
        await lab.csms.expect("DiagnosticsStatusNotification", status="Uploading", within=5)
        await lab.csms.expect("DiagnosticsStatusNotification", status="UploadFailed", within=90)


@case("R16-DIAG-1", title="Only the lines of the time that is asked for")
async def diagnostics_window(lab: Lab) -> None:
    async with file_server(lab) as server:
        answer = await lab.csms.call(
            "GetDiagnostics",
            {
                "location": server.url,
                "startTime": "2020-01-01T00:00:00Z",
                "stopTime": "2020-01-02T00:00:00Z",
            },
            fileName=lambda name: bool(name),
        )
        await lab.csms.expect("DiagnosticsStatusNotification", status="Uploaded")
        files = unpacked(server.received(answer["fileName"]))
    assert files["station.log"].strip() == ""
    assert files["security-log.jsonl"] == ""


@case("TC_079_CS", "R16-SEC-9", "R16-SEC-11", title="The security log is uploaded")
async def security_log(lab: Lab) -> None:
    async with file_server(lab) as server:
        answer = await lab.csms.call(
            "GetLog",
            {
                "logType": "SecurityLog",
                "requestId": 17,
                "log": {
                    "remoteLocation": server.url,
                    "oldestTimestamp": "2026-11-22T00:00:00Z",
                    "latestTimestamp": "2026-11-23T00:00:00Z",
                },
                "retries": 0,
            },
            status="Accepted",
            filename=lambda name: 0 < len(name) <= 255,
        )
        await lab.csms.expect("LogStatusNotification", status="Uploading", requestId=17)
        await lab.csms.expect("LogStatusNotification", status="Uploaded", requestId=17)
        lines = server.received(answer["filename"]).decode().splitlines()
    assert json.loads(lines[0])["type"] == "StartupOfTheDevice"
    trigger = {"requestedMessage": "LogStatusNotification"}
    await lab.csms.call("ExtendedTriggerMessage", trigger, status="Accepted")
    await lab.csms.expect("LogStatusNotification", status="Idle", requestId=ABSENT)


@case("R16-SEC-9", title="The diagnostics log, and what a trigger tells meanwhile")
async def diagnostics_log(lab: Lab) -> None:
    async with file_server(lab) as server:
        await lab.csms.call(
            "GetLog",
            {"logType": "DiagnosticsLog", "requestId": 3, "log": {"remoteLocation": server.url}},
            status="Accepted",
        )
        await lab.csms.expect("LogStatusNotification", status="Uploading", requestId=3)
        await lab.csms.expect("LogStatusNotification", status="Uploaded", requestId=3)
    async with file_server(lab, refuse=500) as server:
        await lab.csms.call(
            "GetLog",
            {
                "logType": "DiagnosticsLog",
                "requestId": 4,
                "log": {"remoteLocation": server.url},
                "retries": 1,
                "retryInterval": 60,
            },
            status="Accepted",
        )
        await lab.csms.expect("LogStatusNotification", status="Uploading", requestId=4)
        await lab.sleep(10)
        trigger = {"requestedMessage": "LogStatusNotification"}
        await lab.csms.call("ExtendedTriggerMessage", trigger, status="Accepted")
        await lab.csms.expect("LogStatusNotification", status="Uploading", requestId=4)
        await lab.csms.expect(
            "LogStatusNotification", status="UploadFailure", requestId=4, within=90
        )


@case("R16-SEC-9", title="The status says why an upload failed")
async def reasons(lab: Lab) -> None:
    async def refused(location: str, status: str, request_id: int) -> None:
        await lab.csms.call(
            "GetLog",
            {
                "logType": "SecurityLog",
                "requestId": request_id,
                "log": {"remoteLocation": location},
                "retries": 0,
            },
            status="Accepted",
        )
        await lab.csms.expect("LogStatusNotification", status="Uploading", requestId=request_id)
        await lab.csms.expect("LogStatusNotification", status=status, requestId=request_id)

    for number, (answer, status) in enumerate(
        [(400, "BadMessage"), (403, "PermissionDenied"), (501, "NotSupportedOperation")]
    ):
        async with file_server(lab, refuse=answer) as server:
            await refused(server.url, status, number)
    await refused("gopher://127.0.0.1/logs", "NotSupportedOperation", 10)
    await refused("no address at all", "BadMessage", 11)


@case("R16-SEC-9", title="A second request cancels the first")
async def second_request(lab: Lab) -> None:
    async with file_server(lab, refuse=500) as server:
        first = {
            "logType": "SecurityLog",
            "requestId": 1,
            "log": {"remoteLocation": server.url},
            "retries": 5,
            "retryInterval": 60,
        }
        await lab.csms.call("GetLog", first, status="Accepted")
        await lab.csms.expect("LogStatusNotification", status="Uploading", requestId=1)
        await lab.sleep(5)
    async with file_server(lab) as server:
        second = {
            "logType": "SecurityLog",
            "requestId": 2,
            "log": {"remoteLocation": server.url},
        }
        await lab.csms.call("GetLog", second, status="AcceptedCanceled")
        await lab.csms.expect("LogStatusNotification", status="UploadFailure", requestId=1)
        await lab.csms.expect("LogStatusNotification", status="Uploading", requestId=2)
        await lab.csms.expect("LogStatusNotification", status="Uploaded", requestId=2)
    await lab.csms.quiet("LogStatusNotification", for_s=400)


@case("R16-SEC-9", title="What was told while the backend was away is told later")
async def offline(lab: Lab) -> None:
    async with file_server(lab, refuse=500) as server:
        await lab.csms.call(
            "GetLog",
            {
                "logType": "SecurityLog",
                "requestId": 9,
                "log": {"remoteLocation": server.url},
                "retries": 1,
                "retryInterval": 30,
            },
            status="Accepted",
        )
        await lab.csms.expect("LogStatusNotification", status="Uploading", requestId=9)
        await lab.csms.offline()
        await lab.sleep(60)
        await lab.csms.online()
        await lab.csms.expect(
            "LogStatusNotification", status="UploadFailure", requestId=9, within=300
        )


@case("R16-DIAG-1", "R16-SEC-9", title="A window that cannot be read is refused, nothing is sent")
async def unreadable_window(lab: Lab) -> None:
    async with file_server(lab) as server:
        for name in ("oldestTimestamp", "latestTimestamp"):
            place = {"remoteLocation": server.url, name: "yesterday"}
            await lab.csms.fails(
                "GetLog",
                {"logType": "DiagnosticsLog", "requestId": 3, "log": place},
                "PropertyConstraintViolation",
            )
        for name in ("startTime", "stopTime"):
            await lab.csms.fails(
                "GetDiagnostics",
                {"location": server.url, name: "2026-13-01T00:00:00Z"},
                "PropertyConstraintViolation",
            )
        await lab.csms.quiet(None, for_s=60)


@case("R16-SEC-9", title="What can be used for files is what is said", on=True)
async def protocols(lab: Lab) -> None:
    await lab.csms.call(
        "GetConfiguration",
        {"key": ["SupportedFileTransferProtocols"]},
        configurationKey=[
            {
                "key": "SupportedFileTransferProtocols",
                "readonly": True,
                "value": "HTTPS,HTTP,FTP,FTPS,SFTP",
            }
        ],
    )
