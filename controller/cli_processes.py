"""`chargepost guard` and `chargepost station`: this process becomes the one asked for."""

from __future__ import annotations

import os
import sys

from controller.children import python_argv
from controller.start import WRONG, prepare


def become(module: str, config: str) -> int:  # noqa: RET503  exec does not return
    """Check and compile if needed, then run `module` in place of this program (same pid)."""
    try:
        source, compiled = prepare(config)
    except OSError as error:
        print(f"chargepost: cannot start: {error}", file=sys.stderr)
        return 1
    if compiled is None:
        return WRONG
    argv = python_argv(module, "--installation", str(source.compiled))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(argv[0], argv)
