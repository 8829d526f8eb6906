from __future__ import annotations

from hal.sim.events import Events


def test_since_gives_later_ones_only():
    events = Events()
    for number in range(5):
        events.add(number * 10, 1, "pilot", f"A{number}")
    assert [event["n"] for event in events.since(3)] == [4, 5]
    assert events.since(0)[0] == {"n": 1, "at_ns": 0, "evse": 1, "what": "pilot", "value": "A0"}
    assert (events.since(5), events.since(99), events.last) == ([], [], 5)


def test_the_ring_forgets_the_oldest():
    events = Events(size=3)
    for number in range(10):
        events.add(number, 1, "duty", 1.0)
    assert [event["n"] for event in events.since(0)] == [8, 9, 10]
    assert [event["n"] for event in events.since(9)] == [10]
