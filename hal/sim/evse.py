"""One virtual EVSE: its pilot circuit, vehicle, contactor, inputs and meter, and how they act on each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hal.sim.circuit_file import MAX_PULSES, Circuit, CircuitFile, Pulse
from hal.sim.contactor import Contactor
from hal.sim.errors import Refused
from hal.sim.events import Events
from hal.sim.grid import Grid
from hal.sim.inputs import Lock, Rcd
from hal.sim.meter import EnergyMeter
from hal.sim.pilot_circuit import Load, offered_amps, plateau_volts, seen_volts, state_name
from hal.sim.pwm_tree import PwmView, create_chip, export
from hal.sim.registers import Registers
from hal.sim.timers import Timers
from hal.sim.vehicle import Vehicle, VehicleSettings

LEAD_NS = 100_000
"""Changes of the circuit are dated this far ahead, so that every sample sees them at their instant."""
QUIET = (0.05, 0.0005)
NOISY = (2.0, 0.3)
"""Volts of gaussian noise, probability of a spike per sample."""
REMEMBER_NS = 100_000_000
"""How old the register may be that survives the death of this process while current flows."""
CABLE_OHMS = 220.0
"""Cable coding of the vehicle's plug: 32 A."""

Tables = Mapping[str, Any]
PinOut = Callable[[int, int, bool], None]
"""EVSE, pin, level: the world drives an input of the controller."""


