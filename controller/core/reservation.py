"""Who may charge where while reservations stand (OCPP 1.6 §5.13, R16-RES-1); pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from controller.core.model import IdToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """An EVSE kept for a token or its group. `evse` None = any one. `expires_at`: aware UTC."""

    id: int
    id_token: IdToken
    expires_at: datetime
    evse: int | None = None
    group: IdToken | None = None

    def admits(self, id_token: IdToken, group: IdToken | None) -> bool:
        """It was made for this token, or for the group that this token belongs to."""
        if self.id_token.same_as(id_token):
            return True
        return self.group is not None and self.group.same_as(group)


class ReserveStatus(StrEnum):
    """ReserveNowStatusEnumType."""

    ACCEPTED = "Accepted"
    FAULTED = "Faulted"
    OCCUPIED = "Occupied"
    REJECTED = "Rejected"
    UNAVAILABLE = "Unavailable"


class ReservationEnd(StrEnum):
    """How a reservation ended. 2.x tells the backend about the first two."""

    EXPIRED = "Expired"
    REMOVED = "Removed"
    CANCELLED = "Cancelled"
    USED = "Used"


class Use(StrEnum):
    """What an EVSE is doing, as far as reservations care."""

    FREE = "free"
    WAITING = "waiting"
    """a cable is in, nobody is authorized"""
    TAKEN = "taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One EVSE as reservations see it."""

    evse: int
    use: Use = Use.FREE
    faulted: bool = False
    operative: bool = True

    @property
    def works(self) -> bool:
        """Neither out of service nor broken."""
        return self.operative and not self.faulted


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What reservations mean for one EVSE: `by` refuses everybody whom none of `usable` admits.

    A start by somebody whom one of `usable` admits ends that reservation.
    """

    by: Reservation | None = None
    usable: tuple[Reservation, ...] = ()

    def ended_by(self, id_token: IdToken, group: IdToken | None) -> Reservation | None:
        """The reservation that a transaction of this token ends here, or None."""
        for reservation in self.usable:
            if reservation.admits(id_token, group):
                return reservation
        return None

    def admits(self, id_token: IdToken, group: IdToken | None) -> bool:
        """The token may charge here as far as reservations are concerned."""
        return self.by is None or self.ended_by(id_token, group) is not None

    def may_admit(self, id_token: IdToken) -> bool:
        """Like `admits` when the group is not known yet: it is worth finding out."""
        if self.by is None or any(r.id_token.same_as(id_token) for r in self.usable):
            return True
        return any(r.group is not None for r in self.usable)

    @property
    def why(self) -> str:
        """The end of the sentence "… was refused: "; "" = nobody is refused."""
        return "" if self.by is None else f"reserved for another driver until {self.until}"

    @property
    def until(self) -> str:
        """The end of the reservation for a person; "" = there is none."""
        return "" if self.by is None else f"{self.by.expires_at:%d %b %H:%M} UTC"


def judge(
    wanted: Reservation,
    standings: Sequence[Standing],
    existing: Collection[Reservation],
    *,
    now: datetime,
    any_evse: bool = True,
) -> ReserveStatus:
    """The answer to a request; `existing` with the same id is replaced. `any_evse`: None is allowed as EVSE."""
    others = [r for r in existing if r.id != wanted.id]
    kept_free = sum(1 for r in others if r.evse is None)
    reserved = {r.evse for r in others}
    free = [s for s in standings if s.works and s.use is Use.FREE and s.evse not in reserved]
    if wanted.expires_at <= now or (wanted.evse is None and not any_evse):
        return ReserveStatus.REJECTED
    if wanted.evse is None:
        if len(free) > kept_free:
            return ReserveStatus.ACCEPTED
        if any(s.works for s in standings):
            return ReserveStatus.OCCUPIED
        out = all(not s.operative for s in standings)
        return ReserveStatus.UNAVAILABLE if out else ReserveStatus.FAULTED
    standing = next((s for s in standings if s.evse == wanted.evse), None)
    if standing is None:
        return ReserveStatus.REJECTED
    if standing.faulted:
        return ReserveStatus.FAULTED
    if not standing.operative:
        return ReserveStatus.UNAVAILABLE
    if standing not in free or len(free) <= kept_free:
        return ReserveStatus.OCCUPIED
    return ReserveStatus.ACCEPTED


def holds(
    reservations: Collection[Reservation],
    standings: Sequence[Standing],
    held: Collection[int] = (),
    claimed: Collection[int] = (),
) -> dict[int, Hold]:
    """What the reservations mean for each EVSE. `held`: the EVSEs that are held now.

    For those without a certain EVSE as many are held as are needed: none while more are free.
    `claimed`: ids of reservations whose driver is authorized already; they need no other EVSE.
    """
    certain = {r.evse: r for r in reservations if r.evse is not None}
    anywhere = tuple(r for r in reservations if r.evse is None)
    found = {
        s.evse: Hold(by=certain[s.evse], usable=(certain[s.evse],))
        if s.evse in certain
        else Hold(usable=anywhere)
        for s in standings
    }
    needed = [r for r in anywhere if r.id not in claimed]
    if not needed:
        return found
    first = min(needed, key=lambda r: r.expires_at)
    able = [s for s in standings if s.works and s.evse not in certain]
    free = [s.evse for s in able if s.use is Use.FREE]
    waiting = [s.evse for s in able if s.use is Use.WAITING]
    waiting.sort(key=lambda evse: evse not in held)  # who came to a held EVSE stays refused
    if len(free) <= len(needed):
        for evse in [*free, *waiting][: len(needed)]:
            found[evse] = Hold(by=first, usable=anywhere)
    return found


def removed(
    reservations: Collection[Reservation], standings: Sequence[Standing]
) -> list[Reservation]:
    """Those whose EVSE, or whose last EVSE, is out of service or broken (§5.13: they end)."""
    works: Mapping[int, bool] = {s.evse: s.works for s in standings}
    any_works = any(works.values()) or not works
    return [
        r for r in reservations if not (any_works if r.evse is None else works.get(r.evse, True))
    ]
