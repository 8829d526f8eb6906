"""hardware.md §2: cable rating and lock rules."""

from __future__ import annotations

import pytest

from controller.core.connector import CableReader, LockCommand, LockRules, cable_amps
from hal.types import LockState

S = 1_000_000_000


@pytest.mark.parametrize(
    ("ohms", "amps"),
    [(None, None), (10, None), (74, None), (100, 63), (220, 32), (680, 20), (1500, 13), (2200, 13),
     (2201, None), (float("inf"), None), (float("nan"), None)],
)  # fmt: skip
def test_cable_rating(ohms: float | None, amps: float | None) -> None:
    assert cable_amps(ohms) == amps


def test_rating_needs_three_equal_readings() -> None:
    reader = CableReader(socket=True)
    reader.start(0)
    assert not reader.known
    known = [reader.tick(ohms, 0) for ohms in (220, 680, 220, 220, 220)]
    assert known == [False, False, False, False, True]
    assert reader.amps == 32
    assert reader.known


def test_no_valid_reading_within_a_second_fails() -> None:
    reader = CableReader(socket=True)
    reader.start(0)
    reader.tick(10, S)
    assert reader.failed
    assert not reader.known
    assert not reader.wanted


def test_tethered_cable_has_nothing_to_read() -> None:
    reader = CableReader(socket=False)
    reader.start(0)
    assert reader.known
    assert not reader.wanted


def test_locking_is_tried_five_times() -> None:
    lock = LockRules()
    lock.ask(LockCommand.LOCK)
    commands = [lock.tick(LockState.UNLOCKED, True, n * S // 10) for n in range(100)]
    assert commands.count(LockCommand.LOCK) == 5
    assert lock.jammed


def test_never_unlocks_while_it_may_not() -> None:
    lock = LockRules()
    lock.ask(LockCommand.UNLOCK)
    assert lock.tick(LockState.LOCKED, False, 0) is None
    assert lock.tick(LockState.LOCKED, True, S) is LockCommand.UNLOCK
    assert lock.tick(LockState.UNLOCKED, True, 2 * S) is None


def test_unlocking_is_repeated_every_five_seconds_then_left_to_a_person() -> None:
    lock = LockRules()
    lock.ask(LockCommand.UNLOCK)
    times = [n for n in range(100) if lock.tick(LockState.LOCKED, True, n * S)]
    assert times == [0, 5, 10, 15, 20, 25]
    assert lock.unlock_jammed
    lock.ask(LockCommand.UNLOCK, again=True)
    assert lock.tick(LockState.LOCKED, True, 200 * S) is LockCommand.UNLOCK


def test_unlock_by_a_person_stays_until_replugged() -> None:
    lock = LockRules()
    lock.ask(LockCommand.UNLOCK, again=True)
    lock.inhibited = True
    lock.ask(LockCommand.LOCK)
    assert lock.want is LockCommand.UNLOCK
    lock.replugged()
    lock.ask(LockCommand.LOCK)
    assert lock.want is LockCommand.LOCK


@pytest.mark.parametrize("state", [LockState.NONE, LockState.MOVING])
def test_waits_or_has_nothing_to_do(state: LockState) -> None:
    lock = LockRules()
    lock.ask(LockCommand.LOCK)
    assert lock.tick(state, True, 0) is None
