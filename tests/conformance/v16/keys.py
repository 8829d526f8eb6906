"""Configuration keys as a backend changes and reads them."""

from __future__ import annotations

from tests.conformance.backend import LabBackend


async def change(csms: LabBackend, key: str, value: str, status: str = "Accepted") -> None:
    """ChangeConfiguration."""
    await csms.call("ChangeConfiguration", {"key": key, "value": value}, status=status)


async def value_of(csms: LabBackend, key: str) -> str:
    """As GetConfiguration tells it."""
    answer = await csms.call("GetConfiguration", {"key": [key]})
    (entry,) = answer["configurationKey"]
    return str(entry["value"])
