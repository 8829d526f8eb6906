"""hal.register_map: maps as data, decoding without I/O."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import pytest

from hal.errors import MeterGarbage, Misconfigured
from hal.register_map import BUILT_IN, built_in, load, parse

MINE: dict[str, Any] = {
    "vendor": "V",
    "model": "M",
    "source": "S",
    "function": 3,
    "max_registers": 10,
    "refresh_ms": 100,
    "block": [{"start": 0, "count": 20}],
    "values": {"energy_wh": {"address": 0, "type": "uint32", "scale": 10, "absent": ["FFFFFFFF"]}},
}


def mine(**values: Any) -> dict[str, Any]:
    made = copy.deepcopy(MINE)
    made["values"] |= values
    return made


@pytest.mark.parametrize("name", built_in())
def test_every_built_in_map_loads_and_cites_its_source(name: str) -> None:
    register_map = load(name)
    assert register_map.source and register_map.frames
    assert all(read.count <= register_map.max_registers for read in register_map.reads())


@pytest.mark.parametrize("name", built_in())
@pytest.mark.parametrize("most", [4, 10, 40])
def test_short_reads_still_give_every_value(name: str, most: int) -> None:
    register_map = load(name)
    reads = register_map.reads(most)
    assert all(read.count <= most for read in reads)
    got = [register.name for read in reads for register in read.registers]
    assert sorted(got) == sorted(r.name for r in register_map.registers)


@pytest.mark.parametrize(
    ("kind", "order", "words", "value"),
    [
        ("uint16", "big", [7], 7),
        ("int16", "big", [0xFFFF], -1),
        ("uint32", "big", [1, 2], 65538),
        ("int32", "little", [0xFFFE, 0xFFFF], -2),
        ("uint64", "big", [0, 0, 1, 0], 65536),
        ("float32", "big", [0x4366, 0x8000], 230.5),
        ("float32", "little", [0x8000, 0x4366], 230.5),
        ("float64", "big", [0x406C, 0xD000, 0, 0], 230.5),
    ],
)
def test_types_and_word_orders(kind: str, order: str, words: list[int], value: float) -> None:
    made = parse(mine(power_w={"address": 4, "type": kind, "word_order": order}))
    (register,) = [r for r in made.registers if r.name == "power_w"]
    assert register.decode(words) == value


def test_an_absent_value_is_none_but_energy_must_be_there() -> None:
    absent = {"address": 4, "type": "uint16", "absent": ["FFFF"]}
    (read,) = parse(mine(frequency_hz=absent)).reads()
    assert read.decode([0, 5, 0, 0, 0xFFFF])["frequency_hz"] is None
    with pytest.raises(MeterGarbage, match="no value for energy_wh"):
        read.decode([0xFFFF, 0xFFFF, 0, 0, 50])


def test_nan_and_a_short_answer_are_garbage() -> None:
    (read,) = parse(mine(power_w={"address": 2, "type": "float32"})).reads()
    with pytest.raises(MeterGarbage, match="power_w is nan"):
        read.decode([0, 5, 0x7FC0, 0])
    with pytest.raises(MeterGarbage, match="3 registers instead of 4"):
        read.decode([0, 5, 0])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"values": {}}, "energy_wh is required"),
        ({"max_registers": 0}, "max_registers must be 1 to 125"),
        ({"parity": "X"}, "parity must be N, E or O"),
        ({"word_order": "middle"}, "word_order must be big or little"),
        ({"function": 6}, "must lie in exactly one block|function must be 3 or 4"),
        ({"block": [{"start": 1, "count": 9}]}, "must lie in exactly one block"),
    ],
)
def test_a_contradictory_map_is_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(Misconfigured, match=text):
        parse(MINE | change)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"address": 0, "type": "float"}, "type must be one of uint16"),
        ({"address": 70_000, "type": "uint16"}, "address must be 0 to 65535"),
        ({"address": 0, "type": "uint16", "scal": 1}, "scal is not known; allowed: absent"),
    ],
)
def test_a_wrong_value_is_named(value: dict[str, Any], text: str) -> None:
    with pytest.raises(Misconfigured, match=text):
        parse(mine(power_w=value))


def test_an_unknown_quantity_lists_the_known_ones() -> None:
    with pytest.raises(Misconfigured, match="watts is not known; allowed: energy_wh"):
        parse(mine(watts={"address": 2, "type": "uint16"}))


def test_a_broken_file_is_named(tmp_path: Any) -> None:
    path = tmp_path / "m.toml"
    path.write_text("vendor = ")
    with pytest.raises(Misconfigured, match=r"m\.toml"):
        load(str(path))
    path.write_text('vendor = "x"')
    with pytest.raises(Misconfigured, match="KeyError"):
        load(str(path))


def test_the_format_documented_is_the_format_used() -> None:
    for name in built_in():
        table = tomllib.loads((BUILT_IN / f"{name}.toml").read_text(encoding="utf-8"))
        assert {"vendor", "model", "source", "function", "max_registers", "refresh_ms"} <= set(
            table
        )
