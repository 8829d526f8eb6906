"""What a meter shows on its bus: the true values, as old and as coarse as the register map says."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence

from hal.register_map import TYPES, Register, RegisterMap
from hal.signing_map import bytes_of, words_of
from hal.sim.grid import Grid
from hal.sim.meter import EnergyMeter
from hal.sim.meter_signing import VirtualSigner
from hal.sim.timers import Timers

BACKWARDS_WH = 1000.0
SERIAL_NUMBER = 20_260_000


class MeterFace:
    """The registers of one meter. `silent` and `garbage` are looked at by whoever sends them."""

    def __init__(
        self,
        register_map: RegisterMap,
        meter: EnergyMeter,
        grid: Grid,
        timers: Timers,
        *,
        evse: int,
        phases: int,
    ) -> None:
        self.map = register_map
        self.silent = False
        self.garbage = False
        self._meter = meter
        self._grid = grid
        self._timers = timers
        self._evse = evse
        self._phases = phases
        self._lost_wh = 0.0
        self._refresh_ns = max(1, register_map.refresh_ms * 1_000_000)
        self._signer: VirtualSigner | None = None
        if register_map.signing is not None:
            self._signer = VirtualSigner(evse, str(SERIAL_NUMBER + evse))

    def run_backwards(self, backwards: bool) -> None:
        """The register loses energy (1 kWh, or half of what is there), or has it back."""
        there = self._meter.energy_wh(self._timers.now_ns())
        self._lost_wh = min(BACKWARDS_WH, there / 2) if backwards else 0.0

    def words(self) -> dict[int, list[int]]:
        """Registers by first address, as of the meter's last refresh."""
        now = self._timers.now_ns()
        values = dict(self._values(now - now % self._refresh_ns))
        shown = {r.address: encode(r, values.get(r.name)) for r in self.map.registers}
        for register, value in (
            (self.map.serial_number, SERIAL_NUMBER + self._evse),
            (self.map.code, next(iter(self.map.models), 0)),
        ):
            if register is not None:
                shown[register.address] = encode(register, value)
        return shown | self._signed(now)

    def written(self, address: int, values: Sequence[int]) -> None:
        """Somebody wrote registers: the token of a measurement, or a command to sign."""
        at, signer = self.map.signing, self._signer
        if at is None or signer is None:
            return
        if address == at.id_token:
            signer.name(bytes_of(list(values)).rstrip(b"\0").decode("ascii", "replace"))
        if at.tariff_text <= address < at.tariff_text + at.tariff_text_length:
            signer.tariff(bytes_of(list(values)), 2 * (address - at.tariff_text))
        if address == at.command:
            now = self._timers.now_ns()
            energy_wh, _, _ = self._meter.shown(now - now % self._refresh_ns)
            signer.command(at, values[0], max(0.0, energy_wh - self._lost_wh), now)

    def _signed(self, now_ns: int) -> dict[int, list[int]]:
        at, signer = self.map.signing, self._signer
        if at is None or signer is None:
            return {}
        key = words_of(signer.public_key.encode(), at.public_key_length)
        return {
            at.status: [signer.status(at, now_ns)],
            at.length: [len(signer.record)],
            at.record: words_of(signer.record, (len(signer.record) + 1) // 2),
            **({at.public_key: key} if at.public_key else {}),
        }

    def _values(self, at_ns: int) -> Iterator[tuple[str, float]]:
        energy_wh, power_w, amps = self._meter.shown(at_ns)
        yield "energy_wh", max(0.0, energy_wh - self._lost_wh)
        yield "energy_export_wh", 0.0
        yield "power_w", power_w
        yield "power_factor", 1.0
        yield "frequency_hz", self._grid.hertz
        for phase in range(self._phases):
            yield f"amps_l{phase + 1}", amps[phase]
            yield f"volts_l{phase + 1}", self._grid.volts[phase]


def encode(register: Register, value: float | None) -> list[int]:
    """Register words for a value; None = the meter does not have it. Energy is rounded down."""
    kind = TYPES[register.type]
    size = struct.calcsize(kind)
    if value is None and register.absent:
        raw = min(register.absent).to_bytes(size, "big")
    else:
        scaled = (value or 0.0) / register.scale
        if kind in (">f", ">d"):
            raw = struct.pack(kind, scaled)
        else:
            down = register.name.startswith("energy")
            raw = struct.pack(kind, math.floor(scaled + 1e-9) if down else round(scaled))
    words = list(struct.unpack(f">{size // 2}H", raw))
    return words[::-1] if register.low_word_first else words
