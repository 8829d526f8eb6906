"""One virtual EVSE behind its drivers: pilot circuit, vehicle, contactor, residual current device, lock, meter.

The physics are those of the bench (hal/sim), here in virtual time and without wires.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from hal.errors import HalError, MeterSilent
from hal.sim.contactor import Contactor
from hal.sim.inputs import Lock, Rcd
from hal.sim.meter import EnergyMeter
from hal.sim.pilot_circuit import Load, offered_amps, plateau_volts, seen_volts, state_name
from hal.sim.vehicle import Vehicle, VehicleSettings
from hal.types import (
    CardRead,
    LockState,
    MeterIdentity,
    MeterReading,
    PilotAbilities,
    PilotReading,
)
from tests.conformance.virtual_time import LabTimers, VirtualLoop

VOLTS = 230.0
CABLE_OHMS = 220.0
POLL_S = 0.02
FIRST_WH = 12_000.0


class WorldEvse:
    """The truth about one EVSE. `changed` is called whenever an input of the guard may have changed."""

    def __init__(
        self, number: int, loop: VirtualLoop, *, has_lock: bool, phases: int, wh: float = FIRST_WH
    ) -> None:
        self.id = number
        self.phases = phases
        self.has_lock = has_lock
        self.timers = LabTimers(loop)
        self.changed: Callable[[], None] = lambda: None
        self.duty = 1.0
        self.diode = True
        self.short = False
        self.emergency_stop = False
        self.closings: list[tuple[float, float]] = []
        """Register (Wh) at each closing and at the opening that followed."""
        self._closed_at_wh: float | None = None
        self.meter = EnergyMeter(wh, self.timers.now_ns(), lambda _wh, _rest: None)
        self.first_wh = wh
        self.meter_silent = False
        self.vehicle = Vehicle(self.timers, self._vehicle_changed)
        self.contactor = Contactor(self.timers, self._contacts_moved, self._mirror_moved, lambda: 0)
        self.rcd = Rcd(self.timers, {}, self._pin_driven)
        self.lock = (
            Lock(self.timers, {}, self._pin_driven, lambda _position, _ns: None)
            if has_lock
            else None
        )

    # --- what tests look at -----------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """The main contacts are closed."""
        return self.contactor.closed

    @property
    def offered_amps(self) -> float:
        """What the pilot tells the vehicle; 0 = no charging."""
        return offered_amps(self.duty) if 0.0 < self.duty < 1.0 else 0.0

    @property
    def amps(self) -> float:
        """Current per phase."""
        return self.vehicle.amps

    @property
    def energy_wh(self) -> float:
        """The register."""
        return self.meter.energy_wh(self.timers.now_ns())

    @property
    def locked(self) -> bool:
        """The bolt is in."""
        return self.lock is not None and self.lock.locked

    @property
    def pilot(self) -> str:
        """A1 to F."""
        return state_name(self._load(), self.duty)

    def transferred(self) -> list[tuple[float, float]]:
        """Register at each closing and opening; the last pair may be running."""
        if self._closed_at_wh is None:
            return self.closings
        return [*self.closings, (self._closed_at_wh, self.energy_wh)]

    # --- what people do ---------------------------------------------------------------------------

    def plug(self, settings: VehicleSettings) -> None:
        """Cable in."""
        self.vehicle.plug(settings, self.timers.now_ns())

    def unplug(self) -> None:
        """Cable out."""
        self.vehicle.unplug(self.timers.now_ns())

    def refresh(self) -> None:
        """A property was set by hand."""
        self._vehicle_changed(self.timers.now_ns())

    # --- how the parts act on each other ----------------------------------------------------------

    def volts(self) -> tuple[float, float]:
        """Plateaus of the pilot."""
        high, low = plateau_volts(self._load(), diode=self.diode)
        return seen_volts(high, low, self.duty)

    def set_duty(self, duty: float) -> None:
        """The station's pilot output."""
        if duty != self.duty:
            self.duty = duty
            self.vehicle.offered(self.offered_amps, self.timers.now_ns())
            self.changed()

    def _load(self) -> Load:
        return Load.SHORT if self.short else self.vehicle.load

    def _vehicle_changed(self, at_ns: int) -> None:
        amps = self.vehicle.amps
        used = min(self.vehicle.phases, self.phases)
        drawn = (amps, amps if used > 1 else 0.0, amps if used > 2 else 0.0)
        self.meter.set_load(drawn, (VOLTS, VOLTS, VOLTS), at_ns)
        self.changed()

    def _contacts_moved(self, closed: bool, at_ns: int) -> None:
        if closed:
            self._closed_at_wh = self.meter.energy_wh(at_ns)
        self.vehicle.powered(closed, at_ns)
        if not closed and self._closed_at_wh is not None:
            self.closings.append((self._closed_at_wh, self.meter.energy_wh(at_ns)))
            self._closed_at_wh = None

    def _mirror_moved(self, _closed: bool, _at_ns: int) -> None:
        self.changed()

    def _pin_driven(self, _pin: int, _level: bool) -> None:
        self.changed()


