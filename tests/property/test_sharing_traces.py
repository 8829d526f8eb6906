"""DESIGN §1.7 by truth: random traces through the shared supply, the real guard cores and vehicles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from controller.core import sharing
from controller.core.sharing import Sharing
from controller.core.sharing_values import Asking
from tests.property.sharing_world import Exceeded, World

TICKS = 60


def traces(evses: int, seeds: range, **more: Any) -> Counter[str]:
    total: Counter[str] = Counter()
    for seed in seeds:
        world = World(seed, evses, **more)
        try:
            world.run(TICKS)
        except Exceeded as error:
            raise Exceeded(f"{evses} EVSEs, seed {seed}: {error}") from error
        total += world.count
    return total


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("evses", "first", "count"), [(2, 0, 600), (4, 10_000, 400)])
def test_the_offers_never_exceed_the_supply(evses: int, first: int, count: int) -> None:
    """1,000 traces: plug, unplug, pause, limits, profiles, deaths of station and guard, hold offers."""
    seen = traces(evses, range(first, first + count))
    assert seen["shared"] > count
    for what in ("plugged", "contactor_closed", "hold_started", "deaths", "guard deaths"):
        assert seen[what] > count // 10, seen


def test_neither_without_meters() -> None:
    traces(2, range(20_000, 20_060), meters=False)


class _Unclaimed(Sharing):
    """Planted: gives what others still claim."""

    def _claims_of_others(self, asking: Sequence[Asking], me: Asking, line: int) -> float:
        return sum(
            self._evses[o.evse].granted_amps
            for o in asking
            if o.evse != me.evse and line in o.lines
        )


class _OneLine(Sharing):
    """Planted: forgets that an EVSE may have three phases."""

    def step(self, asking: Sequence[Asking], *args: Any, **more: Any) -> Mapping[int, Any]:  # type: ignore[override]
        return super().step([replace(a, lines=a.lines[:1]) for a in asking], *args, **more)


class _Blind(Sharing):
    """Planted: does not count what the guard holds from an earlier life."""

    def step(self, asking: Sequence[Asking], *args: Any, **more: Any) -> Mapping[int, Any]:  # type: ignore[override]
        def blind(asked: Asking) -> Asking:
            if asked.seen is None or asked.wants:
                return asked
            seen = replace(asked.seen, offered_amps=0.0, permitted_amps=0.0, contactor_closed=False)
            return replace(asked, seen=seen)

        return super().step([blind(a) for a in asking], *args, **more)


@pytest.mark.parametrize(("planted", "first"), [(_Unclaimed, 0), (_OneLine, 0), (_Blind, 400)])
def test_planted_bugs_are_found(planted: Callable[..., Sharing], first: int) -> None:
    with pytest.raises(Exceeded):
        traces(2, range(first, 600), sharing=planted)


def test_a_meter_that_is_believed_too_early_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a meter a vehicle must get its time to follow."""
    monkeypatch.setattr(sharing, "FOLLOW_S", 0.0)
    with pytest.raises(Exceeded):
        traces(2, range(20_000, 20_400), meters=False)
