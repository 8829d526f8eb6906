"""The guard's loop: every EVSE each 10 ms (50 ms while nothing is plugged), by deadline, woken by edges."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from controller.core.guard_messages import (
    ClearFault,
    Down,
    Fact,
    FactKind,
    FactsSince,
    Hello,
    RaiseFault,
    Snapshot,
    SwitchPhases,
)
from controller.guard.evse_wires import EvseWires, tick_together
from controller.guard.latch_store import LatchStore, LatchWriter
from controller.guard.ring import FactRing
from controller.guard.server import GuardServer

logger = logging.getLogger(__name__)

_MS = 1_000_000
TICK_NS = 10 * _MS
IDLE_TICK_NS = 50 * _MS
CROWDED_NS = 5 * _MS
"""After a late tick the next one is at least this far away."""
SNAPSHOT_EVERY_NS = 1000 * _MS
WATCHDOG_EVERY_NS = 250 * _MS
LATE_NS = 100 * _MS
LATE_BUCKETS_MS = (1, 2, 5, 10, 20, 50, 100, 1000)


class Lateness:
    """How late ticks begin: the highest since the last snapshot, and a histogram for the log at the end."""

    def __init__(self) -> None:
        self.buckets = [0] * (len(LATE_BUCKETS_MS) + 1)
        self._max_ns = 0

    def record(self, late_ns: int) -> None:
        """One tick began `late_ns` after its deadline."""
        self._max_ns = max(self._max_ns, late_ns)
        late_ms = late_ns / _MS
        for index, limit in enumerate(LATE_BUCKETS_MS):
            if late_ms < limit:
                self.buckets[index] += 1
                return
        self.buckets[-1] += 1

    def max_ms(self) -> float:
        """The highest since `reset`."""
        return round(self._max_ns / _MS, 3)

    def reset(self) -> None:
        """Begin a new second."""
        self._max_ns = 0


class GuardLoop:
    """Owns EVSEs, facts and socket. `run` returns after `stop`; the caller makes the outputs safe."""

    def __init__(
        self,
        evses: Sequence[EvseWires],
        *,
        socket_path: Path,
        latch_store: LatchStore,
        guard_id: str,
        boot_id: str,
        alive: Callable[[str], None],
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._evses: Mapping[int, EvseWires] = {e.guard.settings.evse: e for e in evses}
        self._all = tuple(evses)
        self._alive = alive
        self._now_ns = now_ns
        self._ring = FactRing()
        self._server = GuardServer(
            socket_path,
            self._ring,
            guard_id=guard_id,
            boot_id=boot_id,
            handle=self._handle,
            snapshot=self.snapshot,
        )
        self._writer = LatchWriter(latch_store, self._server.wake)
        self._withheld: list[Fact] = [
            Fact(n=0, at_ns=now_ns(), evse=0, kind=FactKind.GUARD_STARTED)
        ]
        self._stopping = False
        self._next_snapshot_ns = 0
        self._next_alive_ns = 0
        self.lateness = Lateness()
        for evse in self._all:
            evse.on_edge(self._server.wake)

    def stop(self) -> None:
        """End `run` soon; from a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Tick until `stop`."""
        self._store_latched()  # the file exists from the first start on: its loss can be noticed
        deadline_ns = self._now_ns()
        ready = False
        while not self._stopping:
            now_ns = self._now_ns()
            self._record_lateness(now_ns - deadline_ns)
            self._tick_all(fresh=True)
            if not ready:
                self._alive("READY=1")
                ready = True
            deadline_ns = max(deadline_ns + self._period_ns(), self._now_ns() + CROWDED_NS)
            self._wait_until(deadline_ns)

    def close(self) -> None:
        """Finish writing, hang up."""
        self._writer.end(timeout_s=0.5)
        self._publish()
        self._server.close()

    def snapshot(self) -> Snapshot:
        """Everything now."""
        return Snapshot(
            at_ns=self._now_ns(),
            last_n=self._ring.last_n,
            evses=tuple(evse.guard.snapshot() for evse in self._all),
            tick_late_ms_max=self.lateness.max_ms(),
        )

    def _period_ns(self) -> int:
        return IDLE_TICK_NS if all(evse.guard.idle for evse in self._all) else TICK_NS

    def _wait_until(self, deadline_ns: int) -> None:
        """Serve clients and edges until the next tick is due."""
        while not self._stopping:
            left_ns = deadline_ns - self._now_ns()
            if left_ns <= 0:
                return
            if self._server.wait(left_ns / 1e9):
                self._tick_all(fresh=False)
                if self._period_ns() == TICK_NS:
                    deadline_ns = min(deadline_ns, self._now_ns() + TICK_NS)

    def _tick_all(self, *, fresh: bool) -> None:
        tick_together(self._all, fresh)
        for evse in self._all:
            self._withheld += evse.guard.take_facts()
        if any(evse.guard.faults.changed for evse in self._all):
            self._store_latched()
        now_ns = self._now_ns()
        if self._withheld and not self._writer.pending:
            self._publish()
            self._server.tell_snapshot()
        if now_ns >= self._next_snapshot_ns and not self._withheld:
            self._next_snapshot_ns = now_ns + SNAPSHOT_EVERY_NS
            self._server.tell_snapshot()
            self.lateness.reset()
        if fresh and now_ns >= self._next_alive_ns:
            self._next_alive_ns = now_ns + WATCHDOG_EVERY_NS
            self._alive("WATCHDOG=1")

    def _store_latched(self) -> None:
        latched = {}
        for number, evse in self._evses.items():
            evse.guard.faults.changed = False
            latched[number] = evse.guard.faults.latched()
        self._writer.submit(latched)

    def _publish(self) -> None:
        facts, self._withheld = self._withheld, []
        numbered = self._ring.add(facts)
        for fact in numbered:
            logger.info(
                "evse=%d %s%s%s", fact.evse, fact.kind.value,
                "" if fact.value is None else f" {fact.value}", f" ({fact.detail})" if fact.detail else "",
            )  # fmt: skip
        self._server.tell_facts(numbered)

    def _record_lateness(self, late_ns: int) -> None:
        self.lateness.record(late_ns)
        if late_ns > LATE_NS:
            logger.warning("a tick began %.0f ms late", late_ns / _MS)

    def _handle(self, message: Down) -> None:
        """One message of a client. Raises TypeError or ValueError for values that cannot be meant."""
        if isinstance(message, (Hello, FactsSince, SwitchPhases)):
            return  # the first two are the server's; no phase relay is driven here
        everywhere = message.evse == 0 and isinstance(message, (RaiseFault, ClearFault))
        evses = self._all if everywhere else (self._evses.get(message.evse),)
        for evse in evses:
            if evse is None:
                raise ValueError(f"there is no EVSE {message.evse}")
            if not evse.guard.feed(message, self._now_ns()):
                logger.info("evse=%d refused %s", message.evse, message)
