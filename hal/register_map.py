"""Modbus register maps as data: what a meter's registers mean, read from TOML, decoded without I/O.

A map is one file. Addresses are the zero-based ones on the wire; bytes are big-endian.

    vendor = "Eastron"                 # who and what
    model = "SDM120"
    source = "where the numbers come from"
    function = 4                       # 3 = holding, 4 = input registers
    word_order = "big"                 # "little": the low word comes first
    max_registers = 80                 # the most that one read may ask for
    refresh_ms = 400                   # how old the meter's own values may be
    baudrate = 9600                    # as delivered; parity "N", "E" or "O"; stop_bits 1 or 2
    pause_ms = 20                      # silence the meter wants between two reads

    [[block]]                          # ranges that may be read as a whole, gaps included
    start = 0x0000
    count = 76

    [values]                           # names: see QUANTITIES; each lies inside one block
    energy_wh = { address = 0x48, type = "float32", scale = 1000 }

    [identity]                         # optional
    serial_number = { address = 0xFC00, type = "uint32", function = 3 }
    code = { address = 0xFC02, type = "uint16", function = 3 }
    models = { 0x0070 = "SDM630" }     # keys as hexadecimal text

    [[frame]]                          # for the tests: a poll as bytes, CRC included
    request = "01 04 …"
    answer = "01 04 …"
    values = { volts_l1 = 230.2 }

A table [signing] makes it the map of a signing meter: see hal/signing_map.py.
`absent` lists raw values (hexadecimal text) with which the meter says "I do not have this one".
"""

from __future__ import annotations

import math
import struct
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hal import signing_map
from hal.errors import MeterGarbage, Misconfigured
from hal.signing_map import SigningMap

