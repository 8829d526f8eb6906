"""One supply for several EVSEs, pure: `step` says what each may offer now (DESIGN §1.7).

Each EVSE has a claim: what its vehicle may be drawing, or may be allowed to draw by any offer that is still
on its way. Claims fall only when guard, contactor or meter confirm it, and nobody gets what another one claims,
so the offers never exceed the supply together, hold offers included. Decreases are granted at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from controller.core.duty import MIN_AMPS, floor_tenths
from controller.core.fair_shares import Wish, fair_shares
from controller.core.sharing_values import (
    NO_LIMIT,
    UNLIMITED,
    Asking,
    Grant,
    LimitedBy,
    Measured,
    Phases,
    Seen,
)
from controller.core.turns import TURN_S, Turns

TOLERANCE_AMPS = 0.1
METER_TOLERANCE_AMPS = 0.5
"""What a vehicle that had its time to follow may still seem to draw too much."""
CONFIRM_S = 0.05
"""What the guard tells this long after an offer was sent may still be older than the offer."""
SETTLE_S = 1.0
"""A poll counts for a vehicle's reaction only this long after the pilot changed."""
FOLLOW_S = 6.0
"""Without a meter: a vehicle follows the pilot within 5 s (IEC 61851-1), an ending one stops within 6 s."""
STALE_S = 5.0
"""A guard that tells nothing for this long: nobody gets more."""
RAISE_EVERY_S = 5.0
"""The guard itself waits so long between two changes upwards."""
STEP_AMPS = 0.5
"""Smaller increases are not worth a change of the pilot."""
REST_S = 10.0
"""A contactor that opened for want of supply stays open at least this long."""
LEND_AFTER_S = 60.0
LEND_GAP_AMPS = 2.0
"""Drawing this much less than offered for LEND_AFTER_S lends the rest to others."""
BACK_AMPS = 1.0
"""Within this of what was left to it: it wants its share back."""


