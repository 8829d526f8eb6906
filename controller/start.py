"""From a configuration file to compiled settings, as fast as possible and with the outputs open first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller import safe_outputs
from controller.children import python_argv
from controller.compiled import Source, make_private, read_source

WRONG = 2
"""Exit code of a wrong configuration."""


def prepare(config: str | Path) -> tuple[Source, Mapping[str, Any] | None]:
    """The compiled settings; None = the file has problems, which stand on stderr by then.

    Settings that fit the file are used at once. Otherwise the outputs are opened (pins as far as the
    unchecked file tells) before the slow validation, which runs in a process of its own.
    """
    source = read_source(config)
    compiled = source.fresh_compiled()
    if compiled is None:
        for result in safe_outputs.make_safe(safe_outputs.installation_of(source)):
            if result.problem:
                print(result, file=sys.stderr)
        argv = python_argv("controller.config", str(config))
        if subprocess.run(argv, check=False, stdin=subprocess.DEVNULL).returncode:
            return source, None
        source = read_source(config)
        compiled = source.fresh_compiled()
        if compiled is None:
            print(f"{config}: changed while it was read; start again", file=sys.stderr)
            return source, None
    make_private(Path(compiled["runtime_dir"]))
    return source, compiled
