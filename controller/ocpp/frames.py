"""The last OCPP frames, for page and support; secrets are blanked, huge frames are only named."""

from __future__ import annotations

import re
from collections import deque
from typing import Any

FRAMES_KEPT = 200
LARGEST_KEPT = 32_768
BLANK = "***"
SECRET_KEYS = frozenset({"authorizationkey", "backendpassword", "basicauthpassword"})
WITH_ADDRESS = frozenset({"GetDiagnostics", "GetLog", "UpdateFirmware", "SignedUpdateFirmware"})
"""requests that name a place for files, often with user and password or a signed query"""
ADDRESSES = frozenset({"location", "remoteLocation"})

_USER = re.compile(r"^(\w*://)?.*@", re.DOTALL)
_QUERY = re.compile(r"\?.*", re.DOTALL)


class FrameLog:
    """Ring of ("out" | "in", parsed array), oldest first."""

    def __init__(self, kept: int = FRAMES_KEPT) -> None:
        self._frames: deque[tuple[str, list[Any]]] = deque(maxlen=kept)
        self._secret_ids: deque[Any] = deque(maxlen=8)

    def add(self, direction: str, frame: list[Any], size: int) -> None:
        """Keep a frame of `size` characters."""
        if size > LARGEST_KEPT:
            frame = [
                *frame[: 3 if frame[:1] == [2] else 2],
                {"...": f"{size} characters"},
            ]
        kept = blanked(frame)
        if kept is not frame:
            self._secret_ids.append(frame[1])
        elif frame[:1] == [4] and len(frame) > 3 and frame[1] in self._secret_ids:
            kept = [*frame[:3], BLANK, *frame[4:]]  # a refusal quotes what it refuses
        self._frames.append((direction, kept))

    def all(self) -> list[tuple[str, list[Any]]]:
        """Oldest first."""
        return list(self._frames)


def blanked(frame: list[Any]) -> list[Any]:
    """The frame without passwords that a backend sets, nor those of addresses; itself if there are none."""
    if len(frame) != 4 or frame[0] != 2 or not isinstance(frame[3], dict):
        return frame
    payload = frame[3]
    key = payload.get("key")
    if frame[2] == "ChangeConfiguration" and isinstance(key, str) and key.casefold() in SECRET_KEYS:
        return [*frame[:3], {**payload, "value": BLANK}]
    if frame[2] in WITH_ADDRESS:
        plain = _plain(payload)
        return frame if plain == payload else [*frame[:3], plain]
    return frame


def _plain(payload: dict[str, Any]) -> dict[str, Any]:
    """The same with addresses that show neither user nor query."""
    made = {}
    for name, value in payload.items():
        if name in ADDRESSES:
            value = _address(value) if isinstance(value, str) else BLANK
        elif isinstance(value, dict):
            value = _plain(value)
        made[name] = value
    return made


def _address(text: str) -> str:
    # A password may hold any character: everything before the last "@" goes.
    text = _USER.sub(lambda match: f"{match[1] or ''}{BLANK}@", text, count=1)
    return _QUERY.sub("?" + BLANK, text, count=1)
