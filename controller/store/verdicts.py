"""The backend's verdict about the card of a running transaction, stored with the answer to its start.

A station that dies between the delivery and acting on it finds the verdict here (R16-TX-7).
"""

from __future__ import annotations

import logging
import sqlite3

from controller.core.authorization import info_from_text, info_to_text
from controller.core.model import AuthorizationStatus, IdTokenInfo

_log = logging.getLogger(__name__)


def verdict_to_text(info: IdTokenInfo) -> str | None:
    """None = accepted without a group: there is nothing to act on."""
    if info.status is AuthorizationStatus.ACCEPTED and info.group is None:
        return None
    return info_to_text(info)


def open_verdicts(connection: sqlite3.Connection) -> dict[str, IdTokenInfo]:
    """By transaction, of all that have not ended; what cannot be read is left out."""
    found: dict[str, IdTokenInfo] = {}
    rows = connection.execute(
        "SELECT id, verdict FROM transactions WHERE ended_at IS NULL AND verdict IS NOT NULL"
    )
    for transaction_id, text in rows:
        try:
            found[transaction_id] = info_from_text(text)
        except ValueError:
            _log.error("store: a verdict cannot be read: %.200s", text)
    return found
