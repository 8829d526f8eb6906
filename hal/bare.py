"""Two kinds of outputs made safe with system calls alone: a GPIO line and a channel of the PWM class.

For the moments when the process that owned them is dead and nothing may take long:
no library, nothing that can fail to import. Kernel ABI: include/uapi/linux/gpio.h (v2).
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

HEADER_CHIPS = ("pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-bcm2712", "pinctrl-rp1")
"""Labels of the chips behind the 40-pin header, Raspberry Pi 1 to 5."""

_GET_CHIPINFO = 0x8044B401
_GET_LINE = 0xC250B407
_FLAG_OUTPUT = 1 << 3
_ATTR_OUTPUT_VALUES = 2

_CHIPINFO = struct.Struct("=32s32sI")
_LINE_REQUEST = struct.Struct("=I252x32sQI20xIIQQ216xII20xi")


def drive(pin: int, high: bool, devices: Path = Path("/dev")) -> None:
    """Drive one line of the header; it is let go at once (an external pull keeps it). Raises OSError."""
    chip = os.open(header_chip(devices), os.O_RDWR | os.O_CLOEXEC)
    try:
        request = bytearray(line_request(pin, high))
        fcntl.ioctl(chip, _GET_LINE, request)
        os.close(_LINE_REQUEST.unpack(request)[-1])
    finally:
        os.close(chip)


def line_request(pin: int, high: bool) -> bytes:
    """The struct gpio_v2_line_request for one output with its first level."""
    fields = (_FLAG_OUTPUT, 1, _ATTR_OUTPUT_VALUES, 0, int(high), 1)
    return _LINE_REQUEST.pack(pin, b"chargepost safe-outputs", *fields, 1, 0, 0)


def header_chip(devices: Path = Path("/dev")) -> Path:
    """The GPIO character device of the 40-pin header. Raises FileNotFoundError."""
    for path in sorted(devices.glob("gpiochip*")):
        info = bytearray(_CHIPINFO.size)
        try:
            chip = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.ioctl(chip, _GET_CHIPINFO, info)
        except OSError:
            continue
        finally:
            os.close(chip)
        if info[32:64].split(b"\0")[0].decode() in HEADER_CHIPS:
            return path
    raise FileNotFoundError(f"no GPIO chip of a Raspberry Pi in {devices}")


def end_pwm(root: Path, chip: str, channel: int, *, inverted: bool) -> bool:
    """The pin stays at the level that means +12 V on the pilot (x1). False = never exported.

    `chip`: its name or part of its device's name. `inverted`: pin high means -12 V.
    """
    done = False
    for place in sorted(root.glob("pwmchip*")):
        if chip != place.name and chip not in _device(place):
            continue
        directory = place / f"pwm{channel}"
        try:
            period = int((directory / "period").read_bytes().split(b"\n", 1)[0])
        except FileNotFoundError:
            continue
        if period:
            _write(directory / "duty_cycle", 0 if inverted else period)
            _write(directory / "enable", 1)
        done = True
    return done


def _device(chip: Path) -> str:
    try:
        return os.path.basename(os.readlink(chip / "device"))
    except OSError:
        return ""


def _write(path: Path, value: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, b"%d\n" % value)
    finally:
        os.close(file)
