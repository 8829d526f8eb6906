"""Which EVSE a card means when one reader serves several; pure. Never a guess: what is not clear is asked.

A token stops its own transaction, or one of its group. Otherwise it is for the newest plug-in that nobody
is authorized for; with none, for the next plug-in. Two plug-ins within 3 s could be anybody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from controller.core.authorization import may_stop
from controller.core.model import IdToken
from controller.core.reservation import Hold

TOGETHER_S = 3.0
"""Plug-ins this close to each other do not tell who came last."""


class Meaning(StrEnum):
    """What a card shown is about."""

    START = "start"
    STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One EVSE as the choice sees it.

    `running`, `group`: the token of a transaction that is not ending. `promised`: somebody is authorized
    there, or is being asked about. `takes_cards`: a card could start something there. `plugged_s`: since
    when a cable is in (monotonic), None = none is.
    """

    evse: int
    takes_cards: bool
    plugged_s: float | None = None
    running: IdToken | None = None
    group: IdToken | None = None
    promised: IdToken | None = None
    hold: Hold = field(default_factory=Hold)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForEvse:
    """It is for this one."""

    evse: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskWhich:
    """Somebody has to say for which of these."""

    evses: tuple[int, ...]
    meaning: Meaning


@dataclass(frozen=True, slots=True, kw_only=True)
class ForNextPlugIn:
    """It is for the next plug-in at one of these."""

    evses: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForNobody:
    """Nothing can be done with it; these tell why."""

    evses: tuple[int, ...]


Choice = ForEvse | AskWhich | ForNextPlugIn | ForNobody


def choose(token: IdToken, group: IdToken | None, candidates: Sequence[Candidate]) -> Choice:
    """What a card is for. `group`: as far as it is known."""
    running = [c for c in candidates if c.running is not None]
    own = [c for c in running if token.same_as(c.running)]
    stops = own or [c for c in running if c.running and may_stop(c.running, c.group, token, group)]
    if stops:
        return _one_of(stops, Meaning.STOP)
    for candidate in candidates:
        if token.same_as(candidate.promised):
            return ForEvse(evse=candidate.evse)
    open_ones = [c for c in candidates if c.takes_cards and may_start(c.hold, token, group)]
    plugged = [c for c in open_ones if c.plugged_s is not None and c.promised is None]
    if plugged:
        newest_s = max(c.plugged_s or 0.0 for c in plugged)
        latest = [c for c in plugged if newest_s - (c.plugged_s or 0.0) <= TOGETHER_S]
        kept = [c for c in latest if c.hold.ended_by(token, group) and c.hold.by is not None]
        return _one_of(kept if len(kept) == 1 else latest, Meaning.START)
    free = tuple(c.evse for c in open_ones if c.plugged_s is None and c.promised is None)
    if free:
        return ForNextPlugIn(evses=free)
    return ForNobody(evses=tuple(c.evse for c in running or candidates))


def may_start(hold: Hold, token: IdToken, group: IdToken | None) -> bool:
    """No reservation for somebody else stands in the way, as far as is known now."""
    return hold.admits(token, group) or (group is None and hold.may_admit(token))


def _one_of(candidates: Sequence[Candidate], meaning: Meaning) -> ForEvse | AskWhich:
    if len(candidates) == 1:
        return ForEvse(evse=candidates[0].evse)
    return AskWhich(evses=tuple(sorted(c.evse for c in candidates)), meaning=meaning)
