"""The 1.6 view of the settings: GetConfiguration and ChangeConfiguration."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from controller.core.settings import (
    CHANGED,
    STORED_PREFIX,
    Access,
    ChangeResult,
    Setting,
    Settings,
)
from controller.core.settings_list import ping_problem
from controller.ports import ValueStore

log = logging.getLogger(__name__)

KEY_LENGTH = 50
VALUE_LENGTH = 500
PING_KEYS = (
    "WebSocketPingInterval",
    "TransactionMessageAttempts",
    "TransactionMessageRetryInterval",
)


def get_configuration(settings: Settings, keys: Sequence[str]) -> dict[str, Any]:
    """No keys = all; unknown ones are named; write-only ones are never shown (R16-CFG-2)."""
    if not keys:
        return {"configurationKey": [_entry(settings, s) for s in settings if _visible(s)]}
    found: list[dict[str, Any]] = []
    unknown: list[str] = []
    for key in keys:
        setting = settings.declared(key)
        if setting is None or not _visible(setting):
            unknown.append(key)
        else:
            found.append(_entry(settings, setting))
    answer: dict[str, Any] = {}
    if found:
        answer["configurationKey"] = found
    if unknown:
        answer["unknownKey"] = unknown
    return answer


async def change_configuration(
    settings: Settings, values: ValueStore, key: str, value: str
) -> ChangeResult:
    """Accepted, RebootRequired, NotSupported (no such key) or Rejected (R16-CFG-1).

    The new value is durable before it counts; if it cannot be stored, nothing changes.
    """
    setting = settings.declared(key)
    if setting is None or not setting.key16:
        return ChangeResult.NOT_SUPPORTED
    result, normal = settings.judge(key, value)
    if result not in CHANGED:
        return result
    await values.put(stored_name(setting), normal)
    result = settings.change(key, normal)
    if setting.key16 in PING_KEYS:
        problem = ping_problem(*(settings.integer(name) for name in PING_KEYS))
        if problem is not None:
            log.warning("%s", problem)
    return result


def stored_name(setting: Setting) -> str:
    """Where its changed value lies in the value store."""
    return STORED_PREFIX + setting.name


def _visible(setting: Setting) -> bool:
    return bool(setting.key16) and setting.access is not Access.WRITE_ONLY


def _entry(settings: Settings, setting: Setting) -> dict[str, Any]:
    return {
        "key": setting.key16[:KEY_LENGTH],
        "readonly": setting.access is Access.READ_ONLY,
        "value": settings.text(setting.name)[:VALUE_LENGTH],
    }
