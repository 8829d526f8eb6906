"""What an operator gets who asks for diagnostics: one archive, without secrets (R16-DIAG-1)."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import platform
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.core.installation import Installation
from controller.core.security_events import SecurityEvent, name_16
from controller.core.settings import Access, Settings
from controller.log import BLANK, blank
from controller.maintenance.recent_log import FILE, RecentLog
from controller.maintenance.security_log import SecurityLog

JOURNAL_LINES = 20_000
JOURNAL_BYTES = 8_000_000
JOURNAL_S = 20.0
_SECRET_NAMES = ("password", "secret", "authorizationkey", "private_key", "passphrase")


class Diagnostics:
    """Collects and packs. `undelivered`: what the backend refused to the end; `snapshot`: the station now."""

    def __init__(
        self,
        *,
        installation: Installation,
        settings: Settings,
        version: str,
        snapshot: Callable[[], Mapping[str, Any]],
        undelivered: Callable[[], Awaitable[Sequence[Mapping[str, object]]]],
        recent: RecentLog,
        security_log: SecurityLog,
    ) -> None:
        self._installation = installation
        self._settings = settings
        self._version = version
        self._snapshot = snapshot
        self._undelivered = undelivered
        self._recent = recent
        self._security_log = security_log

    async def write(self, file: Path, oldest: datetime | None, latest: datetime | None) -> None:
        """Pack everything of the time into a compressed archive."""
        undelivered = await self._undelivered()
        events = await self._security_log.entries(oldest, latest)
        texts = {
            "about.json": _json(self._about(oldest, latest)),
            "snapshot.json": _json(without_secrets(self._snapshot())),
            "installation.json": _json(without_secrets(self._installation.to_dict())),
            "settings.json": _json(self._visible_settings()),
            "undelivered.json": _json(undelivered),
            "security-log.jsonl": log_text(events),
            "station.log": "\n".join(self._recent.lines(oldest, latest)) + "\n",
            "last-run.log": _read(Path(self._installation.state_dir) / FILE),
        }
        journal = await _journal(oldest, latest)
        if journal:
            texts["journal.log"] = journal
        secrets = self._secrets()
        await asyncio.to_thread(_pack, file, texts, secrets)

    def _about(self, oldest: datetime | None, latest: datetime | None) -> dict[str, Any]:
        state_dir = Path(self._installation.state_dir)
        with contextlib.suppress(OSError):
            disk = shutil.disk_usage(state_dir)
            free = {"bytes": disk.total, "free": disk.free}
            return {**self._basics(oldest, latest), "disk": free}
        return self._basics(oldest, latest)

    def _basics(self, oldest: datetime | None, latest: datetime | None) -> dict[str, Any]:
        return {
            "version": self._version,
            "python": platform.python_version(),
            "system": platform.platform(),
            "uptime_s": round(time.monotonic()),
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "from": oldest.isoformat() if oldest else None,
            "to": latest.isoformat() if latest else None,
            "memory": _read(Path("/proc/self/status")).splitlines()[15:30],
        }

    def _visible_settings(self) -> dict[str, str]:
        return {
            setting.name: BLANK
            if setting.access is Access.WRITE_ONLY
            else self._settings.text(setting.name)
            for setting in self._settings
        }

    def _secrets(self) -> tuple[str, ...]:
        backend = self._installation.backend
        found = [backend.password] if backend is not None and backend.password else []
        found += [
            self._settings.text(setting.name)
            for setting in self._settings
            if setting.access is Access.WRITE_ONLY
        ]
        return tuple(secret for secret in found if len(secret) >= 4)


def log_text(events: Sequence[SecurityEvent]) -> str:
    """The security log, one JSON object a line."""
    lines = (
        json.dumps(
            {
                "n": event.n,
                "timestamp": event.at.isoformat(),
                "type": name_16(event.type),
                "techInfo": event.tech_info,
            },
            ensure_ascii=False,
        )
        for event in events
    )
    return "".join(line + "\n" for line in lines)


def without_secrets(value: Any, name: str = "") -> Any:
    """The same with everything blanked that is called like a secret."""
    if isinstance(value, Mapping):
        return {key: without_secrets(member, str(key)) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_secrets(member, name) for member in value]
    if isinstance(value, str) and value and any(word in name.lower() for word in _SECRET_NAMES):
        return BLANK
    return value


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _pack(file: Path, texts: Mapping[str, str], secrets: Sequence[str]) -> None:
    import tarfile

    with tarfile.open(file, "w:gz", compresslevel=6) as archive:
        for name, text in texts.items():
            body = _clean(name, text, secrets).encode("utf-8", errors="replace")
            member = tarfile.TarInfo(f"diagnostics/{name}")
            member.size, member.mtime, member.mode = len(body), int(time.time()), 0o600
            archive.addfile(member, io.BytesIO(body))


def _clean(name: str, text: str, secrets: Sequence[str]) -> str:
    if not name.endswith(".json"):
        return blank(text, secrets)
    for secret in secrets:  # the rest was blanked by its name, member by member
        text = text.replace(secret, BLANK)
    return text


async def _journal(oldest: datetime | None, latest: datetime | None) -> str:
    """What the processes told the system's journal; "" where there is none."""
    program = shutil.which("journalctl") if os.environ.get("JOURNAL_STREAM") else None
    if program is None:
        return ""
    argv = [program, "-u", "chargepost*", "-o", "short-iso", "--no-pager", "-n", str(JOURNAL_LINES)]
    if oldest is not None:
        argv += ["--since", f"@{oldest.timestamp():.0f}"]
    if latest is not None:
        argv += ["--until", f"@{latest.timestamp():.0f}"]
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    kept = bytearray()
    try:
        async with asyncio.timeout(JOURNAL_S):
            while block := await process.stdout.read(1 << 16):
                kept += block
                if len(kept) > JOURNAL_BYTES:
                    del kept[:-JOURNAL_BYTES]
    except TimeoutError:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return kept.decode(errors="replace")
