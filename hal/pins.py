"""Digital pins on gpiozero: the only product module that imports it.

Levels here are electrical: True = high. What a level means is the driver's business. Faults are
wired so that a broken wire reads as the fault: the pull points away from the healthy level.
Reference: https://gpiozero.readthedocs.io (OutputDevice, DigitalInputDevice)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hal.bus import Bus, Claim, bus_of, header_of, owner_name
from hal.errors import HalPermanentError, Misconfigured, WireInUse, WireMissing
from hal.wires import Wires

LOW, HIGH = "low", "high"
LEVELS = (LOW, HIGH)


class Output:
    """One active-high output, low until told otherwise."""

    def __init__(self, device: Any, claim: Claim) -> None:
        self._device = device
        self._claim = claim
        self._pin = device.pin

    def write(self, high: bool) -> None:
        """Drive the pin (past the device's own checks: this is done several hundred times a second)."""
        self._pin.state = high

    def read(self) -> bool:
        """The level that is driven now."""
        return bool(self._device.value)

    def close(self) -> None:
        """Drive low, then let go: it becomes an input and an external pull-down must hold it."""
        if not self._device.closed:
            self._device.off()
            self._device.close()
        self._claim.release()


class Input:
    """One input with a pull resistor."""

    def __init__(self, device: Any, claim: Claim) -> None:
        self._device = device
        self._claim = claim
        self._pin = device.pin

    def is_high(self) -> bool:
        """The electrical level now."""
        return bool(self._pin.state)

    def on_edge(self, wake: Callable[[], None]) -> None:
        """Call `wake` at each change, from any thread."""
        self._device.when_activated = lambda: wake()
        self._device.when_deactivated = lambda: wake()

    def close(self) -> None:
        """Let the pin go."""
        self._device.close()
        self._claim.release()


def open_output(wires: Wires, evse: int, part: str, pin: int) -> Output:
    """An output for `part`, low. Raises WireInUse, WireMissing, Misconfigured."""
    claim = _claim(wires, evse, part, pin)
    try:
        import gpiozero  # type: ignore[import-untyped,unused-ignore]

        device = gpiozero.OutputDevice(
            pin, active_high=True, initial_value=False, pin_factory=wires.pin_factory(evse)
        )
    except Exception as error:
        claim.release()
        raise _translated(error, part, evse, pin) from error
    return Output(device, claim)


def open_input(wires: Wires, evse: int, part: str, pin: int, *, pull_up: bool) -> Input:
    """An input for `part`. Raises WireInUse, WireMissing, Misconfigured."""
    claim = _claim(wires, evse, part, pin)
    try:
        import gpiozero  # type: ignore[import-untyped,unused-ignore]

        device = gpiozero.DigitalInputDevice(
            pin, pull_up=pull_up, pin_factory=wires.pin_factory(evse)
        )
    except Exception as error:
        claim.release()
        raise _translated(error, part, evse, pin) from error
    return Input(device, claim)


def _claim(wires: Wires, evse: int, part: str, pin: int) -> Claim:
    bus: Bus = bus_of(wires)
    key = ("pin", header_of(wires, evse), pin)
    return bus.claim(key, f"GPIO{pin}", owner_name(part, evse))


def _translated(error: Exception, part: str, evse: int, pin: int) -> HalPermanentError:
    """What gpiozero or the kernel said, in our words."""
    import gpiozero.exc  # type: ignore[import-untyped,unused-ignore]

    where = f"{owner_name(part, evse)}, GPIO{pin}"
    if isinstance(error, gpiozero.exc.GPIOPinInUse):
        return WireInUse(f"{where}: the pin is in use by something else in this process ({error})")
    if isinstance(error, gpiozero.exc.BadPinFactory):
        return WireMissing(
            f"{where}: this computer has no usable GPIO; on a Raspberry Pi install python3-lgpio "
            "and join the group gpio, elsewhere use virtual wires"
        )
    if isinstance(error, (gpiozero.exc.PinInvalidPin, gpiozero.exc.PinError)):
        return Misconfigured(f"{where}: {error}")
    if "busy" in str(error).lower():
        return WireInUse(f"{where}: the pin is in use by another program ({error})")
    return WireMissing(f"{where}: {error}")
