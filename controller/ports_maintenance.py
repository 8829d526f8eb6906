"""Where maintenance (security events, logs, firmware) meets the backend, the store and the security parts."""

from __future__ import annotations

from typing import Protocol

from controller.core.security_events import SecurityEventType


class SecurityEvents(Protocol):
    """Whoever notices something raises it here; log, queue and delivery follow (R16-SEC-11)."""

    def raise_event(self, type: SecurityEventType, tech_info: str = "") -> None:  # noqa: A002
        """Log it and, if it is one that backends are told, queue it durably. Cheap, never raises.

        `tech_info`: at most 255 characters are kept; never a secret.
        """
        ...
