"""R16-BOOT-9, RPC-9: how long a station waits before it knocks again."""

from __future__ import annotations

from controller.ocpp.backoff import BackOff


def back_off(part: float) -> BackOff:
    return BackOff(
        wait_minimum_s=5.0, random_range_s=10.0, repeat_times=3, random=lambda: part, quick_s=1.0
    )


def test_rpc_9_doubles_up_to_the_repeat_times_and_adds_the_random_part() -> None:
    waits = back_off(0.5)
    assert [waits.next_s() for _ in range(7)] == [0.5, 10.0, 15.0, 25.0, 45.0, 45.0, 45.0]


def test_rpc_9_starts_again_after_a_connection_that_worked() -> None:
    waits = back_off(0.0)
    for _ in range(5):
        waits.next_s()
    waits.worked()
    assert waits.next_s() == 0.0
    assert waits.next_s() == 5.0


def test_the_first_knock_is_quick_but_spread() -> None:
    assert back_off(0.0).next_s() == 0.0
    assert back_off(0.999).next_s() == 0.999
