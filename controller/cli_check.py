"""`chargepost check`."""

from __future__ import annotations

import json
import sys

from controller.config import check


def check_file(path: str, *, as_json: bool) -> int:
    """All problems on stderr (or everything as JSON on stdout). 0 = good, 2 = problems."""
    verdict = check(path)
    if as_json:
        print(json.dumps(verdict.to_dict(), indent=1))
        return 2 if verdict.problems else 0
    for line in verdict.lines() or [f"warning: {line}" for line in verdict.warning_lines()]:
        print(line, file=sys.stderr)
    if verdict.problems:
        return 2
    print(f"{path}: good")
    return 0
