"""A station without hardware: a clock moved by hand, a guard, a meter and a backend made of values."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controller.core.guard_messages import EvseSnapshot, Fact, FactKind, FaultView, Snapshot
from controller.core.installation import (
    BackendInstallation,
    Charging,
    EvseInstallation,
    Installation,
    StationIdentity,
)
from controller.core.model import AuthorizationStatus, EvseView, IdToken, IdTokenInfo
from controller.core.settings_list import settings_for
from controller.energy.limits import Limits
from controller.energy.profiles import Profiles
from controller.errors import BackendUnavailable
from controller.station.station import Station
from controller.store.store import Store
from hal.errors import HalError
from hal.types import CardRead, MeterReading

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ACCEPTED = IdTokenInfo(status=AuthorizationStatus.ACCEPTED)


class FakeClock:
    """Stands still until `advance`."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000_000
        self.start_ns = self.now_ns
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def monotonic_ns(self) -> int:
        return self.now_ns

    def utc(self) -> datetime:
        return START + timedelta(microseconds=(self.now_ns - self.start_ns) / 1000)

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due = self.now_ns + int(seconds * 1e9)
        heapq.heappush(self._sleepers, (due, next(self._numbers), future))
        await future

    def next_due(self) -> int | None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def wake(self) -> None:
        while (due := self.next_due()) is not None and due <= self.now_ns:
            _, _, future = heapq.heappop(self._sleepers)
            future.set_result(None)


class FakeGuard:
    """The GuardLink with a vehicle behind it; closes and opens the contactor like the real one."""

    def __init__(
        self, clock: FakeClock, evses: int, guard_id: str = "g1", boot_id: str = "b1"
    ) -> None:
        self._clock = clock
        self.connected = True
        self.guard_id = guard_id
        self.boot_id = boot_id
        self.sent: list[tuple[Any, ...]] = []
        self.welded = False
        self._n = 0
        self._plugs = itertools.count(7)
        self._queue: asyncio.Queue[Fact | Snapshot] = asyncio.Queue()
        self.evses = {n: _empty(n) for n in range(1, evses + 1)}

    # --- GuardLink --------------------------------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(at_ns=self._clock.now_ns, last_n=self._n, evses=tuple(self.evses.values()))

    def offer(self, evse: int, plug_id: int, max_amps: float, phases: int) -> None:
        self.sent.append(("offer", evse, plug_id, max_amps))
        seen = self.evses[evse]
        if not seen.plugged or seen.plug_id != plug_id or self._faulted(evse):
            return
        self.change(evse, offered_amps=max_amps, state="C2" if max_amps else "C1")
        self.contactor(evse, max_amps > 0)

    def withdraw(self, evse: int, plug_id: int, why: str = "") -> None:
        self.sent.append(("withdraw", evse, plug_id))
        if self.evses[evse].plug_id == plug_id and self.evses[evse].plugged:
            self.change(evse, offered_amps=0.0, state="B1", contactor_commanded=False)
            self.contactor(evse, self.welded and self.evses[evse].contactor_closed)

    def raise_fault(self, evse: int, name: str, detail: str = "") -> None:
        self.sent.append(("raise", evse, name))
        self.fault(evse, name, detail)

    def clear_fault(self, evse: int, name: str, by: str = "cause") -> None:
        self.sent.append(("clear", evse, name))
        self.fault_gone(evse, name)

    def lock(self, evse: int, *, keep: bool = False) -> None:
        self.sent.append(("lock", evse, keep))
        self.change(evse, lock="locked")
        self.tell()

    def unlock(self, evse: int) -> None:
        self.sent.append(("unlock", evse))
        self.change(evse, lock="unlocked")
        self.tell()

    async def facts(self) -> AsyncIterator[Fact | Snapshot]:
        while True:
            yield await self._queue.get()

    async def run(self) -> None:
        self._queue.put_nowait(self.snapshot)
        await asyncio.Event().wait()

    # --- the world behind it ----------------------------------------------------------------------

    def plug(self, evse: int = 1) -> int:
        plug_id = next(self._plugs)
        self.change(evse, plugged=True, plug_id=plug_id, state="B1", self_test="passed")
        self._fact(evse, FactKind.PLUGGED, plug_id)
        return plug_id

    def unplug(self, evse: int = 1) -> None:
        plug_id = self.evses[evse].plug_id
        self.change(evse, plugged=False, state="A1", offered_amps=0.0, contactor_commanded=False)
        self._fact(evse, FactKind.UNPLUGGED, plug_id)
        self.contactor(evse, self.welded and self.evses[evse].contactor_closed)

    def contactor(self, evse: int, closed: bool) -> None:
        if self.evses[evse].contactor_closed == closed:
            self.tell()
            return
        self.change(evse, contactor_closed=closed, contactor_commanded=closed)
        kind = FactKind.CONTACTOR_CLOSED if closed else FactKind.CONTACTOR_OPENED
        self._fact(evse, kind, self.evses[evse].plug_id)

    def fault(self, evse: int, name: str, detail: str = "", *, latched: bool = False) -> None:
        seen = FaultView(name=name, detail=detail, latched=latched, active=True)
        kept = tuple(f for f in self.evses[evse].faults if f.name != name)
        self.change(evse, faults=(*kept, seen))
        self.tell()

    def fault_gone(self, evse: int, name: str) -> None:
        kept = tuple(f for f in self.evses[evse].faults if f.name != name)
        self.change(evse, faults=kept)
        self.tell()

    def change(self, evse: int, **values: Any) -> None:
        self.evses[evse] = replace(self.evses[evse], **values)

    def tell(self) -> None:
        self._queue.put_nowait(self.snapshot)

    def offers(self) -> list[tuple[int, float]]:
        return [(plug_id, amps) for what, _, plug_id, amps in _only(self.sent, "offer")]

    def _faulted(self, evse: int) -> bool:
        return any(f.latched for f in self.evses[evse].faults)

    def _fact(self, evse: int, kind: FactKind, plug_id: int) -> None:
        self._n += 1
        self._queue.put_nowait(
            Fact(n=self._n, at_ns=self._clock.now_ns, evse=evse, kind=kind, plug_id=plug_id)
        )
        self.tell()


