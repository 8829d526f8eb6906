"""The energy register of one EVSE: exact integration between the instants at which current changes."""

from __future__ import annotations

from collections.abc import Callable

WH_NS = 3600.0 * 1e9
Amps = tuple[float, float, float]


class EnergyMeter:
    """Adds watts times time. `save(energy_wh, power_w)` gets each value that somebody may have seen."""

    def __init__(self, energy_wh: float, at_ns: int, save: Callable[[float, float], None]) -> None:
        self._energy_wh = energy_wh
        self._at_ns = at_ns
        self._save = save
        self.amps: Amps = (0.0, 0.0, 0.0)
        self.power_w = 0.0

    def energy_wh(self, at_ns: int) -> float:
        """The register at that instant; an instant before the last change counts as that change."""
        return self._energy_wh + self.power_w * max(0, at_ns - self._at_ns) / WH_NS

    def read(self, at_ns: int) -> float:
        """Like `energy_wh`, and remembered: a meter never shows less after a restart."""
        energy_wh = self.energy_wh(at_ns)
        self._save(energy_wh, self.power_w)
        return energy_wh

    def set_load(self, amps: Amps, volts: Amps, at_ns: int) -> None:
        """From that instant on this flows."""
        if amps == self.amps and self.power_w == _watts(amps, volts):
            return
        self._energy_wh = self.energy_wh(at_ns)
        self._at_ns = max(at_ns, self._at_ns)
        self.amps = amps
        self.power_w = _watts(amps, volts)
        self._save(self._energy_wh, self.power_w)

    def set_energy(self, energy_wh: float, at_ns: int) -> None:
        """Somebody set the register."""
        self._energy_wh = energy_wh
        self._at_ns = at_ns
        self._save(energy_wh, 0.0)


def _watts(amps: Amps, volts: Amps) -> float:
    return sum(a * v for a, v in zip(amps, volts, strict=True))
