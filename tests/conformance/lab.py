"""A whole station in one process on virtual time: real station, store, OCPP stack and guard core.

Vehicle, wires, card reader, clock and backend are virtual; nothing of the station is replaced.
How to write a case: see the cases beside (`v16/cases_*.py`).
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from controller.app import Composition, Surroundings, compose
from controller.core.installation import (
    BackendInstallation,
    Charging,
    EvseInstallation,
    Installation,
    Site,
    StationIdentity,
)
from controller.core.sharing import Sharing
from controller.core.turns import TURN_S
from controller.run import HARD_RESET, SOFT_RESET
from controller.store.codec import transaction_from_text
from hal.sim.vehicle import VehicleSettings
from tests.conformance.backend import LabBackend
from tests.conformance.guard_box import GuardBox, LabGuardLink
from tests.conformance.registry import Case
from tests.conformance.saboteur import Harmless, Saboteur
from tests.conformance.virtual_time import LabClock, VirtualLoop, true_utc
from tests.conformance.world import WorldEvse, WorldMeter, WorldReader

CARD = "04A2B3C4D5E680"
"""A card that the backend accepts."""
OTHER_CARD = "04FFEE11223344"
"""Another one, without a common parent."""
RESTART_S = 1.0
READY_WITHIN_S = 60.0
ENERGY_TOLERANCE_WH = 3.0


class LabFailure(AssertionError):
    """Something went wrong that no case may do: the list says what."""


class Lab:
    """See `__init__` for what can be chosen. `lab.csms` is the backend, `lab.evse(1)` the truth."""

    def __init__(
        self,
        loop: VirtualLoop,
        directory: Path,
        saboteur: Saboteur | None = None,
        *,
        evses: int = 1,
        lock: bool = False,
        phases: int = 1,
        max_amps: float = 16.0,
        site_amps: float | None = None,
        config: Mapping[str, str] | None = None,
        authorization: str = "backend",
        charging: Mapping[str, Any] | None = None,
        evse: Mapping[str, Any] | None = None,
        backend: Mapping[str, Any] | None = None,
        station: Mapping[str, Any] | None = None,
        installation: Mapping[str, Any] | None = None,
        csms: Mapping[str, Any] | None = None,
        rcd: bool = False,
        proximity: bool = False,
        meter: bool = True,
        reader: bool = True,
        turn_s: float = TURN_S,
        on: bool = True,
    ) -> None:
        """`config`: first-boot values of configuration keys. `on`: registered and idle when the case begins.

        `charging`, `evse`, `backend`, `station`, `installation`: fields of the compiled installation's
        parts; `csms`: arguments of the backend (password …). `turn_s`: how long who shares by turns may charge.
        """
        self.loop = loop
        self.directory = directory
        self.begins_on = on
        self.csms = LabBackend(loop, saboteur, **(csms or {}))
        self.csms.card(CARD)
        self.csms.card(OTHER_CARD)
        self.csms.interval_s = 86_400
        self.host_error_s = 0.0
        self.clock = LabClock(loop)
        self.reader = WorldReader(loop)
        self.world = {
            n: WorldEvse(n, loop, has_lock=lock, phases=phases) for n in range(1, evses + 1)
        }
        self.energy_tolerance_wh = ENERGY_TOLERANCE_WH
        self.exits: list[int] = []
        """Exit codes of the station so far."""
        self._has_meter, self._has_reader = meter, reader
        self._setup = (lock, phases, max_amps, site_amps, dict(config or {}), authorization)
        self._more = (charging or {}, evse or {}, backend or {}, station or {}, installation or {})
        self._rcd, self._proximity = rcd, proximity
        self._turn_s = turn_s
        self._tolerated: list[str] = []
        self._wrong: list[str] = []
        self._lives = 0
        self._boots = 0
        self._deaths = 0
        self.guard: GuardBox | None = None
        self._link = LabGuardLink()
        self._composition: Composition | None = None
        self._running: asyncio.Task[None] | None = None

    # --- looking ----------------------------------------------------------------------------------

    def evse(self, number: int = 1) -> WorldEvse:
        """The truth about one EVSE: `closed`, `offered_amps`, `amps`, `energy_wh`, `locked`, `pilot`."""
        return self.world[number]

    @property
    def station(self) -> Composition:
        """The running station; only for what cannot be seen from outside."""
        assert self._composition is not None, "the station is off"
        return self._composition

    @property
    def is_on(self) -> bool:
        """The station's process runs."""
        return self._composition is not None

    @property
    def now_s(self) -> float:
        """Virtual seconds."""
        return self.loop.time()

    @property
    def utc(self) -> datetime:
        """True UTC."""
        return true_utc(self.loop)

    def sentence(self, number: int = 1) -> str:
        """Why EVSE n does what it does, as the page says it."""
        snapshot = self.station.station.snapshots.snapshot()
        return str(next(e["why"] for e in snapshot["evses"] if e["evse"] == number))

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    async def until(
        self, condition: Callable[[], bool], within: float = 30.0, what: str = "it"
    ) -> None:
        """Look every 20 ms until it is true."""
        ends_s = self.loop.time() + within
        while not condition():
            if self.loop.time() >= ends_s:
                raise AssertionError(f"{what} did not happen within {within:g} s")
            await asyncio.sleep(0.02)

    async def never(self, condition: Callable[[], bool], for_s: float, what: str = "it") -> None:
        """Look every 20 ms that it does not become true."""
        ends_s = self.loop.time() + for_s
        while self.loop.time() < ends_s:
            if condition():
                raise AssertionError(f"{what} happened")
            await asyncio.sleep(0.02)

    async def closed(self, number: int = 1, within: float = 15.0) -> None:
        """Until the contactor is closed."""
        await self.until(lambda: self.evse(number).closed, within, f"closing of EVSE {number}")

    async def opened(self, number: int = 1, within: float = 15.0) -> None:
        """Until the contactor is open."""
        await self.until(lambda: not self.evse(number).closed, within, f"opening of EVSE {number}")

    # --- the person with the vehicle --------------------------------------------------------------

    def plug(self, number: int = 1, **vehicle: Any) -> None:
        """Cable in; `vehicle`: hal.sim.vehicle.VehicleSettings (current, phases, ready_after, …)."""
        self.evse(number).plug(VehicleSettings(**{"ready_after": 0.0, **vehicle}))

    def unplug(self, number: int = 1) -> None:
        """Cable out (of a socket: at the vehicle)."""
        self.evse(number).unplug()

    def tap(self, uid: str = CARD, *evses: int) -> None:
        """A card at the reader; `evses`: where the reader stands, usually not known."""
        self.reader.show(uid, tuple(evses))

    def pause(self, number: int = 1) -> None:
        """The vehicle opens S2."""
        self.evse(number).vehicle.pause(self.loop.now_ns())

    def resume(self, number: int = 1) -> None:
        """The vehicle closes S2 again."""
        self.evse(number).vehicle.resume(None, None, self.loop.now_ns())

    def fault(self, name: str, present: bool = True, number: int = 1) -> None:
        """`emergency_stop`, `rcd`, `weld`, `lock_jam`, `unlock_jam`, `meter`, `short`, `diode`, `contactor`.

        Any other name is an error code that only the world can tell (`other`).
        """
        evse, now_ns = self.evse(number), self.loop.now_ns()
        if name == "emergency_stop":
            evse.emergency_stop = present
        elif name == "rcd":
            evse.rcd.set_tripped(present)
        elif name == "weld":
            evse.contactor.set_welded(present, now_ns)
        elif name == "contactor":
            evse.contactor.set_fails_to_close(present, now_ns)
        elif name in ("lock_jam", "unlock_jam"):
            assert evse.lock is not None, "this case has no lock: lock=True"
            setattr(evse.lock, "jams_open" if name == "lock_jam" else "jams_locked", present)
        elif name == "meter":
            evse.meter_silent = present
        elif name == "short":
            evse.short = present
        elif name == "diode":
            evse.diode = not present
        else:
            self.station.station.other_fault(number, name, present)
        evse.refresh()

    def clear_fault(self, name: str, number: int = 1) -> None:
        """A person clears a latched fault, as by page or `chargepost clear-fault`."""
        self.station.station.guard.clear_fault(number, name, by="command")

    # --- the station's life -----------------------------------------------------------------------

    @property
    def installation(self) -> Installation:
        """What the configuration file would compile to."""
        lock, phases, max_amps, site_amps, config, authorization = self._setup
        charging, evse, backend, station, more = self._more
        table = {"driver": "lab"}
        compiled = Installation(
            station=StationIdentity(**{"id": "CP1", "firmware_version": "1.0", **station}),
            state_dir=str(self.directory / "state"),
            runtime_dir=str(self.directory / "run"),
            evses=tuple(
                EvseInstallation(
                    **{
                        "id": n,
                        "pilot": table,
                        "contactor": table,
                        "meter": table if self._has_meter else None,
                        "lock": table if lock else None,
                        "rcd": table if self._rcd else None,
                        "proximity": table if self._proximity else None,
                        "max_amps": max_amps,
                        "phases": phases,
                        **evse,
                    }
                )
                for n in self.world
            ),
            charging=Charging(**{"authorization": authorization, **charging}),
            site=Site(max_amps=site_amps),
            backend=BackendInstallation(
                **{"url": self.csms.url, "retry_random_range_s": 0.0, **backend}
            ),
            rfid=table if self._has_reader else None,
            first_boot_16=config,
        )
        return replace(compiled, **more)

    async def power_on(self) -> None:
        """The computer boots: guard and station start. Nothing is awaited."""
        self._boots += 1
        self._start_guard()
        await self._start_station()

    async def registered(self, within: float = READY_WITHIN_S) -> None:
        """Until the backend has accepted the station and heard every status; all that is passed over."""

        def told() -> bool:
            if not (self.is_on and self.station.backend.connected):
                return False
            after = max(
                (c.at_s for c in self.csms.seen if c.action == "BootNotification"), default=0.0
            )
            connectors = {
                c["connectorId"]
                for c in self.csms.seen
                if c.action == "StatusNotification" and c.at_s >= after
            }
            return connectors >= {0, *self.world}

        await self.until(told, within, "registration and first statuses")
        await asyncio.sleep(0.1)
        self.csms.skip()

    async def power_loss(self, off_s: float = 30.0) -> None:
        """Everything dies at once, contactors drop out, and after `off_s` the computer boots."""
        await self._kill_station()
        self._end_guard()
        await asyncio.sleep(off_s)
        await self.power_on()

    async def kill(self, *, guard: bool = False, off_s: float = 1.0) -> None:
        """SIGKILL of the station (and of the guard); both come back after `off_s`."""
        await self._kill_station()
        if guard:
            self._end_guard()
        await asyncio.sleep(off_s)
        if guard:
            self._start_guard()
        await self._start_station()

    async def stop(self) -> None:
        """An orderly stop of the station, as by SIGTERM; the guard lives on."""
        composition, running = self.station, self._running
        composition.station.stop(0)
        assert running is not None
        await running

    async def start(self) -> None:
        """The station after `stop`."""
        await self._start_station()

    def jump_clock(self, seconds: float) -> None:
        """Somebody sets the host's clock."""
        self.host_error_s += seconds
        self.clock.host_error_s = self.host_error_s

    def tolerate(self, text: str) -> None:
        """A violation that contains this text is meant to happen in this case."""
        self._tolerated.append(text)

    # --- usual ways -------------------------------------------------------------------------------

    async def begin_charging(self, number: int = 1, uid: str = CARD, **vehicle: Any) -> Any:
        """Cable, card, energy; returns the StartTransaction."""
        self.plug(number, **vehicle)
        await self.csms.expect("StatusNotification", connectorId=number, status="Preparing")
        self.tap(uid, number)
        start = await self.csms.expect("StartTransaction", connectorId=number, idTag=uid)
        await self.csms.expect(
            "StatusNotification", connectorId=number, status="Charging", via=("SuspendedEV",)
        )
        await self.closed(number)
        return start

    # --- beginning and end ------------------------------------------------------------------------

    async def begin(self) -> None:
        """Backend up; the station too unless `on` is False."""
        self.loop.set_exception_handler(self._task_failed)
        (self.directory / "run").mkdir()
        await self.csms.start()
        if self.begins_on:
            await self.power_on()
            await self.registered()

    async def end(self) -> list[str]:
        """Stop everything; returns what was wrong."""
        transactions = await self._transactions() if self.is_on else []
        if self.is_on:
            self._judge_energy(transactions)
            await self._kill_station(keep=False)
        if self.guard is not None:
            self.guard.end(outputs_safe=True)
        await self.csms.stop()
        found = [*self._wrong, *(f"backend: {text}" for text in self.csms.violations)]
        return [w for w in found if not any(t in w for t in self._tolerated)]

    def wrong(self, text: str) -> None:
        """Note something that must not happen."""
        self._wrong.append(text)

    # --- inside -----------------------------------------------------------------------------------

    def _start_guard(self) -> None:
        self._lives += 1
        self.guard = GuardBox(
            self.loop,
            self.installation,
            self.world,
            number=self._lives,
            boot_id=f"boot-{self._boots}",
        )

    def _end_guard(self) -> None:
        if self.guard is not None:
            self.guard.end(outputs_safe=True)
            self.guard = None

    async def _start_station(self) -> None:
        self.clock = LabClock(self.loop, self.host_error_s)
        self._link = LabGuardLink()
        assert self.guard is not None
        self._link.use(self.guard)
        around = Surroundings(
            clock=self.clock,
            guard=self._link,
            meters={n: self._meter(e) for n, e in self.world.items()} if self._has_meter else {},
            reader=self.reader if self._has_reader else None,
        )
        self.loop.frozen = True
        try:
            composition = await compose(self.installation, around)
        finally:
            self.loop.frozen = False
        composition.station.limits._sharing = Sharing(turn_s=self._turn_s)
        database = composition.store.database
        self.loop.outstanding[:] = [lambda: database.asked - database.answered]
        self._composition = composition
        self._running = asyncio.create_task(self._supervise(composition))

    def _meter(self, evse: WorldEvse) -> WorldMeter:
        if not self.installation.evses[evse.id - 1].meter_signs:
            return WorldMeter(evse)
        from tests.conformance.signing_meter import WorldSigningMeter

        return WorldSigningMeter(evse)

    async def _supervise(self, composition: Composition) -> None:
        try:
            code = await composition.station.run()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            logging.getLogger(__name__).exception("the station died")
            self.wrong(f"the station died: {error!r}")
            code = 1
        self.exits.append(code)
        self._composition = None
        try:
            await self._close(composition)
            if code in (SOFT_RESET, HARD_RESET):
                await self._restart(code)
        except Exception as error:
            logging.getLogger(__name__).exception("the station did not restart")
            self.wrong(f"the station did not restart: {error!r}")

    async def _restart(self, code: int) -> None:
        if code == HARD_RESET:
            self._end_guard()
        await asyncio.sleep(RESTART_S)
        if code == HARD_RESET:
            self._start_guard()
        await self._start_station()

    async def _close(self, composition: Composition) -> None:
        await composition.close()
        self.loop.outstanding.clear()  # what is asked of a closed store is never answered

    async def _kill_station(self, *, keep: bool = True) -> None:
        """What it does while it dies happens to files that nobody reads again."""
        await asyncio.sleep(1e-5)  # passes when the store's thread has nothing left to do
        composition, self._composition = self._composition, None
        if composition is None:
            return
        if keep:
            self._deaths += 1
            state, dead = self.directory / "state", self.directory / f"dead{self._deaths}"
            state.rename(dead)
            shutil.copytree(dead, state)
        assert self._running is not None
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self._close(composition)

    async def _transactions(self) -> list[Any]:
        rows = await self.station.store.database.write(
            lambda c: c.execute("SELECT body FROM transactions").fetchall()
        )
        return [transaction_from_text(body) for (body,) in rows]

    def _judge_energy(self, transactions: list[Any]) -> None:
        for number, evse in self.world.items():
            spans = [
                (t.meter_start_wh, t.meter_stop_wh if t.meter_stop_wh is not None else 1e12)
                for t in transactions
                if t.evse == number
            ]
            for low, high in evse.transferred():
                inside = sum(max(0.0, min(high, b) - max(low, a)) for a, b in spans)
                lost = (high - low) - inside
                if lost > self.energy_tolerance_wh:
                    self.wrong(f"EVSE {number}: {lost:.1f} Wh outside transactions")

    def _task_failed(self, _loop: object, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.wrong(f"unexpected: {context.get('message')} {error!r}")


class _Listener(logging.Handler):
    """Collects exceptions that were only logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.name}: {record.getMessage()}")
        if record.exc_info and record.exc_info[1] is not None:
            self.found.append(f"logged: {record.getMessage()} {record.exc_info[1]!r}")


def run_case(case: Case, saboteur: Saboteur | None = None) -> Harmless:
    """One run in a fresh laboratory. Raises what the case raises, or LabFailure.

    With a saboteur only the case itself judges: what it does not notice shall stay unnoticed.
    """
    clean = Harmless()
    listener = _Listener()
    logging.getLogger().addHandler(listener)
    directory = Path(tempfile.mkdtemp(prefix="lab-", dir=_memory()))
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, VirtualLoop)
            wrong = runner.run(_run(case, loop, directory, saboteur or clean))
    except BaseException as error:
        error.add_note("The station's log:\n" + "\n".join(listener.lines[-15:]))
        raise
    finally:
        logging.getLogger().removeHandler(listener)
        shutil.rmtree(directory, ignore_errors=True)
    if saboteur is None and (wrong or listener.found):
        raise LabFailure("\n".join([*wrong, *listener.found]))
    return clean


async def _run(case: Case, loop: VirtualLoop, directory: Path, saboteur: Saboteur) -> list[str]:
    lab = Lab(loop, directory, saboteur, **case.setup)
    try:
        await lab.begin()
        await case.body(lab)
    except BaseException as error:
        for wrong in await lab.end():
            error.add_note(f"also wrong: {wrong}")
        raise
    return await lab.end()


def _memory() -> str | None:
    """Files that need not survive this process stand in memory: a sync of the store costs nothing there."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() else None
