"""Reading the bodies of bench API calls: every key typed and bounded, unknown ones named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hal.sim.errors import Refused
from hal.sim.pilot_circuit import Load
from hal.sim.vehicle import VehicleSettings


class Body:
    """One JSON object whose keys are taken one by one."""

    def __init__(self, text: bytes) -> None:
        try:
            values = json.loads(text) if text.strip() else {}
        except (ValueError, RecursionError) as error:
            raise Refused(400, f"the body is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise Refused(400, "the body must be a JSON object")
        self._values: dict[str, Any] = values
        self._taken: list[str] = []

    def number(self, key: str, default: float | None, low: float, high: float) -> float:
        """A number in [low, high]; no default = required."""
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Refused(400, f"{key} must be a number, got {value!r}")
        if not low <= value <= high:
            raise Refused(400, f"{key} must be {low:g} to {high:g}")
        return float(value)

    def optional_number(self, key: str, low: float, high: float) -> float | None:
        """A number, or None when the key is absent."""
        return self.number(key, None, low, high) if key in self._values else None

    def phases(self, default: int) -> int:
        """1 to 3."""
        value = self.number("phases", default, 1, 3)
        if value != int(value):
            raise Refused(400, f"phases must be 1, 2 or 3, got {value!r}")
        return int(value)

    def text(self, key: str, default: str | None = None) -> str:
        """A non-empty text; no default = required."""
        value = self._take(key, default)
        if not isinstance(value, str) or not value:
            raise Refused(400, f"{key} must be a non-empty text, got {value!r}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise Refused(400, f"{key} must be true or false, got {value!r}")
        return value

    def numbers(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers, empty when absent."""
        value = self._take(key, [])
        if not isinstance(value, list) or not all(type(item) is int for item in value):
            raise Refused(400, f"{key} must be a list of whole numbers, got {value!r}")
        return tuple(value)

    def end(self) -> None:
        """All keys are taken; others are a mistake."""
        unknown = sorted(set(self._values) - set(self._taken))
        if unknown:
            allowed = ", ".join(self._taken) or "none"
            raise Refused(400, f"unknown key {unknown[0]!r} (allowed: {allowed})")

    def _take(self, key: str, default: Any) -> Any:
        self._taken.append(key)
        if key in self._values:
            return self._values[key]
        if default is None:
            raise Refused(400, f"{key} is required")
        return default


def vehicle(body: Body) -> VehicleSettings:
    """The body of plug."""
    defaults = VehicleSettings()
    settings = VehicleSettings(
        current=body.number("current", defaults.current, 0, 200),
        phases=body.phases(defaults.phases),
        ready_after=body.number("ready_after", defaults.ready_after, 0, 86_400),
        stop_after=body.number("stop_after", defaults.stop_after, 0, 86_400),
        ignores_end_of_offer=body.flag("ignores_end_of_offer", defaults.ignores_end_of_offer),
    )
    kind = body.text("vehicle", "standard")
    body.end()
    if kind != "standard":
        raise Refused(400, f"no vehicle is called {kind!r}; known: standard")
    return settings


def pulse(body: Body) -> tuple[Load, float]:
    """The body of pulse: load and seconds."""
    state = body.text("state", "C")
    seconds = body.number("seconds", 0.25, 0.000_001, 3600)
    body.end()
    try:
        return Load(state.upper()), seconds
    except ValueError:
        raise Refused(400, f"state must be A, B, C, D, E or F, got {state!r}") from None


def card(body: Body, known: Mapping[int, Any]) -> tuple[str, tuple[int, ...]]:
    """The body of rfid: text and EVSEs."""
    text = body.text("uid")
    evses = body.numbers("evses")
    body.end()
    for evse in evses:
        if evse not in known:
            raise Refused(404, f"there is no EVSE {evse}")
    return text, evses