class WorldPilot:
    """hal.ports.ControlPilot."""

    abilities = PilotAbilities(sees_state=True, checks_diode=True)

    def __init__(self, evse: WorldEvse) -> None:
        self._evse = evse

    def read(self) -> PilotReading:
        high, low = self._evse.volts()
        return PilotReading(volts_high=high, volts_low=low, taken_at_ns=self._evse.timers.now_ns())

    def set_duty(self, duty: float) -> None:
        self._evse.set_duty(duty)

    def close(self) -> None:
        self._evse.set_duty(1.0)


class WorldContactor:
    """hal.ports.Contactor and EmergencyStop."""

    def __init__(self, evse: WorldEvse) -> None:
        self._evse = evse

    def permit(self, closed: bool) -> None:
        if closed is not self._evse.contactor.commanded:
            self._evse.contactor.command(closed, self._evse.timers.now_ns())

    def is_closed(self) -> bool:
        return self._evse.contactor.mirror

    def is_pressed(self) -> bool:
        return self._evse.emergency_stop

    def close(self) -> None:
        self.permit(False)


class WorldRcd:
    """hal.ports.ResidualCurrent."""

    def __init__(self, evse: WorldEvse) -> None:
        self._evse = evse

    def is_tripped(self) -> bool:
        return self._evse.rcd.tripped or self._evse.rcd._testing

    def start_self_test(self) -> bool:
        self._evse.rcd.test(True, self._evse.timers.now_ns())
        return True

    def end_self_test(self) -> None:
        self._evse.rcd.test(False, self._evse.timers.now_ns())

    def close(self) -> None:
        self.end_self_test()


class WorldLock:
    """hal.ports.ConnectorLock."""

    def __init__(self, evse: WorldEvse, lock: Lock) -> None:
        self._evse, self._lock = evse, lock
        self._moving_until_ns = 0

    def lock(self) -> None:
        self._move(self._lock.lock_pin)

    def unlock(self) -> None:
        self._move(self._lock.unlock_pin)

    def state(self) -> LockState:
        if self._evse.timers.now_ns() < self._moving_until_ns:
            return LockState.MOVING
        return LockState.LOCKED if self._lock.locked else LockState.UNLOCKED

    def close(self) -> None:
        return

    def _move(self, pin: int) -> None:
        now_ns = self._evse.timers.now_ns()
        self._lock.motor(pin, True, now_ns)
        self._moving_until_ns = now_ns + 300_000_000
        self._evse.timers.at(self._moving_until_ns, self._evse.changed)


class WorldProximity:
    """hal.ports.ProximityPilot: the coding of a 32 A cable."""

    def __init__(self, evse: WorldEvse) -> None:
        self._evse = evse

    def read_ohms(self) -> float:
        return CABLE_OHMS if self._evse.vehicle.plugged else float("inf")

    def close(self) -> None:
        return


class WorldMeter:
    """hal.ports.Meter."""

    def __init__(self, evse: WorldEvse) -> None:
        self._evse = evse

    async def read(self) -> MeterReading:
        started_ns = self._evse.timers.now_ns()
        await asyncio.sleep(POLL_S)
        if self._evse.meter_silent:
            raise MeterSilent("no answer")
        energy_wh, power_w, amps = self._evse.meter.shown(self._evse.timers.now_ns())
        shown = self._evse.phases
        return MeterReading(
            energy_wh=energy_wh,
            taken_at_ns=started_ns,
            power_w=power_w,
            amps=_first(amps, shown),
            volts=_first((VOLTS, VOLTS, VOLTS), shown),
            frequency_hz=50.0,
            refresh_ms=0,
        )

    async def identify(self) -> MeterIdentity:
        return MeterIdentity(vendor="lab", model="virtual", serial_number=str(self._evse.id))

    async def close(self) -> None:
        return


class WorldReader:
    """hal.ports.CardReader: one for the whole station."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._shown: asyncio.Queue[CardRead | HalError] = asyncio.Queue()

    def show(self, uid: str, evses: tuple[int, ...] = ()) -> None:
        """Hold a card at the reader."""
        self._shown.put_nowait(CardRead(uid=uid, taken_at_ns=self._loop.now_ns(), evses=evses))

    async def cards(self) -> AsyncIterator[CardRead]:
        while True:
            item = await self._shown.get()
            if isinstance(item, HalError):
                raise item
            yield item

    async def close(self) -> None:
        return


def _first(
    values: tuple[float, float, float], count: int
) -> tuple[float | None, float | None, float | None]:
    one, two, three = (v if n < count else None for n, v in enumerate(values))
    return one, two, three
