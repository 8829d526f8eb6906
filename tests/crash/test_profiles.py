"""SIGKILL at any point of SetChargingProfile: the old or the new profile, never both, none or half."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

from controller.core.charging_profile_book import InstalledProfile
from controller.store.store import Store
from tests.crash.profile_writer import numbered

KILLS = 10


async def _stored(folder: Path) -> list[InstalledProfile]:
    store = await Store.open(folder)
    assert store.database.note == ""
    found = await store.charging_profiles.load()
    await store.close()
    return found


def test_sigkill_at_any_moment_leaves_the_old_or_the_new_profile(tmp_path: Path) -> None:
    """R16-SC-7: what was answered Accepted is there; at most the request under way is there as well."""
    chance = random.Random(11)
    total = 0
    for round_ in range(KILLS):
        folder = tmp_path / str(round_)
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.profile_writer", str(folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0.0, 0.2))
        child.kill()
        lines = child.stdout.read().splitlines(keepends=True)
        child.stdout.close()
        child.wait()
        accepted = max((int(line) for line in lines if line.endswith("\n")), default=0)
        stored = asyncio.run(_stored(folder))
        total += accepted
        possible = [[numbered(accepted)] if accepted else [], [numbered(accepted + 1)]]
        assert stored in possible
    assert total > 20
