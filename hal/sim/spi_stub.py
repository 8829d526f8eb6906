"""The pilot front end's ADC on virtual wires: MCP3208 and MCP3008, bit for bit.

Each sample follows from the circuit and the PWM phase of that instant. volts_adc = midpoint + volts_cp /
scale; PP hangs on vref by its pull-up.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hal.sim.circuit_file import Circuit, CircuitFile
from hal.sim.pwm_tree import PwmView

SETTLE_NS = 4_000.0
"""Time constant of the RC in front of the hold capacitors."""
HOLD_NS = 50_000_000
"""How far back a hold capacitor that nobody resets remembers (its bleeder)."""
PWM_READ_NS = 400_000
"""A changed duty is seen after less than half a period."""
SPIKE_VOLTS = 3.0
PP_SIGMA = 0.002
NOISE_LENGTH = 2039
FAR_NS = 1 << 62
PEAK, VALLEY, RAW, PP, UNUSED = range(5)
RAW_CHANNEL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """How the front end is built. `inputs`: what is on each of the converter's eight channels."""

    inputs: tuple[int, ...] = (PEAK, VALLEY, RAW, PP, UNUSED, UNUSED, UNUSED, UNUSED)
    vref: float = 3.3
    midpoint: float = 1.65
    scale: float = 10.0
    pull_up_ohms: float = 1000.0

    @classmethod
    def of(cls, pilot: Mapping[str, Any], proximity: Mapping[str, Any]) -> Board:
        """The board that these driver tables describe; calibration is the driver's affair."""
        usual = cls()
        inputs = [UNUSED] * 8
        inputs[RAW_CHANNEL] = RAW
        inputs[int(proximity.get("channel", 3))] = PP
        inputs[int(pilot.get("peak_channel", 0))] = PEAK
        inputs[int(pilot.get("valley_channel", 1))] = VALLEY
        return cls(
            inputs=tuple(inputs),
            vref=float(pilot.get("vref", usual.vref)),
            midpoint=float(pilot.get("midpoint", usual.midpoint)),
            scale=float(pilot.get("scale", usual.scale)),
            pull_up_ohms=float(proximity.get("pull_up_ohms", usual.pull_up_ohms)),
        )


