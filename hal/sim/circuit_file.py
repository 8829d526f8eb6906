"""One EVSE's analog circuit in shared memory: the bench writes it, the virtual ADC reads it.

Two slots and a sequence number: the writer fills the idle slot and then counts up, so a reader never
waits and never sees half a change. The heartbeat stamp goes the other way.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

MAX_PULSES = 8
_SLOT = struct.Struct("@q8dq" + "qqdd" * MAX_PULSES)
_SLOT_AT = (64, 64 + 512)
_SIZE = 4096
_SEQUENCE, _HEARTBEAT = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """The pilot is forced to these plateaus in [start_ns, end_ns)."""

    start_ns: int
    end_ns: int
    high: float
    low: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """Plateau volts at the CP terminal. `high` while the PWM is high, `low` while it is low.

    Before `changed_ns` the `previous_*` plateaus applied. `sigma`: noise in volts;
    `spikes`: probability of a spike in a sample; `pp_ohms`: PP-PE, inf = open.
    """

    changed_ns: int = 0
    previous_high: float = 12.0
    previous_low: float = -12.0
    high: float = 12.0
    low: float = -12.0
    sigma: float = 0.0
    spikes: float = 0.0
    pp_ohms: float = float("inf")
    pulses: tuple[Pulse, ...] = field(default=())


class CircuitFile:
    """The shared memory of one EVSE."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        flags = os.O_RDWR | (os.O_CREAT if create else 0)
        fd = os.open(path, flags, 0o600)
        try:
            if create:
                os.ftruncate(fd, _SIZE)
            self._map = mmap.mmap(fd, _SIZE)
        finally:
            os.close(fd)
        self._words = memoryview(self._map).cast("Q")
        if create:
            self.write(Circuit())

    @property
    def sequence(self) -> int:
        """Counts the changes; cheap to read."""
        return self._words[_SEQUENCE]

    @property
    def heartbeat_ns(self) -> int:
        """When the heartbeat pin toggled last; 0 = never."""
        return self._words[_HEARTBEAT]

    def beat(self, at_ns: int) -> None:
        """Note a toggle of the heartbeat pin."""
        self._words[_HEARTBEAT] = at_ns

    def write(self, circuit: Circuit) -> None:
        """Publish; at most MAX_PULSES pulses."""
        pulses: list[float] = []
        for pulse in circuit.pulses[-MAX_PULSES:]:
            pulses += (pulse.start_ns, pulse.end_ns, pulse.high, pulse.low)
        count = len(pulses) // 4
        pulses += (0, 0, 0.0, 0.0) * (MAX_PULSES - count)
        sequence = self._words[_SEQUENCE] + 1
        _SLOT.pack_into(
            self._map,
            _SLOT_AT[sequence & 1],
            circuit.changed_ns,
            circuit.previous_high,
            circuit.previous_low,
            circuit.high,
            circuit.low,
            circuit.sigma,
            circuit.spikes,
            circuit.pp_ohms,
            0.0,
            count,
            *pulses,
        )
        self._words[_SEQUENCE] = sequence

    def read(self) -> tuple[int, Circuit]:
        """The newest sequence number and its circuit."""
        while True:
            sequence = self._words[_SEQUENCE]
            values = _SLOT.unpack_from(self._map, _SLOT_AT[sequence & 1])
            if self._words[_SEQUENCE] - sequence < 2:
                break
        pulses = tuple(
            Pulse(start_ns=p[0], end_ns=p[1], high=p[2], low=p[3])
            for p in (values[10 + 4 * i : 14 + 4 * i] for i in range(values[9]))
        )
        return sequence, Circuit(
            changed_ns=values[0],
            previous_high=values[1],
            previous_low=values[2],
            high=values[3],
            low=values[4],
            sigma=values[5],
            spikes=values[6],
            pp_ohms=values[7],
            pulses=pulses,
        )

    def close(self) -> None:
        """Unmap."""
        self._words.release()
        self._map.close()
