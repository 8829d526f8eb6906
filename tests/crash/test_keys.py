"""SIGKILL at any point of ChangeConfiguration: the old or the new value."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from controller.store.store import Store
from tests.crash.death import said_until_killed
from tests.crash.key_writer import KEY, settings_in

KILLS = 10
DEFAULT_S = 60


async def _interval_s(folder: Path) -> int:
    store = await Store.open(folder)
    assert store.database.note == ""
    found = (await settings_in(store)).integer(KEY)
    await store.close()
    return found


def test_sigkill_at_any_moment_leaves_the_old_or_the_new_value(tmp_path: Path) -> None:
    """R16-CFG-1: what was answered Accepted is there; at most the change under way is there as well."""
    chance = random.Random(7)
    total = 0
    for round_ in range(KILLS):
        folder = tmp_path / str(round_)
        said = said_until_killed(
            "tests.crash.key_writer", str(folder), after_s=chance.uniform(0.0, 0.2)
        )
        accepted = [int(line) for line in said]
        total += len(accepted)
        newest = accepted[-1] if accepted else None
        possible = {DEFAULT_S, 1000} if newest is None else {newest, newest + 1}
        assert asyncio.run(_interval_s(folder)) in possible
    assert total > 20
