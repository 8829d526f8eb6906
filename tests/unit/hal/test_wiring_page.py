"""docs/wiring.md names every setting of every driver and says what was never tried."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hal import registry
from hal.register_map import built_in

PAGE = (Path(__file__).parents[3] / "docs" / "wiring.md").read_text(encoding="utf-8")
ALL = [(part, name) for part in registry.PARTS for name in registry.names(part)]


@pytest.mark.parametrize(("part", "name"), ALL)
def test_every_setting_is_on_the_page(part: str, name: str) -> None:
    fields = dataclasses.fields(registry.find(part, name).settings_class)
    missing = [field.name for field in fields if f"`{field.name}" not in PAGE]
    assert not missing


def test_every_driver_and_register_map_is_on_the_page() -> None:
    for name in [name for _, name in ALL] + built_in():
        assert f"`{name}`" in PAGE


def test_the_page_says_that_nothing_was_tried_on_real_hardware() -> None:
    assert "Never tested on real hardware" in PAGE
