"""Stands in for the store and the station: what the adapter meets at its ports."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from controller.clock import SystemClock
from controller.core.charging_profile import ChargingProfile
from controller.core.installation import (
    BackendInstallation,
    Charging,
    EvseInstallation,
    Installation,
    StationIdentity,
)
from controller.core.model import (
    AvailabilityStatus,
    ChargingState,
    EvseView,
    IdToken,
    IdTokenInfo,
    MeterSample,
    ReadingContext,
    Report,
    RequestStatus,
    ResetKind,
    SampledValue,
    SessionPhase,
    TransactionStarted,
    UnlockStatus,
)
from controller.core.settings_list import settings_for
from controller.ocpp.v16.adapter import Adapter
from controller.ports import OutboxEntry

T0 = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def installation(url: str = "ws://127.0.0.1:1/ocpp", **backend: Any) -> Installation:
    """One EVSE with a lock, quick retries."""
    first_boot = backend.pop("first_boot", {})
    evses = backend.pop("evses", 1)
    station_id = backend.pop("station_id", "CP 1|x")
    return Installation(
        station=StationIdentity(id=station_id, firmware_version="0.1.0"),
        state_dir="/nowhere",
        runtime_dir="/nowhere",
        evses=tuple(
            EvseInstallation(
                id=n + 1, pilot={"driver": "x"}, contactor={"driver": "x"}, lock={"driver": "x"}
            )
            for n in range(evses)
        ),
        charging=Charging(authorization="backend"),
        backend=BackendInstallation(
            **{
                "url": url,
                "retry_wait_minimum_s": 0.05,
                "retry_random_range_s": 0.01,
                "retry_repeat_times": 2,
                **backend,
            }
        ),
        first_boot_16=first_boot,
    )


class FakeOutbox:
    """The store's outbox in memory, with the contract's rules about backend ids."""

    def __init__(self) -> None:
        self.entries: list[OutboxEntry] = []
        self.undelivered: list[tuple[OutboxEntry, str]] = []
        self.ids: dict[str, int] = {}
        self.verdicts: dict[str, IdTokenInfo] = {}
        self.n = 0

    def add(self, *reports: Report) -> None:
        for report in reports:
            self.n += 1
            self.entries.append(OutboxEntry(n=self.n, report=report, attempts=0))

    async def head(self) -> OutboxEntry | None:
        return self.entries[0] if self.entries else None

    async def refused(self, n: int) -> int:
        old = self.entries[0]
        assert old.n == n
        self.entries[0] = OutboxEntry(n=n, report=old.report, attempts=old.attempts + 1)
        return old.attempts + 1

    async def delivered(
        self,
        n: int,
        backend_transaction_id: int | None = None,
        verdict: IdTokenInfo | None = None,
    ) -> None:
        entry = self.entries.pop(0)
        assert entry.n == n
        if isinstance(entry.report, TransactionStarted):
            assert backend_transaction_id is not None
            self.ids[entry.report.transaction_id] = backend_transaction_id
            if verdict is not None:
                self.verdicts[entry.report.transaction_id] = verdict

    async def undeliverable(self, n: int, error: str) -> None:
        entry = self.entries.pop(0)
        assert entry.n == n
        self.undelivered.append((entry, error))
        if isinstance(entry.report, TransactionStarted):
            self.ids[entry.report.transaction_id] = -1

    async def backend_transaction_id(self, transaction_id: str) -> int | None:
        return self.ids.get(transaction_id)

    async def count(self) -> int:
        return len(self.entries)


class FakeValues:
    """Small durable values in memory."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def get(self, name: str) -> str | None:
        return self.values.get(name)

    async def put(self, name: str, value: str | None) -> None:
        if value is None:
            self.values.pop(name, None)
        else:
            self.values[name] = value

    async def all(self, prefix: str) -> dict[str, str]:
        return {name: v for name, v in self.values.items() if name.startswith(prefix)}


def view(evse: int = 1, phase: SessionPhase = SessionPhase.IDLE, **more: Any) -> EvseView:
    """A view with the rest at rest."""
    defaults: dict[str, Any] = {
        "charging_state": ChargingState.IDLE,
        "plugged": phase is not SessionPhase.IDLE,
        "pilot_state": "A1",
    }
    return EvseView(evse=evse, phase=phase, **{**defaults, **more})


