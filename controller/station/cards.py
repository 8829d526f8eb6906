"""Takes cards to the EVSE they are meant for; what is not clear is asked, never guessed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from controller.core import facts
from controller.core.authorization import AuthorizationMode
from controller.core.card_choice import (
    AskWhich,
    Candidate,
    ForEvse,
    ForNextPlugIn,
    ForNobody,
    Meaning,
    choose,
    may_start,
)
from controller.core.model import EvseView, IdToken, IdTokenType, SessionPhase
from hal.types import CardRead

if TYPE_CHECKING:
    from controller.station.evse import EvseActor
    from controller.station.station import Station

HINT_S = 2.0
"""A hint belongs to a card that is read within this time."""
ASK_S = 30.0
"""How long a question stands, and how long a choice made before the card does."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A card that could mean several EVSEs. Who answers says which one."""

    id_token: IdToken
    evses: tuple[int, ...]
    meaning: Meaning
    until: datetime

    @property
    def text(self) -> str:
        """For a person."""
        names = [str(evse) for evse in self.evses]
        which = f"{', '.join(names[:-1])} or {names[-1]}"
        if self.meaning is Meaning.STOP:
            return f"This card could end several charges: choose EVSE {which}."
        return f"Which EVSE is this card for? Choose EVSE {which}."


class CardDesk:
    """Takes cards, however they came, to the right actor."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._waiting: _Waiting | None = None
        self._hints: dict[str, tuple[float, tuple[int, ...]]] = {}
        self._plugged_s: dict[int, float] = {}
        self._question: Question | None = None
        self._chosen: tuple[int, float] | None = None
        self.last_card = ""
        self.last_at: datetime | None = None
        self.last_result = ""

    # --- cards ------------------------------------------------------------------------------------

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
        chosen, self._chosen = self._chosen, None
        if not evses and chosen is not None and self._now_s() < chosen[1]:
            evses = (chosen[0],)
        self._end_question("it was shown again")
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

    # --- the question -----------------------------------------------------------------------------

    @property
    def question(self) -> Question | None:
        """What somebody has to answer now."""
        return self._question

    def question_for(self, evse: int) -> str:
        """The question as far as it is about this EVSE, or ""."""
        question = self._question
        return question.text if question is not None and evse in question.evses else ""

    def answer(self, evse: int) -> bool:
        """A person chose this EVSE: for the card that is asked about, else for the next one shown.

        False = there is no such EVSE, or the question is not about it.
        """
        question = self._question
        if question is None:
            if evse not in self._station.actors:
                return False
            self._chosen = (evse, self._now_s() + ASK_S)
            return True
        if evse not in question.evses:
            return False
        self._end_question("")
        self._station.actors[evse].tell(facts.CardPresented(id_token=question.id_token))
        return True

    def _ask(self, token: IdToken, choice: AskWhich) -> None:
        until = self._station.clock.utc() + timedelta(seconds=ASK_S)
        question = Question(id_token=token, evses=choice.evses, meaning=choice.meaning, until=until)
        self._question = question
        self.led_to(token, "is asked about: which EVSE?")
        self._station.tasks.aside(self._time_out(question), "question")
        self._look_again(question)

    async def _time_out(self, question: Question) -> None:
        await self._station.clock.sleep(ASK_S)
        if self._question is question:
            self._end_question("nobody said for which EVSE")

    def _end_question(self, result: str) -> None:
        question, self._question = self._question, None
        if question is None:
            return
        if result:
            self.led_to(question.id_token, result)
        self._look_again(question)
        self._station.snapshots.changed()

    def _look_again(self, question: Question) -> None:
        for evse in question.evses:
            self._station.actors[evse].look_again()

    # --- which one --------------------------------------------------------------------------------

    def view_changed(self, view: EvseView) -> None:
        """Keeps who plugged in when; a plug-in takes the waiting card."""
        if not view.plugged:
            self._plugged_s.pop(view.evse, None)
        else:
            self._plugged_s.setdefault(view.evse, self._now_s())
        self._check_question()
        waiting = self._waiting
        if waiting is None or not view.plugged or view.phase is not SessionPhase.PREPARING:
            return
        actor = self._station.actors[view.evse]
        token = waiting.id_token
        if not _takes_cards(actor) or not may_start(actor.session.hold, token, waiting.group):
            return
        self._waiting = None
        if self._now_s() >= waiting.until_s:
            return
        if waiting.mode is not actor.session.rules.mode:
            actor.tell(facts.CardPresented(id_token=token))
            return
        actor.tell(facts.Granted(id_token=token, group=waiting.group, offline=waiting.offline))

    def _check_question(self) -> None:
        """Nothing is left to choose when none of the EVSEs could take the card any more."""
        question = self._question
        if question is not None and not any(
            self._possible(question, self._station.actors[evse]) for evse in question.evses
        ):
            self._end_question("the vehicles it could be for are gone")

    def _possible(self, question: Question, actor: EvseActor) -> bool:
        if question.meaning is Meaning.STOP:
            return actor.session.transaction is not None and not actor.session.ending
        return _takes_cards(actor) and actor.session.plug_id is not None

    async def _choose(self, token: IdToken, actors: list[EvseActor]) -> None:
        station = self._station
        group = await station.authorizer.group_of(token)
        choice = choose(token, group, [self._candidate(actor) for actor in actors])
        match choice:
            case ForEvse():
                self._tell(token, (choice.evse,))
            case AskWhich():
                self._ask(token, choice)
            case ForNextPlugIn():
                modes = {station.actors[e].session.rules.mode for e in choice.evses}
                await self._wait_for_plug(token, modes)
            case ForNobody():
                self._tell(token, choice.evses)

    def _candidate(self, actor: EvseActor) -> Candidate:
        session = actor.session
        running = None if session.ending else session.transaction
        plugged = session.plug_id is not None
        return Candidate(
            evse=actor.id,
            takes_cards=_takes_cards(actor),
            plugged_s=self._plugged_s.get(actor.id, self._now_s()) if plugged else None,
            running=None if running is None else running.id_token,
            group=None if running is None else running.group,
            promised=session.promised_to,
            hold=session.hold,
        )

    def _tell(self, token: IdToken, evses: Iterable[int]) -> None:
        for evse in evses:
            self._station.actors[evse].tell(facts.CardPresented(id_token=token))

    async def _wait_for_plug(self, token: IdToken, modes: set[AuthorizationMode]) -> None:
        if self._waiting is not None and self._waiting.id_token.same_as(token):
            self._waiting = None
            self.led_to(token, "cancelled by the same card")
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
