"""Where a Modbus meter keeps what it signs; the table [signing] of a register map.

    [signing]
    encoding = "OCMF"                  # how the record is written; signing_method = "" if it stands inside
    command = 0xE000                   # a word written here makes the meter sign
    begin = 1                          # ... as begin, end, or in between
    end = 2
    now = 3
    status = 0xE001                    # 0 = done, `busy` = not yet, anything else = it cannot
    busy = 1
    length = 0xE002                    # bytes of the record
    record = 0xE100                    # the record as ASCII, two characters a register
    id_token = 0xE010                  # optional: the token is written here first, padded with zeros
    id_token_length = 20               # its registers
    tariff_text = 0xE400               # optional: the same for the price that the driver was shown
    tariff_text_length = 125
    public_key = 0xE040                # optional: the key as ASCII hexadecimal, ended by a zero
    public_key_length = 128            # its registers
    end_covers_begin = false           # the end record holds both values

All of them are holding registers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from hal.errors import Misconfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningMap:
    """Addresses and codes; `id_token`, `tariff_text` and `public_key` 0 = the meter has none."""

    command: int
    status: int
    length: int
    record: int
    begin: int = 1
    end: int = 2
    now: int = 3
    busy: int = 1
    encoding: str = "OCMF"
    signing_method: str = ""
    id_token: int = 0
    id_token_length: int = 0
    tariff_text: int = 0
    tariff_text_length: int = 0
    public_key: int = 0
    public_key_length: int = 0
    end_covers_begin: bool = False


def parse(table: Mapping[str, Any]) -> SigningMap:
    """The table as values. Raises Misconfigured."""
    kinds = {field.name: field.type for field in fields(SigningMap)}
    for name, value in table.items():
        if name not in kinds:
            raise Misconfigured(f"[signing] {name} is not known; allowed: {', '.join(kinds)}")
        kind = {"int": int, "str": str, "bool": bool}[str(kinds[name])]
        if type(value) is not kind:
            raise Misconfigured(f"[signing] {name} must be {kinds[name]}, got {value!r}")
        if isinstance(value, int) and not 0 <= value <= 0xFFFF:
            raise Misconfigured(f"[signing] {name} must be 0 to 65535, got {value}")
    try:
        return SigningMap(**table)
    except TypeError as error:
        raise Misconfigured(f"[signing] {error}") from error


def words_of(text: bytes, count: int) -> list[int]:
    """ASCII as registers, padded with zeros to `count`."""
    padded = text[: 2 * count].ljust(2 * count, b"\0")
    return [int.from_bytes(padded[n : n + 2], "big") for n in range(0, len(padded), 2)]


def bytes_of(words: list[int]) -> bytes:
    """Inverse of `words_of`, with its padding."""
    return b"".join(word.to_bytes(2, "big") for word in words)
