"""Which EVSE a card is meant for, when one reader serves several."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from controller.core import facts
from controller.core.authorization import AuthorizationMode, may_stop
from controller.core.model import EvseView, IdToken, IdTokenType, SessionPhase
from hal.types import CardRead

if TYPE_CHECKING:
    from controller.station.evse import EvseActor
    from controller.station.station import Station

HINT_S = 2.0
"""A hint belongs to a card that is read within this time."""
_HEX = frozenset("0123456789ABCDEF")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A card shown while nothing was plugged in: good for the next plug-in.

    `mode`: by whose rules it was accepted; None = the EVSEs differ, so the plug-in's own rules decide.
    """

    id_token: IdToken
    until_s: float
    mode: AuthorizationMode | None = None
    group: IdToken | None = None
    offline: bool = False


class CardDesk:
    """Takes cards, however they came, to the right actor."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._waiting: _Waiting | None = None
        self._hints: dict[str, tuple[float, tuple[int, ...]]] = {}
        self.last_card = ""
        self.last_at: datetime | None = None
        self.last_result = ""

    def card_read(self, card: CardRead) -> None:
        """A reader saw a card."""
        hinted_s, hinted = self._hints.pop(card.uid, (0.0, ()))
        evses = card.evses or (hinted if self._now_s() <= hinted_s + HINT_S else ())
        self.present(card.uid, evses)

    def hint(self, uid: str, evses: tuple[int, ...]) -> None:
        """The next card with this UID is meant for these EVSEs."""
        self._hints[uid] = (self._now_s(), evses)

    def present(self, text: str, evses: tuple[int, ...] = ()) -> None:
        """A card with this text, verbatim; `evses` empty = find out."""
        self.last_card, self.last_at, self.last_result = text, self._station.clock.utc(), ""
        is_uid = len(text) in (8, 10, 14, 20) and not set(text) - _HEX
        token = IdToken(text, IdTokenType.ISO14443 if is_uid else IdTokenType.LOCAL)
        known = [a for a in self._station.actors.values() if not evses or a.id in evses]
        if len(known) == 1:
            known[0].tell(facts.CardPresented(id_token=token))
        elif known:
            self._station.tasks.aside(self._choose(token, known), "card")
        self._station.snapshots.changed()

    def led_to(self, token: IdToken, result: str) -> None:
        """What came of a card; kept while it is the last one."""
        if token.value == self.last_card:
            self.last_result = result
            self._station.snapshots.changed()

    def view_changed(self, view: EvseView) -> None:
        """A plug-in takes the waiting card."""
        waiting = self._waiting
        if waiting is None or not view.plugged or view.phase is not SessionPhase.PREPARING:
            return
        actor = self._station.actors[view.evse]
        if not _takes_cards(actor):
            return
        self._waiting = None
        if self._now_s() >= waiting.until_s:
            return
        token = waiting.id_token
        if waiting.mode is not actor.session.rules.mode:
            actor.tell(facts.CardPresented(id_token=token))
            return
        actor.tell(facts.Granted(id_token=token, group=waiting.group, offline=waiting.offline))

    async def _choose(self, token: IdToken, actors: list[EvseActor]) -> None:
        """Stop its own transaction; else the newest plug-in that waits; else the next one."""
        station = self._station
        group = await station.authorizer.group_of(token)
        running = [a for a in actors if a.session.transaction is not None and not a.session.ending]
        for actor in running:
            transaction = actor.session.transaction
            if transaction is not None and may_stop(
                transaction.id_token, transaction.group, token, group
            ):
                actor.tell(facts.CardPresented(id_token=token))
                return
        for actor in actors:
            grant = actor.session.grant
            if grant is not None and grant.id_token.same_as(token):
                actor.tell(facts.CardPresented(id_token=token))
                return
        plugged = [a for a in actors if _takes_cards(a) and a.session.plug_id is not None]
        if plugged:
            newest = max(plugged, key=lambda a: a.session.preparing_since_s or 0.0)
            newest.tell(facts.CardPresented(id_token=token))
            return
        modes = {a.session.rules.mode for a in actors if _takes_cards(a)}
        if modes:
            await self._wait_for_plug(token, modes)
            return
        for actor in running or actors:
            actor.tell(facts.CardPresented(id_token=token))

    async def _wait_for_plug(self, token: IdToken, modes: set[AuthorizationMode]) -> None:
        if self._waiting is not None and self._waiting.id_token.same_as(token):
            self._waiting = None
            return
        limit_s = self._station.settings.integer("ConnectionTimeOut") or float("inf")
        if len(modes) > 1:
            self._waiting = _Waiting(id_token=token, until_s=self._now_s() + limit_s)
        else:
            (mode,) = modes
            decision = await self._station.decide(token, mode)
            if not decision.accepted:
                return
            self._waiting = _Waiting(
                id_token=token,
                until_s=self._now_s() + limit_s,
                mode=mode,
                group=decision.group,
                offline=decision.offline,
            )
        for actor in self._station.actors.values():
            self.view_changed(actor.view())

    def _now_s(self) -> float:
        return self._station.clock.monotonic_ns() / 1e9


def _takes_cards(actor: EvseActor) -> bool:
    free = actor.session.rules.mode is AuthorizationMode.FREE
    return actor.session.free_to_start and not free
