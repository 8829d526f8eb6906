"""Changes a configuration key until it is killed; prints each change that was accepted.

`python -m tests.crash.key_writer DIR` → "ready", then a number after each answer. Change n asks for n seconds.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from controller.core.settings import STORED_PREFIX, ChangeResult, Settings
from controller.core.settings_list import SETTINGS
from controller.ocpp.v16.config_keys import change_configuration
from controller.store.store import Store

KEY = "MeterValueSampleInterval"


async def settings_in(store: Store) -> Settings:
    """As a station reads them when it starts."""
    stored = await store.values.all(STORED_PREFIX)
    changed = {name.removeprefix(STORED_PREFIX): text for name, text in stored.items()}
    return Settings(SETTINGS, changed)


async def main(folder: Path) -> None:
    store = await Store.open(folder)
    settings = await settings_in(store)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for n in itertools.count(1000):
        result = await change_configuration(settings, store.values, KEY, str(n))
        assert result is ChangeResult.ACCEPTED
        sys.stdout.write(f"{n}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
