"""Firmware and logs with the real processes: the station restarts with its new version (TC_044_1, TC_079)."""

from __future__ import annotations

import json
from pathlib import Path

import asyncssh

from tests.scenario.deaths import Make
from tests.scenario.rig import until
from tests.unit.maintenance.servers import PASSWORD, USER, http_server, sftp_server


async def test_update_then_security_log(make: Make, tmp_path: Path) -> None:
    rig, backend = await make()
    served = tmp_path / "served"
    served.mkdir()
    (served / "firmware.bin").write_bytes(b'{"version": "2.0"}\n' + bytes(1_000_000))
    await backend.wait_calls("SecurityEventNotification", 1)
    pids = rig.pid("station"), rig.pid("guard")
    async with http_server(served) as url:
        request = {"location": f"{url}/firmware.bin", "retrieveDate": "2026-01-01T00:00:00Z"}
        assert await backend.call("UpdateFirmware", request) == {}
        told = await backend.wait_calls("FirmwareStatusNotification", 4, 30.0)
    assert [t["status"] for t in told] == ["Downloading", "Downloaded", "Installing", "Installed"]
    assert backend.calls("BootNotification")[-1]["firmwareVersion"] == "2.0"
    assert {rig.pid("station"), rig.pid("guard")}.isdisjoint(pids)
    key = asyncssh.generate_private_key("ssh-ed25519")
    async with sftp_server(served, key) as port:
        where = f"sftp://{USER}:{PASSWORD}@127.0.0.1:{port}/"
        log = {"logType": "SecurityLog", "requestId": 1, "log": {"remoteLocation": where}}
        answer = await backend.call("GetLog", log)
        await backend.wait_calls("LogStatusNotification", 2)
        file = served / answer["filename"]
        await until(file.exists, "the log")
    types = [json.loads(line)["type"] for line in file.read_text().splitlines()]
    assert types[0] == "StartupOfTheDevice"
    assert {"FirmwareUpdated", "ResetOrReboot"} <= set(types)
    assert PASSWORD not in rig.log()
