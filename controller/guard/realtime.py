"""Real-time scheduling and locked memory, where permitted."""

from __future__ import annotations

import os
import resource

PRIORITY = 20
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_CAP_IPC_LOCK = 14


def become_real_time() -> list[str]:
    """SCHED_FIFO for all threads and mlockall; returns what was not permitted. Later threads inherit it."""
    refused = []
    try:
        for thread in os.listdir("/proc/self/task"):
            os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError as error:
        refused.append(f"SCHED_FIFO ({error.strerror})")
    problem = _lock_memory()
    if problem:
        refused.append(f"locked memory ({problem})")
    return refused


def _lock_memory() -> str:
    if not _may_lock_everything():
        return "neither CAP_IPC_LOCK nor an unlimited RLIMIT_MEMLOCK"
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    # on fault: what is never touched (most of a thread's stack, of libraries) need not be resident
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0:
        return ""
    return os.strerror(ctypes.get_errno())


def _may_lock_everything() -> bool:
    """With a finite limit later allocations would fail: worse than no locking."""
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        return True
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("CapEff:"):
                    return bool(int(line.split()[1], 16) >> _CAP_IPC_LOCK & 1)
    except OSError:
        pass
    return False
