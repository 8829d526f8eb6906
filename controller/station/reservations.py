"""Reservations: made and cancelled by the backend, ended by their driver, by time, or by a fault (R16-RES-1)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from controller.core import facts
from controller.core.model import EvseView, RequestStatus, SessionPhase
from controller.core.reservation import (
    Hold,
    Reservation,
    ReservationEnd,
    ReserveStatus,
    Standing,
    Use,
    holds,
    judge,
    removed,
)
from controller.station.waiting import event_or_time

if TYPE_CHECKING:
    from controller.station.evse import EvseActor
    from controller.station.station import Station

_log = logging.getLogger(__name__)

LOOK_S = 10.0
"""While there are reservations the wall clock is looked at this often: it may be set meanwhile."""


class Reservations:
    """The book of one station; tells each session what it means for its EVSE."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._book: dict[int, Reservation] = {}
        self._holds: dict[int, Hold] = {}
        self._views: dict[int, EvseView] = {}
        self._transactions: dict[int, str] = {}
        """By EVSE the last transaction that was looked at: an id may be used again while it runs."""
        self._wake = asyncio.Event()
        self._busy = asyncio.Lock()
        self._listeners: list[Callable[[Reservation, ReservationEnd], None]] = []

    async def load(self) -> None:
        """As they were left; what expired meanwhile ends with the first look at the clock."""
        now = self._now()
        for actor in self._station.actors.values():
            if actor.session.transaction is not None:
                self._transactions[actor.id] = actor.session.transaction.id
        for reservation in await self._station.store.reservations.load():
            if reservation.expires_at <= now:
                self._ended(reservation, ReservationEnd.EXPIRED)
            else:
                self._book[reservation.id] = reservation
        self._distribute()

    async def run(self) -> None:
        """End what expires, for ever."""
        while True:
            self._wake.clear()
            now = self._now()
            for reservation in [r for r in self._book.values() if r.expires_at <= now]:
                self._end(reservation, ReservationEnd.EXPIRED)
            await event_or_time(self._wake, self._station.clock, self._seconds_to_next(now))

    def _seconds_to_next(self, now: datetime) -> float | None:
        if not self._book:
            return None
        first = min(r.expires_at for r in self._book.values())
        return min(max((first - now).total_seconds(), 0.001), LOOK_S)

    # --- for the backend --------------------------------------------------------------------------

    async def reserve(self, reservation: Reservation) -> ReserveStatus:
        """Durable when this returns Accepted. One with the same id is replaced."""
        async with self._busy:
            status = self._judge(reservation)
            if status is not ReserveStatus.ACCEPTED:
                return status
            store, before = self._station.store.reservations, self._book.get(reservation.id)
            try:
                await store.put(reservation)
                status = self._judge(reservation)  # somebody may have come in that moment
                if status is not ReserveStatus.ACCEPTED:
                    still = self._book.get(reservation.id)
                    await (store.put(still) if still else store.delete(reservation.id))
                    return status
            except Exception as error:  # noqa: BLE001 - e.g. a full disk: what is not kept is not promised
                _log.error("reservation %d not stored: %s", reservation.id, error)
                return ReserveStatus.REJECTED
            self._book[reservation.id] = reservation
        self._log(reservation, "made" if before is None else "changed")
        self._distribute()
        self._wake.set()
        return ReserveStatus.ACCEPTED

    async def cancel(self, reservation_id: int) -> RequestStatus:
        """Rejected = there is no such reservation."""
        async with self._busy:
            if reservation_id not in self._book:
                return RequestStatus.REJECTED
            try:
                await self._station.store.reservations.delete(reservation_id)
            except Exception as error:  # noqa: BLE001 - it would be back after a restart
                _log.error("reservation %d not cancelled: %s", reservation_id, error)
                return RequestStatus.REJECTED
            reservation = self._book.pop(reservation_id, None)
        if reservation is not None:
            self._over(reservation, ReservationEnd.CANCELLED)
        return RequestStatus.ACCEPTED

    def on_end(self, listener: Callable[[Reservation, ReservationEnd], None]) -> None:
        """Call `listener` with each reservation that ended and how."""
        self._listeners.append(listener)

    # --- for the station --------------------------------------------------------------------------

    def all(self) -> list[Reservation]:
        """Those that stand."""
        return list(self._book.values())

    def view_changed(self, view: EvseView) -> None:
        """A start may end a reservation, as may a fault; and who is free decides what is held."""
        self._views[view.evse] = view
        running = self._station.actors[view.evse].session.transaction
        if running is not None and running.id != self._transactions.get(view.evse):
            self._transactions[view.evse] = running.id
            if running.reservation_id in self._book:
                # Its row went with the commit that began the transaction.
                self._over(self._book.pop(running.reservation_id), ReservationEnd.USED)
        if not self._book:
            return
        for reservation in removed(self._book.values(), self._standings()):
            self._end(reservation, ReservationEnd.REMOVED)
        self._distribute()

    # --- inside -----------------------------------------------------------------------------------

    def _judge(self, reservation: Reservation) -> ReserveStatus:
        settings = self._station.settings
        if not settings.boolean("ReservationEnabled"):
            return ReserveStatus.REJECTED
        return judge(
            reservation,
            self._standings(asking=True),
            self._book.values(),
            now=self._now(),
            any_evse=settings.boolean("ReserveConnectorZeroSupported"),
        )

    def _standings(self, *, asking: bool = False) -> list[Standing]:
        """`asking`: whose card is being checked counts as there."""
        return [
            Standing(
                evse=actor.id,
                use=Use.TAKEN if asking and actor.session.asking else _use(actor),
                faulted=self._faulted(actor.id),
                operative=actor.operative,
            )
            for actor in self._station.actors.values()
        ]

    def _faulted(self, evse: int) -> bool:
        view = self._views.get(evse)
        return view is not None and view.inoperative_by_fault

    def _end(self, reservation: Reservation, how: ReservationEnd) -> None:
        self._book.pop(reservation.id, None)
        self._over(reservation, how)
        self._ended(reservation, how)

    def _ended(self, reservation: Reservation, how: ReservationEnd) -> None:
        delete = self._station.store.reservations.delete

        async def forget() -> None:
            async with self._busy:  # a new one may have got the same id meanwhile
                if reservation.id not in self._book:
                    await delete(reservation.id)

        self._station.tasks.aside(forget(), f"reservation {reservation.id} {how.value}")

    def _over(self, reservation: Reservation, how: ReservationEnd) -> None:
        self._log(reservation, how.value.lower())
        self._distribute()
        for listener in self._listeners:
            listener(reservation, how)

    def _distribute(self) -> None:
        actors = self._station.actors.values()
        claimed = set()
        for actor in actors:
            grant = actor.session.grant
            used = grant and self._holds.get(actor.id, Hold()).ended_by(grant.id_token, grant.group)
            if used:
                claimed.add(used.id)
        held = [evse for evse, hold in self._holds.items() if hold.by is not None]
        now = holds(self._book.values(), self._standings(), held, claimed)
        for actor in actors:
            hold = now[actor.id]
            if self._holds.get(actor.id, Hold()) != hold:
                self._holds[actor.id] = hold
                actor.tell(facts.HoldSeen(hold=hold))

    def _log(self, reservation: Reservation, what: str) -> None:
        where = "any evse" if reservation.evse is None else f"evse={reservation.evse}"
        _log.info("%s reservation %d %s", where, reservation.id, what)

    def _now(self) -> datetime:
        return self._station.clock.utc()


def _use(actor: EvseActor) -> Use:
    session = actor.session
    if session.grant is not None or session.phase in (
        SessionPhase.TRANSACTION,
        SessionPhase.FINISHING,
    ):
        return Use.TAKEN
    return Use.FREE if session.plug_id is None else Use.WAITING
