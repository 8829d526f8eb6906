"""hal.bus: one owner per wire, shared lines opened once."""

from __future__ import annotations

from typing import Any

import pytest

from hal.bus import Bus, PartTable, bus_of, double_uses
from hal.errors import WireInUse
from hal.wires import RealWires


def test_a_wire_has_one_owner_until_released() -> None:
    bus = Bus()
    claim = bus.claim(("pin", 17), "GPIO17", "EVSE 1 contactor")
    with pytest.raises(WireInUse, match="GPIO17 is used by EVSE 1 contactor and by EVSE 2 lock"):
        bus.claim(("pin", 17), "GPIO17", "EVSE 2 lock")
    claim.release()
    claim.release()
    bus.claim(("pin", 17), "GPIO17", "EVSE 2 lock")


def test_a_shared_line_is_opened_once_and_closed_with_its_last_user() -> None:
    bus = Bus()
    made: list[int] = []
    closed: list[object] = []

    def share(owner: str, terms: Any = 9600) -> object:
        return bus.share(
            "line",
            "the line",
            owner,
            make=lambda: made.append(1) or object(),  # type: ignore[func-returns-value]
            close=closed.append,
            terms=terms,
        )

    first = share("a")
    assert share("b") is first
    with pytest.raises(WireInUse, match="the line is used by a with 9600 and by c with 19200"):
        share("c", 19200)
    bus.unshare("line")
    assert (len(made), closed) == (1, [])
    bus.unshare("line")
    assert closed == [first]
    bus.unshare("line")
    assert share("d") is not first


def test_an_owned_wire_is_not_shared_and_a_shared_one_not_owned() -> None:
    bus = Bus()
    bus.claim("a", "port a", "rfid")
    with pytest.raises(WireInUse, match="port a is used by rfid and by EVSE 1 meter"):
        bus.share("a", "port a", "EVSE 1 meter", make=object, close=lambda _: None)
    bus.share("b", "port b", "EVSE 1 meter", make=object, close=lambda _: None)
    with pytest.raises(WireInUse, match="port b is used by EVSE 1 meter and by rfid"):
        bus.claim("b", "port b", "rfid")


def test_each_wires_has_a_bus_of_its_own() -> None:
    one, two = RealWires(), RealWires()
    assert bus_of(one) is bus_of(one)
    assert bus_of(one) is not bus_of(two)


def part(part: str, evse: int, **table: Any) -> PartTable:
    return PartTable(part=part, evse=evse, table=table)


def test_double_uses_are_found_without_opening_anything() -> None:
    problems = double_uses(
        [
            part("pilot", 1, chip="pwmchip0", channel=0, hold_reset_pin=25),
            part("pilot", 2, chip="pwmchip0", channel=0, hold_reset_pin=17),
            part("contactor", 1, pin=17, mirror_pin=17),
            part("meter", 1, port="/dev/ttyUSB0", address=1),
            part("meter", 2, port="/dev/ttyUSB0", address=1),
            part("meter", 3, port="/dev/ttyUSB0", address=2),
        ]
    )
    assert problems == [
        "PWM pwmchip0 channel 0 is used by EVSE 1 pilot and by EVSE 2 pilot; each needs its own",
        "GPIO17 is used by EVSE 2 pilot and by EVSE 1 contactor; each needs its own",
        "GPIO17 is used by EVSE 2 pilot and by EVSE 1 contactor; each needs its own",
        "Modbus address 1 on /dev/ttyUSB0 is used by EVSE 1 meter and by EVSE 2 meter; "
        "each needs its own",
    ]


def test_wires_of_its_own_per_evse_do_not_collide() -> None:
    one = part("contactor", 1, pin=17, wires="sim")
    two = part("contactor", 2, pin=17, wires="sim")
    assert double_uses([one, two]) == []


def test_a_reader_and_a_meter_cannot_share_a_port() -> None:
    (problem,) = double_uses(
        [part("meter", 1, port="/dev/ttyS0", address=1), part("rfid", 0, port="/dev/ttyS0")]
    )
    assert "serial port /dev/ttyS0 is used by EVSE 1 meter and by rfid" in problem
