"""What was going on when the station stopped, and why it starts now (DESIGN §1.4, §1.5, §2)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from controller.clock import Clock
from controller.core import facts
from controller.core.guard_messages import EvseSnapshot, FactKind
from controller.core.guard_messages import Fact as GuardFact
from controller.core.life import LIFE_S
from controller.core.model import (
    BootReason,
    IdTokenInfo,
    ResetKind,
    StopReason,
    Transaction,
)
from controller.ports import GuardLink
from controller.station.evse import EvseActor
from controller.station.stores import StationStore

_log = logging.getLogger(__name__)

_RESET = "restart/reset"
"""JSON of the Reset that was asked for, until it is done."""
_STOPPED = "restart/stopped"
"""Boot id under which the station was told to stop."""
_BOOT = "restart/boot"
"""Boot id under which the station ran last."""
MARGIN_S = 60.0
"""A moment of life that came late, and the normal end after the guard's hold offer."""
BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


class Recovery:
    """Reads the store once at the start; tells each actor what the guard's first words mean for it."""

    def __init__(
        self, store: StationStore, clock: Clock, boot_id_file: Path = BOOT_ID_FILE
    ) -> None:
        self._store = store
        self._clock = clock
        self._boot_id_file = boot_id_file
        self.transactions: dict[int, Transaction] = {}
        self.last_known_wh: dict[int, float] = {}
        self.verdicts: dict[str, IdTokenInfo] = {}
        self.boot_reason = BootReason.UNKNOWN
        self._reset: StopReason | None = None
        self._orderly = False

    async def load(self, evses: Iterable[int]) -> None:
        """Open transactions, last registers, marks of the last stop."""
        values = self._store.values
        self.transactions = await self._store.transactions.open_transactions()
        self.verdicts = await self._store.transactions.verdicts()
        for evse, running in self.transactions.items():
            self.last_known_wh[evse] = running.last_meter_wh or running.meter_start_wh
        for evse in evses:
            last = await self._store.transactions.last(evse)
            if last is not None and last.meter_stop_wh is not None:
                self.last_known_wh[evse] = last.meter_stop_wh
        reset, stopped = await values.get(_RESET), await values.get(_STOPPED)
        ran_under, boot_id = await values.get(_BOOT), self.boot_id()
        self._reset = StopReason(json.loads(reset)["reason"]) if reset else None
        self._orderly = stopped is not None
        if self._reset is not None:
            self.boot_reason = BootReason.REMOTE_RESET
        elif ran_under is None or ran_under != boot_id:
            self.boot_reason = BootReason.POWER_UP
        elif self._orderly:
            self.boot_reason = BootReason.LOCAL_RESET
        else:
            self.boot_reason = BootReason.WATCHDOG
        for name, value in ((_RESET, None), (_STOPPED, None), (_BOOT, boot_id)):
            await values.put(name, value)

    def register(self, running: Transaction, hold_s: float) -> tuple[float, float]:
        """The last register kept of an open transaction, and for how many seconds energy may have
        flowed since. The host's clock may be wrong after a boot, so it cannot shorten that time.
        """
        known = running.last_meter_wh
        wh = running.meter_start_wh if known is None else max(known, running.meter_start_wh)
        seen_at = running.last_seen_at or running.started_at
        passed_s = (self._clock.utc() - seen_at).total_seconds()
        return wh, max(passed_s, LIFE_S + hold_s + MARGIN_S)

    async def joined(
        self,
        actor: EvseActor,
        evse: EvseSnapshot,
        history: Iterable[GuardFact],
        guard: GuardLink,
        utc_of: Callable[[int], datetime],
    ) -> facts.GuardJoined:
        """The first words of a guard about one EVSE."""
        own = [fact for fact in history if fact.evse == actor.id]
        running = actor.session.transaction
        unplugged_at = None
        if running is not None:
            gone = [f for f in own if f.kind is FactKind.UNPLUGGED and f.plug_id == running.plug_id]
            unplugged_at = utc_of(gone[0].at_ns) if gone else None
        opened = [f.at_ns for f in own if f.kind is FactKind.CONTACTOR_OPENED]
        last = await self._store.transactions.last(actor.id)
        here = (guard.guard_id, evse.plug_id)
        mark = await self._store.values.get(f"used/{actor.id}")
        used = mark == f"{here[0]}:{here[1]}"
        its_own = last is not None and (last.guard_id, last.plug_id) == here
        deauthorized = last is not None and last.stop_reason is StopReason.DE_AUTHORIZED
        return facts.GuardJoined(
            guard_id=guard.guard_id,
            boot_id=guard.boot_id,
            plug_id=evse.plug_id if evse.plugged else None,
            contactor_closed=evse.contactor_closed or evse.contactor_commanded,
            contactor_opened_ns=opened[-1] if opened else 0,
            unplugged_at=unplugged_at,
            used=used or its_own,
            reset=self._reset,
            orderly=self._orderly,
            offered=evse.offered_amps > 0,
            refused=last if its_own and deauthorized else None,
        )

    def started_by_update(self) -> None:
        """The stop before this start was for new firmware."""
        self.boot_reason = BootReason.FIRMWARE_UPDATE

    def done(self) -> None:
        """All EVSEs have joined; what follows has nothing to do with the last stop."""
        self._reset, self._orderly = None, False

    async def resetting(self, kind: ResetKind, reason: StopReason) -> None:
        """A Reset begins: what is not ended by then ends with its reason after the restart."""
        mark = json.dumps({"kind": kind.value, "reason": reason.value})
        try:
            await self._store.values.put(_RESET, mark)
        except Exception as error:  # noqa: BLE001 - the reset goes on without the mark
            _log.error("the reset was not recorded: %s", error)

    async def stopping(self, actors: Iterable[EvseActor]) -> None:
        """The station was told to stop: keep the last moment of life."""
        try:
            await self._store.values.put(_STOPPED, self.boot_id())
            for actor in actors:
                if actor.session.transaction is not None:
                    await actor.store_life(actor.session.transaction)
        except Exception as error:  # noqa: BLE001 - the stop goes on without the mark
            _log.error("the stop was not recorded: %s", error)

    def boot_id(self) -> str:
        """Identity of the computer's boot."""
        try:
            return self._boot_id_file.read_text(encoding="ascii").strip()
        except OSError:
            return "unknown"
