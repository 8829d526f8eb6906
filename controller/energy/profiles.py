"""Keeps the charging profiles: durable, evaluated when asked, and told when time changes a limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from controller.clock import Clock
from controller.core.charging_profile import (
    ChargingProfile,
    ProfileRules,
    Purpose,
    RateUnit,
    problem_of,
)
from controller.core.charging_profile_book import Change, ProfileBook, ProfileFilter
from controller.core.composite import (
    CompositeSchedule,
    CompositeWalk,
    EvseSupply,
    ProfileLimit,
    SiteSupply,
    evse_limit,
    station_limit,
)
from controller.core.installation import Installation
from controller.core.model import RequestStatus, Transaction
from controller.core.settings import Settings
from controller.ports import GuardLink
from controller.ports_charging import ProfileStore

_log = logging.getLogger(__name__)

LOOK_S = 15.0
"""While a limit is about to change, the clock is looked at this often: a backend may set it."""
SLICE = 50
"""Steps of a composite schedule between two looks at everything else."""


class Profiles:
    """Implements `ChargingProfiles` and `TransactionProfiles` of `controller/ports_charging.py`."""

    def __init__(
        self,
        *,
        installation: Installation,
        settings: Settings,
        store: ProfileStore,
        guard: GuardLink,
        clock: Clock,
    ) -> None:
        self._installation = installation
        self._guard = guard
        self._settings = settings
        self._store = store
        self._clock = clock
        self._book = ProfileBook()
        self._running: Callable[[int], Transaction | None] = lambda evse: None
        self._listeners: list[Callable[[], None]] = []
        self._changing = asyncio.Lock()
        self._woken = asyncio.Event()
        self._ended = False
        self._began: dict[str, tuple[float, datetime] | None] = {}

    # --- TransactionProfiles ----------------------------------------------------------------------

    async def load(self, running: Callable[[int], Transaction | None]) -> None:
        """Read them; those of transactions that ended meanwhile go."""
        self._running = running
        self._book = ProfileBook(tuple(await self._store.load()))
        self._began = {i: None for evse in self.evses() if (i := self.transaction(evse))}
        await self._forget_ended()

    def limit(self, evse: int) -> ProfileLimit:
        """TxProfile, else TxDefaultProfile of this EVSE."""
        return evse_limit(self._book, self._supply(), evse, self._clock.utc())

    def station_limit(self) -> ProfileLimit:
        """ChargingStationMaxProfile."""
        return station_limit(self._book, self._supply(), self._clock.utc())

    def on_change(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` whenever a limit may have changed."""
        self._listeners.append(changed)
        return lambda: self._listeners.remove(changed)

    @property
    def next_change_at(self) -> datetime | None:
        """When time changes a limit of an EVSE on which a transaction runs, or the station's."""
        if not self._book.installed:
            return None
        running = [e.id for e in self._installation.evses if self._running(e.id) is not None]
        limits = [self.limit(evse) for evse in running]
        if running:
            limits.append(self.station_limit())
        return min((limit.until for limit in limits if limit.until is not None), default=None)

    async def begin(self, transaction: Transaction, profile: ChargingProfile) -> bool:
        """The TxProfile of a remote start: durable, or the transaction does not start."""
        bound = replace(profile, transaction_id=transaction.id)
        problem: object
        try:
            async with self._changing:
                problem = await self._install(transaction.evse, bound)
        except Exception as error:  # noqa: BLE001 - a full disk; more current than allowed is no way out
            problem = error
        if problem is not None:
            _log.error("evse=%d the profile of the remote start: %s", transaction.evse, problem)
        return problem is None

    def transaction_changed(self) -> None:
        """A transaction began or ended somewhere."""
        self._ended = True
        self._woken.set()

    async def run(self) -> None:
        """Tell when limits change with time, and forget the profiles of what has ended; for ever."""
        while True:
            self._woken.clear()
            if self._ended:
                self._ended = False
                await self._forget_ended()
            due = self.next_change_at
            if due is None:
                await self._woken.wait()
                continue
            left_s = (due - self._clock.utc()).total_seconds()
            await self._woken_within(min(left_s, LOOK_S))
            if self._clock.utc() >= due:
                self._tell()

    # --- ChargingProfiles -------------------------------------------------------------------------

    def evses(self) -> tuple[int, ...]:
        """All EVSE ids."""
        return tuple(evse.id for evse in self._installation.evses)

    def transaction(self, evse: int) -> str | None:
        """Our id of the transaction that runs there."""
        running = self._running(evse)
        return running.id if running is not None else None

    async def install(self, evse: int, profile: ChargingProfile) -> RequestStatus:
        """Add or replace; nothing changes when it is Rejected."""
        async with self._changing:
            if profile.purpose is Purpose.TX:
                running = self._running(evse)
                if running is None or profile.transaction_id not in (None, running.id):
                    _log.warning("charging profile %d: not the transaction that runs", profile.id)
                    return RequestStatus.REJECTED
                profile = replace(profile, transaction_id=running.id)
            problem = await self._install(evse, profile)
        if problem is not None:
            _log.warning("charging profile %d refused: %s", profile.id, problem)
            return RequestStatus.REJECTED
        return RequestStatus.ACCEPTED

    async def clear(self, which: ProfileFilter) -> int:
        """Remove those that match; returns how many."""
        async with self._changing:
            change = self._book.clear(which)
            await self._adopt(change)
        return len(change.removed)

    def problem(self, profile: ChargingProfile) -> str | None:
        """Why this profile could not be installed anywhere."""
        return problem_of(profile, self._rules())

    async def composite(
        self, evse: int, duration_s: int, rate_unit: RateUnit | None
    ) -> CompositeSchedule | None:
        """From now on; made in slices, so that a long one holds up nothing."""
        supply = self._supply()
        if duration_s < 0 or (evse != 0 and evse not in supply.evses):
            return None
        walk = CompositeWalk(
            book=self._book,
            site=supply,
            evse=evse,
            start=self._clock.utc(),
            duration_s=duration_s,
            rate_unit=rate_unit or RateUnit.AMPS,
            most_periods=self._rules().max_periods,
        )
        ready = walk.advance(SLICE)
        while not ready:
            await asyncio.sleep(0)
            ready = walk.advance(SLICE)
        return walk.result()

    # --- inside -----------------------------------------------------------------------------------

    async def _install(self, evse: int, profile: ChargingProfile) -> str | None:
        change = self._book.install(evse, profile, self._clock.utc(), self._rules())
        if isinstance(change, str):
            return change
        await self._adopt(change)
        return None

    async def _adopt(self, change: Change) -> None:
        """Durable first."""
        if not change.removed and change.added is None:
            return
        await self._store.change(change.removed, change.added)
        self._book = change.book
        self._tell()
        self._woken.set()

    async def _forget_ended(self) -> None:
        async with self._changing:
            running = (self._running(evse.id) for evse in self._installation.evses)
            ids = {transaction.id for transaction in running if transaction is not None}
            self._began = {i: began for i, began in self._began.items() if i in ids}
            change = self._book.keep_transactions(ids)
            try:
                await self._adopt(change)
            except Exception as error:  # noqa: BLE001 - without its transaction a TxProfile limits nothing
                _log.error("profiles of ended transactions stay: %s", error)

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener()

    async def _woken_within(self, seconds: float) -> None:
        waits = {
            asyncio.ensure_future(self._woken.wait()),
            asyncio.ensure_future(self._clock.sleep(max(seconds, 0.001))),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _supply(self) -> SiteSupply:
        site, snapshot = self._installation.site, self._guard.snapshot
        cables = {
            seen.evse: seen.cable_amps
            for seen in (snapshot.evses if snapshot is not None else ())
            if seen.plugged and seen.cable_amps is not None
        }
        evses = {}
        for evse in self._installation.evses:
            running = self._running(evse.id)
            evses[evse.id] = EvseSupply(
                max_amps=min(evse.max_amps, cables.get(evse.id, evse.max_amps)),
                phases=evse.phases,
                transaction_id=running.id if running is not None else None,
                started_at=self._started_at(running) if running is not None else None,
            )
        return SiteSupply(evses=evses, voltage_v=site.voltage_v, max_amps=site.max_amps)

    def _started_at(self, running: Transaction) -> datetime:
        """In today's UTC: a clock that was set since then moves the start of a Relative profile along."""
        epoch = self._clock.utc().timestamp() - self._clock.monotonic_ns() / 1e9
        # By what was seen first: the transaction's own time may be corrected meanwhile, and must not count twice.
        first = self._began.setdefault(running.id, (epoch, running.started_at))
        if first is None:
            return running.started_at
        step_s = round(epoch - first[0])
        return first[1] + timedelta(seconds=step_s if abs(step_s) > 1 else 0)

    def _rules(self) -> ProfileRules:
        settings = self._settings
        units = {"Current": RateUnit.AMPS, "Power": RateUnit.WATTS}
        allowed = settings.members("ChargingScheduleAllowedChargingRateUnit")
        return ProfileRules(
            max_stack_level=settings.integer("ChargeProfileMaxStackLevel"),
            max_periods=settings.integer("ChargingScheduleMaxPeriods"),
            max_installed=settings.integer("MaxChargingProfilesInstalled"),
            rate_units=frozenset(units[name] for name in allowed if name in units),
            start_may_be_missing=settings.boolean("AllowChargingProfileWithoutStartSchedule"),
        )