class SpiStub:
    """One ADC. Raises OSError once the world is gone."""

    def __init__(
        self,
        circuit: CircuitFile,
        pwm: PwmView,
        *,
        now_ns: Callable[[], int],
        gone: Callable[[], bool] = lambda: False,
        rng: random.Random | None = None,
        board: Board | None = None,
    ) -> None:
        self._file = circuit
        self._pwm = pwm
        self._now_ns = now_ns
        self._gone = gone
        self._rng = rng or random.Random()
        self._board = board or Board()
        self._normal = array("d", (self._rng.gauss(0.0, 1.0) for _ in range(NOISE_LENGTH)))
        self._noise_at = self._rng.randrange(NOISE_LENGTH)
        self._sequence = -1
        self._circuit = Circuit()
        self._steady_from_ns = FAR_NS
        self._steady: tuple[float, ...] = ()
        self._pp_share = 1.0
        self._held_from_ns = 0
        self._pwm_read_ns = 0
        self._requests: dict[tuple[int, ...], tuple[int, int]] = {}

    def reset_hold(self, level: bool) -> None:
        """The reset line of the hold capacitors changed; they follow CP while it is high."""
        self._held_from_ns = self._now_ns()

    def xfer2(self, data: list[int]) -> list[int]:
        """One conversion."""
        if self._gone():
            raise OSError("the virtual wires are cut: the bench is gone")
        key = tuple(data)
        request = self._requests.get(key)
        if request is None:
            request = self._requests[key] = _decode(data)
        channel, shift = request
        if channel < 0:
            return [0] * len(data)
        volts = self.volts_at_adc(channel)
        code = min(4095, max(0, int(volts * 4096 / self._board.vref)))
        bits = code << shift if shift >= 0 else code >> -shift
        return list(bits.to_bytes(len(data), "big"))

    def close(self) -> None:
        """Nothing to release: the wires own circuit and PWM."""

    def volts_at_adc(self, channel: int) -> float:
        """The channel's voltage at this instant, noise included."""
        if self._file.sequence != self._sequence:
            self._sequence, self._circuit = self._file.read()
            self._settle()
        circuit, board = self._circuit, self._board
        what = board.inputs[channel]
        if what == PP:
            return board.vref * self._pp_share + PP_SIGMA * self._noise()
        if what == UNUSED:
            return 0.0
        now = self._now_ns()
        if now - self._pwm_read_ns > PWM_READ_NS:
            self._pwm_read_ns = now
            if self._pwm.refresh():
                self._settle()
        start = self._held_from_ns
        if what == RAW:
            high, low = _plateaus(circuit, now)
            volts = high if now % self._pwm.period_ns < self._pwm.high_ns else low
        elif start >= self._steady_from_ns and now - start >= self._pwm.period_ns:
            volts = self._steady[what]
        else:
            volts = self._held(circuit, max(start, now - HOLD_NS), now, what)
        volts += circuit.sigma * self._noise()
        if circuit.spikes and self._rng.random() < circuit.spikes:
            volts += self._rng.uniform(-SPIKE_VOLTS, SPIKE_VOLTS)
        return board.midpoint + volts / board.scale

    def _settle(self) -> None:
        """Work out once what a whole period of the present circuit looks like."""
        circuit = self._circuit
        self._steady_from_ns = FAR_NS if circuit.pulses else circuit.changed_ns
        self._steady = tuple(
            self._extreme(circuit.high, circuit.low, 0, self._pwm.period_ns, what)
            for what in (PEAK, VALLEY)
        )
        ohms = circuit.pp_ohms
        self._pp_share = 1.0 if math.isinf(ohms) else ohms / (ohms + self._board.pull_up_ohms)

    def _noise(self) -> float:
        """A standard normal number; from a table, since the guard pays for this time."""
        self._noise_at = (self._noise_at + 1) % NOISE_LENGTH
        return self._normal[self._noise_at]

    def _held(self, circuit: Circuit, start: int, end: int, what: int) -> float:
        """The extreme that the hold capacitor saw in [start, end]."""
        if not circuit.pulses and start >= circuit.changed_ns:
            return self._extreme(circuit.high, circuit.low, start, end, what)
        edges = {start, end, circuit.changed_ns}
        for pulse in circuit.pulses:
            edges.update((pulse.start_ns, pulse.end_ns))
        cuts = sorted(edge for edge in edges if start <= edge <= end)
        if len(cuts) < 2:
            cuts = [start, end]
        found = [self._extreme(*_plateaus(circuit, a), a, b, what) for a, b in pairwise(cuts)]
        return max(found) if what == PEAK else min(found)

    def _extreme(self, high: float, low: float, start: int, end: int, what: int) -> float:
        """Peak or valley of a constant circuit over [start, end]."""
        period, width = self._pwm.period_ns, self._pwm.high_ns
        if width >= period:
            return high
        if width <= 0:
            return low
        if end - start >= period:
            high_run, low_run = width, period - width
        else:
            high_run, low_run = _longest_runs(start, end, period, width)
        if what == PEAK:
            return _settled(low, high, high_run) if low_run else high
        return _settled(high, low, low_run) if high_run else low


def _settled(rest: float, towards: float, run_ns: int) -> float:
    """Where the RC gets to in a run of that length."""
    if run_ns > 10 * SETTLE_NS:
        return towards
    return rest + (towards - rest) * (1.0 - math.exp(-run_ns / SETTLE_NS))


def _longest_runs(start: int, end: int, period: int, width: int) -> tuple[int, int]:
    """Longest uninterrupted high and low time of the PWM within [start, end]."""
    high = low = 0
    cycle = start - start % period
    while cycle < end:
        high = max(high, min(end, cycle + width) - max(start, cycle))
        low = max(low, min(end, cycle + period) - max(start, cycle + width))
        cycle += period
    return max(0, high), max(0, low)


def _plateaus(circuit: Circuit, at_ns: int) -> tuple[float, float]:
    """Plateaus in force at that instant; the newest pulse wins."""
    for pulse in reversed(circuit.pulses):
        if pulse.start_ns <= at_ns < pulse.end_ns:
            return pulse.high, pulse.low
    if at_ns < circuit.changed_ns:
        return circuit.previous_high, circuit.previous_low
    return circuit.high, circuit.low


def _decode(data: list[int]) -> tuple[int, int]:
    """Channel and bit shift of the 12-bit answer; channel -1 = no single-ended request.

    Start bit, SGL, D2, D1, D0, one sampling clock, a null bit, then the value: both chips alike.
    """
    total = 8 * len(data)
    word = int.from_bytes(bytes(data), "big")
    if not word:
        return -1, 0
    start = word.bit_length() - 1
    if start < 4 or not word >> (start - 1) & 1:
        return -1, 0
    channel = word >> (start - 4) & 7
    first_data_bit = start - 7
    return channel, first_data_bit - 11 if total else 0
