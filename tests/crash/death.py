"""A child that says what it has done, killed while it is at it."""

from __future__ import annotations

import subprocess
import sys
import time


def said_until_killed(module: str, *arguments: str, after_s: float) -> list[str]:
    """`python -m module …` says "ready" and then a line after each commit; SIGKILL `after_s` after "ready".

    Returns its whole lines: one that was cut off counts as not said.
    """
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(after_s)
        child.kill()
        lines = child.stdout.read().splitlines(keepends=True)
    return [line.rstrip("\n") for line in lines if line.endswith("\n")]