def sample(wh: float, context: ReadingContext = ReadingContext.PERIODIC) -> MeterSample:
    """One register value."""
    return MeterSample(at=T0, context=context, values=(SampledValue(value=wh),))


class FakeStation:
    """Answers requests as told and remembers them."""

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self.views = {n: view(n) for n in range(1, count + 1)}
        self.asked: list[tuple[Any, ...]] = []
        self.answer: dict[str, Any] = {}
        self.has_meter = True
        self.charging_profile: ChargingProfile | None = None

    def evses(self) -> tuple[int, ...]:
        return tuple(self.views)

    def view(self, evse: int) -> EvseView:
        return self.views[evse]

    def transaction(self, transaction_id: str) -> int | None:
        for evse, seen in self.views.items():
            if seen.transaction_id == transaction_id:
                return evse
        return None

    async def remote_start(
        self,
        token: IdToken,
        evse: int | None,
        remote_start_id: int | None = None,
        charging_profile: ChargingProfile | None = None,
    ) -> RequestStatus:
        self.asked.append(("remote_start", token.value, evse))
        self.charging_profile = charging_profile
        return self.answer.get("remote_start", RequestStatus.ACCEPTED)

    async def remote_stop(self, transaction_id: str) -> RequestStatus:
        self.asked.append(("remote_stop", transaction_id))
        return RequestStatus.ACCEPTED

    async def change_availability(self, evse: int | None, operative: bool) -> AvailabilityStatus:
        self.asked.append(("change_availability", evse, operative))
        return self.answer.get("change_availability", AvailabilityStatus.ACCEPTED)

    async def reset(self, kind: ResetKind) -> RequestStatus:
        self.asked.append(("reset", kind))
        return RequestStatus.ACCEPTED

    async def unlock(self, evse: int) -> UnlockStatus:
        self.asked.append(("unlock", evse))
        return UnlockStatus.UNLOCKED

    async def clear_cache(self) -> RequestStatus:
        self.asked.append(("clear_cache",))
        return RequestStatus.ACCEPTED

    async def start_answered(self, transaction_id: str, info: IdTokenInfo) -> None:
        self.asked.append(("start_answered", transaction_id, info.status))

    async def remember(self, token: IdToken, info: IdTokenInfo) -> None:
        self.asked.append(("remember", token.value, info.status))

    async def registered(self, first: bool) -> None:
        self.asked.append(("registered", first))

    def sample(self, evse: int, measurands: str) -> MeterSample | None:
        return sample(1234.4, ReadingContext.TRIGGER) if self.has_meter else None


class Rig:
    """An adapter with everything around it."""

    def __init__(self, url: str, values: FakeValues | None = None, **options: Any) -> None:
        pong_timeout_s = options.pop("pong_timeout_s", 10.0)
        self.installation = installation(url, **options)
        self.values = values or FakeValues()
        stored = {
            name.removeprefix("setting."): text
            for name, text in self.values.values.items()
            if name.startswith("setting.")
        }
        self.settings = settings_for(self.installation, stored)
        self.store = FakeOutbox()
        self.station = FakeStation(len(self.installation.evses))
        self.clock = SystemClock()
        self.adapter = Adapter(
            installation=self.installation,
            settings=self.settings,
            outbox=self.store,
            values=self.values,
            clock=self.clock,
            set_utc=self.clock.set_utc,
            pong_timeout_s=pong_timeout_s,
        )
        self.adapter.bind(self.station)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Rig:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def start(self) -> None:
        """Run the adapter; every EVSE has been seen."""
        for seen in self.station.views.values():
            self.adapter.evse_changed(seen)
        self._task = asyncio.create_task(self.adapter.run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def answered(self) -> None:
        """Until every call of ours has its answer."""
        async with asyncio.timeout(5.0):
            while True:
                frames = self.adapter.frames()
                calls = {f[1] for way, f in frames if way == "out" and f[0] == 2}
                if calls <= {f[1] for way, f in frames if way == "in" and f[0] != 2}:
                    return
                await asyncio.sleep(0.001)

    def show(self, phase: SessionPhase, evse: int = 1, **more: Any) -> None:
        """The station shows a new view."""
        self.station.views[evse] = view(evse, phase, **more)
        self.adapter.evse_changed(self.station.views[evse])

    def report(self, *reports: Report) -> None:
        self.store.add(*reports)
        self.adapter.reports_waiting()
