"""The registers with which transactions begin and end, signed where the meter signs (REG-EICH-6)."""

from __future__ import annotations

import logging
from collections.abc import Callable

from controller.clock import Clock
from controller.core import facts
from controller.core.commands import ReadEnd
from controller.core.guard_messages import EvseSnapshot
from controller.core.session import EvseSession
from controller.core.session_state import END_READ_WAIT_S
from controller.station.bolt import Bolt
from controller.station.meter_watch import MeterWatch
from controller.station.metering import SECOND_NS, MeterPoller
from controller.station.signed_metering import UNSIGNED, Signer
from controller.station.waiting import Tasks, within

_log = logging.getLogger(__name__)

BEGIN_AGE_S = 1.5
"""With the contactor open the register stands still, so a poll this young is a fresh one."""
BEGIN_WAIT_S = 3.0
"""How long a start waits for a poll before the last known register has to do."""


class Readings:
    """Of one EVSE. Each reading comes back to the session as a fact with the number it was asked by."""

    def __init__(
        self,
        *,
        session: EvseSession,
        poller: MeterPoller | None,
        signer: Signer | None,
        bolt: Bolt,
        meter: MeterWatch,
        clock: Clock,
        tasks: Tasks,
        tell: Callable[[facts.Fact], None],
        tell_first: Callable[[facts.Fact], None],
        look: Callable[[], EvseSnapshot | None],
    ) -> None:
        """`tell_first` goes before all facts that wait; `look` gives the guard's newest state."""
        self._session = session
        self._poller = poller
        self._signer = signer
        self._bolt = bolt
        self._meter = meter
        self._clock = clock
        self._tasks = tasks
        self._tell = tell
        self._tell_first = tell_first
        self._look = look

    def begin(self, read: int) -> None:
        """A transaction begins when everything is there for it, also the bolt (TC_024)."""
        if self._bolt.exists:
            self._tasks.aside(self._begin_locked(read), "lock")
        else:
            self._begin(read)

    async def _begin_locked(self, read: int) -> None:
        if await self._bolt.closes():
            self._begin(read)
        else:
            refused = "the cable could not be locked"
            wh = self._meter.last_known_wh
            self._tell(facts.BeginRead(read=read, energy_wh=wh, refused=refused))

    def _begin(self, read: int) -> None:
        if self._signer is not None and self._signer.policy.transactions:
            self._tasks.aside(self._begin_signed(read, self._signer), "signed begin value")
            return
        if self._poller is None:
            self._tell(facts.BeginRead(read=read, energy_wh=self._meter.last_known_wh or 0.0))
            return
        fresh = self._poller.newest(BEGIN_AGE_S)
        seen = self._look()
        contactor_open = seen is not None and not seen.contactor_closed
        opened_ns = self._session.contactor_opened_ns
        if fresh is not None and contactor_open and fresh.taken_at_ns > opened_ns:
            self._tell_first(facts.BeginRead(read=read, energy_wh=fresh.energy_wh))
            return
        self._tasks.aside(self._begin_slowly(read, self._poller), "begin value")

    async def _begin_signed(self, read: int, signer: Signer) -> None:
        """The contactor is open until the begin value is signed (REG-EICH-6)."""
        grant = self._session.grant
        signed = await signer.begin(grant.id_token if grant is not None else None)
        reading = None
        if self._poller is not None:
            since_ns = self._session.contactor_opened_ns + 1
            reading = await within(self._poller.after(since_ns), self._clock, BEGIN_WAIT_S)
        known = reading.energy_wh if reading is not None else self._meter.last_known_wh
        unsigned = UNSIGNED if signed is None else ""
        self._tell(facts.BeginRead(read=read, energy_wh=known, signed=signed, unsigned=unsigned))

    async def _begin_slowly(self, read: int, poller: MeterPoller) -> None:
        young_ns = self._clock.monotonic_ns() - int(BEGIN_AGE_S * SECOND_NS)
        since = max(young_ns, self._session.contactor_opened_ns + 1)
        reading = await within(poller.after(since), self._clock, BEGIN_WAIT_S)
        # The contactor was open all the time: the last known register is still the true one.
        known = reading.energy_wh if reading is not None else self._meter.last_known_wh
        if reading is None:
            evse = self._session.evse
            _log.warning("evse=%d starts with the last known register: %s Wh", evse, known)
        self._tell(facts.BeginRead(read=read, energy_wh=known))

    async def end(self, command: ReadEnd) -> None:
        """The register after the contactor has opened and the meter has shown it."""
        if self._poller is None:
            wh = self._meter.last_known_wh or 0.0
            self._tell(facts.EndRead(read=command.read, energy_wh=wh))
            return
        refresh_ms = self._poller.latest.refresh_ms if self._poller.latest is not None else 0
        reading = self._poller.after(command.after_ns + refresh_ms * (SECOND_NS // 1000))
        running = self._session.transaction
        if self._signer is None or running is None or running.signed_begin is None:
            self._tell(facts.EndRead(read=command.read, energy_wh=(await reading).energy_wh))
            return
        last = await within(reading, self._clock, END_READ_WAIT_S)
        signed = await self._signer.end()
        energy_wh = last.energy_wh if last is not None else None
        self._tell(facts.EndRead(read=command.read, energy_wh=energy_wh, signed=signed))
