"""`chargepost run`: starts bench, guard and station, watches them, and ends with all of them.

Stays small (standard library only) because it lives as long as the station does.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from controller import __version__, safe_outputs
from controller.children import Child, ChildPlan, python_argv, wait_for_all
from controller.compiled import remove_own
from controller.start import WRONG, prepare

GUARD_WATCHDOG_S = 1.0
STATION_WATCHDOG_S = 30.0
END_S = 0.7
"""Time for a normal end; with the kill after it everything is over within a second."""
BENCH_LINGER_S = 5.0
RESTART_FIRST_S = 1.0
RESTART_MAX_S = 60.0
HEALTHY_S = 60.0
REDIAL_S = 0.05
PRIVATE = 0o077
"""Bits that no file or directory of a station gets: cards, addresses with passwords, keys are in them."""
LATE_S = 0.3
"""A supervisor that woke up this late was starved itself and does not blame its children at once."""

ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

SOFT_RESET = 3
HARD_RESET = 4
"""Exit codes by which the station asks for a restart of itself, or of everything."""

FACTORY_NEW = "CHARGEPOST_FACTORY_NEW"
"""Environment of the first guard of a station that has no state yet."""


def main(config: str) -> int:
    """Run until told to end. 0 = ended by a signal, 1 = the guard died, 2 = wrong configuration."""
    os.umask(PRIVATE)  # as the systemd units do; the children inherit it
    try:
        source, compiled = prepare(config)
    except OSError as error:
        say(f"cannot start: {error}", priority=3)
        return 1
    if compiled is None:
        return WRONG
    with open(source.state_dir / "run.lock", "a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            say(
                f"{source.state_dir} is in use by another run (pid {lock.read().strip()})",
                priority=3,
            )
            return 1
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        if not (source.state_dir / "station.db").exists():
            # The guard is told, because the station may make its files before the guard can look.
            os.environ[FACTORY_NEW] = "1"
        try:
            return Supervisor(compiled, plans(source.compiled, compiled)).run()
        finally:
            remove_own(Path(compiled["runtime_dir"]))


def plans(path: Path, installation: Mapping[str, Any]) -> dict[str, ChildPlan]:
    """The processes of an installation, in the order of their start."""
    found: dict[str, ChildPlan] = {}
    bench = installation.get("bench") or {}
    if bench.get("listen"):
        arguments = ["--installation", str(path), "--listen", bench["listen"]]
        arguments += ["--socket", str(Path(installation["runtime_dir"]) / "bench.sock")]
        arguments += ["--state", installation["state_dir"]]
        arguments += ["--outputs-on-death", bench.get("outputs_on_death", "kept")]
        arguments += ["--coil-gate"] if bench.get("coil_gate") else []
        found["bench"] = ChildPlan(
            name="bench",
            argv=python_argv("hal.sim.process", *arguments),
            death_signal=signal.SIGKILL,  # its port must be free again at once
        )
    found["guard"] = ChildPlan(
        name="guard",
        argv=python_argv("controller.guard.process", "--installation", str(path)),
        death_signal=signal.SIGTERM,  # it opens the contactors on its way out
        watchdog_s=GUARD_WATCHDOG_S,
        start_s=20.0,
    )
    found["station"] = ChildPlan(
        name="station",
        argv=python_argv("controller.app", "--installation", str(path)),
        death_signal=signal.SIGKILL,  # its store survives that, and a next run may start at once
        watchdog_s=STATION_WATCHDOG_S,
    )
    return found


class Supervisor:
    """One thread, one selector: process ends (pidfd), signs of life, signals and timers."""

    def __init__(self, installation: Mapping[str, Any], children: Mapping[str, ChildPlan]) -> None:
        self._installation = installation
        self._plans = children
        self._children: dict[str, Child] = {}
        self._selector = selectors.DefaultSelector()
        self._timers: dict[str, tuple[float, Callable[[], None]]] = {}
        self._exit_code: int | None = None
        self._restart_s = RESTART_FIRST_S
        self._hard_reset = False
        self._guard_dead = False
        self._bench_line: socket.socket | None = None

    def run(self) -> int:
        """Until a signal or the guard's death."""
        woken, wake = socket.socketpair()
        for end in (woken, wake):
            end.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        for number in ENDINGS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup asked for that
                signal.signal(number, lambda *_: None)  # the number arrives through the socket
        self._selector.register(
            woken, selectors.EVENT_READ, lambda: self._signalled(woken.recv(64))
        )
        try:
            for name in self._plans:
                self._start(name)
            self._greet()
            if self._installation.get("bench"):
                self._dial_bench()
            while self._exit_code is None:
                self._once()
        finally:
            self._end_all()
            self._selector.close()
            signal.set_wakeup_fd(-1)
            woken.close()
            wake.close()
        return self._exit_code or 0

    def _once(self) -> None:
        """Wait for the next thing to do and do it; signs of life come before the timers they move."""
        due = min((when for when, _ in self._timers.values()), default=None)
        wait = None if due is None else max(0.0, due - time.monotonic())
        for key, _ in self._selector.select(wait):
            if self._exit_code is None:
                key.data()
        now = time.monotonic()
        late = due is not None and now - due > LATE_S
        for name, (when, action) in list(self._timers.items()):
            if when > now or self._exit_code is not None or name not in self._timers:
                continue
            if late and name.endswith("-watchdog"):
                self._timers[name] = (now + LATE_S, action)
                continue
            del self._timers[name]
            action()

    def _start(self, name: str) -> None:
        child = Child(self._plans[name])
        if name == "guard":
            os.environ.pop(FACTORY_NEW, None)  # for its next start the file must be there
        self._children[name] = child
        self._selector.register(child.pidfd, selectors.EVENT_READ, lambda: self._ended(child))
        self._selector.register(child.notes, selectors.EVENT_READ, lambda: self._alive(child))
        if child.plan.watchdog_s:
            self._after(child.plan.start_s, f"{name}-watchdog", lambda: self._hung(child))

    def _alive(self, child: Child) -> None:
        if child.signs_of_life() and child.plan.watchdog_s:
            self._after(
                child.plan.watchdog_s, f"{child.plan.name}-watchdog", lambda: self._hung(child)
            )

    def _hung(self, child: Child) -> None:
        after = child.plan.watchdog_s if child.alive_seen else child.plan.start_s
        say(f"{child.plan.name} gave no sign of life for {after:g} s: killed", priority=3)
        child.send(signal.SIGKILL)

    def _ended(self, child: Child) -> None:
        name = child.plan.name
        self._selector.unregister(child.pidfd)
        self._selector.unregister(child.notes)
        self._timers.pop(f"{name}-watchdog", None)
        code = child.reap()
        if name == "guard":
            self._guard_ended(code)
        elif name == "station":
            self._station_ended(code)
        else:
            say(
                f"the virtual hardware ended ({_how(code)}): nothing is left to control", priority=3
            )
            self._exit_code = 1

    def _guard_ended(self, code: int) -> None:
        make_safe(self._installation)
        if self._hard_reset:
            self._hard_reset = False
            self._timers.pop("guard-kill", None)
            self._start("guard")
            self._start("station")
            return
        say(f"the guard ended ({_how(code)}): outputs safe, the station is stopped", priority=2)
        self._guard_dead = True
        self._timers.pop("station-restart", None)
        station = self._children["station"]
        station.send(signal.SIGTERM)
        self._after(END_S, "station-kill", lambda: station.send(signal.SIGKILL))
        linger = BENCH_LINGER_S if "bench" in self._plans else END_S
        self._after(linger, "over", self._over)

    def _over(self) -> None:
        self._exit_code = 1

    def _station_ended(self, code: int) -> None:
        self._timers.pop("station-healthy", None)
        if self._guard_dead:
            if "bench" not in self._plans:
                self._over()
            return
        if code == SOFT_RESET:
            say("the station restarts as asked")
            self._start("station")
        elif code == HARD_RESET:
            say("guard and station restart as asked")
            guard = self._children["guard"]
            self._hard_reset = True
            guard.send(signal.SIGTERM)
            self._after(END_S, "guard-kill", lambda: guard.send(signal.SIGKILL))
        else:
            say(
                f"the station ended ({_how(code)}): next start in {self._restart_s:g} s", priority=3
            )
            self._after(self._restart_s, "station-restart", self._restart_station)
            self._restart_s = min(2 * self._restart_s, RESTART_MAX_S)

    def _restart_station(self) -> None:
        self._start("station")
        self._after(HEALTHY_S, "station-healthy", self._station_healthy)

    def _station_healthy(self) -> None:
        self._restart_s = RESTART_FIRST_S

    def _signalled(self, numbers: bytes) -> None:
        if any(number in ENDINGS for number in numbers):
            self._exit_code = 1 if self._guard_dead else 0

    def _dial_bench(self) -> None:
        """Tell the bench who supervises; the line stays open for as long as this process lives."""
        from hal.errors import WireMissing
        from hal.sim.hello import bench_socket, compose_hello, dial

        try:
            hello = compose_hello(self._installation, "run")
            line, _, _ = dial(bench_socket(self._installation), hello, 0.0)
        except (OSError, WireMissing):
            self._after(REDIAL_S, "bench-dial", self._dial_bench)
            return
        self._bench_line = line
        self._selector.register(line, selectors.EVENT_READ, self._bench_said)

    def _bench_said(self) -> None:
        line = self._bench_line
        if line is None or _still_open(line):
            return
        self._selector.unregister(line)
        line.close()
        self._bench_line = None
        self._after(20 * REDIAL_S, "bench-dial", self._dial_bench)

    def _after(self, seconds: float, name: str, action: Callable[[], None]) -> None:
        self._timers[name] = (time.monotonic() + seconds, action)

    def _end_all(self) -> None:
        """Guard and station first, then the outputs once more, then the world around them."""
        inner = [child for name, child in self._children.items() if name != "bench"]
        for child in inner:
            child.send(signal.SIGTERM)
        if not wait_for_all(inner, END_S, time.monotonic):
            for child in inner:
                child.send(signal.SIGKILL)
            wait_for_all(inner, 1.0, time.monotonic)
        if self._children.get("guard") is not None:
            make_safe(self._installation)
        outer = [child for name, child in self._children.items() if name == "bench"]
        for number, seconds in ((signal.SIGTERM, 0.15), (signal.SIGKILL, 1.0)):
            for child in outer:
                child.send(number)
            wait_for_all(outer, seconds, time.monotonic)
        if self._bench_line is not None:
            self._bench_line.close()

    def _greet(self) -> None:
        station, bench = self._installation["station"], self._installation.get("bench") or {}
        where = f"; page http://{page}/" if (page := self._installation.get("web_listen")) else ""
        if bench.get("listen"):
            where += f"; bench http://{bench['listen']}/bench"
        count = len(self._installation["evses"])
        say(f"chargepost {__version__}: station {station['id']}, {count} EVSE(s){where}")


def make_safe(installation: Mapping[str, Any]) -> None:
    """Outputs off, whoever had them; says what could not be done."""
    for result in safe_outputs.make_safe(installation):
        if result.problem:
            say(str(result), priority=2)


def say(text: str, *, priority: int = 6) -> None:
    """One line on stderr in the shape of `log.py`, without the logging package."""
    if os.environ.get("JOURNAL_STREAM"):
        print(f"<{priority}>{text}", file=sys.stderr, flush=True)
        return
    now = time.time()
    level = {2: "critical", 3: "error", 4: "warning"}.get(priority, "info")
    at = time.strftime("%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}"
    print(f"{at} {'run':<7} {level:<7} {text}", file=sys.stderr, flush=True)


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"


def _still_open(line: socket.socket) -> bool:
    try:
        return bool(line.recv(4096, socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
    except OSError:
        return False
