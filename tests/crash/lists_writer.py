"""Children that change the local list and the reservations until they are killed.

`python -m tests.crash.lists_writer`; each line "DIR FIRST" starts one, which says "ready PID" and then
"list N", "reserved N" after each answer; "dead" follows its end. What a change leads to follows from its
number: `list_after`, `reservations_after`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from controller.core.authorization import info_to_text
from controller.core.local_list import ListEntry, ListStatus, ListUpdate
from controller.core.model import AuthorizationStatus, IdToken, IdTokenInfo
from controller.core.reservation import Reservation
from controller.core.settings_list import settings_for
from controller.station.local_list import StationLocalList
from controller.store.store import Store
from tests.unit.ocpp.fakes import installation

END = datetime(2030, 1, 1, tzinfo=UTC)
TOKENS = 300


def info(version: int) -> IdTokenInfo:
    """Every entry says by which version it was written."""
    return IdTokenInfo(
        status=AuthorizationStatus.ACCEPTED, expires_at=END + timedelta(seconds=version)
    )


def update(version: int) -> ListUpdate:
    """Full at every third version; otherwise a third is changed, a third removed or added again."""
    full = version % 3 == 1
    entries = []
    for n in range(TOKENS):
        if full or n % 3 == 0:
            entries.append(ListEntry(id_token=IdToken(f"T{n}"), info=info(version)))
        elif n % 3 == 1:
            left = info(version) if version % 2 else None
            entries.append(ListEntry(id_token=IdToken(f"T{n}"), info=left))
    return ListUpdate(version=version, full=full, entries=entries)


def list_after(version: int) -> dict[str, str]:
    """What must be on the list then."""
    found: dict[str, str] = {}
    for v in range(max(1, version - 3), version + 1):
        changes = update(v)
        if changes.full:
            found = {}
        for entry in changes.entries:
            key = entry.id_token.value.casefold()
            if entry.info is None:
                found.pop(key, None)
            else:
                found[key] = info_to_text(entry.info)
    return found


def reservation(number: int) -> Reservation:
    """The n-th: three ids take turns, so most replace an older one."""
    return Reservation(
        id=number % 3, evse=number % 2 + 1, id_token=IdToken(f"T{number}"), expires_at=END
    )


def reservations_after(number: int) -> list[Reservation]:
    """What must be in the book then; every fifth is cancelled by the step after it."""
    book: dict[int, Reservation] = {}
    for n in range(1, number + 1):
        if n % 5 == 0:
            book.pop((n - 1) % 3, None)
        else:
            book[n % 3] = reservation(n)
    return sorted(book.values(), key=lambda r: r.id)


async def main(folder: Path, first: int) -> None:
    store = await Store.open(folder)
    settings = settings_for(installation())
    listed = StationLocalList(store.local_list, settings, has_backend=True)
    await listed.load()
    say(f"ready {os.getpid()}")
    for number in range(first, first + 100_000):
        if await listed.update(update(number)) is not ListStatus.ACCEPTED:
            raise SystemExit(1)
        say(f"list {number}")
        if number % 5 == 0:
            await store.reservations.delete((number - 1) % 3)
        else:
            await store.reservations.put(reservation(number))
        say(f"reserved {number}")


def say(line: str) -> None:
    """One write, so that a death leaves whole lines."""
    os.write(1, f"{line}\n".encode())


def serve() -> None:
    """One interpreter for all children: a death costs no imports."""
    for line in sys.stdin:
        folder, first = line.rsplit(maxsplit=1)
        child = os.fork()
        if child == 0:
            asyncio.run(main(Path(folder), int(first)))
            os._exit(0)
        os.waitpid(child, 0)
        say("dead")


if __name__ == "__main__":
    serve()