def _only(sent: list[tuple[Any, ...]], what: str) -> list[tuple[Any, ...]]:
    return [entry for entry in sent if entry[0] == what]


def _empty(evse: int) -> EvseSnapshot:
    return EvseSnapshot(
        evse=evse,
        plugged=False,
        plug_id=0,
        state="A1",
        contactor_commanded=False,
        contactor_closed=False,
        offered_amps=0.0,
        hold=False,
        refusal="",
        lock="none",
        self_test="pending",
        phases=1,
    )


class FakeMeter:
    """A register that rises while the contactor is closed."""

    def __init__(self, clock: FakeClock, guard: FakeGuard, evse: int = 1) -> None:
        self._clock, self._guard, self._evse = clock, guard, evse
        self._at_ns = clock.now_ns
        self.energy_wh = 1000.0
        self.watts = 3680.0
        self.error: HalError | None = None
        self.polls = 0

    def pass_time(self) -> None:
        hours = (self._clock.now_ns - self._at_ns) / 3.6e12
        self._at_ns = self._clock.now_ns
        if self._guard.evses[self._evse].contactor_closed:
            self.energy_wh += self.watts * hours

    async def read(self) -> MeterReading:
        self.polls += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.pass_time()
        closed = self._guard.evses[self._evse].contactor_closed
        return MeterReading(
            energy_wh=self.energy_wh,
            taken_at_ns=self._clock.now_ns,
            power_w=self.watts if closed else 0.0,
            amps=(self.watts / 230 if closed else 0.0, None, None),
            volts=(230.0, None, None),
            refresh_ms=100,
        )

    async def identify(self) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        return


