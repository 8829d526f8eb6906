"""Equal shares of a supply with up to three phases (max-min fairness), pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.core.duty import floor_tenths
from controller.core.sharing_values import RESIDUE_AMPS, Phases


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """`lent_to_amps`: enough as long as others want more; `most_amps`: never more than that.

    Neither is below `least_amps`.
    """

    lines: tuple[int, ...]
    least_amps: float
    lent_to_amps: float
    most_amps: float


def fits(lines: tuple[int, ...], least_amps: float, room: list[float]) -> bool:
    """There is room for the least on each of these phases."""
    return all(room[line] + RESIDUE_AMPS >= least_amps for line in lines)


def fair_shares(wishes: Mapping[int, Wish], free: Phases) -> dict[int, float]:
    """Amps for each, at least its least, in whole tenths. The least of all must fit into `free`.

    Who needs less than its share leaves the rest to the others; what nobody needs goes back.
    """
    room = list(free)
    amps = {evse: wish.least_amps for evse, wish in wishes.items()}
    for wish in wishes.values():
        for line in wish.lines:
            room[line] -= wish.least_amps
    _fill(amps, {evse: (wish.lines, wish.lent_to_amps) for evse, wish in wishes.items()}, room)
    _fill(amps, {evse: (wish.lines, wish.most_amps) for evse, wish in wishes.items()}, room)
    return {evse: floor_tenths(value) for evse, value in amps.items()}


def _fill(
    amps: dict[int, float], tops: Mapping[int, tuple[tuple[int, ...], float]], room: list[float]
) -> None:
    """Raise all together; each stops at its top or when one of its phases is used up."""
    rising = {evse for evse, (_, top) in tops.items() if amps[evse] + RESIDUE_AMPS < top}
    while rising:
        on_line = [sum(line in tops[evse][0] for evse in rising) for line in range(len(room))]
        step = min(tops[evse][1] - amps[evse] for evse in rising)
        for line, count in enumerate(on_line):
            if count:
                step = min(step, max(room[line], 0.0) / count)
        for evse in rising:
            amps[evse] += step
        for line, count in enumerate(on_line):
            room[line] -= step * count
        used_up = {line for line in range(len(room)) if room[line] <= RESIDUE_AMPS}
        rising = {
            evse
            for evse in rising
            if amps[evse] + RESIDUE_AMPS < tops[evse][1] and not used_up.intersection(tops[evse][0])
        }
