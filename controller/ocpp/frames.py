"""The last OCPP frames, for page and support; secrets are blanked, huge frames are only named."""

from __future__ import annotations

from collections import deque
from typing import Any

FRAMES_KEPT = 200
LARGEST_KEPT = 32_768
SECRET_KEYS = frozenset({"authorizationkey", "backendpassword", "basicauthpassword"})


class FrameLog:
    """Ring of ("out" | "in", parsed array), oldest first."""

    def __init__(self, kept: int = FRAMES_KEPT) -> None:
        self._frames: deque[tuple[str, list[Any]]] = deque(maxlen=kept)

    def add(self, direction: str, frame: list[Any], size: int) -> None:
        """Keep a frame of `size` characters."""
        if size > LARGEST_KEPT:
            frame = [
                *frame[: 3 if frame[:1] == [2] else 2],
                {"...": f"{size} characters"},
            ]
        self._frames.append((direction, blanked(frame)))

    def all(self) -> list[tuple[str, list[Any]]]:
        """Oldest first."""
        return list(self._frames)


def blanked(frame: list[Any]) -> list[Any]:
    """The frame without passwords that a backend sets."""
    if len(frame) != 4 or frame[0] != 2 or not isinstance(frame[3], dict):
        return frame
    payload = frame[3]
    key = payload.get("key")
    if frame[2] == "ChangeConfiguration" and isinstance(key, str) and key.casefold() in SECRET_KEYS:
        return [*frame[:3], {**payload, "value": "***"}]
    return frame
