"""R16-TIME-1: times as backends write and read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from controller.ocpp.wire_time import format_time, parse_time

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def test_written_in_utc_with_three_decimals_and_z() -> None:
    at = datetime(2026, 3, 1, 14, 0, 0, 123999, tzinfo=timezone(timedelta(hours=2)))
    assert format_time(at) == "2026-03-01T12:00:00.123Z"


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-03-01T12:00:00Z", 0),
        ("2026-03-01T12:00:00.1Z", 100_000),
        ("2026-03-01T12:00:00.123456Z", 123_456),
        ("2026-03-01T12:00:00.123456789Z", 123_456),
        ("2026-03-01T14:00:00+02:00", 0),
        ("2026-03-01T14:00:00+0200", 0),
        ("2026-03-01T07:00:00-05", 0),
        ("2026-03-01t12:00:00z", 0),
        ("2026-03-01 12:00:00", 0),
        ("2026-03-01T12:00Z", 0),
        ("2026-03-01T11:59:60Z", 0),
    ],
)
def test_read_with_any_fraction_and_offset(text: str, microsecond: int) -> None:
    assert parse_time(text) == NOON.replace(microsecond=microsecond)


@pytest.mark.parametrize(
    "text", ["", "now", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "12:00", 7, None, "9" * 99]
)
def test_what_is_no_time_gives_none(text: object) -> None:
    assert parse_time(text) is None