TYPES: Mapping[str, str] = {
    "uint16": ">H",
    "int16": ">h",
    "uint32": ">I",
    "int32": ">i",
    "uint64": ">Q",
    "int64": ">q",
    "float32": ">f",
    "float64": ">d",
}
QUANTITIES: Mapping[str, tuple[float, float]] = {
    "energy_wh": (0.0, 1e12),
    "energy_export_wh": (0.0, 1e12),
    "power_w": (-1e6, 1e6),
    "amps_l1": (-2000.0, 2000.0),
    "amps_l2": (-2000.0, 2000.0),
    "amps_l3": (-2000.0, 2000.0),
    "volts_l1": (0.0, 1000.0),
    "volts_l2": (0.0, 1000.0),
    "volts_l3": (0.0, 1000.0),
    "power_factor": (-1.01, 1.01),
    "frequency_hz": (0.0, 100.0),
}
"""What a map may give, with the range outside of which an answer is garbage."""
BUILT_IN = Path(__file__).parent / "drivers" / "meters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """One value: where it is and how to read it."""

    name: str
    function: int
    address: int
    type: str
    scale: float
    low_word_first: bool
    absent: frozenset[int]

    @property
    def count(self) -> int:
        """How many registers it takes."""
        return struct.calcsize(TYPES[self.type]) // 2

    def decode(self, words: Sequence[int]) -> float | None:
        """The value; None = the meter says it has none. Raises MeterGarbage for NaN."""
        ordered = list(reversed(words)) if self.low_word_first else list(words)
        raw = struct.pack(f">{len(ordered)}H", *ordered)
        if int.from_bytes(raw, "big") in self.absent:
            return None
        number: float = struct.unpack(TYPES[self.type], raw)[0]
        if not math.isfinite(number):
            raise MeterGarbage(f"{self.name} is {number}")
        return round(number * self.scale, 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One request on the bus and the values that are in its answer."""

    function: int
    address: int
    count: int
    registers: tuple[Register, ...]

    def decode(self, words: Sequence[int]) -> dict[str, float | None]:
        """All values of this answer. Raises MeterGarbage."""
        if len(words) != self.count:
            raise MeterGarbage(f"{len(words)} registers instead of {self.count}")
        values: dict[str, float | None] = {}
        for register in self.registers:
            at = register.address - self.address
            values[register.name] = _plausible(
                register.name, register.decode(words[at : at + register.count])
            )
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A poll as bytes and what is in it; for tests."""

    request: bytes
    answer: bytes
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterMap:
    """One kind of meter."""

    vendor: str
    model: str
    source: str
    max_registers: int
    refresh_ms: int
    baudrate: int
    parity: str
    stop_bits: int
    pause_ms: int
    registers: tuple[Register, ...]
    blocks: tuple[tuple[int, int, int], ...]
    """(function, first address, count)"""
    serial_number: Register | None
    code: Register | None
    models: Mapping[int, str]
    frames: tuple[Frame, ...]
    signing: SigningMap | None = None

    def reads(self, max_registers: int | None = None) -> tuple[Read, ...]:
        """The fewest requests for all values; none longer than meter and caller allow."""
        most = min(max_registers or self.max_registers, self.max_registers)
        reads: list[Read] = []
        for function, start, count in self.blocks:
            inside = [
                r
                for r in self.registers
                if r.function == function and start <= r.address < start + count
            ]
            group: list[Register] = []
            for register in sorted(inside, key=lambda r: r.address):
                if group and register.address + register.count - group[0].address > most:
                    reads.append(_read(group))
                    group = []
                group.append(register)
            if group:
                reads.append(_read(group))
        return tuple(reads)


def load(name: str) -> RegisterMap:
    """A built-in map by name, or a map file by path (with a slash or ending in .toml).

    Raises Misconfigured with file, place and what is allowed.
    """
    path = BUILT_IN / f"{name}.toml"
    try:
        if is_path(name):
            path = Path(name).expanduser()
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(built_in())
        raise Misconfigured(
            f"there is no register map {name!r}; allowed: {known}, or the path of a .toml file"
        ) from error
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a home of nobody
        raise Misconfigured(f"register map {path}: {error}") from error
    try:
        return parse(table)
    except Misconfigured as error:
        raise Misconfigured(f"register map {path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Misconfigured(f"register map {path}: {type(error).__name__}: {error}") from error


def is_path(name: str) -> bool:
    """Whether `name` is the path of a map file, not the name of a built-in map."""
    return "/" in name or name.endswith(".toml")


def built_in() -> list[str]:
    """Names of the maps that come with this package."""
    return sorted(path.stem for path in BUILT_IN.glob("*.toml"))


def parse(table: Mapping[str, Any]) -> RegisterMap:
    """The map in a parsed TOML file. Raises Misconfigured, KeyError, TypeError, ValueError."""
    identity = table.get("identity", {})
    registers = tuple(_register(name, value, table) for name, value in table["values"].items())
    unknown = [r.name for r in registers if r.name not in QUANTITIES]
    if unknown:
        raise Misconfigured(
            f"[values] {', '.join(unknown)} is not known; allowed: {', '.join(QUANTITIES)}"
        )
    made = RegisterMap(
        vendor=str(table["vendor"]),
        model=str(table["model"]),
        source=str(table["source"]),
        max_registers=int(table["max_registers"]),
        refresh_ms=int(table["refresh_ms"]),
        baudrate=int(table.get("baudrate", 9600)),
        parity=str(table.get("parity", "N")),
        stop_bits=int(table.get("stop_bits", 1)),
        pause_ms=int(table.get("pause_ms", 0)),
        registers=registers,
        blocks=tuple(
            (int(b.get("function", table["function"])), int(b["start"]), int(b["count"]))
            for b in table["block"]
        ),
        serial_number=_optional("serial_number", identity, table),
        code=_optional("code", identity, table),
        models={int(code, 16): str(model) for code, model in identity.get("models", {}).items()},
        frames=tuple(
            Frame(
                request=bytes.fromhex(f["request"]),
                answer=bytes.fromhex(f["answer"]),
                values=f["values"],
            )
            for f in table.get("frame", ())
        ),
        signing=signing_map.parse(table["signing"]) if "signing" in table else None,
    )
    _check(made)
    return made


def _check(made: RegisterMap) -> None:
    """Raises Misconfigured when the parts of a map contradict each other."""
    if "energy_wh" not in {r.name for r in made.registers}:
        raise Misconfigured("[values] energy_wh is required")
    if not 1 <= made.max_registers <= 125:
        raise Misconfigured(f"max_registers must be 1 to 125, got {made.max_registers}")
    if made.parity not in ("N", "E", "O") or made.stop_bits not in (1, 2):
        raise Misconfigured("parity must be N, E or O; stop_bits 1 or 2")
    for register in made.registers:
        inside = [
            start
            for function, start, count in made.blocks
            if function == register.function
            and start <= register.address
            and register.address + register.count <= start + count
        ]
        if len(inside) != 1:
            raise Misconfigured(f"[values] {register.name} must lie in exactly one block")
        if register.count > made.max_registers:
            raise Misconfigured(f"[values] {register.name} is longer than max_registers")


def _register(name: str, value: Mapping[str, Any], table: Mapping[str, Any]) -> Register:
    allowed = {"address", "type", "scale", "function", "word_order", "absent"}
    if unknown := set(value) - allowed:
        raise Misconfigured(
            f"{name}: {', '.join(sorted(unknown))} is not known; "
            f"allowed: {', '.join(sorted(allowed))}"
        )
    kind = str(value["type"])
    if kind not in TYPES:
        raise Misconfigured(f"{name}: type must be one of {', '.join(TYPES)}, got {kind!r}")
    word_order = value.get("word_order", table.get("word_order", "big"))
    if word_order not in ("big", "little"):
        raise Misconfigured(f"{name}: word_order must be big or little, got {word_order!r}")
    function = int(value.get("function", table["function"]))
    if function not in (3, 4):
        raise Misconfigured(f"{name}: function must be 3 or 4, got {function}")
    address = int(value["address"])
    if not 0 <= address <= 0xFFFF:
        raise Misconfigured(f"{name}: address must be 0 to 65535, got {address}")
    return Register(
        name=name,
        function=function,
        address=address,
        type=kind,
        scale=float(value.get("scale", 1)),
        low_word_first=word_order == "little",
        absent=frozenset(int(text, 16) for text in value.get("absent", ())),
    )


def _optional(name: str, identity: Mapping[str, Any], table: Mapping[str, Any]) -> Register | None:
    return _register(name, identity[name], table) if name in identity else None


def _read(group: Sequence[Register]) -> Read:
    first, last = group[0], group[-1]
    return Read(
        function=first.function,
        address=first.address,
        count=last.address + last.count - first.address,
        registers=tuple(group),
    )


def _plausible(name: str, value: float | None) -> float | None:
    """The value itself. Raises MeterGarbage outside the range of its quantity."""
    if value is None:
        if name == "energy_wh":
            raise MeterGarbage("the meter has no value for energy_wh")
        return None
    low, high = QUANTITIES[name]
    if not low <= value <= high:
        raise MeterGarbage(f"{name} = {value:g} is not possible")
    return value
