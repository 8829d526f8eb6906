from __future__ import annotations

import pytest

from hal.sim.contactor import Contactor
from tests.unit.sim.world_clock import MS, FakeTimers


class Box:
    def __init__(self):
        self.timers = FakeTimers()
        self.moves: list[tuple[str, bool, int]] = []
        self.heartbeat_ns = 0
        self.contactor = Contactor(
            self.timers,
            lambda closed, at: self.moves.append(("contactor", closed, at)),
            lambda closed, at: self.moves.append(("mirror", closed, at)),
            lambda: self.heartbeat_ns,
        )

    def coil(self, level):
        at = self.timers.ns
        self.contactor.command(level, at)
        return at

    def run(self, ms):
        self.timers.run(ms * MS)


@pytest.fixture
def box():
    return Box()


def test_moves_at_computed_instants_after_the_pin(box):
    on = box.coil(True)
    box.run(100)
    off = box.coil(False)
    box.run(100)
    assert box.moves == [
        ("contactor", True, on + 12 * MS),
        ("mirror", True, on + 13 * MS),
        ("contactor", False, off + 3 * MS),
        ("mirror", False, off + 4 * MS),
    ]


def test_a_late_message_does_not_move_the_instant(box):
    at = box.timers.ns - 50 * MS
    box.contactor.command(True, at)
    box.run(1)
    assert box.moves[0] == ("contactor", True, at + 12 * MS)


def test_a_short_coil_pulse_does_not_close(box):
    box.coil(True)
    box.run(5)
    box.coil(False)
    box.run(100)
    assert box.moves == []


def test_welded_contacts_stay_closed_and_the_mirror_tells(box):
    box.coil(True)
    box.run(100)
    box.contactor.set_welded(True, box.timers.ns)
    box.coil(False)
    box.run(100)
    assert (box.contactor.closed, box.contactor.mirror) == (True, True)
    box.contactor.set_welded(False, box.timers.ns)
    box.run(100)
    assert (box.contactor.closed, box.contactor.mirror) == (False, False)


def test_weld_closes_open_contacts(box):
    box.contactor.set_welded(True, box.timers.ns)
    box.run(100)
    assert (box.contactor.commanded, box.contactor.closed, box.contactor.mirror) == (
        False,
        True,
        True,
    )


def test_fail_to_close_until_it_is_removed(box):
    box.contactor.set_fails_to_close(True, box.timers.ns)
    box.coil(True)
    box.run(100)
    assert (box.contactor.commanded, box.contactor.closed) == (True, False)
    box.contactor.set_fails_to_close(False, box.timers.ns)
    box.run(100)
    assert box.contactor.closed


def test_gate_opens_150_ms_after_the_last_heartbeat(box):
    box.contactor.coil_gate = True
    box.heartbeat_ns = box.timers.ns
    box.coil(True)
    for _ in range(50):
        box.run(10)
        box.heartbeat_ns = box.timers.ns
    assert box.contactor.closed
    last = box.heartbeat_ns
    box.run(400)
    assert (box.contactor.commanded, box.contactor.closed) == (True, False)
    assert box.moves[-2] == ("contactor", False, last + 153 * MS)


def test_gate_without_any_heartbeat_never_closes_and_a_returning_one_closes(box):
    box.contactor.coil_gate = True
    box.coil(True)
    box.run(500)
    assert not box.contactor.closed
    box.heartbeat_ns = box.timers.ns
    box.run(60)
    assert box.contactor.closed


def test_without_a_gate_the_heartbeat_does_not_matter(box):
    box.coil(True)
    box.run(5000)
    assert box.contactor.closed
