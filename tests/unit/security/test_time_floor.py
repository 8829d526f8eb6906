"""A clock that cannot be right is not believed (RPC-15)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from controller.security.time_floor import FILE, GROSS, RELEASED_AT, STEP, TimeFloor

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
NOW = RELEASED_AT + timedelta(days=60)
LATE = NOW + timedelta(days=500)
SECOND = timedelta(seconds=1)


def at(directory: Path, now: datetime, machine: datetime | None = None) -> TimeFloor:
    """`machine` None = the machine's clock is right."""
    return TimeFloor(directory, lambda: now, lambda: machine or now)


def test_rpc_15_a_clock_before_the_release_is_not_believed(tmp_path: Path) -> None:
    floor = at(tmp_path, LONG_AGO)
    assert floor.now() == RELEASED_AT
    assert floor.doubt() == RELEASED_AT
    assert at(tmp_path, NOW).doubt() is None
    assert at(tmp_path, NOW, machine=LONG_AGO).doubt() == NOW


def test_rpc_15_a_machine_that_differs_from_the_backend_by_an_hour_is_not_believed(
    tmp_path: Path,
) -> None:
    for error in (GROSS, -GROSS):
        assert at(tmp_path, NOW, machine=NOW + error).doubt() is None
    for error in (GROSS + SECOND, -GROSS - SECOND):
        assert at(tmp_path, NOW, machine=NOW + error).doubt() == NOW


def test_rpc_15_the_last_known_time_survives(tmp_path: Path) -> None:
    at(tmp_path, LATE).confirmed()
    again = at(tmp_path, NOW)
    assert again.now() == LATE
    assert again.doubt() == LATE


def test_the_time_is_written_down_once_a_day(tmp_path: Path) -> None:
    at(tmp_path, NOW).confirmed()
    written = (tmp_path / FILE).read_bytes()
    at(tmp_path, NOW + STEP - SECOND).confirmed()
    assert (tmp_path / FILE).read_bytes() == written
    at(tmp_path, NOW + STEP).confirmed()
    assert (tmp_path / FILE).read_bytes() != written


def test_rpc_15_what_a_doubtful_clock_shows_is_not_kept(tmp_path: Path) -> None:
    at(tmp_path, LATE, machine=LONG_AGO).confirmed()
    assert list(tmp_path.iterdir()) == []
