"""Lets one awaited frame disappear or lie, to see whether the case notices."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Protocol

from tests.conformance.matching import altered

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One frame of the station in the eyes of a case: a call, or the answer to a call of the backend.

    Virtual time makes runs alike, so its number among its kind finds it again. `wanted`: what the case asked of it.
    """

    kind: str
    number: int
    action: str
    wanted: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.kind} {self.number} {self.action}"


class Saboteur(Protocol):
    """Sees every frame before the case does."""

    def tamper(self, point: Point, payload: Payload) -> Payload | None:
        """What the case gets to see; None = nothing."""
        ...

    def passed(self, point: Point) -> None:
        """The case was content with this frame."""
        ...


class Harmless:
    """Only remembers what a case was content with."""

    def __init__(self) -> None:
        self.points: list[Point] = []

    def tamper(self, _point: Point, payload: Payload) -> Payload | None:
        return payload

    def passed(self, point: Point) -> None:
        self.points.append(point)


class Wrecker:
    """Drops or alters one frame of an earlier clean run."""

    def __init__(self, target: Point, chance: random.Random) -> None:
        self.target = target
        self.done = ""
        self._chance = chance
        self._drop = chance.random() < 0.5

    def tamper(self, point: Point, payload: Payload) -> Payload | None:
        target = self.target
        if (point.kind, point.action, point.number) != (target.kind, target.action, target.number):
            return payload
        if not self._drop:
            try:
                lie = altered(self.target.wanted, payload, self._chance.randrange)
            except KeyError:
                pass
            else:
                self.done = f"altered {point} to {lie}"
                return lie
        self.done = f"dropped {point}"
        return None

    def passed(self, point: Point) -> None:
        return