class _Evse:
    """What is remembered of one EVSE."""

    __slots__ = ("changed_s", "claim_amps", "falling_s", "falling_to_amps",
                 "first_s", "granted_amps", "lent_to_amps", "little_s",
                 "paused_s", "superseded_amps", "superseded_s", "unsure")  # fmt: skip

    def __init__(self) -> None:
        self.granted_amps = 0.0
        self.claim_amps = 0.0
        self.changed_s = float("-inf")
        self.paused_s = float("-inf")
        self.superseded_amps = 0.0
        self.superseded_s = float("-inf")
        self.falling_s: float | None = None
        self.falling_to_amps = 0.0
        self.first_s: float | None = None
        self.unsure = True
        """What its vehicle draws at the first sight, after an offer of an earlier life, is not known."""
        self.lent_to_amps = UNLIMITED
        self.little_s: float | None = None

    def grant(self, amps: float, now_s: float) -> None:
        """What it may offer from now on."""
        if amps < self.granted_amps:
            self.superseded_amps = max(self.superseded_amps, self.granted_amps)
            self.superseded_s = now_s
        if amps > self.granted_amps:
            self.changed_s = now_s
        self.granted_amps = amps
        self.claim_amps = max(self.claim_amps, amps)

    def offered(self, seen: Seen | None) -> float:
        """What is offered now; more that its vehicle still draws of an offer before is not in it."""
        if seen is None or seen.at_s <= self.superseded_s + CONFIRM_S:
            return self.granted_amps
        return seen.offered_amps

    def follow(self, seen: Seen | None, measured: Measured | None, now_s: float) -> None:
        """Bring the claim up to date."""
        if seen is None:
            return
        if self.first_s is None:
            self.first_s = seen.at_s
        if self.unsure:
            self._make_sure(seen, measured, self.first_s, now_s)
        if seen.at_s > self.superseded_s + CONFIRM_S:
            self.superseded_amps = 0.0
        offers = max(
            self.granted_amps, self.superseded_amps, seen.offered_amps, seen.permitted_amps
        )
        if offers >= self.claim_amps:
            self.claim_amps, self.falling_s = offers, None
            return
        if self.falling_s is None or offers < self.falling_to_amps:
            self.falling_s, self.falling_to_amps = seen.at_s, offers
        if not seen.contactor_closed:
            left = offers
        elif measured is not None:
            if measured.at_s < self.falling_s + SETTLE_S:
                return
            late = now_s >= self.falling_s + FOLLOW_S
            tolerated = METER_TOLERANCE_AMPS if late else TOLERANCE_AMPS
            left = offers if measured.amps <= offers + tolerated else measured.amps
        elif now_s >= self.falling_s + FOLLOW_S:
            left = offers
        else:
            return
        self.claim_amps = min(self.claim_amps, max(left, offers))
        if self.claim_amps <= offers:
            self.falling_s = None

    def _make_sure(
        self, seen: Seen, measured: Measured | None, first_s: float, now_s: float
    ) -> None:
        if not seen.contactor_closed or now_s >= first_s + FOLLOW_S:
            self.unsure = False
        elif measured is not None and measured.at_s >= first_s + SETTLE_S:
            self.unsure = False
            self.claim_amps = max(self.claim_amps, measured.amps)

    def watch_use(self, seen: Seen | None, measured: Measured | None, now_s: float) -> None:
        """Lend what is clearly not used for a while; give it back at once when it is asked for."""
        if seen is None or self.granted_amps < MIN_AMPS or seen.offered_amps < MIN_AMPS:
            self.lent_to_amps, self.little_s = UNLIMITED, None
            return
        used_amps = 0.0
        if seen.contactor_closed:
            if measured is None:
                self.lent_to_amps, self.little_s = UNLIMITED, None
                return
            if measured.at_s < self.changed_s + SETTLE_S:
                return
            used_amps = measured.amps
        enough = max(MIN_AMPS, floor_tenths(used_amps + LEND_GAP_AMPS))
        if used_amps > min(self.granted_amps, self.lent_to_amps) - BACK_AMPS:
            self.lent_to_amps, self.little_s = UNLIMITED, None
        elif enough >= min(self.granted_amps, self.lent_to_amps):
            self.little_s = None
        elif self.little_s is None:
            self.little_s = now_s
        elif now_s - self.little_s >= LEND_AFTER_S:
            self.lent_to_amps, self.little_s = enough, None


