"""The virtual world: owner of all EVSEs, the card reader and the grid, and of who is connected."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from hal.sim.errors import Refused
from hal.sim.events import Events
from hal.sim.evse import VirtualEvse
from hal.sim.grid import Grid, nominal
from hal.sim.registers import MAX_EVSES, Registers
from hal.sim.timers import Timers

PROCESSES = ("run", "guard", "station")
HEADER_ROLES = ("guard", "safe-outputs")


class Client(Protocol):
    """A process that dialled the bench."""

    role: str
    pid: int
    wires: bool

    def send(self, message: Mapping[str, Any]) -> None:
        """Queue one line; never waits."""
        ...


class World:
    """Synchronous and single-threaded; whatever has to wait lives around it."""

    def __init__(
        self,
        *,
        directory: Path,
        state_dir: Path,
        timers: Timers,
        outputs_on_death: str = "kept",
        coil_gate: bool = False,
    ) -> None:
        self.directory = directory
        self.timers = timers
        self.events = Events()
        self.evses: dict[int, VirtualEvse] = {}
        self.rfid_table: Mapping[str, Any] | None = None
        self.serial: dict[str, str] = {}
        """Ptys by "part:evse", filled by whoever serves them."""
        self.backend_connected = False
        self.grid: Grid = nominal(230.0)
        self._registers = Registers(state_dir)
        self._always_released = self._released = outputs_on_death == "released"
        self._always_gated = coil_gate
        self._clients: list[Client] = []
        self._drivers: dict[tuple[int, int], Client] = {}
        """Who drove an output pin last."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True, mode=0o700)

    # ---- processes

    def furnish(self, wanted: Mapping[str, Any]) -> list[VirtualEvse]:
        """Create what a hello or an installation asks for and is not there yet; returns the new EVSEs."""
        self.grid.volts = nominal(float(wanted.get("voltage") or 230.0)).volts
        self._released = self._always_released or wanted.get("outputs_on_death") == "released"
        coil_gate = self._always_gated or bool(wanted.get("coil_gate"))
        if wanted.get("rfid"):
            self.rfid_table = wanted["rfid"]
        made = []
        for name, tables in (wanted.get("evses") or {}).items():
            number = int(name)
            if number in self.evses or not 1 <= number <= MAX_EVSES:
                continue
            self.evses[number] = VirtualEvse(
                number,
                tables,
                directory=self.directory / f"evse{number}",
                timers=self.timers,
                events=self.events,
                registers=self._registers,
                grid=self.grid,
                pin_out=self._pin_out,
            )
            made.append(self.evses[number])
        for evse in self.evses.values():
            evse.contactor.coil_gate = coil_gate
        return made

    def welcome(self, client: Client) -> dict[str, Any]:
        """Add a client; returns what it has to know."""
        self._clients.append(client)
        pins = {
            str(number): {str(pin): int(level) for pin, level in evse.levels.items()}
            for number, evse in self.evses.items()
        }
        return {"dir": str(self.directory), "serial": dict(self.serial), "pins": pins}

    def goodbye(self, client: Client) -> None:
        """The client's connection is gone."""
        if client in self._clients:
            self._clients.remove(client)
        if client.role == "station" and not client.wires and self._client("station") is None:
            self.set_backend(False)
        driven = [key for key, owner in self._drivers.items() if owner is client]
        for evse, pin in driven:
            del self._drivers[evse, pin]
            if self._released:
                self.evses[evse].pin(pin, False, self.timers.now_ns())

    def pin(self, client: Client, evse: int, pin: int, level: bool, at_ns: int) -> None:
        """A client's output pin changed."""
        if evse in self.evses:
            self._drivers[evse, pin] = client
            self.evses[evse].pin(pin, level, at_ns)

    def set_backend(self, connected: bool) -> None:
        """The station says whether the backend has accepted it on this connection."""
        if connected != self.backend_connected:
            self.backend_connected = connected
            value = "connected" if connected else "disconnected"
            self.events.add(self.timers.now_ns(), None, "backend", value)

    def processes(self) -> dict[str, int | None]:
        """Process ids by role; None = down."""
        found: dict[str, int | None] = {}
        for role in PROCESSES:
            client = self._client(role)
            found[role] = client.pid if client is not None else None
        found["bench"] = os.getpid()
        return found

    @property
    def station_is_up(self) -> bool:
        """Whether a station is connected."""
        return self._client("station") is not None

    def tell_station(self, message: Mapping[str, Any]) -> None:
        """A command for the station. Raises Refused when it is down."""
        station = self._client("station")
        if station is None:
            raise Refused(503, "the station process is not connected to the bench")
        station.send(message)

    # ---- what is true

    def evse(self, number: int) -> VirtualEvse:
        """The EVSE or Refused."""
        found = self.evses.get(number)
        if found is None:
            known = ", ".join(map(str, sorted(self.evses))) or "none yet"
            raise Refused(404, f"there is no EVSE {number} (EVSEs: {known})")
        return found

    def snapshot(self) -> dict[str, Any]:
        """GET /bench."""
        return {
            "evses": [self.evses[number].snapshot() for number in sorted(self.evses)],
            "backend": {"connected": self.backend_connected},
            "processes": self.processes(),
        }

    def close(self) -> None:
        """Keep the registers, remove the rest."""
        for evse in self.evses.values():
            evse.close()
        self._registers.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _client(self, role: str) -> Client | None:
        for client in reversed(self._clients):
            if client.role == role and not (role == "station" and client.wires):
                return client
        return None

    def _pin_out(self, evse: int, pin: int, level: bool) -> None:
        for client in self._clients:
            if client.wires and client.role in HEADER_ROLES:
                client.send({"pin": [evse, pin, int(level)]})
