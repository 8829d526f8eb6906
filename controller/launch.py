"""Starts one of the other processes: `python -P -S launch.py PATHS MODULE ARGUMENT…`.

PATHS is the caller's search path, so that neither `site` nor `runpy` has to work it out again: a quarter
of the time until a small process does something. MODULE has `main(arguments)`, which returns the exit code.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module

if __name__ == "__main__":
    sys.path[:] = sys.argv[1].split(os.pathsep)
    gc.disable()  # what is loaded does not become garbage
    main = import_module(sys.argv[2]).main
    gc.enable()
    sys.exit(main(sys.argv[3:]))
