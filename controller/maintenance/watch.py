"""What is noticed without being asked: start, clock, memory, tampering become security events."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from controller.clock import Clock
from controller.core.model import BootReason, EvseView
from controller.core.security_events import SecurityEventType
from controller.core.settings import Settings
from controller.ports_maintenance import SecurityEvents

LOOK_S = 300.0
DISK_LEAST_BYTES = 64_000_000
MEMORY_LEAST_BYTES = 24_000_000
AGAIN_FACTOR = 2
"""What was scarce must be there this many times before scarcity is an event again."""
TAMPER_FAULTS = ("door", "tilt", "shock")
MEMORY_FILE = Path("/proc/meminfo")


class Watch:
    """Raises each event once, until its cause was gone."""

    def __init__(
        self, *, events: SecurityEvents, settings: Settings, clock: Clock, state_dir: Path
    ) -> None:
        self._events = events
        self._settings = settings
        self._clock = clock
        self._state_dir = state_dir
        self._scarce: set[str] = set()
        self._tampered: dict[int, frozenset[str]] = {}

    def started(self, reason: BootReason, store_note: str) -> None:
        """The station runs; `store_note`: "" or why nothing can be kept."""
        self._events.raise_event(SecurityEventType.STARTUP_OF_THE_DEVICE, reason.value)
        if reason not in (BootReason.POWER_UP, BootReason.UNKNOWN):
            self._events.raise_event(SecurityEventType.RESET_OR_REBOOT, reason.value)
        if store_note:
            self._events.raise_event(SecurityEventType.MEMORY_EXHAUSTION, store_note)

    def clock_set(self, step_s: float) -> None:
        """The clock was corrected by so many seconds."""
        least_s = self._settings.integer("ClockCtrlr.TimeAdjustmentReportingThreshold")
        if abs(step_s) > least_s:
            text = f"corrected by {step_s:+.0f} s"
            self._events.raise_event(SecurityEventType.SETTING_SYSTEM_TIME, text)

    def view_changed(self, view: EvseView) -> None:
        """Doors that open, stations that tilt."""
        now = frozenset(f.name for f in view.faults if f.name in TAMPER_FAULTS)
        new = now - self._tampered.get(view.evse, frozenset())
        known = frozenset[str]().union(*self._tampered.values()) if self._tampered else frozenset()
        self._tampered[view.evse] = now
        for name in sorted(new - known):  # one door opens for all EVSEs behind it
            self._events.raise_event(SecurityEventType.TAMPER_DETECTION_ACTIVATED, name)

    async def run(self) -> None:
        """Look at disk and memory now and then, for ever."""
        while True:
            await self._clock.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Whether disk or memory get scarce."""
        with contextlib.suppress(OSError):
            disk = os.statvfs(self._state_dir)
            self._weigh("disk", disk.f_bavail * disk.f_frsize, DISK_LEAST_BYTES)
        memory = _available_bytes()
        if memory is not None:
            self._weigh("memory", memory, MEMORY_LEAST_BYTES)

    def _weigh(self, what: str, free_bytes: int, least_bytes: int) -> None:
        if free_bytes >= AGAIN_FACTOR * least_bytes:
            self._scarce.discard(what)
        elif free_bytes < least_bytes and what not in self._scarce:
            self._scarce.add(what)
            text = f"{what}: {free_bytes // 1_000_000} MB are free"
            self._events.raise_event(SecurityEventType.MEMORY_EXHAUSTION, text)


def _available_bytes() -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in MEMORY_FILE.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None
