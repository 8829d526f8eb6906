"""Makes a process mortal: it is gone at its n-th touch of the disk, as by SIGKILL."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

DIED = 77
TOUCHES = ("open", "fsync", "replace", "unlink", "mkdir", "fdopen")


def mortal(at: int) -> None:
    """From now on the `at`-th call that touches the disk is never made."""
    left = at

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def touched(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os._exit(DIED)
            return real(*args, **kwargs)

        return touched

    for name in TOUCHES:
        setattr(os, name, wrap(getattr(os, name)))
