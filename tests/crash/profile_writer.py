"""Sets charging profiles until it is killed; prints each one that was accepted.

`python -m tests.crash.profile_writer DIR` → "ready", then a number after each commit. Request n replaces the
profile that request n - 1 left, and has n in every field that tells.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from datetime import UTC, datetime
from pathlib import Path

from controller.core.charging_profile import (
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    Purpose,
    RateUnit,
    SchedulePeriod,
)
from controller.core.charging_profile_book import InstalledProfile
from controller.store.store import Store

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def numbered(n: int) -> InstalledProfile:
    """What request n leaves: a long schedule, so that a write takes several pages."""
    periods = tuple(SchedulePeriod(start_s=s, limit=float(n)) for s in range(200))
    profile = ChargingProfile(
        id=n,
        stack_level=3,
        purpose=Purpose.TX_DEFAULT,
        kind=ProfileKind.ABSOLUTE,
        schedule=ChargingSchedule(rate_unit=RateUnit.AMPS, periods=periods, start=AT),
    )
    return InstalledProfile(evse=0, profile=profile, installed_at=AT)


async def main(folder: Path) -> None:
    store = await Store.open(folder)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for n in itertools.count(1):
        await store.charging_profiles.change((n - 1,), numbered(n))
        sys.stdout.write(f"{n}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
