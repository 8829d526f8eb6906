"""Random SIGKILLs of the real processes at any point of charges, half of them with outputs that stay driven."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from tests.bench.table import Row
from tests.crash.torture import Torture


async def measure(kills: int) -> list[Row]:
    """The row; what is wrong stands in it."""
    transactions, energy_wh, wrong = 0, 0.0, []
    for outputs in ("kept", "released"):
        with tempfile.TemporaryDirectory() as directory:
            torture = Torture(Path(directory), random.getrandbits(31), outputs)
            verdict = await torture.run(kills // 2)
        transactions += verdict.transactions
        energy_wh += verdict.energy_wh
        wrong += verdict.wrong
    good = "none lost or doubled, all billed" if not wrong else f"WRONG {wrong[:3]}"
    return [
        Row(
            what=f"{kills // 2 * 2} random SIGKILLs at any point",
            bar="0 lost, doubled, reordered; 0 Wh unbilled",
            measured=f"{transactions} transactions, {energy_wh:.0f} Wh: {good}",
            ok=not wrong,
        )
    ]
