"""Virtual wires made in the test: gpiozero's mock pins, a PWM tree, an SPI converter, serial ports."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gpiozero.pins.mock import MockFactory

PERIOD_NS = 1_000_000


class FakeSpi:
    """MCP3208: channel 0 peak hold, 1 valley hold, 2 raw pilot, 3 PP; 1.65 V + pilot / 10.

    `plateaus(ns)` gives (high, low) at an instant; the PWM phase is `ns % 1 ms`. Like the sysfs file
    it reads the duty from the tree, so that the driver's own writing shapes what it sees.
    """

    def __init__(self, duty_ns: Callable[[], int], now_ns: Callable[[], int]) -> None:
        self.duty_ns = duty_ns
        self.now_ns = now_ns
        self.plateaus: Callable[[int], tuple[float, float]] = lambda ns: (12.0, -12.0)
        self.pp_volts = 3.3
        self.dead = False
        self.reset_at_ns = 0
        self.resets = 0

    def reset(self) -> None:
        """The holds start anew."""
        self.resets += 1
        self.reset_at_ns = self.now_ns()

    def pilot_at(self, ns: int) -> float:
        """Volts of the raw pilot at one instant."""
        high, low = self.plateaus(ns)
        return high if ns % PERIOD_NS < self.duty_ns() else low

    def volts(self, channel: int) -> float:
        """Volts at a converter input now."""
        now = self.now_ns()
        if channel == 3:
            return self.pp_volts
        if channel == 2:
            return 1.65 + self.pilot_at(now) / 10
        span = range(self.reset_at_ns, now, 10_000)
        seen = [self.pilot_at(ns) for ns in span] or [self.pilot_at(now)]
        return 1.65 + (max(seen) if channel == 0 else min(seen)) / 10

    def xfer2(self, data: list[int]) -> list[int]:
        """One conversion of an MCP3208."""
        if self.dead:
            raise OSError(5, "Input/output error")
        assert data[0] & 0x06 == 0x06 and len(data) == 3
        channel = (data[0] & 1) << 2 | data[1] >> 6
        code = min(4095, max(0, round(self.volts(channel) / 3.3 * 4096)))
        return [0, code >> 8, code & 0xFF]

    def close(self) -> None:
        """Nothing to release."""


class Clock:
    """CLOCK_MONOTONIC that stands still until somebody sleeps."""

    def __init__(self) -> None:
        self.ns = 5_000_000_000

    def monotonic_ns(self) -> int:
        """Now."""
        return self.ns

    def monotonic(self) -> float:
        """Now in seconds."""
        return self.ns / 1e9

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.ns += int(seconds * 1e9)


class TestWires:
    """What a driver gets instead of this computer's lines."""

    __test__ = False

    def __init__(self, tmp_path: Path, ports: Mapping[str, str] | None = None) -> None:
        self.factory = MockFactory()
        self.root = tmp_path / "pwm"
        self.clock = Clock()
        self.ports = dict(ports or {})
        self.spi_opened = 0
        self.spi_device = FakeSpi(self.duty_ns, self.clock.monotonic_ns)

    def add_pwm(self, chip: str = "pwmchip0", device: str = "1f00098000.pwm") -> Path:
        """A chip with channel 0 exported and the values of a fresh export."""
        directory = self.root / chip
        (directory / "pwm0").mkdir(parents=True)
        target = self.root / device
        target.mkdir(exist_ok=True)
        (directory / "device").symlink_to(target)
        for name in ("period", "duty_cycle", "enable"):
            (directory / "pwm0" / name).write_bytes(b"0\n")
        (directory / "export").write_bytes(b"")
        return directory

    def read(self, name: str, chip: str = "pwmchip0") -> int:
        """First line of a file of channel 0."""
        return int((self.root / chip / "pwm0" / name).read_bytes().split(b"\n")[0])

    def duty_ns(self) -> int:
        """What the tree says now."""
        return self.read("duty_cycle")

    def hold_reset_on(self, pin: int) -> None:
        """Connect a pin to the reset of the holds."""
        number = self.factory.pin(pin)
        change = number._change_state

        def changed(value: bool) -> Any:
            if number.state and not value:
                self.spi_device.reset()
            return change(value)

        number._change_state = changed

    def pin_factory(self, evse: int) -> Any:
        return self.factory

    def pwm_root(self, evse: int) -> Path:
        return self.root

    def spi(self, evse: int, bus: int, device: int, max_hz: int) -> Any:
        self.spi_opened += 1
        return self.spi_device

    def serial_port(self, evse: int, part: str, port: str) -> str:
        return self.ports.get(port, port)

    def close(self) -> None:
        self.factory.close()


def pty_pair() -> tuple[int, str]:
    """A raw pty: the far end as a file descriptor, the near end as a device file."""
    import pty
    import tty

    far, near = pty.openpty()
    tty.setraw(near)
    tty.setraw(far)
    path = os.ttyname(near)
    os.set_blocking(far, False)
    return far, path