class FakeReader:
    """Cards by hand."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[CardRead | HalError] = asyncio.Queue()

    async def cards(self) -> AsyncIterator[CardRead]:
        while True:
            item = await self.queue.get()
            if isinstance(item, HalError):
                raise item
            yield item

    async def close(self) -> None:
        return


class FakeBackend:
    """Answers when told to; keeps what it was shown."""

    def __init__(self) -> None:
        self.connected = True
        self.ever_accepted = True
        self.why = "Connected since noon."
        self.answers: Mapping[str, IdTokenInfo] = {}
        self.hold: asyncio.Event | None = None
        self.asked: list[str] = []
        self.views: list[EvseView] = []
        self.waiting = 0

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def authorize(self, token: IdToken) -> IdTokenInfo:
        self.asked.append(token.value)
        if not self.connected:
            raise BackendUnavailable("the operator cannot be reached")
        if self.hold is not None:
            await self.hold.wait()
        return self.answers.get(token.value, ACCEPTED)

    def evse_changed(self, view: EvseView) -> None:
        self.views.append(view)

    def reports_waiting(self) -> None:
        self.waiting += 1

    async def connect(self) -> None:
        self.connected = True

    async def disconnect(self) -> None:
        self.connected = False

    def frames(self) -> list[tuple[str, list[Any]]]:
        return []


def installation(
    state_dir: Path, evses: int = 1, *, backend: bool = True, **charging: Any
) -> Installation:
    values = {"authorization": "backend" if backend else "local", **charging}
    lock = values.pop("lock", None)
    more = values.pop("evse", {})
    return Installation(
        station=StationIdentity(id="CP1"),
        state_dir=str(state_dir),
        runtime_dir=str(state_dir),
        evses=tuple(
            EvseInstallation(
                id=n,
                pilot={"driver": "x"},
                contactor={"driver": "x"},
                lock=lock,
                max_amps=16.0,
                **more,
            )
            for n in range(1, evses + 1)
        ),
        charging=Charging(**values),
        backend=BackendInstallation(url="ws://127.0.0.1:1/") if backend else None,
    )


class World:
    """One station and everything around it; `async with World(...)`."""

    def __init__(self, state_dir: Path, evses: int = 1, **charging: Any) -> None:
        self.state_dir = state_dir
        self.installation = installation(state_dir, evses, **charging)
        self.clock = FakeClock()
        self.guard = FakeGuard(self.clock, evses)
        self.meters = {n: FakeMeter(self.clock, self.guard, n) for n in range(1, evses + 1)}
        self.reader = FakeReader()
        self.backend = FakeBackend()
        self.settings_changed: dict[str, str] = {}
        self.code: int | None = None
        self._task: asyncio.Task[int] | None = None

    async def __aenter__(self) -> World:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        self.store = await Store.open(self.state_dir)
        self.settings = settings_for(self.installation, self.settings_changed)
        self.profiles = Profiles(
            installation=self.installation,
            settings=self.settings,
            store=self.store.charging_profiles,
            guard=self.guard,
            clock=self.clock,
        )
        self.station = Station(
            installation=self.installation,
            settings=self.settings,
            store=self.store,
            profiles=self.profiles,
            limits=Limits(
                installation=self.installation,
                settings=self.settings,
                guard=self.guard,
                clock=self.clock,
                profiles=self.profiles,
            ),
            guard=self.guard,
            meters=dict(self.meters),
            reader=self.reader,
            clock=self.clock,
        )
        await self.station.prepare()
        self.station.attach(self.backend)
        self._task = asyncio.create_task(self.station.run())
        await self.settle()

    async def kill(self) -> None:
        """Like SIGKILL: nothing of the stop is recorded."""
        if self._task is None:
            return
        if self._task.done():
            self._task.result()
        self.station.recovery.stopping = _nothing  # type: ignore[method-assign]
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self.store.database.close()
        self._task = None

    async def restart(self, guard: FakeGuard | None = None) -> None:
        """The station dies and comes back; `guard` = the guard died as well."""
        await self.kill()
        old = self.guard
        self.guard = guard or self.guard
        if guard is None:
            old._queue = asyncio.Queue()
        for meter in self.meters.values():
            meter._guard = self.guard
        await self.start()

    async def settle(self) -> None:
        """Everything that can happen now has happened."""
        for _ in range(6):
            for _ in range(12):
                await asyncio.sleep(0)
            await self.store.database.probe()
        if self._task is not None and self._task.done():
            self.code = self._task.result()

    async def advance(self, seconds: float) -> None:
        await self.settle()
        end = self.clock.now_ns + int(seconds * 1e9)
        while (due := self.clock.next_due()) is not None and due <= end:
            self.clock.now_ns = max(due, self.clock.now_ns)
            self.clock.wake()
            await self.settle()
        self.clock.now_ns = end
        for meter in self.meters.values():
            meter.pass_time()
        await self.settle()

    # --- acts -------------------------------------------------------------------------------------

    async def plug(self, evse: int = 1) -> int:
        plug_id = self.guard.plug(evse)
        await self.settle()
        return plug_id

    async def unplug(self, evse: int = 1) -> None:
        self.guard.unplug(evse)
        await self.settle()

    async def tap(self, uid: str = "04A2B3C4", evses: tuple[int, ...] = ()) -> None:
        self.reader.queue.put_nowait(CardRead(uid=uid, taken_at_ns=self.clock.now_ns, evses=evses))
        await self.settle()

    async def charge(self, seconds: float = 60.0) -> None:
        await self.plug()
        await self.tap()
        await self.advance(seconds)

    # --- looking ----------------------------------------------------------------------------------

    def view(self, evse: int = 1) -> EvseView:
        return self.station.control.view(evse)

    def phases(self, evse: int = 1) -> list[str]:
        """The phases the backend saw, each once."""
        seen = [v.phase.value for v in self.backend.views if v.evse == evse]
        return [p for p, _ in itertools.groupby(seen)]

    async def reports(self) -> list[Any]:
        """Everything that waits for the backend, taken out in order."""
        found = []
        while (entry := await self.store.outbox.head()) is not None:
            found.append(entry.report)
            await self.store.outbox.delivered(entry.n, 100 + entry.n)
        await self.store.database.probe()
        return found


async def _nothing(*_: object) -> None:
    return
