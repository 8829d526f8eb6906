"""R16-DIAG-1: what is in the archive, and what never is."""

from __future__ import annotations

import json
import logging
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.core.installation import BackendInstallation
from controller.core.security_events import SecurityEventType
from controller.core.settings import Settings
from controller.core.settings_list import settings_for
from controller.maintenance.diagnostics import Diagnostics, without_secrets
from controller.maintenance.recent_log import RecentLog
from controller.maintenance.security_log import SecurityLog
from controller.store.database import Database
from controller.store.security_events import SecurityEventStore
from tests.unit.station.fakes import FakeClock, installation

PASSWORD, KEY = "pa55word-of-the-station", "00112233445566778899aabbccddeeff"


@pytest.fixture
def recent() -> Iterator[RecentLog]:
    ring = RecentLog("station", lines=50)
    logging.getLogger().setLevel(logging.INFO)
    ring.install([PASSWORD])
    yield ring
    ring.remove()


async def archive(folder: Path, recent: RecentLog, **times: Any) -> dict[str, str]:
    backend = BackendInstallation(url="wss://x/", password=PASSWORD)
    installed = replace(
        installation(folder), backend=backend, tls={"private_key_password": PASSWORD}
    )
    settings: Settings = settings_for(installed)
    settings.learn("AuthorizationKey", KEY)
    database = Database(folder / "station.db")
    database.open()
    log = SecurityLog(SecurityEventStore(database), settings, FakeClock(), has_backend=True)
    log.raise_event(SecurityEventType.STARTUP_OF_THE_DEVICE)

    async def undelivered() -> list[dict[str, object]]:
        return [{"n": 1, "error": "refused"}]

    diagnostics = Diagnostics(
        installation=installed,
        settings=settings,
        version="1.0",
        snapshot=lambda: {"queue": 3, "frames": [["out", [2, "1", "X", {"v": KEY}]]]},
        undelivered=undelivered,
        recent=recent,
        security_log=log,
    )
    file = folder / "d.tar.gz"
    await diagnostics.write(file, times.get("oldest"), times.get("latest"))
    await database.close()
    with tarfile.open(file, "r:gz") as tar:
        found = {m.name.removeprefix("diagnostics/"): tar.extractfile(m) for m in tar.getmembers()}
        return {name: body.read().decode() for name, body in found.items() if body is not None}


async def test_everything_is_there_and_no_secret(tmp_path: Path, recent: RecentLog) -> None:
    logging.getLogger("x").info("connecting with %s as password=hunter22", PASSWORD)
    (tmp_path / "last.log").write_text(f"yesterday {KEY}\n")
    files = await archive(tmp_path, recent)
    assert set(files) == {
        "about.json",
        "snapshot.json",
        "installation.json",
        "settings.json",
        "undelivered.json",
        "security-log.jsonl",
        "station.log",
        "last-run.log",
    }
    for name, text in files.items():
        assert not [s for s in (PASSWORD, KEY, "hunter22") if s in text], name
        if name.endswith(".json"):
            json.loads(text)
    assert json.loads(files["settings.json"])["AuthorizationKey"] == "***"
    assert json.loads(files["installation.json"])["backend"]["url"] == "wss://x/"
    assert "connecting with ***" in files["station.log"]
    assert files["last-run.log"] == "yesterday ***\n"
    assert json.loads(files["security-log.jsonl"])["type"] == "StartupOfTheDevice"
    assert "refused" in files["undelivered.json"]


async def test_the_time_that_is_asked_for(tmp_path: Path, recent: RecentLog) -> None:
    logging.getLogger("x").info("now")
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    files = await archive(tmp_path, recent, latest=hour_ago)
    assert "now" not in files["station.log"]
    files = await archive(tmp_path, recent, oldest=hour_ago)
    assert "now" in files["station.log"]


def test_the_ring_is_bounded(tmp_path: Path, recent: RecentLog) -> None:
    for n in range(500):
        logging.getLogger("x").info("line %d %s", n, "x" * 1_000)
    lines = recent.lines()
    assert len(lines) == 50
    assert "line 499" in lines[-1]
    assert max(map(len, lines)) < 450
    recent.save(tmp_path)
    assert (tmp_path / "last.log").stat().st_size < 25_000
    recent.save(tmp_path / "nowhere")  # no harm


def test_names_of_secrets() -> None:
    secret = {"backend": {"password": "x", "url": "u"}, "l": [{"private_key_password": "y"}]}
    assert without_secrets(secret) == {
        "backend": {"password": "***", "url": "u"},
        "l": [{"private_key_password": "***"}],
    }
