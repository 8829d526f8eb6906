"""Which feature profiles a station has: one line each."""

from __future__ import annotations

from controller.ocpp.v16.blocks import BlockMaker
from controller.ports import Services


def blocks(services: Services) -> list[BlockMaker]:
    """The makers of all blocks whose service exists."""
    return []
