"""A day of 200 sessions against the strict backend: its rules hold, and the books tell the truth to 1 Wh."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.day import run_day
from tests.conformance.lab import _memory

SESSIONS = 200
SEED = 20_261_122
KINDS = {
    "cable, card", "card, cable", "remote start", "profile in a remote start", "reservation",
    "reserved for another", "reservation cancelled", "refused", "refused later", "profile", "limit 0",
    "pause", "trigger", "offline", "link broken", "killed", "stopped", "power cut", "reset",
    "Local", "EVDisconnected", "Remote", "UnlockCommand", "EmergencyStop", "PowerLoss", "DeAuthorized",
}  # fmt: skip
"""What must have happened, or the day was too quiet."""


@pytest.fixture
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="day-", dir=_memory()))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.timeout(600)
def test_a_day_of_200_sessions(directory: Path) -> None:
    day, found = run_day(SEED, SESSIONS, directory)
    assert found == []
    assert len(day.deeds) == SESSIONS
    assert len(day.lab.csms.rules.transactions) == SESSIONS
    assert KINDS - set(day.happened) == set()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(5))
def test_other_days(directory: Path, seed: int) -> None:
    _, found = run_day(seed, SESSIONS, directory)
    assert found == []
