"""What the controller may ask of hardware: one small protocol per part.

Guard-side ports are synchronous and return at once (a pilot window may take 3 ms).
Station-side ports (Meter, CardReader) are asyncio.
Optional abilities are protocols of their own, found with `isinstance` (`runtime_checkable`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator
from typing import Protocol, runtime_checkable

from hal.types import (
    CardRead,
    LockState,
    MeterIdentity,
    MeterReading,
    PilotAbilities,
    PilotReading,
    SignedRecord,
    SigningContext,
)


class ControlPilot(Protocol):
    """The 1 kHz pilot of one EVSE."""

    @property
    def abilities(self) -> PilotAbilities:
        """What this front end can see and do."""
        ...

    def read(self) -> PilotReading | None:
        """One window of at least two PWM periods; None = nothing readable this time."""
        ...

    def set_duty(self, duty: float) -> None:
        """Signal a duty cycle: 1.0 = static +12 V (x1), 0.0 = static -12 V (state F)."""
        ...

    def close(self) -> None:
        """Leave the pilot at x1 (no PWM) and release the wires."""
        ...


@runtime_checkable
class PilotInSteps(Protocol):
    """A pilot whose window is mostly waiting, so that several can be read at the same time."""

    def read_steps(self) -> Generator[float, None, PilotReading | None]:
        """One window like `ControlPilot.read`; yields each wait in seconds instead of sleeping.

        A longer wait than asked for is fine; the generator may be closed before its end.
        """
        ...


class Contactor(Protocol):
    """The main power switch; driven by level, confirmed by its mirror contact."""

    def permit(self, closed: bool) -> None:
        """Drive the coil. Called every tick with the wanted level."""
        ...

    def is_closed(self) -> bool | None:
        """What the mirror contact says; None = no mirror contact wired."""
        ...

    def close(self) -> None:
        """Open the coil and release the wires."""
        ...


@runtime_checkable
class Heartbeat(Protocol):
    """A pin that must keep toggling for the coil gate to stay open."""

    def beat(self) -> None:
        """Toggle once; called every tick."""
        ...


@runtime_checkable
class EmergencyStop(Protocol):
    """A wired emergency stop; wire break reads as pressed."""

    def is_pressed(self) -> bool:
        """Level of the input now."""
        ...


@runtime_checkable
class EdgeSource(Protocol):
    """An input that can wake the guard's tick early."""

    def on_edge(self, wake: Callable[[], None]) -> None:
        """Call `wake` (any thread, must not block) when a safety input changes."""
        ...


class ResidualCurrent(Protocol):
    """RCD or 6 mA RDC-DD with its fault output; wire break reads as tripped."""

    def is_tripped(self) -> bool:
        """Level of the fault input now."""
        ...

    def start_self_test(self) -> bool:
        """Drive the test output; False = this device has none. The result shows as a trip."""
        ...

    def end_self_test(self) -> None:
        """Release the test output."""
        ...

    def close(self) -> None:
        """Release the wires."""
        ...


class ConnectorLock(Protocol):
    """Motor lock of a socket. Moves for a bounded time; `state` is polled each tick."""

    def lock(self) -> None:
        """Start to lock."""
        ...

    def unlock(self) -> None:
        """Start to unlock."""
        ...

    def state(self) -> LockState:
        """Where it is now; also ends the motor pulse when its time is over."""
        ...

    def close(self) -> None:
        """Stop the motor and release the wires."""
        ...


class ProximityPilot(Protocol):
    """Cable coding resistor of a socket outlet."""

    def read_ohms(self) -> float | None:
        """Resistance PP-PE in ohm; None = not readable, inf = open."""
        ...

    def close(self) -> None:
        """Release the wires."""
        ...


class Thermometer(Protocol):
    """One temperature sensor."""

    def read_celsius(self) -> float | None:
        """Temperature now; None = sensor not readable."""
        ...

    def close(self) -> None:
        """Release the wires."""
        ...


class Meter(Protocol):
    """The energy meter of one EVSE (asyncio)."""

    async def read(self) -> MeterReading:
        """Poll once. Raises MeterSilent, MeterGarbage, MeterRefused; invents no values."""
        ...

    async def identify(self) -> MeterIdentity:
        """Vendor, model and, where the meter tells it, serial number."""
        ...

    async def close(self) -> None:
        """Release the bus."""
        ...


@runtime_checkable
class SigningMeter(Protocol):
    """A meter that signs what will be billed (asyncio). All raise MeterSilent, MeterGarbage, MeterRefused.

    Its driver class says `signs = True`.
    """

    async def public_key(self) -> str:
        """The key as printed on the meter, hexadecimal or Base64; "" = the meter does not tell."""
        ...

    async def sign_begin(self, about: SigningContext) -> SignedRecord:
        """The register now, as the begin of a measurement; one that is open is given up."""
        ...

    async def sign_now(self) -> SignedRecord:
        """The register now, inside the open measurement."""
        ...

    async def sign_end(self) -> SignedRecord:
        """The register now, as the end; also after the meter was without power."""
        ...


class CardReader(Protocol):
    """A card reader (asyncio). A card held at the reader is one event."""

    def cards(self) -> AsyncIterator[CardRead]:
        """Cards as they are shown. Raises ReaderSilent once when the reader is lost.

        Call again at once: it retries quietly every few seconds (`ReaderHealth` tells the return).
        """
        ...

    async def close(self) -> None:
        """Release the port."""
        ...


@runtime_checkable
class ReaderHealth(Protocol):
    """A card reader that knows whether it is there; poll it to learn that a lost one is back."""

    @property
    def is_answering(self) -> bool:
        """False from the loss until the reader answers again (before the next card comes)."""
        ...
