"""A stand-in for guard, station or bench: `run_child.py NAME DIR`, steered by files in DIR.

Appends its pid to DIR/NAME.pids and says every 50 ms that it is alive. DIR/NAME.exit (a number): ends
with that code once. DIR/NAME.silent: says nothing any more. DIR/NAME.stubborn: ignores SIGTERM.
SIGTERM otherwise appends to DIR/NAME.ended and exits 0.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from controller.notify import notify

name, directory = sys.argv[1], Path(sys.argv[2])
stop = threading.Event()


def ended(*_: object) -> None:
    if not (directory / f"{name}.stubborn").exists():
        with (directory / f"{name}.ended").open("a") as file:
            file.write("SIGTERM\n")
        stop.set()


def main() -> int:
    import os

    signal.signal(signal.SIGTERM, ended)
    notify("READY=1")  # before it can be found: a test that stops it must find the watchdog armed
    with (directory / f"{name}.pids").open("a") as file:
        file.write(f"{os.getpid()}\n")
    while not stop.wait(0.05):
        if not (directory / f"{name}.silent").exists():
            notify("WATCHDOG=1")
        asked = directory / f"{name}.exit"
        if asked.exists():
            code = int(asked.read_text())
            asked.unlink()
            return code
    return 0


sys.exit(main())
