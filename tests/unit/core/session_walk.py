"""Drives one session by hand: a clock that stands still, and every command it gave."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from controller.core import facts
from controller.core.authorization import Decision
from controller.core.commands import (
    AskAuthorization,
    BeginTransaction,
    Command,
    EndTransaction,
    Permit,
    ReadBegin,
    ReadEnd,
    Withdraw,
)
from controller.core.model import AuthorizationStatus, IdToken, StopReason, Transaction
from controller.core.session import EvseSession
from controller.core.session_state import SessionRules

ALICE, BOB, CAROL = IdToken("04A2B3C4"), IdToken("04FFEE11"), IdToken("04C0FFEE")
GROUP = IdToken("FAMILY")
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

C = TypeVar("C")


class Walk:
    """A session on its way through a flow."""

    def __init__(self, transaction: Transaction | None = None, **rules: Any) -> None:
        self.mono_s = 1000.0
        self.utc = START
        self.ids = iter(f"tx-{n}" for n in range(1, 100))
        self.session = EvseSession(1, SessionRules(**rules), lambda: next(self.ids), transaction)
        self.commands: list[Command] = []

    def feed(self, fact: facts.Fact) -> list[Command]:
        out = self.session.feed(fact, facts.Moment(self.mono_s, self.utc))
        self.commands += out
        return out

    def wait(self, seconds: float) -> list[Command]:
        """Time passes; the session is woken when it wants to be, and at the end."""
        end = self.mono_s + seconds
        out: list[Command] = []
        while (due := self.session.deadline_s) is not None and due <= end:
            self._to(max(due, self.mono_s))
            before = len(self.commands)
            self.feed(facts.Tick())
            out += self.commands[before:]
            if self.session.deadline_s == due:
                break
        self._to(end)
        return out + self.feed(facts.Tick())

    def _to(self, mono_s: float) -> None:
        self.utc += timedelta(seconds=mono_s - self.mono_s)
        self.mono_s = mono_s

    # --- what happens -----------------------------------------------------------------------------

    def join(self, plug_id: int | None = None, **more: Any) -> list[Command]:
        fact = {"guard_id": "g1", "boot_id": "b1", "contactor_closed": False, **more}
        return self.feed(facts.GuardJoined(plug_id=plug_id, **fact))

    def plug(self, plug_id: int = 7) -> list[Command]:
        return self.feed(facts.PlugSeen(plug_id=plug_id, at=self.utc))

    def unplug(self) -> list[Command]:
        return self.feed(facts.PlugSeen(plug_id=None, at=self.utc))

    def tap(self, token: IdToken = ALICE) -> list[Command]:
        return self.feed(facts.CardPresented(id_token=token))

    def answer(
        self,
        status: AuthorizationStatus = AuthorizationStatus.ACCEPTED,
        group: IdToken | None = None,
        why: str = "",
        request: int | None = None,
    ) -> list[Command]:
        asked = [c for c in self.commands if isinstance(c, AskAuthorization)]
        number = asked[-1].request if request is None else request
        decision = Decision(status=status, group=group, why=why)
        return self.feed(facts.AuthorizationDecided(request=number, decision=decision))

    def begin_read(
        self, energy_wh: float | None = 1000.0, read: int | None = None
    ) -> list[Command]:
        reads = self.all(ReadBegin)
        asked = reads[-1].read if reads else 0
        number = asked if read is None else read
        return self.feed(facts.BeginRead(read=number, energy_wh=energy_wh))

    def contactor(self, closed: bool, at_ns: int = 5) -> list[Command]:
        return self.feed(facts.ContactorSeen(closed=closed, at_ns=at_ns))

    def end_read(self, energy_wh: float) -> list[Command]:
        reads = self.all(ReadEnd)
        return self.feed(facts.EndRead(read=reads[-1].read if reads else 0, energy_wh=energy_wh))

    def stop(self, reason: StopReason) -> list[Command]:
        return self.feed(facts.StopAsked(reason=reason))

    def charge(self, token: IdToken = ALICE, group: IdToken | None = None) -> Transaction:
        """Plug, tap, start, contactor closed."""
        self.join()
        self.plug()
        self.tap(token)
        self.answer(group=group)
        self.begin_read()
        self.contactor(True)
        assert self.session.transaction is not None
        return self.session.transaction

    def settle(self, energy_wh: float = 1500.0) -> EndTransaction:
        """The contactor opens and the register is read: the end."""
        self.contactor(False, at_ns=99)
        self.wait(0.5)
        self.end_read(energy_wh)
        return self.only(EndTransaction)

    # --- what came of it --------------------------------------------------------------------------

    def all(self, kind: type[C]) -> list[C]:
        return [c for c in self.commands if isinstance(c, kind)]

    def only(self, kind: type[C]) -> C:
        found = self.all(kind)
        assert len(found) == 1, f"{len(found)} × {kind.__name__}"
        return found[0]

    @property
    def billed(self) -> int:
        return len(self.all(BeginTransaction))

    @property
    def asked(self) -> list[IdToken]:
        return [c.id_token for c in self.all(AskAuthorization)]

    def kinds(self) -> list[str]:
        keep = (
            AskAuthorization,
            ReadBegin,
            BeginTransaction,
            Permit,
            Withdraw,
            ReadEnd,
            EndTransaction,
        )
        return [type(c).__name__ for c in self.commands if isinstance(c, keep)]
