"""Who owns which wire: one owner per pin, converter channel, serial port and bus address.

All drivers that are opened on the same `Wires` share one `Bus`; a second owner is refused with both
named. What several drivers may share (an SPI device, a serial line with several meters) is opened
once and closed with its last user.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from hal.errors import WireInUse
from hal.wires import SpiDevice, Wires

T = TypeVar("T")

REAL_HEADER = 0
"""Header of real wires: one for all EVSEs. Virtual wires have one header per EVSE (its number)."""


def owner_name(part: str, evse: int) -> str:
    """How messages name an owner: "EVSE 1 contactor", "rfid"."""
    return f"EVSE {evse} {part}" if evse else part


class Claim:
    """The right to a wire; `release` gives it back (twice is harmless)."""

    def __init__(self, owners: dict[Hashable, str], key: Hashable) -> None:
        self._owners = owners
        self._key = key

    def release(self) -> None:
        """Let another owner have the wire."""
        self._owners.pop(self._key, None)


@dataclass(slots=True)
class _Shared:
    """Something opened once for several users. `terms`: what all users must agree on."""

    value: Any
    terms: Hashable
    first_owner: str
    users: int
    close: Callable[[Any], None]


class Bus:
    """Owners and shared wires of one `Wires`."""

    def __init__(self) -> None:
        self._owners: dict[Hashable, str] = {}
        self._shared: dict[Hashable, _Shared] = {}

    def claim(self, key: Hashable, what: str, owner: str) -> Claim:
        """Make `owner` the only one for `key`. Raises WireInUse naming both owners."""
        other = self._owners.get(key)
        if other is None and key in self._shared:
            other = self._shared[key].first_owner
        if other is not None:
            raise WireInUse(f"{what} is used by {other} and by {owner}; each needs its own")
        self._owners[key] = owner
        return Claim(self._owners, key)

    def share(
        self,
        key: Hashable,
        what: str,
        owner: str,
        *,
        make: Callable[[], T],
        close: Callable[[T], None],
        terms: Hashable = None,
    ) -> T:
        """The object for `key`, made by its first user. Raises WireInUse when `terms` differ."""
        other = self._owners.get(key)
        if other is not None:
            raise WireInUse(f"{what} is used by {other} and by {owner}; each needs its own")
        entry = self._shared.get(key)
        if entry is None:
            entry = _Shared(make(), terms, owner, 0, cast(Callable[[Any], None], close))
            self._shared[key] = entry
        elif entry.terms != terms:
            raise WireInUse(
                f"{what} is used by {entry.first_owner} with {entry.terms} "
                f"and by {owner} with {terms}; "
                "on one line all settings must be the same"
            )
        entry.users += 1
        return cast(T, entry.value)

    def unshare(self, key: Hashable) -> None:
        """One user less; the last one closes."""
        entry = self._shared.get(key)
        if entry is None:
            return
        entry.users -= 1
        if entry.users <= 0:
            del self._shared[key]
            entry.close(entry.value)


_buses: weakref.WeakKeyDictionary[Wires, Bus] = weakref.WeakKeyDictionary()
"""Lives exactly as long as the wires; the only state of this module."""


def bus_of(wires: Wires) -> Bus:
    """The bus that belongs to these wires."""
    bus = _buses.get(wires)
    if bus is None:
        bus = _buses[wires] = Bus()
    return bus


def header_of(wires: Wires, evse: int) -> int:
    """Which pin header an EVSE sits on: its own one when the wires hand out a factory for it."""
    return REAL_HEADER if wires.pin_factory(evse) is None else evse


def open_spi(wires: Wires, evse: int, bus: int, device: int, max_hz: int, owner: str) -> SpiDevice:
    """The SPI device, opened once per header; give it back with `close_spi`."""
    return bus_of(wires).share(
        ("spi", header_of(wires, evse), bus, device),
        f"SPI {bus}.{device}",
        owner,
        make=lambda: wires.spi(evse, bus, device, max_hz),
        close=lambda spi: spi.close(),
    )


def close_spi(wires: Wires, evse: int, bus: int, device: int) -> None:
    """One user of the SPI device less."""
    bus_of(wires).unshare(("spi", header_of(wires, evse), bus, device))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartTable:
    """A driver table with its place, for `double_uses`."""

    part: str
    evse: int
    table: Mapping[str, Any]


def double_uses(parts: Iterable[PartTable]) -> list[str]:
    """Every pin, channel, port and address that two tables claim; opens nothing."""
    owners: dict[Hashable, tuple[str, str]] = {}
    problems: list[str] = []
    for part in parts:
        owner = owner_name(part.part, part.evse)
        virtual = part.table.get("wires") is not None
        header: Hashable = ("virtual", part.evse) if virtual else REAL_HEADER
        for key, what, group in _claims(part, header):
            if key not in owners:
                owners[key] = (owner, group)
                continue
            other, others = owners[key]
            if not group or group != others:
                problems.append(f"{what} is used by {other} and by {owner}; each needs its own")
    return problems


def _claims(part: PartTable, header: Hashable) -> Iterable[tuple[Hashable, str, str]]:
    """What one table claims (key, words, group that may share it), by the names settings use."""
    table = part.table
    for name, value in table.items():
        if (name == "pin" or name.endswith("_pin")) and isinstance(value, int):
            yield ("pin", header, value), f"GPIO{value}", ""
    if part.part == "pilot" and "chip" in table:
        channel = table.get("channel", 0)
        words = f"PWM {table['chip']} channel {channel}"
        yield ("pwm", header, table["chip"], channel), words, ""
    if "port" in table:
        port = _port(table["port"])
        group = "meters" if part.part == "meter" else ""
        yield ("serial", header, port), f"serial port {table['port']}", group
        if group:
            address = table.get("address", 1)
            words = f"Modbus address {address} on {table['port']}"
            yield ("modbus", header, port, address), words, ""


def _port(port: Any) -> str:
    """The same device file under its several names is one port."""
    path = Path(str(port))
    return str(path.resolve()) if path.is_absolute() else str(port)
