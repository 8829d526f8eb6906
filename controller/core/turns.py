"""Who is on when the supply is too small for all: turns, pure. Nobody starves, the newest waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.core.fair_shares import fits
from controller.core.sharing_values import Phases

TURN_S = 900.0
"""How long a vehicle charges before another one that waits gets its place."""
IDLE_TURN_S = 60.0
"""How long it gets to ask for power; longer than the guard takes to wake it up."""


@dataclass(slots=True)
class _Place:
    """`on_s`: since when it has a turn, None = it waits since `waits_s`. `rests_until_s`: it took nothing."""

    waits_s: float
    on_s: float | None = None
    idle_s: float | None = None
    rests_until_s: float = 0.0


class Turns:
    """Keeps the queue. `turn_s`: the length of a turn."""

    def __init__(self, turn_s: float = TURN_S) -> None:
        self._turn_s = turn_s
        self._places: dict[int, _Place] = {}

    def choose(
        self,
        asking: Mapping[int, tuple[tuple[int, ...], float]],
        free: Phases,
        *,
        drawing: Iterable[int],
        holding: Iterable[int],
        now_s: float,
    ) -> set[int]:
        """Who is on now. `asking`: phases and least amps; `drawing`: contactor closed; `holding`: is offered current."""
        self._enter(asking, set(drawing), set(holding), now_s)
        room = list(free)
        chosen: set[int] = set()
        blocked = False
        for evse, waited_for in self._order(now_s):
            lines, least_amps = asking[evse]
            if blocked and waited_for:
                continue
            if fits(lines, least_amps, room):
                chosen.add(evse)
                for line in lines:
                    room[line] -= least_amps
            elif waited_for:
                blocked = True  # those behind it must not take the room it waits for
        for evse, place in self._places.items():
            if evse in chosen:
                if place.on_s is None:
                    place.on_s, place.idle_s = now_s, None if evse in drawing else now_s
            elif place.on_s is not None:
                took_nothing = place.idle_s is not None
                place.rests_until_s = now_s + self._turn_s if took_nothing else 0.0
                place.on_s, place.idle_s, place.waits_s = None, None, now_s
        return chosen

    def _enter(
        self,
        asking: Iterable[int],
        drawing: set[int],
        holding: set[int],
        now_s: float,
    ) -> None:
        for evse in list(self._places):
            if evse not in asking:
                del self._places[evse]
        for evse in asking:
            place = self._places.get(evse)
            if place is None:
                on_s = now_s if evse in holding else None
                place = self._places[evse] = _Place(waits_s=now_s, on_s=on_s)
            if evse in drawing:
                place.idle_s, place.rests_until_s = None, 0.0
            elif place.idle_s is None and place.on_s is not None:
                place.idle_s = now_s

    def _order(self, now_s: float) -> list[tuple[int, bool]]:
        """(EVSE, it waits for its turn), the first in line first."""

        def key(item: tuple[int, _Place]) -> tuple[int, float, int]:
            evse, place = item
            if place.on_s is None:
                return (4 if now_s < place.rests_until_s else 1), place.waits_s, evse
            if not self._over(place, now_s):
                return 0, place.on_s, evse
            return (2 if place.idle_s is None else 3), -place.on_s, evse

        ordered = sorted(self._places.items(), key=key)
        return [
            (evse, place.on_s is None and now_s >= place.rests_until_s) for evse, place in ordered
        ]

    def _over(self, place: _Place, now_s: float) -> bool:
        idle = place.idle_s is not None and now_s - place.idle_s >= IDLE_TURN_S
        return idle or (place.on_s is not None and now_s - place.on_s >= self._turn_s)
