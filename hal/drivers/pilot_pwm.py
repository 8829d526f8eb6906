"""Control pilot on the computer's own hardware PWM, seen through a peak and a valley hold.

Reference: IEC 61851-1 Annex A; Linux Documentation/ABI/testing/sysfs-class-pwm; docs/wiring.md
"Control pilot". At 6 A the pilot is high for 100 us of each millisecond, so single samples of the
raw pilot miss it nine times in ten: the front end holds the extremes; each window resets it.

A window is two sub-windows of more than one PWM period each, with a gap between them. If they
disagree, something shorter than the window happened: the reading is `mixed` and tells no state.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from hal.adc import CONVERTERS, MCP3208, Converter
from hal.bus import Claim, bus_of, header_of, owner_name
from hal.errors import HalError, WireMissing
from hal.pins import Output, open_output
from hal.registry import driver
from hal.settings import setting
from hal.types import PilotAbilities, PilotReading
from hal.wires import Wires

PERIOD_NS = 1_000_000
"""1 kHz (IEC 61851-1 Table A.6)."""
SUB_WINDOW_S = 0.0011
"""Longer than one PWM period, so that both extremes occur in each."""
GAP_S = 0.0005
"""Between the sub-windows; a 20 ms burst stays out of a third window though ticks come close."""
AGREE_VOLTS = 1.0
EXPORT_WAIT_S = 1.0
"""udev needs a moment to hand an exported channel to the group gpio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where PWM and converter are, and how the front end scales."""

    chip: str = setting(
        "PWM chip: its name (pwmchip0) or part of its device's name (1f00098000.pwm, 3f20c000.pwm)"
    )
    channel: int = setting("PWM channel of the chip", default=0, minimum=0, maximum=15)
    inverted: bool = setting("the level shifter inverts: pin high = -12 V", default=False)
    spi_bus: int = setting("SPI bus of the converter", default=0, minimum=0, maximum=6)
    spi_device: int = setting("SPI chip select of the converter", default=0, minimum=0, maximum=3)
    adc: str = setting("converter", default=MCP3208, choices=CONVERTERS)
    peak_channel: int = setting(
        "converter channel of the peak hold", default=0, minimum=0, maximum=7
    )
    valley_channel: int = setting(
        "converter channel of the valley hold", default=1, minimum=0, maximum=7
    )
    hold_reset_pin: int = setting(
        "output that resets both holds, active high, at least 5 us", minimum=0, maximum=53
    )
    vref: float = setting(
        "reference voltage of the converter, V", default=3.3, minimum=1, maximum=5.5
    )
    midpoint: float = setting(
        "converter input at a pilot of 0 V, V", default=1.65, minimum=0, maximum=5.5
    )
    scale: float = setting("pilot volts per converter volt", default=10.0, minimum=1, maximum=50)
    gain: float = setting(
        "calibration: factor on the pilot volts", default=1.0, minimum=0.8, maximum=1.2
    )
    offset: float = setting(
        "calibration: added to the pilot volts, V", default=0.0, minimum=-2, maximum=2
    )


@driver("pilot", "pwm", Settings)
class PwmPilot:
    """Starts at x1 (static +12 V) without passing through any other level."""

    abilities = PilotAbilities(sees_state=True, checks_diode=True)

    def __init__(self, settings: Settings, wires: Wires, evse: int) -> None:
        self._settings = settings
        self._peak = settings.peak_channel
        self._valley = settings.valley_channel
        self._to_cp = settings.scale * settings.gain
        self._at_zero = settings.offset - settings.midpoint * self._to_cp
        self._claim: Claim | None = None
        self._pwm: _SysfsPwm | None = None
        self._adc: Converter | None = None
        self._reset: Output | None = None
        try:
            chip = _find_chip(wires.pwm_root(evse), settings.chip)
            self._claim = bus_of(wires).claim(
                ("pwm", header_of(wires, evse), str(chip), settings.channel),
                f"PWM {settings.chip} channel {settings.channel}",
                owner_name("pilot", evse),
            )
            self._pwm = _SysfsPwm(chip, settings.channel, self._on_ns(1.0))
            self._adc = Converter(
                wires,
                evse,
                "pilot",
                kind=settings.adc,
                spi_bus=settings.spi_bus,
                spi_device=settings.spi_device,
                channels=(self._peak, self._valley),
                vref=settings.vref,
            )
            self._reset = open_output(wires, evse, "pilot hold reset", settings.hold_reset_pin)
        except HalError:
            self.close()
            raise

    def read(self) -> PilotReading | None:
        """One window of 2.7 ms; None = the converter does not answer."""
        steps = self.read_steps()
        while True:
            try:
                time.sleep(next(steps))
            except StopIteration as end:
                reading: PilotReading | None = end.value
                return reading

    def read_steps(self) -> Generator[float, None, PilotReading | None]:
        """The same window; yields its waits, so that the windows of several pilots run together."""
        assert self._adc is not None, "read after close"
        try:
            self._reset_holds()
            yield SUB_WINDOW_S
            high_1, low_1 = self._extremes(self._adc)
            yield GAP_S
            self._reset_holds()
            yield SUB_WINDOW_S
            high_2, low_2 = self._extremes(self._adc)
        except OSError:
            return None
        return PilotReading(
            volts_high=(high_1 + high_2) / 2,
            volts_low=(low_1 + low_2) / 2,
            taken_at_ns=time.monotonic_ns(),
            mixed=abs(high_1 - high_2) > AGREE_VOLTS or abs(low_1 - low_2) > AGREE_VOLTS,
        )

    def set_duty(self, duty: float) -> None:
        """Signal a duty cycle, 0.0 to 1.0; rounded down, so the EV never reads more."""
        assert self._pwm is not None, "set_duty after close"
        self._pwm.set_on_ns(self._on_ns(duty))

    def close(self) -> None:
        """Leave the pilot at x1, PWM running at 100 %, and release the wires."""
        if self._pwm is not None:
            self._pwm.set_on_ns(self._on_ns(1.0))
            self._pwm.close()
            self._pwm = None
        if self._reset is not None:
            self._reset.close()
            self._reset = None
        if self._adc is not None:
            self._adc.close()
            self._adc = None
        if self._claim is not None:
            self._claim.release()
            self._claim = None

    def _reset_holds(self) -> None:
        """From here on the holds collect the highest and the lowest voltage."""
        assert self._reset is not None, "read after close"
        self._reset.write(True)  # two calls of gpiozero are more than 5 us apart
        self._reset.write(False)

    def _extremes(self, adc: Converter) -> tuple[float, float]:
        """Pilot volts (highest, lowest) since the reset."""
        high = adc.read_volts(self._peak) * self._to_cp + self._at_zero
        low = adc.read_volts(self._valley) * self._to_cp + self._at_zero
        return high, low

    def _on_ns(self, duty: float) -> int:
        """How long the *pin* is high in each period."""
        # The tiny addend undoes binary rounding: 0.57 * 1e6 is 569999.9999999999.
        on = int(min(max(duty, 0.0), 1.0) * PERIOD_NS + 1e-6)
        return PERIOD_NS - on if self._settings.inverted else on


class _SysfsPwm:
    """One exported channel; its duty file stays open."""

    def __init__(self, chip: Path, channel: int, on_ns: int) -> None:
        self._place = f"{chip.name} channel {channel}"
        self._on_ns = -1
        directory = chip / f"pwm{channel}"
        try:
            if not directory.is_dir():
                _write_when_ready(chip / "export", str(channel))
            period = _open_when_ready(directory / "period")
            try:
                self._duty_fd = _open_when_ready(directory / "duty_cycle")
                try:
                    self._take_over(directory, period, on_ns)
                except OSError:
                    os.close(self._duty_fd)
                    raise
            finally:
                os.close(period)
        except OSError as error:
            raise WireMissing(
                f"PWM {self._place} cannot be used ({error.strerror}): enable it with "
                "dtoverlay=pwm-2chan and join the group gpio (docs/wiring.md)"
            ) from error

    def set_on_ns(self, on_ns: int) -> None:
        """High time per period. Raises WireMissing when the chip is gone."""
        if on_ns == self._on_ns:
            return
        try:
            os.pwrite(self._duty_fd, b"%d\n" % on_ns, 0)
        except OSError as error:
            raise WireMissing(f"PWM {self._place} is gone ({error.strerror})") from error
        self._on_ns = on_ns

    def close(self) -> None:
        """Close the file; the kernel goes on with the last duty."""
        os.close(self._duty_fd)

    def _take_over(self, directory: Path, period: int, on_ns: int) -> None:
        """Set period, then duty; duty <= period at every step, and no step signals -12 V."""
        if _number(period) != PERIOD_NS:
            if _number(self._duty_fd) > PERIOD_NS:
                os.pwrite(self._duty_fd, b"%d\n" % PERIOD_NS, 0)
            os.pwrite(period, b"%d\n" % PERIOD_NS, 0)
        os.pwrite(self._duty_fd, b"%d\n" % on_ns, 0)
        self._on_ns = on_ns
        enable = _open_when_ready(directory / "enable")
        try:
            os.pwrite(enable, b"1\n", 0)
        finally:
            os.close(enable)


def _find_chip(root: Path, wanted: str) -> Path:
    """The chip called `wanted`, or the one whose device has it in its name."""
    by_name = root / wanted
    if wanted.startswith("pwmchip") and by_name.is_dir():
        return by_name
    chips = sorted(root.glob("pwmchip*"))
    found = [chip for chip in chips if wanted in _device(chip)]
    if len(found) == 1:
        return found[0]
    there = ", ".join(f"{chip.name} ({_device(chip)})" for chip in chips) or "none"
    problem = "several PWM chips match" if found else "no PWM chip is called"
    raise WireMissing(
        f"{problem} {wanted!r}; there are: {there}. On a Raspberry Pi enable one with "
        "dtoverlay=pwm-2chan (docs/wiring.md)"
    )


def _device(chip: Path) -> str:
    """Name of the device behind a chip, "" when unknown."""
    try:
        return os.path.basename(os.readlink(chip / "device"))
    except OSError:
        return ""


def _number(fd: int) -> int:
    """The number in a sysfs file."""
    return int(os.pread(fd, 32, 0).split()[0])


def _open_when_ready(path: Path) -> int:
    """Open read-write; waits up to a second for the file and its group to appear."""
    give_up = time.monotonic() + EXPORT_WAIT_S
    while True:
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.ENOENT) or time.monotonic() >= give_up:
                raise
        time.sleep(0.02)


def _write_when_ready(path: Path, text: str) -> None:
    """Write once the file is ours; a channel that is exported already is fine."""
    give_up = time.monotonic() + EXPORT_WAIT_S
    while True:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            break
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.ENOENT) or time.monotonic() >= give_up:
                raise
        time.sleep(0.02)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
    finally:
        os.close(fd)
