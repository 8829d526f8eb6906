"""Local time as the backend sets it by offsets (1.6 cost messages, 2.x ClockCtrlr); pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from controller.core.settings import Settings


def local(at: datetime, settings: Settings) -> datetime:
    """The same moment in local time; UTC without TimeOffset."""
    return at.astimezone(timezone(_offset(at, settings)))


def _offset(at: datetime, settings: Settings) -> timedelta:
    """TimeOffset, or TimeOffsetNextTransition once its moment has come."""
    first = _read(settings.text("TimeOffset"))
    text, following = (
        settings.text("NextTimeOffsetTransitionDateTime"),
        settings.text("TimeOffsetNextTransition"),
    )
    if not text or not following:
        return first
    changes_at = datetime.fromisoformat(text)
    if changes_at.tzinfo is None:
        changes_at = (changes_at - first).replace(tzinfo=UTC)
    return _read(following) if at >= changes_at else first


def _read(text: str) -> timedelta:
    if not text:
        return timedelta()
    hours, minutes = text.lstrip("+-").split(":")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return -offset if text.startswith("-") else offset
