"""SIGKILL at any moment of SendLocalList and ReserveNow: afterwards the old or the new state, never half."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from controller.core.reservation import Reservation
from controller.store.store import Store
from tests.crash.lists_writer import list_after, reservations_after

KILLS = 40


async def _contents(folder: Path) -> tuple[int, dict[str, str], list[Reservation]]:
    store = await Store.open(folder)
    assert store.database.note == ""
    version, listed = await store.local_list.load()
    book = await store.reservations.load()
    await store.close()
    return version, listed, book


def test_sigkill_while_the_list_and_the_reservations_change(tmp_path: Path) -> None:
    """R16-LL-1, R16-RES-1: what was answered is there; of the change that was not, all or nothing."""
    chance = random.Random(11)
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.lists_writer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    version = 0
    with server:
        for _ in range(KILLS):
            lists, reserved = _one_death(server, tmp_path, version + 1, chance.uniform(0.0, 0.06))
            before = version
            version, listed, book = asyncio.run(_contents(tmp_path))
            assert version in (lists, lists + 1) if lists else version in (before, before + 1)
            assert listed == list_after(version)
            assert book in (reservations_after(version - 1), reservations_after(version))
            assert not reserved or book in (
                reservations_after(reserved),
                reservations_after(reserved + 1),
            )
            if book != reservations_after(version):
                asyncio.run(_catch_up(tmp_path, version))
        assert server.stdin is not None
        server.stdin.close()
    assert version > KILLS / 2


def _one_death(
    server: subprocess.Popen[str], folder: Path, first: int, seconds: float
) -> tuple[int, int]:
    """A child works for that long; the last list and the last reservation it answered (0 = none)."""
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(f"{folder} {first}\n")
    ready, pid = server.stdout.readline().split()
    assert ready == "ready"
    time.sleep(seconds)
    os.kill(int(pid), signal.SIGKILL)
    last = {"list": 0, "reserved": 0}
    while (line := server.stdout.readline()) != "dead\n":
        what, number = line.split()
        last[what] = int(number)
    return last["list"], last["reserved"]


async def _catch_up(folder: Path, number: int) -> None:
    """The reservation that belongs to this number did not happen: the next run starts after it."""
    store = await Store.open(folder)
    for old in await store.reservations.load():
        await store.reservations.delete(old.id)
    for kept in reservations_after(number):
        await store.reservations.put(kept)
    await store.close()