class VirtualEvse:
    """Everything on the far side of one EVSE's wires."""

    def __init__(
        self,
        number: int,
        tables: Tables,
        *,
        directory: Path,
        timers: Timers,
        events: Events,
        registers: Registers,
        grid: Grid,
        pin_out: PinOut,
    ) -> None:
        self.id = number
        self.tables = tables
        self.levels: dict[int, bool] = {}
        """Inputs that the world drives."""
        self.faults: dict[str, str] = {}
        """Names of the causes that are set, with their code."""
        self.short = False
        self.diode_missing = False
        self.noise = QUIET
        self._timers = timers
        self._events = events
        self._grid = grid
        self._pin_out = pin_out
        self.phases = int(tables.get("phases") or 1)
        directory.mkdir(parents=True, exist_ok=True)
        self._circuit_file = CircuitFile(directory / "circuit", create=True)
        self._circuit = Circuit()
        self._pulses: list[tuple[Pulse, Load]] = []
        pilot, contactor = tables.get("pilot") or {}, tables.get("contactor") or {}
        self.chip = create_chip(directory / "pwm", str(pilot.get("chip", "pwmchip0")))
        self.channel = int(pilot.get("channel", 0))
        self._pwm = PwmView(
            self.chip / f"pwm{self.channel}", inverted=bool(pilot.get("inverted", False))
        )
        self._state = ""
        self._state_changed_ns = timers.now_ns()
        self._duty = 0.0
        self._remembering = False
        self._closed = False
        self._coil_pin = int(contactor.get("pin", 17))
        self._mirror_pin = contactor.get("mirror_pin")
        self._mirror_closed_level = contactor.get("mirror", "nc") == "nc"
        self._stop_pin = contactor.get("emergency_stop_pin")
        self._pressed_level = contactor.get("emergency_stop_healthy", "low") == "low"
        self.vehicle = Vehicle(timers, self._vehicle_changed)
        self.contactor = Contactor(
            timers,
            self._contacts_moved,
            self._mirror_moved,
            lambda: self._circuit_file.heartbeat_ns,
        )
        self._drive(self._mirror_pin, not self._mirror_closed_level)
        self._drive(self._stop_pin, not self._pressed_level)
        self.rcd = Rcd(timers, tables["rcd"], self._drive) if tables.get("rcd") else None
        self._test_pin = (tables.get("rcd") or {}).get("test_pin")
        self.lock = (
            Lock(timers, tables["lock"], self._drive, self._lock_moved)
            if tables.get("lock")
            else None
        )
        self.meter = EnergyMeter(
            registers.get(number),
            timers.now_ns(),
            lambda energy_wh, at_rest: registers.set(number, energy_wh, keep=at_rest),
        )
        self._update_pilot(timers.now_ns())

    # ---- the controller's outputs

    def pin(self, pin: int, level: bool, at_ns: int) -> None:
        """An output pin of the controller changed."""
        if pin == self._coil_pin:
            self.contactor.command(level, at_ns)
        elif self.rcd is not None and pin == self._test_pin:
            self.rcd.test(level, at_ns)
        elif self.lock is not None and pin in (self.lock.lock_pin, self.lock.unlock_pin):
            self.lock.motor(pin, level, at_ns)

    def export_pwm(self) -> None:
        """Somebody asked for the pilot's PWM channel."""
        export(self.chip, self.channel)

    def pwm_written(self) -> None:
        """Somebody wrote to the PWM channel."""
        if not self._pwm.refresh():
            return
        now = self._timers.now_ns()
        self._duty = self._pwm.duty
        self._events.add(now, self.id, "duty", round(self._duty, 6))
        self._update_pilot(now, lead_ns=0)
        self.vehicle.offered(offered_amps(self._duty), now)

    # ---- the person with the vehicle

    def plug(self, settings: VehicleSettings) -> int:
        """Cable in; returns when."""
        if self.vehicle.plugged:
            raise Refused(409, f"a vehicle is plugged in at EVSE {self.id} already")
        now = self._timers.now_ns()
        self.vehicle.plug(settings, now)
        return self._state_changed_ns

    def unplug(self) -> int:
        """Cable out; returns when."""
        if self.vehicle.plugged:
            self.vehicle.unplug(self._timers.now_ns())
        return self._state_changed_ns

    def pause(self) -> int:
        """The vehicle opens S2; returns when."""
        self._needs_vehicle()
        self.vehicle.pause(self._timers.now_ns())
        return self._state_changed_ns

    def resume(self, current: float | None, phases: int | None) -> int:
        """The vehicle asks again; returns when it heard that."""
        self._needs_vehicle()
        now = self._timers.now_ns()
        self.vehicle.resume(current, phases, now)
        return now

    def _needs_vehicle(self) -> None:
        if not self.vehicle.plugged:
            raise Refused(409, f"no vehicle is plugged in at EVSE {self.id}")

    def pulse(self, load: Load, seconds: float) -> int:
        """Force the pilot to `load` for that long; returns the start."""
        if len(self._pulses) >= MAX_PULSES:
            raise Refused(409, f"{MAX_PULSES} pulses are running at EVSE {self.id} already")
        start = self._timers.now_ns() + LEAD_NS
        high, low = plateau_volts(load)
        pulse = Pulse(start_ns=start, end_ns=start + int(seconds * 1e9), high=high, low=low)
        self._pulses.append((pulse, load))
        self._write_circuit()
        self._note_state(start)
        self._timers.at(pulse.end_ns, lambda: self._end_pulse(pulse))
        return start

    def _end_pulse(self, pulse: Pulse) -> None:
        self._pulses = [entry for entry in self._pulses if entry[0] is not pulse]
        self._note_state(pulse.end_ns)
        self._timers.at(pulse.end_ns + 100_000_000, self._write_circuit)

    def press_emergency_stop(self, pressed: bool) -> None:
        """Press or release."""
        self._drive(self._stop_pin, pressed == self._pressed_level)

    @property
    def has_emergency_stop(self) -> bool:
        """Whether one is wired."""
        return self._stop_pin is not None

    def circuit_changed(self) -> None:
        """A fault of the pilot circuit was set or removed."""
        self._update_pilot(self._timers.now_ns())

    # ---- what is true

    def snapshot(self) -> dict[str, Any]:
        """This EVSE's part of GET /bench."""
        now = self._timers.now_ns()
        load, (high, low) = self._present()
        seen_high, seen_low = seen_volts(high, low, self._duty)
        contactor, vehicle, meter = self.contactor, self.vehicle, self.meter
        return {
            "id": self.id,
            "pilot": {
                "state": state_name(load, self._duty),
                "volts_high": seen_high,
                "volts_low": seen_low,
                "duty": round(self._duty, 6),
                "changed_at_ns": self._state_changed_ns,
            },
            "contactor": {
                "commanded": contactor.commanded,
                "closed": contactor.closed,
                "mirror": contactor.mirror,
                "changed_at_ns": contactor.changed_at_ns,
                "commanded_at_ns": contactor.commanded_at_ns,
            },
            "lock": ("locked" if self.lock.locked else "unlocked") if self.lock else "none",
            "meter": {
                "energy_wh": meter.energy_wh(now),
                "power_w": meter.now.power_w,
                "amps": list(meter.now.amps),
            },
            "vehicle": {
                "plugged": vehicle.plugged,
                "wants": vehicle.wants,
                "amps": vehicle.amps,
                "phases": vehicle.phases,
            },
            "faults": sorted(self.faults),
        }

    def close(self) -> None:
        """Keep the register and release files."""
        self._closed = True
        self.meter.shown(self._timers.now_ns())
        self._pwm.close()
        self._circuit_file.close()

    # ---- how the parts act on each other

    def _vehicle_changed(self, at_ns: int) -> None:
        self._update_pilot(at_ns)
        self._update_load(at_ns)

    def _contacts_moved(self, closed: bool, at_ns: int) -> None:
        self._events.add(at_ns, self.id, "contactor", "closed" if closed else "open")
        self.vehicle.powered(closed, at_ns)

    def _mirror_moved(self, closed: bool, at_ns: int) -> None:
        self._events.add(at_ns, self.id, "mirror", "closed" if closed else "open")
        self._drive(self._mirror_pin, closed == self._mirror_closed_level)

    def _lock_moved(self, position: str, at_ns: int) -> None:
        self._events.add(at_ns, self.id, "lock", position)

    def _update_load(self, at_ns: int) -> None:
        amps = self.vehicle.amps
        used = min(self.vehicle.phases, self.phases)
        drawn = (amps, amps if used > 1 else 0.0, amps if used > 2 else 0.0)
        self.meter.set_load(drawn, self._grid.volts, at_ns)
        if amps and not self._remembering:
            self._remembering = True
            self._remember()

    def _remember(self) -> None:
        """Keep the register while current flows."""
        now = self._timers.now_ns()
        if self._closed:
            return
        self.meter.shown(now)
        self._remembering = self.meter.now.power_w > 0.0
        if self._remembering:
            self._timers.at(now + REMEMBER_NS, self._remember)

    def _base(self) -> tuple[Load, tuple[float, float]]:
        load = Load.SHORT if self.short else self.vehicle.load
        return load, plateau_volts(load, diode=not self.diode_missing)

    def _present(self) -> tuple[Load, tuple[float, float]]:
        """Load and plateaus with a running pulse."""
        if self._pulses:
            pulse, load = self._pulses[-1]
            return load, (pulse.high, pulse.low)
        return self._base()

    def _update_pilot(self, at_ns: int, *, lead_ns: int = LEAD_NS) -> None:
        """Publish the circuit if it changed and note the state."""
        _, (high, low) = self._base()
        sigma, spikes = self.noise
        ohms = CABLE_OHMS if self.vehicle.plugged else float("inf")
        acts_ns = max(at_ns, self._timers.now_ns()) + lead_ns
        before = self._circuit
        wanted = (high, low, sigma, spikes, ohms)
        if wanted != (before.high, before.low, before.sigma, before.spikes, before.pp_ohms):
            self._circuit = Circuit(
                changed_ns=acts_ns,
                previous_high=before.high,
                previous_low=before.low,
                high=high,
                low=low,
                sigma=sigma,
                spikes=spikes,
                pp_ohms=ohms,
            )
            self._write_circuit()
        self._note_state(acts_ns)

    def _write_circuit(self) -> None:
        before = self._circuit
        running = tuple(pulse for pulse, _ in self._pulses)
        now = self._timers.now_ns()
        ended = tuple(p for p in before.pulses if p not in running and p.end_ns > now - 50_000_000)
        self._circuit = Circuit(
            changed_ns=before.changed_ns,
            previous_high=before.previous_high,
            previous_low=before.previous_low,
            high=before.high,
            low=before.low,
            sigma=before.sigma,
            spikes=before.spikes,
            pp_ohms=before.pp_ohms,
            pulses=(*ended, *running)[-MAX_PULSES:],
        )
        self._circuit_file.write(self._circuit)

    def _note_state(self, at_ns: int) -> None:
        state = state_name(self._present()[0], self._duty)
        if state == self._state:
            return
        self._state = state
        self._state_changed_ns = at_ns
        self._events.add(at_ns, self.id, "pilot", state)

    def _drive(self, pin: int | None, level: bool) -> None:
        if pin is None or self.levels.get(pin) == level:
            return
        self.levels[pin] = level
        self._pin_out(self.id, pin, level)
