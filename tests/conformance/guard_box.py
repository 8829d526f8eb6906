"""The real guard core in virtual time, and the station's link to it without a socket."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from controller.core.evse_guard import EvseGuard
from controller.core.faults import kind_of
from controller.core.guard_messages import (
    ClearFault,
    Fact,
    FactKind,
    Lock,
    Offer,
    RaiseFault,
    Snapshot,
    Unlock,
    Withdraw,
)
from controller.core.guard_values import EvseGuardSettings
from controller.core.installation import Installation
from controller.guard.evse_wires import EvseParts, EvseWires, tick_together
from controller.guard.latch_store import LatchStore
from controller.guard.ring import FactRing
from tests.conformance.virtual_time import VirtualLoop
from tests.conformance.world import (
    WorldContactor,
    WorldEvse,
    WorldLock,
    WorldPilot,
    WorldProximity,
    WorldRcd,
)

_MS = 1_000_000
TICK_NS = 10 * _MS
QUICK_NS = 100 * _MS
"""So long after a change every window counts: levels are debounced over three of them."""
LIVELY_TICK_NS = 50 * _MS
LIVELY_NS = 1500 * _MS
"""So long after a change something may be under way: contacts, lock, self-test."""
STEADY_TICK_NS = 500 * _MS
"""The pace while nothing has changed for a while: rules in seconds do not notice, tests run faster."""
SNAPSHOT_EVERY_NS = 1000 * _MS
OFFER_EVERY_S = 1.0
FIRST_PLUG_ID = 1000


class GuardBox:
    """One life of the guard process."""

    def __init__(
        self,
        loop: VirtualLoop,
        installation: Installation,
        world: Mapping[int, WorldEvse],
        *,
        number: int,
        boot_id: str,
    ) -> None:
        self._loop = loop
        self.guard_id = f"guard-{number}"
        self.boot_id = boot_id
        self.alive = True
        self.ring = FactRing()
        self.links: list[LabGuardLink] = []
        self._latches = LatchStore(Path(installation.state_dir))
        latched = self._latches.load()
        self.evses = {
            evse.id: _wires(installation, evse.id, world[evse.id], latched, number, loop.now_ns)
            for evse in installation.evses
        }
        self._all = tuple(self.evses.values())
        self._outputs: list[Any] = [None] * len(self._all)
        self._fresh: list[Fact] = [
            Fact(n=0, at_ns=loop.now_ns(), evse=0, kind=FactKind.GUARD_STARTED)
        ]
        self._changed_ns = loop.now_ns()
        self._next_snapshot_ns = 0
        self._due_ns = loop.now_ns()
        self._timer: asyncio.TimerHandle | None = None
        for evse in world.values():
            evse.changed = self.look_soon
        self._save()
        self._tick()

    def look_soon(self) -> None:
        """An input changed: the slow pace is over."""
        now_ns = self._loop.now_ns()
        self._changed_ns = now_ns
        if self.alive and self._due_ns > now_ns + TICK_NS:
            self._schedule(now_ns + TICK_NS)

    def end(self, *, outputs_safe: bool) -> None:
        """The process is gone. `outputs_safe`: somebody opened the outputs; otherwise they stay."""
        self.alive = False
        if self._timer is not None:
            self._timer.cancel()
        if outputs_safe:
            for evse in self._all:
                evse.make_safe()
        for link in list(self.links):
            link.lost()

    def feed(self, message: Any) -> None:
        """One message of the station."""
        guard = self.evses[message.evse].guard
        renewed = (
            isinstance(message, Offer)
            and guard.offers.amps == message.max_amps
            and message.plug_id == guard.plug_id
        )
        guard.feed(message, self._loop.now_ns())
        if not renewed:
            self.look_soon()

    def snapshot(self) -> Snapshot:
        """Everything now."""
        return Snapshot(
            at_ns=self._loop.now_ns(),
            last_n=self.ring.last_n,
            evses=tuple(evse.guard.snapshot() for evse in self._all),
        )

    def _tick(self) -> None:
        now_ns = self._loop.now_ns()
        tick_together(self._all, True)
        for index, evse in enumerate(self._all):
            self._fresh += evse.guard.take_facts()
            if evse.guard.outputs is not self._outputs[index]:
                self._outputs[index] = evse.guard.outputs
                self._changed_ns = now_ns
        if any(evse.guard.faults.changed for evse in self._all):
            self._save()
        if self._fresh:
            self._changed_ns = now_ns
            facts, self._fresh = self.ring.add(self._fresh), []
            for link in self.links:
                link.take(facts, self.snapshot())
        elif now_ns >= self._next_snapshot_ns:
            for link in self.links:
                link.take([], self.snapshot())
        if now_ns >= self._next_snapshot_ns:
            self._next_snapshot_ns = now_ns + SNAPSHOT_EVERY_NS
        self._schedule(now_ns + self._pace_ns(now_ns - self._changed_ns))

    @staticmethod
    def _pace_ns(quiet_ns: int) -> int:
        """Time to the next tick when nothing has changed for that long."""
        if quiet_ns < QUICK_NS:
            return TICK_NS
        return LIVELY_TICK_NS if quiet_ns < LIVELY_NS else STEADY_TICK_NS

    def _schedule(self, due_ns: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due_ns = due_ns
        self._timer = self._loop.call_at(due_ns / 1e9, self._tick)

    def _save(self) -> None:
        latched = {}
        for number, evse in self.evses.items():
            evse.guard.faults.changed = False
            latched[number] = evse.guard.faults.latched()
        self._latches.save(latched)


class LabGuardLink:
    """ports.GuardLink: what `GuardSocket` does, with messages handed over instead of written."""

    def __init__(self) -> None:
        self._box: GuardBox | None = None
        self._wanted: GuardBox | None = None
        self._guard_id = self._boot_id = ""
        self._seen_n = 0
        self._snapshot: Snapshot | None = None
        self._offers: dict[int, Offer] = {}
        self._withdrawn: dict[int, Withdraw] = {}
        self._raised: dict[tuple[int, str], RaiseFault] = {}
        self._up: asyncio.Queue[Fact | Snapshot] = asyncio.Queue()
        self._running = False

    def use(self, box: GuardBox) -> None:
        """The guard that lives from now on."""
        self._wanted = box
        if self._running:
            self._join(box)

    def lost(self) -> None:
        """The guard is gone."""
        if self._box is not None:
            self._box.links.remove(self)
        self._box = self._wanted = None

    def take(self, facts: list[Fact], snapshot: Snapshot) -> None:
        """News of the guard."""
        for fact in facts:
            if fact.n > self._seen_n:
                self._seen_n = fact.n
                self._up.put_nowait(fact)
        self._snapshot = snapshot
        self._up.put_nowait(snapshot)

    # --- GuardLink --------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        return self._box is not None

    @property
    def guard_id(self) -> str:
        return self._guard_id

    @property
    def boot_id(self) -> str:
        return self._boot_id

    @property
    def snapshot(self) -> Snapshot | None:
        return self._snapshot

    def offer(self, evse: int, plug_id: int, max_amps: float, phases: int) -> None:
        self._offers[evse] = Offer(evse=evse, plug_id=plug_id, max_amps=max_amps, phases=phases)
        self._withdrawn.pop(evse, None)
        self._send(self._offers[evse])

    def withdraw(self, evse: int, plug_id: int, why: str = "") -> None:
        self._offers.pop(evse, None)
        self._withdrawn[evse] = Withdraw(evse=evse, plug_id=plug_id, why=why)
        self._send(self._withdrawn[evse])

    def raise_fault(self, evse: int, name: str, detail: str = "") -> None:
        message = RaiseFault(evse=evse, name=name, detail=detail)
        if not kind_of(name).momentary:
            self._raised[(evse, name)] = message
        self._send(message)

    def clear_fault(self, evse: int, name: str, by: str = "cause") -> None:
        if by == "cause":
            self._raised.pop((evse, name), None)
        self._send(ClearFault(evse=evse, name=name, by=by))

    def lock(self, evse: int, *, keep: bool = False) -> None:
        self._send(Lock(evse=evse, keep=keep))

    def unlock(self, evse: int) -> None:
        self._send(Unlock(evse=evse))

    async def facts(self) -> AsyncIterator[Fact | Snapshot]:
        while True:
            yield await self._up.get()

    async def run(self) -> None:
        self._running = True
        try:
            if self._wanted is not None:
                self._join(self._wanted)
            while True:
                await asyncio.sleep(OFFER_EVERY_S)
                for offer in list(self._offers.values()):
                    self._send(offer)
        finally:
            self._running = False
            self.lost()

    # --- inside -----------------------------------------------------------------------------------

    def _join(self, box: GuardBox) -> None:
        if box.guard_id != self._guard_id:
            self._seen_n, self._snapshot = 0, None
            self._offers.clear()
            self._withdrawn.clear()
        self._box, self._guard_id, self._boot_id = box, box.guard_id, box.boot_id
        box.links.append(self)
        for message in itertools.chain(
            self._raised.values(), self._withdrawn.values(), self._offers.values()
        ):
            self._send(message)
        self.take(box.ring.since(self._seen_n), box.snapshot())

    def _send(self, message: Any) -> None:
        if self._box is not None:
            self._box.feed(message)


def _wires(
    installation: Installation,
    number: int,
    world: WorldEvse,
    latched: Mapping[int, Mapping[str, str]],
    life: int,
    now_ns: Any,
) -> EvseWires:
    evse = next(e for e in installation.evses if e.id == number)
    parts = EvseParts(
        pilot=WorldPilot(world),
        contactor=WorldContactor(world),
        rcd=WorldRcd(world) if evse.rcd is not None else None,
        lock=WorldLock(world, world.lock) if world.lock is not None else None,
        proximity=WorldProximity(world) if evse.proximity is not None else None,
    )
    settings = EvseGuardSettings(
        evse=number,
        abilities=parts.pilot.abilities,
        max_amps=evse.max_amps,
        phases=evse.phases,
        failsafe_amps=installation.charging.failsafe_amps,
        hold_s=installation.charging.hold_s,
        has_rcd=parts.rcd is not None,
        has_proximity=parts.proximity is not None,
    )
    guard = EvseGuard(
        settings,
        first_plug_id=FIRST_PLUG_ID * life + 100 * number,
        latched=latched.get(number, {}),
        now_ns=now_ns(),
    )
    return EvseWires(parts, guard, now_ns)
