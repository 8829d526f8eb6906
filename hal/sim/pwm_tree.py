"""A directory that behaves like the kernel's PWM class: the bench owns it, drivers write to it."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path

PERIOD_NS = 1_000_000
CHANNELS = 2
_FILES = {"duty_cycle": b"0\n", "enable": b"0\n", "period": b"0\n", "polarity": b"normal\n"}

IN_MODIFY = 0x2
IN_CLOSE_WRITE = 0x8
IN_NONBLOCK = os.O_NONBLOCK
IN_CLOEXEC = os.O_CLOEXEC
_EVENT = struct.Struct("iIII")


def create_chip(root: Path, chip: str) -> Path:
    """Make `chip` with nothing exported."""
    directory = root / chip
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "npwm").write_text(f"{CHANNELS}\n")
    (directory / "export").write_bytes(b"")
    (directory / "unexport").write_bytes(b"")
    return directory


def export(chip: Path, channel: int) -> None:
    """Make pwmN with the values a fresh channel has; an exported one stays as it is."""
    final = chip / f"pwm{channel}"
    if final.exists():
        return
    made = chip / f".pwm{channel}"
    made.mkdir(exist_ok=True)
    for name, value in _FILES.items():
        (made / name).write_bytes(value)
    made.rename(final)


class PwmView:
    """Reads one channel as the pilot's waveform. `inverted`: the level shifter inverts."""

    def __init__(self, directory: Path, *, inverted: bool = False) -> None:
        self._directory = directory
        self._inverted = inverted
        self._fds: tuple[int, ...] = ()
        self._raw: tuple[bytes, ...] = ()
        self.period_ns = PERIOD_NS
        self.high_ns = PERIOD_NS if inverted else 0
        """High time per period; a channel that is not exported or not enabled leaves its pin low."""

    @property
    def duty(self) -> float:
        """Fraction of the period at +12 V."""
        return self.high_ns / self.period_ns

    def refresh(self) -> bool:
        """Read the files again; True if the waveform changed."""
        if not self._fds:
            try:
                self._fds = tuple(os.open(self._directory / n, os.O_RDONLY) for n in _FILES)
            except OSError:
                return False
        duty_fd, enable_fd, period_fd, polarity_fd = self._fds
        raw = (os.pread(duty_fd, 32, 0), os.pread(enable_fd, 32, 0))
        if raw == self._raw or b"" in raw:
            return False  # period and polarity are written before duty and enable
        self._raw = raw
        duty, enable, period = _number(raw[0]), _number(raw[1]), _number(os.pread(period_fd, 32, 0))
        inverted = os.pread(polarity_fd, 32, 0).startswith(b"inversed") != self._inverted
        before = (self.period_ns, self.high_ns)
        self.period_ns = period or PERIOD_NS
        high = min(duty, self.period_ns) if enable and period else 0
        self.high_ns = self.period_ns - high if inverted else high
        return before != (self.period_ns, self.high_ns)

    def close(self) -> None:
        """Close the files."""
        for fd in self._fds:
            os.close(fd)
        self._fds = ()


def _number(text: bytes) -> int:
    """The first line as a number; a longer old text may stand behind it."""
    try:
        return int(text.split(b"\n", 1)[0])
    except ValueError:
        return 0


class Watch:
    """Tells about writes below some directories, by inotify: nothing is polled."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._calls: dict[int, Callable[[str], None]] = {}

    def fileno(self) -> int:
        """For the event loop."""
        return self._fd

    def add(self, directory: Path, call: Callable[[str], None]) -> None:
        """Call with the file's name after each write in `directory`."""
        number = self._libc.inotify_add_watch(
            self._fd, os.fsencode(directory), ctypes.c_uint32(IN_MODIFY | IN_CLOSE_WRITE)
        )
        if number < 0:
            raise OSError(ctypes.get_errno(), f"inotify_add_watch {directory}")
        self._calls[number] = call

    def dispatch(self) -> None:
        """Handle what is waiting; for `loop.add_reader`."""
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        seen: set[tuple[int, str]] = set()
        at = 0
        while at < len(data):
            number, _, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size
            name = os.fsdecode(data[at : at + length].rstrip(b"\0"))
            at += length
            seen.add((number, name))
        for number, name in sorted(seen):
            self._calls[number](name)

    def close(self) -> None:
        """Stop watching."""
        os.close(self._fd)
