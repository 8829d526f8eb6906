"""What believed readings and a lost meter mean for the EVSE."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from controller.clock import Clock
from controller.core import facts
from controller.core.guard_messages import EvseSnapshot
from controller.core.hindsight import Hindsight
from controller.core.metering import OverCurrentWatch
from controller.core.model import Transaction
from controller.core.session import EvseSession
from controller.ports import GuardLink
from controller.station.interruptions import Interruptions, Tell
from controller.station.metering import MeterPoller
from controller.station.surroundings import Surroundings
from hal.types import MeterReading


class MeterWatch:
    """The MeterEvents of one EVSE: last known register, gaps, over-current, energy for the session."""

    def __init__(
        self,
        *,
        session: EvseSession,
        poller: MeterPoller | None,
        guard: GuardLink,
        clock: Clock,
        around: Surroundings,
        tell_sample: Tell,
        tell: Callable[[facts.Fact], None],
        look: Callable[[], EvseSnapshot | None],
        last_known_wh: float | None,
    ) -> None:
        """`look` gives the guard's newest state; `last_known_wh` comes from the life before, if any."""
        self.last_known_wh = last_known_wh
        self._session = session
        self._poller = poller
        self._guard = guard
        self._clock = clock
        self._around = around
        self._tell = tell
        self._look = look
        self._last_read_at: datetime | None = None
        self._interruptions = Interruptions(tell_sample)
        self._over_current = OverCurrentWatch()

    def correct(self, hindsight: Hindsight) -> None:
        """The clock was wrong until now."""
        self._last_read_at = hindsight.perhaps(self._last_read_at)

    def meter_read(self, reading: MeterReading) -> None:
        """A believed reading."""
        self.last_known_wh = reading.energy_wh
        self._last_read_at = self._clock.utc()
        running = self._running
        if self._interruptions.read(running, self._last_read_at, reading):
            self._around.reports_waiting()
        if running is not None:
            self._tell(facts.EnergyMeasured(energy_wh=reading.energy_wh))
        snapshot = self._look()
        if snapshot is not None and snapshot.contactor_closed:
            seen = self._over_current.check(reading, snapshot.offered_amps)
            if seen:
                self._guard.raise_fault(self._session.evse, "over_current", seen)
            elif self._over_current.due_ns is not None and self._poller is not None:
                # The usual pace could cost another second: the contactor opens within 8 s.
                self._poller.poll_at(self._over_current.due_ns)
        else:
            self._over_current = OverCurrentWatch()

    def meter_fault(self, name: str, detail: str) -> None:
        """The meter is lost or lies."""
        running, last = self._running, self.last_known_wh
        if running is not None and last is not None:
            self._interruptions.begin(running, self._last_read_at, last)
            self._around.reports_waiting()
        self._guard.raise_fault(self._session.evse, name, detail)

    def meter_fine(self, name: str) -> None:
        """The meter is back."""
        self._guard.clear_fault(self._session.evse, name)

    def went_on(self, before: Transaction) -> None:
        """`before` was told to a guard; if it runs on with another one, there was no power in between."""
        running = self._running
        if running is None or running.guard_id == before.guard_id:
            return
        last = before.last_meter_wh if before.last_meter_wh is not None else before.meter_start_wh
        self._interruptions.begin(running, before.last_seen_at, last)
        self._around.reports_waiting()

    @property
    def _running(self) -> Transaction | None:
        return None if self._session.ending else self._session.transaction
