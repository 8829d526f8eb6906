"""The energy register of one EVSE: exact integration between the instants at which current changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

WH_NS = 3600.0 * 1e9
HISTORY = 64
"""Changes of load that are remembered, for meters whose values are some time old."""
Amps = tuple[float, float, float]
NO_AMPS: Amps = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """From `at_ns` on, with `energy_wh` on the register, this flows."""

    at_ns: int
    energy_wh: float
    power_w: float
    amps: Amps

    def energy_at(self, at_ns: int) -> float:
        """The register at an instant of this stretch."""
        return self.energy_wh + self.power_w * max(0, at_ns - self.at_ns) / WH_NS


class EnergyMeter:
    """Adds watts times time. `save(energy_wh, at_rest)` gets each value that somebody may have seen."""

    def __init__(self, energy_wh: float, at_ns: int, save: Callable[[float, bool], None]) -> None:
        self._save = save
        first = Stretch(at_ns=at_ns, energy_wh=energy_wh, power_w=0.0, amps=NO_AMPS)
        self._stretches: deque[Stretch] = deque((first,), maxlen=HISTORY)

    @property
    def now(self) -> Stretch:
        """What flows now."""
        return self._stretches[-1]

    def energy_wh(self, at_ns: int) -> float:
        """The register at that instant; an instant before the last change counts as that change."""
        return self.now.energy_at(at_ns)

    def shown(self, at_ns: int) -> tuple[float, float, Amps]:
        """Wh, W and A as they were at a recent instant; remembered, since somebody sees them."""
        stretch = next(
            (s for s in reversed(self._stretches) if s.at_ns <= at_ns), self._stretches[0]
        )
        self._save(self.now.energy_at(at_ns), self.now.power_w == 0.0)
        return stretch.energy_at(at_ns), stretch.power_w, stretch.amps

    def set_load(self, amps: Amps, volts: Amps, at_ns: int) -> None:
        """From that instant on this flows."""
        power_w = sum(a * v for a, v in zip(amps, volts, strict=True))
        if (amps, power_w) == (self.now.amps, self.now.power_w):
            return
        at_ns = max(at_ns, self.now.at_ns)
        energy_wh = self.now.energy_at(at_ns)
        self._stretches.append(
            Stretch(at_ns=at_ns, energy_wh=energy_wh, power_w=power_w, amps=amps)
        )
        self._save(energy_wh, power_w == 0.0)

    def set_energy(self, energy_wh: float, at_ns: int) -> None:
        """Somebody set the register; what was shown before is forgotten."""
        power_w, amps = self.now.power_w, self.now.amps
        self._stretches.clear()
        self._stretches.append(
            Stretch(at_ns=at_ns, energy_wh=energy_wh, power_w=power_w, amps=amps)
        )
        self._save(energy_wh, True)
