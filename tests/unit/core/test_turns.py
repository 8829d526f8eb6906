"""Whose turn it is when the supply is too small for all (DESIGN §1.7)."""

from __future__ import annotations

from collections.abc import Collection

from controller.core.sharing_values import Phases
from controller.core.turns import IDLE_TURN_S, Turns

TURN_S = 900.0
L1, L2, ALL = (0,), (1,), (0, 1, 2)
ROOM_FOR_ONE: Phases = (6.0, 6.0, 6.0)


def chosen(
    turns: Turns,
    now_s: float,
    lines: dict[int, tuple[int, ...]],
    drawing: Collection[int] = (),
) -> set[int]:
    """Everybody asks for 6 A at least."""
    asking = {evse: (phases, 6.0) for evse, phases in lines.items()}
    return turns.choose(asking, ROOM_FOR_ONE, drawing=drawing, holding=drawing, now_s=now_s)


def test_who_took_nothing_waits_a_whole_turn_for_the_next_one() -> None:
    """Two full vehicles are not switched every minute."""
    turns = Turns(TURN_S)
    both = {1: L1, 2: L1}
    assert chosen(turns, 0.0, both) == {1}
    assert chosen(turns, IDLE_TURN_S, both) == {2}
    for minutes in range(2, 16):
        assert chosen(turns, minutes * 60.0, both) == {2}
    assert chosen(turns, IDLE_TURN_S + TURN_S, both) == {1}


def test_nobody_takes_the_room_that_another_one_waits_for() -> None:
    turns = Turns(TURN_S)
    assert chosen(turns, 0.0, {1: L1}, drawing={1}) == {1}
    assert chosen(turns, 1.0, {1: L1, 2: ALL}, drawing={1}) == {1}
    three = {1: L1, 2: ALL, 3: L2}
    assert chosen(turns, 2.0, three, drawing={1}) == {1}, "2 needs L2 as well"
    assert chosen(turns, TURN_S, three, drawing={1}) == {2}


def test_who_waits_for_nothing_special_takes_the_room_that_is_left() -> None:
    turns = Turns(TURN_S)
    assert chosen(turns, 0.0, {1: L1}, drawing={1}) == {1}
    assert chosen(turns, 1.0, {1: L1, 3: L2}, drawing={1}) == {1, 3}
