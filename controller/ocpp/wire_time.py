"""Timestamps as backends write and read them (R16-TIME-1)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s*([Zz]|[+-]\d\d:?\d\d|[+-]\d\d)?",
    re.ASCII,
)


def format_time(at: datetime) -> str:
    """UTC with milliseconds and `Z`: more decimals break some backends."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def parse_time(text: object) -> datetime | None:
    """Aware UTC; fractions of any length, offsets, no zone (taken as UTC). None = not a time."""
    match = _RFC3339.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None
    year, month, day, hour, minute = (int(part) for part in match.groups()[:5])
    second = int(match[6] or 0)
    micros = int((match[7] or "0")[:6].ljust(6, "0"))
    try:
        # A leap second has no place in datetime: it becomes the first moment of the next minute.
        at = datetime(
            year, month, day, hour, minute, min(second, 59), micros, tzinfo=_zone(match[8])
        )
        return (at + timedelta(seconds=second - min(second, 59))).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)
