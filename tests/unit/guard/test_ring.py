"""The ring of facts: numbers without a gap, the newest kept."""

from __future__ import annotations

from controller.core.guard_messages import Fact, FactKind
from controller.guard.ring import FactRing


def facts(count: int) -> list[Fact]:
    return [Fact(n=0, at_ns=n, evse=1, kind=FactKind.PILOT) for n in range(count)]


def test_numbers_and_since() -> None:
    ring = FactRing(size=3)
    assert (ring.first_n, ring.last_n) == (1, 0)
    assert [f.n for f in ring.add(facts(2))] == [1, 2]
    ring.add(facts(3))
    assert (ring.first_n, ring.last_n) == (3, 5)
    assert [f.n for f in ring.since(0)] == [3, 4, 5]
    assert [f.n for f in ring.since(4)] == [5]
    assert ring.since(5) == []


def test_a_number_of_another_guard_gives_everything() -> None:
    ring = FactRing()
    ring.add(facts(4))
    assert len(ring.since(900)) == 4
