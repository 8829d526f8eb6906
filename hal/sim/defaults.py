"""The default driver table of each part on virtual wires (`pilot = "sim"` and so on)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "pilot": {
        "driver": "pwm",
        "chip": "pwmchip0",
        "channel": 0,
        "spi_bus": 0,
        "spi_device": 0,
        "hold_reset_pin": 25,
    },
    "contactor": {
        "driver": "gpio",
        "pin": 17,
        "mirror_pin": 27,
        "heartbeat_pin": 22,
        "emergency_stop_pin": 24,
    },
    "meter": {"driver": "modbus", "map": "eastron-sdm120", "port": "meter", "address": 1},
    "rcd": {"driver": "gpio", "trip_pin": 23, "test_pin": 18},
    "lock": {"driver": "gpio", "lock_pin": 5, "unlock_pin": 6, "feedback_pin": 13},
    "proximity": {"driver": "adc", "spi_bus": 0, "spi_device": 0, "channel": 3},
    "rfid": {"driver": "pn532", "port": "rfid"},
}
"""Each EVSE has a header of its own, so pin numbers may repeat from EVSE to EVSE."""

THREE_PHASE_METER = "eastron-sdm630"


def default_table(part: str, *, phases: int = 1) -> dict[str, Any]:
    """The table that `"sim"` stands for. Raises KeyError for a part without a default driver."""
    table = dict(DEFAULTS[part])
    if part == "meter" and phases > 1:
        table["map"] = THREE_PHASE_METER
    table["wires"] = "sim"
    return table
