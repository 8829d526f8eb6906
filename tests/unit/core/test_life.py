"""The last stored moment of a transaction: soon, then seldom."""

from __future__ import annotations

from itertools import pairwise

from controller.core.life import FIRST_S, LIFE_S, LifeRhythm


def stored(seconds: int, sample_every_s: int) -> list[float]:
    rhythm, found = LifeRhythm(), []
    for second in range(seconds):
        if second and sample_every_s and second % sample_every_s == 0 and rhythm.sampled(second):
            found.append(float(second))
        if rhythm.tick(second):
            found.append(float(second))
    return found


def test_a_short_transaction_does_not_end_where_it_began() -> None:
    assert stored(12, 0) == [5.0, 10.0]


def test_the_times_double_up_to_a_minute() -> None:
    found = stored(600, 0)
    assert found[:6] == [5.0, 10.0, 20.0, 40.0, 80.0, 145.0]
    assert {later - one for one, later in pairwise(found[5:])} == {LIFE_S}


def test_an_hour_costs_no_more_than_a_write_a_minute_however_often_values_are_sampled() -> None:
    for every_s in (1, 10, 30, 60, 300):
        assert len(stored(3600, every_s)) <= 70


def test_values_of_each_minute_take_the_moment_along() -> None:
    """R16-TX-8: no value that was told is younger than the end after a power loss."""
    found = stored(3600, 60)
    assert all(float(second) in found for second in range(120, 3600, 60))


def test_another_transaction_begins_anew() -> None:
    rhythm = LifeRhythm()
    assert not rhythm.tick(0.0)
    assert rhythm.tick(200.0)
    rhythm.end()
    assert rhythm.due_s is None
    assert not rhythm.tick(300.0)
    assert rhythm.due_s == 300.0 + FIRST_S
