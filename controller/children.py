"""Child processes that die with their parent and tell it that they are alive. Standard library only."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

_PR_SET_PDEATHSIG = 1


class ChildPlan(NamedTuple):
    """What to start. `watchdog_s` 0 = not watched; `start_s`: time until the first sign of life."""

    name: str
    argv: tuple[str, ...]
    death_signal: signal.Signals
    watchdog_s: float = 0.0
    start_s: float = 60.0


def python_argv(module: str, *arguments: str) -> tuple[str, ...]:
    """This interpreter running `module`, without the current directory on its path."""
    house = Path(__file__).parent
    found = sys.path if sys.flags.safe_path else sys.path[1:]
    paths = dict.fromkeys((str(house.parent), *found))
    launcher = str(house / "launch.py")
    return (sys.executable, "-P", "-S", launcher, os.pathsep.join(paths), module, *arguments)


class Child:
    """One running process. Ends exactly once: `exit_code` is None until `reap` saw the end."""

    def __init__(self, plan: ChildPlan) -> None:
        self.plan = plan
        self.exit_code: int | None = None
        self.alive_seen = False
        """A READY=1 or WATCHDOG=1 has come."""
        self.notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        address = f"chargepost/{os.getpid()}/{plan.name}/{os.urandom(4).hex()}"
        self.notes.bind("\0" + address)
        environment = {**os.environ, "NOTIFY_SOCKET": "@" + address}
        environment.pop("WATCHDOG_PID", None)
        if plan.watchdog_s:
            environment["WATCHDOG_USEC"] = str(round(plan.watchdog_s * 1e6))
        self._process = subprocess.Popen(
            plan.argv,
            stdin=subprocess.DEVNULL,
            env=environment,
            process_group=0,  # Ctrl-C is for the supervisor alone
            preexec_fn=_die_with_parent(plan.death_signal),
        )
        self.pid = self._process.pid
        self.pidfd = os.pidfd_open(self.pid)

    @property
    def running(self) -> bool:
        """Not reaped yet."""
        return self.exit_code is None

    def signs_of_life(self) -> bool:
        """Read what the child sent; True if it was alive since the last call."""
        seen = False
        while True:
            try:
                text = self.notes.recv(4096)
            except BlockingIOError:
                break
            seen = seen or b"WATCHDOG=1" in text or b"READY=1" in text
        self.alive_seen = self.alive_seen or seen
        return seen

    def send(self, number: signal.Signals) -> None:
        """Signal it, if it still runs."""
        if self.running:
            self._process.send_signal(number)

    def reap(self) -> int:
        """Take the exit code (negative = signal). Only when `pidfd` is readable, else it waits."""
        self.exit_code = self._process.wait()
        os.close(self.pidfd)
        self.notes.close()
        return self.exit_code


def wait_for_all(children: Sequence[Child], seconds: float, now: Callable[[], float]) -> bool:
    """Wait until all have ended, at most `seconds`; reaps those that did."""
    deadline = now() + seconds
    while True:
        running = [child for child in children if child.running]
        if not running:
            return True
        left = deadline - now()
        poller = select.poll()
        for child in running:
            poller.register(child.pidfd, select.POLLIN)
        ready = {fd for fd, _ in poller.poll(max(0.0, left) * 1000)}
        for child in running:
            if child.pidfd in ready:
                child.reap()
        if not ready and left <= 0:
            return False


def _die_with_parent(number: signal.Signals) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def in_child() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it died before the request
            os._exit(1)

    return in_child
