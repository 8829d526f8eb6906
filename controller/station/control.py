"""What backend, page and CLI may ask of the station: the StationControl of `controller/ports.py`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from controller.core import facts
from controller.core.charging_profile import ChargingProfile
from controller.core.model import (
    AvailabilityStatus,
    BootReason,
    EvseView,
    IdToken,
    IdTokenInfo,
    MeterSample,
    ReadingContext,
    RequestStatus,
    ResetKind,
    SessionPhase,
    StopReason,
    UnlockStatus,
)
from controller.station.waiting import within
from hal.types import LockState

if TYPE_CHECKING:
    from controller.station.evse import EvseActor
    from controller.station.station import Station

_log = logging.getLogger(__name__)

JOIN_WAIT_S = 3.0
"""How long statuses wait for the guard's first word after the boot."""
END_WAIT_S = 30.0
"""How long a Reset or Unlock waits for transactions to end."""
DELIVERY_WAIT_S = 15.0
"""How long a Reset waits until the backend has everything."""
REPLY_S = 0.5
"""The answer to a Reset leaves before the restart."""
UNLOCK_WAIT_S = 6.0
EXIT_CODES = {ResetKind.SOFT: 3, ResetKind.HARD: 4}
RESET_REASONS = {ResetKind.SOFT: StopReason.SOFT_RESET, ResetKind.HARD: StopReason.HARD_RESET}

_OUT, _LATER = "inoperative", "scheduled"


