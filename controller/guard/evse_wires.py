"""One EVSE's drivers and its guard: look at the wires, let the guard decide, drive the outputs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from controller.core.connector import LockCommand
from controller.core.evse_guard import EvseGuard
from controller.core.guard_values import SAFE, GuardInputs, GuardOutputs
from hal.errors import HalError
from hal.ports import (
    ConnectorLock,
    Contactor,
    ControlPilot,
    EdgeSource,
    EmergencyStop,
    Heartbeat,
    PilotInSteps,
    ProximityPilot,
    ResidualCurrent,
    Thermometer,
)
from hal.types import LockState, PilotReading

logger = logging.getLogger(__name__)

MAX_TOLD = 16
"""Different texts of one trouble that are logged."""
TEMPERATURE_EVERY_NS = 1_000_000_000


Pilot = tuple[PilotReading | None, str]
"""A window, None = unreadable, and what failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseParts:
    """The opened drivers of one EVSE; None = the part does not exist."""

    pilot: ControlPilot
    contactor: Contactor | None
    rcd: ResidualCurrent | None = None
    lock: ConnectorLock | None = None
    proximity: ProximityPilot | None = None
    thermometer: Thermometer | None = None


class EvseWires:
    """Runs one EVSE. Whatever a driver raises opens this EVSE's contactor and becomes a fault.

    That is why exceptions are caught blindly here: none may end the loop of the other EVSEs.
    """

    def __init__(
        self, parts: EvseParts, guard: EvseGuard, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.guard = guard
        self._parts = parts
        self._now_ns = now_ns
        contactor: Any = parts.contactor
        self._stop: EmergencyStop | None = (
            contactor if isinstance(contactor, EmergencyStop) else None
        )
        self._heartbeat: Heartbeat | None = contactor if isinstance(contactor, Heartbeat) else None
        self._in_steps = parts.pilot if isinstance(parts.pilot, PilotInSteps) else None
        self._applied: GuardOutputs | None = None
        self._closed = False
        self._rcd_test_absent = parts.rcd is None
        self._output_error = ""
        self._internal = ""
        self._mirror: bool | None = None
        self._tripped = self._pressed = False
        self._lock_state = LockState.NONE
        self._ohms: float | None = None
        self._celsius: float | None = None
        self._celsius_next_ns = 0
        self._told_errors: set[str] = set()

    def on_edge(self, wake: Callable[[], None]) -> None:
        """Let every input that gives edges wake the tick."""
        parts: tuple[Any, ...] = (self._parts.contactor, self._parts.rcd, self._parts.pilot)
        for part in parts:
            if isinstance(part, EdgeSource):
                part.on_edge(wake)

    def tick(self, fresh: bool) -> None:
        """One round alone: levels, a pilot window if `fresh`, the decision."""
        tick_together((self,), fresh)

    def look(self) -> None:
        """The levels of every input; an emergency stop or a trip opens here, before the pilot window."""
        parts = self._parts
        self._internal, self._mirror, self._tripped, self._pressed = (
            self._output_error,
            None,
            False,
            False,
        )
        self._lock_state, self._ohms = LockState.NONE, None
        try:
            self._pressed = self._stop is not None and self._stop.is_pressed()
            self._tripped = parts.rcd is not None and parts.rcd.is_tripped()
            if self._closed and (self._pressed or (self._tripped and self.guard.trip_counts)):
                self._open_now()
            if parts.contactor is not None:
                self._mirror = parts.contactor.is_closed()
            if parts.lock is not None:
                self._lock_state = parts.lock.state()
            if parts.proximity is not None and self.guard.outputs.read_proximity:
                self._ohms = parts.proximity.read_ohms()
            if parts.thermometer is not None and self._now_ns() >= self._celsius_next_ns:
                self._celsius_next_ns = self._now_ns() + TEMPERATURE_EVERY_NS
                self._celsius = parts.thermometer.read_celsius()
        except Exception as error:  # noqa: BLE001
            self._internal = self._failed("an input", error)

    def window(self) -> Generator[float, None, Pilot]:
        """The pilot: what was read and what failed; yields waits in seconds if the driver can."""
        try:
            if self._in_steps is not None:
                return (yield from self._in_steps.read_steps()), ""
            return self._parts.pilot.read(), ""
        except (HalError, OSError) as error:
            return None, self._failed("the pilot", error)
        except Exception as error:  # noqa: BLE001
            return None, self._failed("the pilot driver", error)

    def decide(self, pilot: Pilot | None) -> None:
        """Let the guard decide on what was seen and drive the outputs; None = no window this time."""
        try:
            outputs = self.guard.tick(self._seen(pilot), self._now_ns())
        except Exception as error:  # noqa: BLE001
            self._tell_error(f"the guard itself failed: {error!r}", error)
            self.guard.faults.raise_("internal", repr(error), self._now_ns())
            outputs = SAFE
        self._output_error = self._apply(outputs)

    def make_safe(self) -> None:
        """Contactor open, pilot x1, test output off; every step is tried."""
        for step in self._safe_steps():
            try:
                step()
            except Exception as error:  # noqa: BLE001
                self._tell_error(f"making safe failed: {error!r}", None)

    def close(self) -> None:
        """Make safe and release the drivers."""
        self.make_safe()
        parts = self._parts
        for part in (
            parts.contactor,
            parts.pilot,
            parts.rcd,
            parts.lock,
            parts.proximity,
            parts.thermometer,
        ):
            if part is not None:
                try:
                    part.close()
                except Exception as error:  # noqa: BLE001
                    logger.error(
                        "EVSE %d: closing a driver failed: %r", self.guard.settings.evse, error
                    )

    def _safe_steps(self) -> list[Callable[[], None]]:
        parts = self._parts
        steps: list[Callable[[], None]] = []
        if parts.contactor is not None:
            contactor = parts.contactor
            steps.append(lambda: contactor.permit(False))
        steps.append(lambda: parts.pilot.set_duty(SAFE.duty))
        if parts.rcd is not None:
            steps.append(parts.rcd.end_self_test)
        return steps

    def _seen(self, pilot: Pilot | None) -> GuardInputs:
        reading, pilot_error = pilot or (None, "")
        if not self._internal and not pilot_error:
            self._told_errors.clear()
        return GuardInputs(
            fresh=pilot is not None,
            reading=reading,
            mirror=self._mirror,
            rcd_tripped=self._tripped,
            rcd_test_absent=self._rcd_test_absent,
            emergency_stop=self._pressed,
            lock=self._lock_state,
            pp_ohms=self._ohms,
            celsius=self._celsius,
            pilot_error=pilot_error,
            internal_error=self._internal,
        )

    # --- outputs ----------------------------------------------------------------------------------

    def _apply(self, outputs: GuardOutputs) -> str:
        """Drive everything; returns what failed, "" = nothing."""
        parts, applied = self._parts, self._applied
        try:
            if parts.contactor is not None:
                parts.contactor.permit(outputs.closed)
            self._closed = outputs.closed
            if self._heartbeat is not None:
                self._heartbeat.beat()
            if applied is None or outputs.duty != applied.duty or self._output_error:
                parts.pilot.set_duty(outputs.duty)
            if parts.rcd is not None and outputs.rcd_test != (
                applied is not None and applied.rcd_test
            ):
                if outputs.rcd_test:
                    self._rcd_test_absent = not parts.rcd.start_self_test()
                else:
                    parts.rcd.end_self_test()
            if parts.lock is not None and outputs.lock is not None:
                if outputs.lock is LockCommand.LOCK:
                    parts.lock.lock()
                else:
                    parts.lock.unlock()
        except Exception as error:  # noqa: BLE001
            text = self._failed("an output", error)
            self.make_safe()
            self._applied = None
            return text
        self._applied = outputs
        return ""

    def _open_now(self) -> None:
        if self._parts.contactor is not None:
            self._parts.contactor.permit(False)
        self._closed = False

    def _failed(self, what: str, error: Exception) -> str:
        text = f"{what} failed: {error}" if str(error) else f"{what} failed: {error!r}"
        self._tell_error(text, None if isinstance(error, (HalError, OSError)) else error)
        return text

    def _tell_error(self, text: str, error: Exception | None) -> None:
        """Log a failure once, not a hundred times a second."""
        if text not in self._told_errors:
            if len(self._told_errors) >= MAX_TOLD:  # a text that never is the same
                return
            self._told_errors.add(text)
            logger.error("EVSE %d: %s", self.guard.settings.evse, text, exc_info=error)


def tick_together(evses: Sequence[EvseWires], fresh: bool) -> None:
    """One round of all. `fresh`: with a pilot window; False after an edge, when levels alone are looked at.

    The windows run side by side: four of 2.7 ms one after another would not fit a tick of 10 ms.
    """
    for evse in evses:
        evse.look()
    pilots = _read_together([evse.window() for evse in evses]) if fresh else {}
    for index, evse in enumerate(evses):
        evse.decide(pilots.get(index))


def _read_together(windows: Sequence[Generator[float, None, Pilot]]) -> dict[int, Pilot]:
    """What each window found, by its place."""
    found: dict[int, Pilot] = {}
    while len(found) < len(windows):
        wait_s = 0.0
        for index, window in enumerate(windows):
            if index not in found:
                try:
                    wait_s = max(wait_s, next(window))
                except StopIteration as end:
                    found[index] = end.value
        if wait_s > 0:
            time.sleep(wait_s)
    return found
