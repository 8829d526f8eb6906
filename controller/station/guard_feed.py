"""Takes the guard's facts and snapshots to the actors; the first snapshot of a guard begins anew."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from controller.core import facts
from controller.core.faults import Clearing, kind_of
from controller.core.guard_messages import EvseSnapshot, FactKind, Snapshot
from controller.core.guard_messages import Fact as GuardFact
from controller.core.model import StopReason
from controller.station.evse import EvseActor
from hal.types import CpState

if TYPE_CHECKING:
    from controller.station.station import Station

PILOT_UNKNOWN_S = 2.0
"""A guard that has just started gets this long to see what is plugged in."""


class GuardFeed:
    """`joined` is set while the guard that is running has told what is plugged in."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self.joined = asyncio.Event()
        self._guard_id = ""
        self._history: list[GuardFact] = []
        self._first_seen_ns: int | None = None

    async def run(self) -> None:
        """Take what the guard tells, for ever."""
        async for item in self._station.guard.facts():
            if self._station.guard.guard_id != self._guard_id:
                self._guard_id = self._station.guard.guard_id
                self._history = []
                self._first_seen_ns = None
                self.joined.clear()
            if isinstance(item, GuardFact):
                if self.joined.is_set():
                    self._fact(item)
                else:
                    self._history.append(item)
            else:
                await self._snapshot(item)

    def _fact(self, fact: GuardFact) -> None:
        actor = self._station.actors.get(fact.evse)
        if actor is None:
            return
        at = self._utc_of(fact.at_ns)
        match fact.kind:
            case FactKind.PLUGGED:
                actor.tell(facts.PlugSeen(plug_id=fact.plug_id, at=at))
            case FactKind.UNPLUGGED:
                actor.tell(facts.PlugSeen(plug_id=None, at=at))
            case FactKind.CONTACTOR_CLOSED:
                actor.tell(facts.ContactorSeen(closed=True, at_ns=fact.at_ns))
            case FactKind.CONTACTOR_OPENED:
                actor.tell(facts.ContactorSeen(closed=False, at_ns=fact.at_ns))
            case _:
                return

    async def _snapshot(self, snapshot: Snapshot) -> None:
        joining = not self.joined.is_set()
        if joining and self._still_looking(snapshot):
            return
        for evse in snapshot.evses:
            actor = self._station.actors.get(evse.evse)
            if actor is None:
                continue
            if joining:
                actor.tell(
                    await self._station.recovery.joined(
                        actor, evse, self._history, self._station.guard, self._utc_of
                    )
                )
                actor.joined = True
                self._verdict_of_before(actor)
            else:
                self._reconcile(actor, evse, snapshot.at_ns)
            actor.guard_seen(evse)
            reason = _ends_transaction(evse)
            if reason is not None and actor.session.transaction is not None:
                actor.tell(facts.StopAsked(reason=reason))
        if joining:
            self._history = []
            self._station.recovery.done()
            self.joined.set()
        self._station.limits.look()
        self._station.snapshots.changed()

    def _verdict_of_before(self, actor: EvseActor) -> None:
        """The backend's word about the card came, and the station died before acting on it."""
        running = actor.session.transaction
        verdict = self._station.recovery.verdicts.get(running.id) if running is not None else None
        if running is not None and verdict is not None:
            self._station.answered(actor, running.id, verdict)

    def _still_looking(self, snapshot: Snapshot) -> bool:
        """Nobody is judged by what the guard has not seen yet; boards without sight never tell."""
        if self._first_seen_ns is None or snapshot.at_ns < self._first_seen_ns:
            self._first_seen_ns = snapshot.at_ns
        waited_s = (snapshot.at_ns - self._first_seen_ns) / 1e9
        unknown = any(evse.state == CpState.UNKNOWN.value for evse in snapshot.evses)
        return unknown and waited_s < PILOT_UNKNOWN_S

    def _reconcile(self, actor: EvseActor, evse: EvseSnapshot, at_ns: int) -> None:
        """The snapshot is the truth, also for facts that fell out of the ring."""
        plug_id = evse.plug_id if evse.plugged else None
        actor.tell(facts.PlugSeen(plug_id=plug_id, at=self._utc_of(at_ns)))
        closed = evse.contactor_closed or evse.contactor_commanded
        if closed != actor.session.contactor_closed:
            actor.tell(facts.ContactorSeen(closed=closed, at_ns=at_ns))
        running = actor.session.transaction is not None and not actor.session.ending
        if plug_id is not None and evse.offered_amps > 0 and not running:
            actor.tell(facts.OfferSeen(plug_id=plug_id))

    def _utc_of(self, at_ns: int) -> datetime:
        return self._station.clock.utc() - timedelta(
            microseconds=max(self._station.clock.monotonic_ns() - at_ns, 0) / 1000
        )


def _ends_transaction(snapshot: EvseSnapshot) -> StopReason | None:
    """The reason for which a fault ends a running transaction: those that only a person clears."""
    for fault in snapshot.faults:
        if fault.name == "emergency_stop":
            return StopReason.EMERGENCY_STOP
        kind = kind_of(fault.name)
        if kind.inoperative and kind.clearing is Clearing.COMMAND and not kind.retries:
            return StopReason.OTHER
    return None
