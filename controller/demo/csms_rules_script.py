"""What people did at the station, and whether the backend's books tell the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from controller.demo.csms_rules_books import KnownTransaction, parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One session that must be billed, by the truth of the outside world.

    `started_at`, `ended_at`: when the person (or the power cut) acted, None = not looked at.
    `reason`: of 1.6; "Local" may be left out. `reservation`: the reservationId that the start must carry.
    """

    connector: int
    id_tag: str
    reason: str
    energy_wh: float
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reservation: int | None = None
    about: str = ""


def objections(
    transactions: Iterable[KnownTransaction],
    deeds: Iterable[Deed],
    *,
    energy_tolerance_wh: float = 1.0,
    time_tolerance_s: float = 1.0,
) -> list[str]:
    """In the order of each connector: the same number, tag, reason, energy and times."""
    told: dict[int, list[KnownTransaction]] = defaultdict(list)
    done: dict[int, list[Deed]] = defaultdict(list)
    for known in transactions:
        told[known.connector].append(known)
    for deed in deeds:
        done[deed.connector].append(deed)
    found: list[str] = []
    for connector in sorted({*told, *done}):
        if len(told[connector]) != len(done[connector]):
            found.append(
                f"connector {connector}: {len(done[connector])} sessions happened, "
                f"{len(told[connector])} were told"
            )
        for n, (known, deed) in enumerate(zip(told[connector], done[connector], strict=False), 1):
            where = f"connector {connector}, session {n} ({deed.about or deed.reason})"
            found += [
                f"{where}: {text}"
                for text in _compared(known, deed, energy_tolerance_wh, time_tolerance_s)
            ]
    return found


def _compared(
    known: KnownTransaction, deed: Deed, energy_tolerance_wh: float, time_tolerance_s: float
) -> Iterator[str]:
    if known.id_tag.casefold() != deed.id_tag.casefold():
        yield f"told for {known.id_tag}, it was {deed.id_tag}"
    if known.start.get("reservationId") != deed.reservation:
        yield f"reservation {known.start.get('reservationId')}, it was {deed.reservation}"
    if known.stop is None or known.energy_wh is None:
        yield "never stopped"
        return
    reason = known.stop.get("reason", "Local")
    if reason != deed.reason:
        yield f"ended by {reason}, it was {deed.reason}"
    if abs(known.energy_wh - deed.energy_wh) > energy_tolerance_wh:
        yield f"{known.energy_wh} Wh told, {deed.energy_wh:.2f} Wh flowed"
    for name, told, happened in (
        ("start", known.start["timestamp"], deed.started_at),
        ("end", known.stop["timestamp"], deed.ended_at),
    ):
        if happened is None:
            continue
        off_s = (parsed(told) - happened).total_seconds()
        if abs(off_s) > time_tolerance_s:
            yield f"its {name} is told {off_s:+.1f} s off"
