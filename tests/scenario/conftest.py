"""Rigs for the scenarios."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.scenario.backend import ScriptedBackend
from tests.scenario.deaths import CARD, OTHER, Make
from tests.scenario.rig import Rig


@pytest_asyncio.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """A rig whose world survives `run`."""
    made: list[tuple[Rig, ScriptedBackend]] = []

    async def build(**options: Any) -> tuple[Rig, ScriptedBackend]:
        backend = ScriptedBackend()
        backend.card(CARD)
        backend.card(OTHER)
        url = await backend.start()
        rig = Rig(tmp_path, url, attach=True, **options)
        made.append((rig, backend))
        await rig.start()
        await backend.wait_status(1, "Available")
        return rig, backend

    yield build
    for rig, backend in made:
        rig.close()
        await backend.stop()
        assert backend.violations() == [], rig.log()
