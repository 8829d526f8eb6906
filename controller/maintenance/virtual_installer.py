"""Firmware of a station on virtual hardware: any file that is not empty can be installed.

A first line like `{"version": "2.0.0", "fails": "check"}` gives the version and makes the installation fail:
`check` = the image is not one for this station, `install` = it cannot be written, `start` = the new version
does not start, so the old one goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

from controller.files import write_whole
from controller.ports_maintenance import InstallRefused

log = logging.getLogger(__name__)

FIRMWARE_DIR = "firmware"
"""In the state directory: image and what became of it."""
STAGED, INSTALLED = "staged.json", "installed.json"
HEAD_BYTES = 1_000
VERSION_LENGTH = 50


class VirtualInstaller:
    """Makes the station report another version after the next start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def boot(self) -> str:
        """The station starts: what was staged becomes what runs. Returns the running version, "" = as built."""
        staged = _read(self._folder / STAGED)
        if staged is not None:
            if staged.get("fails") == "start":
                log.error("virtual firmware %s does not start: back to the old", staged["version"])
                (self._folder / STAGED).unlink()
            else:
                os.replace(self._folder / STAGED, self._folder / INSTALLED)
        return str((_read(self._folder / INSTALLED) or {}).get("version", ""))

    async def check(self, image: Path) -> None:
        """Whether the image is one for this station and whole. Raises InstallRefused."""
        head = await asyncio.to_thread(_head, image)
        if head.get("fails") == "check":
            raise InstallRefused("the image is not one for this station")

    async def stage(self, image: Path) -> str:
        """The next start runs it; returns its version. Raises InstallRefused."""
        head = await asyncio.to_thread(_head, image)
        if head.get("fails") == "install":
            raise InstallRefused("the image cannot be written")
        version = str(head["version"])[:VERSION_LENGTH]
        body = {"version": version, "fails": head.get("fails", ""), "confirmed": False}
        try:
            await asyncio.to_thread(_write, self._folder / STAGED, body)
        except OSError as error:
            raise InstallRefused(str(error)) from error
        return version

    async def activated(self) -> str | None:
        """The version staged last, if it runs now and nobody was told."""
        installed = _read(self._folder / INSTALLED)
        if installed is None or installed.get("confirmed", True):
            return None
        return str(installed["version"])

    async def confirm(self) -> None:
        """The outcome is recorded."""
        installed = _read(self._folder / INSTALLED)
        if installed is not None and not installed.get("confirmed", True):
            await asyncio.to_thread(
                _write, self._folder / INSTALLED, {**installed, "confirmed": True}
            )


def _head(image: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    try:
        with image.open("rb") as file:
            first = file.read(HEAD_BYTES)
            digest.update(first)
            while block := file.read(1 << 16):
                digest.update(block)
    except OSError as error:
        raise InstallRefused(str(error)) from error
    if not first:
        raise InstallRefused("the image is empty")
    try:
        head = json.loads(first.partition(b"\n")[0])
    except ValueError:
        head = None
    if not isinstance(head, dict):
        head = {}
    return {"version": f"virtual-{digest.hexdigest()[:8]}", **head}


def _read(path: Path) -> dict[str, Any] | None:
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return body if isinstance(body, dict) else None


def _write(path: Path, body: dict[str, Any]) -> None:
    write_whole(path, json.dumps(body).encode())
