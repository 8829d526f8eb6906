"""The connector of one EVSE: cable rating from the proximity pilot, and the rules of its lock (hardware.md §2)."""

from __future__ import annotations

from enum import Enum

from hal.types import LockState

_S = 1_000_000_000
LOCK_TRIES = 5
LOCK_RETRY_NS = 1 * _S
UNLOCK_TRIES = 6
UNLOCK_RETRY_NS = 5 * _S
PP_WAIT_NS = 1 * _S
PP_EQUAL = 3


def cable_amps(ohms: float | None) -> float | None:
    """Amps the cable carries by its coding resistor in ohm; None = short, open or unreadable."""
    if ohms is None or not 75.0 <= ohms <= 2200.0:
        return None
    if ohms < 150.0:
        return 63.0
    if ohms < 330.0:
        return 32.0
    return 20.0 if ohms < 1000.0 else 13.0


class CableReader:
    """Reads the rating once per plug-in: three equal readings, at most 1 s. Tethered cables need none."""

    __slots__ = ("_count", "_since_ns", "_socket", "amps", "failed", "wanted")

    def __init__(self, socket: bool) -> None:
        self._socket = socket
        self._count = 0
        self._since_ns = 0
        self.amps: float | None = None
        self.failed = False
        self.wanted = False
        """a reading is needed each tick"""

    @property
    def known(self) -> bool:
        """The rating is known, or there is nothing to know."""
        return not self._socket or (self.amps is not None and not self.wanted)

    def start(self, now_ns: int) -> None:
        """A new cable (or a new try)."""
        self.wanted = self._socket
        self.amps = None
        self.failed = False
        self._count = 0
        self._since_ns = now_ns

    def stop(self) -> None:
        """No cable."""
        self.start(0)
        self.wanted = False

    def tick(self, ohms: float | None, now_ns: int) -> bool:
        """Take a reading; True when the rating became known."""
        if not self.wanted:
            return False
        amps = cable_amps(ohms)
        self._count = self._count + 1 if amps is not None and amps == self.amps else 1
        self.amps = amps
        if amps is not None and self._count >= PP_EQUAL:
            self.wanted = False
            return True
        if now_ns - self._since_ns >= PP_WAIT_NS:
            self.wanted, self.amps, self.failed = False, None, True
        return False


class LockCommand(Enum):
    """What the lock shall start to do."""

    LOCK = "lock"
    UNLOCK = "unlock"


class LockRules:
    """When to lock and unlock, how often to try. Never unlocks while `may_unlock` is False."""

    __slots__ = ("_next_ns", "_tries", "inhibited", "jammed", "unlock_jammed", "want")

    def __init__(self) -> None:
        self.want: LockCommand | None = None
        self.inhibited = False
        """a person asked to unlock: stays so until the next plug-in or Lock"""
        self.jammed = False
        self.unlock_jammed = False
        self._tries = 0
        self._next_ns = 0

    def ask(self, want: LockCommand, *, again: bool = False) -> None:
        """Set the aim. `again`: a person asks, so the tries count anew."""
        if want is LockCommand.LOCK and self.inhibited:
            return
        if want is not self.want or again:
            self.want = want
            self._tries = 0
            self._next_ns = 0
            self.jammed = False
            self.unlock_jammed = False

    def replugged(self) -> None:
        """A new plug-in or none: whatever was asked for the old one is over."""
        self.inhibited = False
        self.jammed = False
        self._tries = 0

    def tick(self, state: LockState, may_unlock: bool, now_ns: int) -> LockCommand | None:
        """The command to start now, if any."""
        if self.want is None or state is LockState.NONE:
            return None
        locking = self.want is LockCommand.LOCK
        if state is (LockState.LOCKED if locking else LockState.UNLOCKED):
            self._tries = 0
            self.unlock_jammed = False
            return None
        if state is LockState.MOVING or now_ns < self._next_ns or (not locking and not may_unlock):
            return None
        if self._tries >= (LOCK_TRIES if locking else UNLOCK_TRIES):
            self.jammed |= locking
            return None
        if not locking and self._tries > 0:
            self.unlock_jammed = True
        self._tries += 1
        self._next_ns = now_ns + (LOCK_RETRY_NS if locking else UNLOCK_RETRY_NS)
        return self.want
