"""DESIGN §7: random SIGKILLs at any point; 0 transactions lost, doubled, reordered, 0 Wh unbilled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.torture import Torture


@pytest.mark.timeout(240)
async def test_twelve_random_deaths(tmp_path: Path) -> None:
    """`make bench` has the part with 200."""
    torture = Torture(tmp_path, seed=20261122)
    verdict = await torture.run(12)
    assert verdict.wrong == [], torture.rig.log()
    assert verdict.transactions >= 2 and verdict.energy_wh > 1
