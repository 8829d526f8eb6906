"""SIGKILL at any point of SetChargingProfile: the old or the new profile, never both, none or half."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from controller.core.charging_profile_book import InstalledProfile
from controller.store.store import Store
from tests.crash.death import said_until_killed
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
        said = said_until_killed(
            "tests.crash.profile_writer", str(folder), after_s=chance.uniform(0.0, 0.2)
        )
        accepted = max((int(line) for line in said), default=0)
        stored = asyncio.run(_stored(folder))
        total += accepted
        possible = [[numbered(accepted)] if accepted else [], [numbered(accepted + 1)]]
        assert stored in possible
    assert total > 20