class Sharing:
    """Feed it every second and at each change. `turn_s`: the length of a turn when not all can charge."""

    def __init__(self, *, turn_s: float = TURN_S) -> None:
        self._turns = Turns(turn_s)
        self._evses: dict[int, _Evse] = {}

    def step(
        self,
        asking: Sequence[Asking],
        now_s: float,
        *,
        site: Phases = NO_LIMIT,
        profile: Phases = NO_LIMIT,
    ) -> dict[int, Grant]:
        """Grants by EVSE. `site`, `profile`: what supply and operator allow for the whole station."""
        limit = _lower(site, profile)
        for asked in asking:
            evse = self._evses.setdefault(asked.evse, _Evse())
            evse.follow(asked.seen, asked.measured, now_s)
            evse.watch_use(asked.seen, asked.measured, now_s)
        targets = self._targets(asking, limit, now_s)
        for asked in asking:
            evse = self._evses[asked.evse]
            target = targets.get(asked.evse, 0.0)
            if target < evse.granted_amps:
                short = target < MIN_AMPS and asked.wants and asked.most_amps >= asked.least_amps
                evse.paused_s = now_s if short else float("-inf")
                evse.grant(target, now_s)
        known = all(a.seen is not None and now_s - a.seen.at_s <= STALE_S for a in asking)
        if known:
            self._raise(asking, targets, limit, now_s)
        return {a.evse: self._told(a, targets, limit, site) for a in asking}

    # --- inside -----------------------------------------------------------------------------------

    def _targets(self, asking: Sequence[Asking], limit: Phases, now_s: float) -> dict[int, float]:
        """What each would get if all vehicles followed at once; who is not in it gets nothing."""
        wanting = {a.evse: a for a in asking if a.wants and a.most_amps >= a.least_amps}
        free = list(limit)
        for asked in asking:
            if not asked.wants:
                for line in asked.lines:
                    free[line] -= self._evses[asked.evse].claim_amps
        room = (free[0], free[1], free[2])
        chosen = self._turns.choose(
            {evse: (asked.lines, asked.least_amps) for evse, asked in wanting.items()},
            room,
            drawing=[e for e, a in wanting.items() if a.seen and a.seen.contactor_closed],
            holding=[e for e, a in wanting.items() if a.seen and a.seen.offered_amps >= MIN_AMPS],
            now_s=now_s,
        )
        wishes = {}
        for evse in chosen:
            asked = wanting[evse]
            lent_to = max(self._evses[evse].lent_to_amps, asked.least_amps)
            wishes[evse] = Wish(
                lines=asked.lines,
                least_amps=asked.least_amps,
                lent_to_amps=min(lent_to, asked.most_amps),
                most_amps=asked.most_amps,
            )
        return fair_shares(wishes, room)

    def _raise(
        self,
        asking: Sequence[Asking],
        targets: Mapping[int, float],
        limit: Phases,
        now_s: float,
    ) -> None:
        """Give what is free: to those with least first."""
        for asked in sorted(asking, key=lambda a: self._evses[a.evse].granted_amps):
            evse, target = self._evses[asked.evse], targets.get(asked.evse, 0.0)
            if target <= evse.granted_amps:
                continue
            free = min(self._free(asking, asked, limit[line], line) for line in asked.lines)
            # What it is offered now is nobody else's: a vehicle that is drawing may go on.
            amps = min(target, max(floor_tenths(max(free, 0.0)), evse.offered(asked.seen)))
            off = evse.granted_amps < MIN_AMPS
            if off and (amps < asked.least_amps or now_s - evse.paused_s < REST_S):
                continue
            soon = now_s - evse.changed_s < RAISE_EVERY_S
            # All there is for one vehicle is never a crumb: a profile is followed to the tenth.
            most = min(asked.most_amps, *(limit[line] for line in asked.lines))
            crumb = amps - evse.granted_amps < STEP_AMPS and amps < floor_tenths(most)
            if not off and (soon or crumb):
                continue
            evse.grant(amps, now_s)

    def _free(self, asking: Sequence[Asking], me: Asking, limit: float, line: int) -> float:
        """What the others leave; of a supply without a limit they cannot take anything away."""
        return limit if limit == UNLIMITED else limit - self._claims_of_others(asking, me, line)

    def _claims_of_others(self, asking: Sequence[Asking], me: Asking, line: int) -> float:
        others = [self._evses[o.evse] for o in asking if o.evse != me.evse and line in o.lines]
        return sum(UNLIMITED if evse.unsure else evse.claim_amps for evse in others)

    def _told(
        self, asked: Asking, targets: Mapping[int, float], limit: Phases, site: Phases
    ) -> Grant:
        amps = self._evses[asked.evse].granted_amps
        own = asked.most_amps
        by = LimitedBy.EVSE
        if not asked.wants:
            return Grant(amps=amps, by=by)
        if amps >= own or own < asked.least_amps:
            if asked.profile_amps is not None and asked.profile_amps < asked.max_amps:
                by = LimitedBy.PROFILE
        else:
            whole = min(limit[line] for line in asked.lines)
            station = whole < min(site[line] for line in asked.lines)
            if amps < MIN_AMPS and targets.get(asked.evse, 0.0) >= MIN_AMPS:
                by = LimitedBy.HANDOVER
            elif whole < MIN_AMPS or amps + STEP_AMPS > whole:
                by = LimitedBy.STATION_PROFILE if station else LimitedBy.SUPPLY
            else:
                by = LimitedBy.TURN if amps < MIN_AMPS else LimitedBy.SHARE
        return Grant(amps=amps, by=by)


def _lower(a: Phases, b: Phases) -> Phases:
    return min(a[0], b[0]), min(a[1], b[1]), min(a[2], b[2])
