"""The backend's verdict about the card of a running transaction, stored with the answer to its start.

A station that dies between the delivery and acting on it finds the verdict here (R16-TX-7).
"""

from __future__ import annotations

import json
import logging
import sqlite3
from datetime import datetime

from controller.core.model import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType

_log = logging.getLogger(__name__)


def verdict_to_text(info: IdTokenInfo) -> str | None:
    """None = accepted without a group: there is nothing to act on."""
    if info.status is AuthorizationStatus.ACCEPTED and info.group is None:
        return None
    body: dict[str, object] = {"status": info.status.value}
    if info.expires_at is not None:
        body["expires_at"] = info.expires_at.isoformat()
    if info.group is not None:
        body["group"] = [info.group.value, info.group.type.value]
    return json.dumps(body, separators=(",", ":"))


def verdict_from_text(text: str) -> IdTokenInfo:
    """Inverse of `verdict_to_text`. Raises ValueError, LookupError or TypeError."""
    body = json.loads(text)
    group, expires_at = body.get("group"), body.get("expires_at")
    return IdTokenInfo(
        status=AuthorizationStatus(body["status"]),
        expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
        group=IdToken(group[0], IdTokenType(group[1])) if group else None,
    )


def open_verdicts(connection: sqlite3.Connection) -> dict[str, IdTokenInfo]:
    """By transaction, of all that have not ended; what cannot be read is left out."""
    found: dict[str, IdTokenInfo] = {}
    rows = connection.execute(
        "SELECT id, verdict FROM transactions WHERE ended_at IS NULL AND verdict IS NOT NULL"
    )
    for transaction_id, text in rows:
        try:
            found[transaction_id] = verdict_from_text(text)
        except (ValueError, LookupError, TypeError, AttributeError):
            _log.error("store: a verdict cannot be read: %.200s", text)
    return found