class Control:
    """Answers at once; the work follows."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._scheduled: set[int] = set()
        self._station_operative = True
        self._resetting = False
        self._starting: set[int] = set()

    async def load(self) -> None:
        """Availability as it was left."""
        for name, value in (await self._station.store.values.all("availability/")).items():
            evse = int(name.rpartition("/")[2])
            if evse == 0:
                self._station_operative = False
            elif evse in self._station.actors and value == _LATER:
                self._scheduled.add(evse)
            elif evse in self._station.actors:
                self._station.actors[evse].set_operative(False)

    # --- reading ----------------------------------------------------------------------------------

    def evses(self) -> tuple[int, ...]:
        """All EVSE ids, 1-based."""
        return tuple(self._station.actors)

    def view(self, evse: int) -> EvseView:
        """One EVSE now."""
        return self._station.actors[evse].view()

    def transaction(self, transaction_id: str) -> int | None:
        """The EVSE on which this transaction runs, or None."""
        actor = self._running(transaction_id)
        return None if actor is None else actor.id

    def boot_reason(self) -> BootReason:
        """Why this process started."""
        return self._station.boot_reason()

    @property
    def station_operative(self) -> bool:
        """False = the backend took the whole station out of service (1.6 connector 0)."""
        return self._station_operative

    def sample(self, evse: int, measurands: str) -> MeterSample | None:
        """Current values for a trigger; None = the meter cannot be read."""
        actor = self._station.actors[evse]
        reading = actor.poller.trusted if actor.poller is not None else None
        if reading is None:
            return None
        names = [name.strip() for name in measurands.split(",") if name.strip()]
        return MeterSample(
            at=self._station.clock.utc(),
            context=ReadingContext.TRIGGER,
            values=actor.sampler.values(names, reading),
        )

    # --- transactions -----------------------------------------------------------------------------

    async def remote_start(
        self,
        token: IdToken,
        evse: int | None,
        remote_start_id: int | None = None,
        charging_profile: ChargingProfile | None = None,
    ) -> RequestStatus:
        """Accepted = will try. Without an EVSE: the one reserved for the token, else the newest plug-in
        that waits, else a free EVSE; never one that is reserved for somebody else.
        """
        group = await self._station.authorizer.group_of(token)
        if evse is None:
            actor = self._free_actor(token, group)
        else:
            actor = self._station.actors.get(evse)
        if self._resetting or actor is None or not self._can_start(actor):
            return RequestStatus.REJECTED
        if not actor.operative or not actor.joined or not _admits(actor, token, group):
            return RequestStatus.REJECTED
        profiles = self._station.profiles
        if profiles is not None and charging_profile is not None:
            if profiles.problem(charging_profile) is not None:
                return RequestStatus.REJECTED
        self._starting.add(actor.id)  # a second request at this moment must see it
        try:
            self._start(actor, token, group, remote_start_id, charging_profile)
        finally:
            self._starting.discard(actor.id)
        return RequestStatus.ACCEPTED

    def _start(
        self,
        actor: EvseActor,
        token: IdToken,
        group: IdToken | None,
        remote_start_id: int | None,
        charging_profile: ChargingProfile | None,
    ) -> None:
        # Reserved for a group: whether the token belongs to it, only the operator can tell.
        unclear = not actor.session.hold.admits(token, group)
        if unclear or self._station.settings.boolean("AuthorizeRemoteTxRequests"):
            actor.tell(
                facts.RemoteStartAsked(
                    id_token=token,
                    remote_start_id=remote_start_id,
                    charging_profile=charging_profile,
                )
            )
        else:
            actor.tell(
                facts.Granted(
                    id_token=token,
                    group=group,
                    remote_start_id=remote_start_id,
                    remote=True,
                    charging_profile=charging_profile,
                )
            )

    def _can_start(self, actor: EvseActor) -> bool:
        return actor.can_be_started_remotely and actor.id not in self._starting

    async def remote_stop(self, transaction_id: str) -> RequestStatus:
        """Stop the running transaction with this id (ours)."""
        actor = self._running(transaction_id)
        if actor is None:
            return RequestStatus.REJECTED
        actor.tell(facts.StopAsked(reason=StopReason.REMOTE))
        return RequestStatus.ACCEPTED

    async def start_answered(self, transaction_id: str, info: IdTokenInfo) -> None:
        """The backend answered a TransactionStarted."""
        actor = self._running(transaction_id)
        if actor is not None:
            self._station.answered(actor, transaction_id, info)

    async def remember(self, token: IdToken, info: IdTokenInfo) -> None:
        """Put an answer into the authorization cache (never tokens of the local list)."""
        await self._station.authorizer.remember(token, info)

    async def clear_cache(self) -> RequestStatus:
        """Forget all cached authorizations; without a cache there is nothing to clear."""
        if not self._station.settings.boolean("AuthorizationCacheEnabled"):
            return RequestStatus.REJECTED
        await self._station.store.auth_cache.clear()
        return RequestStatus.ACCEPTED

    # --- availability -----------------------------------------------------------------------------

    async def change_availability(self, evse: int | None, operative: bool) -> AvailabilityStatus:
        """None = all. Persistent; while somebody charges or is about to it is Scheduled."""
        if evse is not None and evse not in self._station.actors:
            return AvailabilityStatus.REJECTED
        results = [
            await self._change_one(actor, operative)
            for actor in self._station.actors.values()
            if evse is None or actor.id == evse
        ]
        if evse is None:
            self._station_operative = operative
            await self._station.store.values.put("availability/0", None if operative else _OUT)
        scheduled = AvailabilityStatus.SCHEDULED in results
        return AvailabilityStatus.SCHEDULED if scheduled else AvailabilityStatus.ACCEPTED

    async def _change_one(self, actor: EvseActor, operative: bool) -> AvailabilityStatus:
        name, values = f"availability/{actor.id}", self._station.store.values
        self._scheduled.discard(actor.id)
        if operative:
            await values.put(name, None)
            actor.set_operative(True)
            return AvailabilityStatus.ACCEPTED
        if actor.operative and _busy(actor.session.phase):
            await values.put(name, _LATER)
            self._scheduled.add(actor.id)
            return AvailabilityStatus.SCHEDULED
        await values.put(name, _OUT)
        actor.set_operative(False)
        return AvailabilityStatus.ACCEPTED

    def view_changed(self, view: EvseView) -> None:
        """What was scheduled happens when the EVSE is free."""
        if view.evse in self._scheduled and not _busy(view.phase):
            self._scheduled.discard(view.evse)
            self._station.actors[view.evse].set_operative(False)
            name = f"availability/{view.evse}"
            self._station.tasks.aside(self._station.store.values.put(name, _OUT), name)

    # --- station ----------------------------------------------------------------------------------

    async def registered(self, first: bool) -> None:
        """BootNotification accepted; returns when statuses can be true (the guard has spoken)."""
        await within(self._station.joined(), self._station.clock, JOIN_WAIT_S)
        self._station.snapshots.changed()

    async def reset(self, kind: ResetKind) -> RequestStatus:
        """Ends transactions with SoftReset / HardReset, then restarts."""
        if self._resetting:
            return RequestStatus.REJECTED
        self._resetting = True
        self._station.tasks.start(self._restart(kind), "reset")
        return RequestStatus.ACCEPTED

    async def _restart(self, kind: ResetKind) -> None:
        station, reason = self._station, RESET_REASONS[kind]
        await station.recovery.resetting(kind, reason)
        for actor in station.actors.values():
            actor.refuse_all("the station is about to restart")
            actor.tell(facts.StopAsked(reason=reason))
        await within(self._all_ended(), station.clock, END_WAIT_S)
        if station.online:
            await within(self._all_delivered(), station.clock, DELIVERY_WAIT_S)
        await station.clock.sleep(REPLY_S)
        _log.warning("restarting: %s reset", kind.value)
        station.stop(EXIT_CODES[kind])

    async def _all_ended(self) -> None:
        for actor in self._station.actors.values():
            await actor.quiet()
            while actor.session.transaction is not None:
                await self._station.clock.sleep(0.1)

    async def _all_delivered(self) -> None:
        while self._station.store.outbox.waiting and self._station.online:
            await self._station.clock.sleep(0.1)

    async def unlock(self, evse: int) -> UnlockStatus:
        """Ends a running transaction (UnlockCommand) first."""
        actor = self._station.actors.get(evse)
        if actor is None or actor.installation.lock is None:
            return UnlockStatus.NOT_SUPPORTED
        actor.tell(facts.StopAsked(reason=StopReason.UNLOCK_COMMAND))
        await within(self._ended(actor), self._station.clock, END_WAIT_S)
        self._station.guard.unlock(evse)
        opened = await within(self._unlocked(actor), self._station.clock, UNLOCK_WAIT_S)
        if opened:
            actor.tell(facts.CableFreed())
        return UnlockStatus.UNLOCKED if opened else UnlockStatus.UNLOCK_FAILED

    async def _ended(self, actor: EvseActor) -> None:
        await actor.quiet()
        while actor.session.transaction is not None:
            await self._station.clock.sleep(0.1)

    async def _unlocked(self, actor: EvseActor) -> bool:
        while actor.bolt.state != LockState.UNLOCKED.value:
            await self._station.clock.sleep(0.1)
        return True

    # --- inside -----------------------------------------------------------------------------------

    def _running(self, transaction_id: str) -> EvseActor | None:
        for actor in self._station.actors.values():
            running = actor.session.transaction
            if running is not None and running.id == transaction_id:
                return actor
        return None

    def _free_actor(self, token: IdToken, group: IdToken | None) -> EvseActor | None:
        actors = [
            a
            for a in self._station.actors.values()
            if a.operative and self._can_start(a) and _admits(a, token, group)
        ]
        for actor in actors:
            if actor.session.hold.by is not None and actor.session.hold.admits(token, group):
                return actor
        actors.sort(key=lambda a: a.session.hold.by is not None)
        waiting = [a for a in actors if a.session.phase is SessionPhase.PREPARING]
        if waiting:
            return max(waiting, key=lambda a: a.session.preparing_since_s or 0.0)
        return next((a for a in actors if a.session.phase is SessionPhase.IDLE), None)


def _admits(actor: EvseActor, token: IdToken, group: IdToken | None) -> bool:
    """Reservations let the token start here, or its unknown group might."""
    hold = actor.session.hold
    return hold.admits(token, group) or (group is None and hold.may_admit(token))


def _busy(phase: SessionPhase) -> bool:
    return phase in (SessionPhase.PREPARING, SessionPhase.TRANSACTION)
