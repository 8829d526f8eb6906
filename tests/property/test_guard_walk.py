"""DESIGN §1.1-§1.4 as invariants over machine, interlock and output stage; planted mutants must be found."""

from __future__ import annotations

import pytest

from controller.core.evse_guard import EvseGuard
from controller.core.fault_book import FaultBook
from controller.core.guard_messages import Offer
from controller.core.guard_values import GuardInputs
from controller.core.iec61851 import PilotEvent
from controller.core.interlock import (
    PERMIT,
    InterlockInputs,
    Permit,
    Reason,
    Refusal,
    interlock,
)
from controller.core.offer_book import OfferBook, Signal
from controller.core.pilot_window import DiodeCheck, Level, PilotFilter

from .guard_world import MS, Violated, World, walk

WALK_SEEDS = range(6)
WALK_TICKS = 30_000
MUTANT_SEEDS = range(100, 120)
MUTANT_TICKS = 12_000


def test_random_walk_keeps_every_invariant() -> None:
    """180,000 ticks, each an event through machine, interlock and outputs."""
    worlds = [walk(World(socket=bool(seed % 2)), seed, WALK_TICKS) for seed in WALK_SEEDS]
    total = sum((world.count for world in worlds), start=worlds[0].count.__class__())
    print(f"walk: {dict(total)}")
    assert total["ticks"] >= 100_000
    assert total["closes"] > 50
    assert total["faults"] > 50
    assert total["deaths"] > 50
    assert total["holds"] > 10
    assert total["swaps"] > 50


class InterlockBypassed(EvseGuard):
    def _ask_interlock(self, inputs: InterlockInputs) -> Permit | Refusal:
        return PERMIT


class InterlockOnlyHears(EvseGuard):
    """Permits whenever the vehicle asks with PWM on."""

    def _ask_interlock(self, inputs: InterlockInputs) -> Permit | Refusal:
        found = interlock(inputs)
        power = inputs.state.value in ("C2", "D2")
        return PERMIT if power and found != Refusal(Reason.NO_OFFER) else found


class _NeverExpires(OfferBook):
    __slots__ = ()

    def tick(self, closed: bool, now_ns: int) -> None:
        return


class _HoldsEverything(OfferBook):
    """The hold offer forgets min(last, failsafe)."""

    __slots__ = ()

    @property
    def amps(self) -> float | None:
        return self._failsafe_amps if self.hold else self._offered_amps


class _HoldsOpenContactors(OfferBook):
    __slots__ = ()

    def tick(self, closed: bool, now_ns: int) -> None:
        super().tick(True, now_ns)


class _TakesAnyPlugId(OfferBook):
    __slots__ = ()

    def take(self, offer: Offer, plug_id: int, now_ns: int) -> bool:
        return super().take(offer, offer.plug_id, now_ns)


class _ForgetsLatches(FaultBook):
    __slots__ = ()

    def latched(self) -> dict[str, str]:
        return {}


class _LetsGo(FaultBook):
    """Latched faults end with their cause."""

    __slots__ = ()

    def settle(self, name: str, now_ns: int) -> None:
        super().settle(name, now_ns)
        self.clear(name)


class _NoDiodeNeeded(DiodeCheck):
    __slots__ = ()

    def feed(self, pwm: bool, seen: Level | None, volts_low: float, at_ns: int) -> bool:
        self.seen = True
        return False


class _Hasty(PilotFilter):
    """Counts C after three windows."""

    __slots__ = ()

    def _counts(self, seen: Level, span_ns: int) -> bool:
        return self._count >= 3


class _Impatient(Signal):
    __slots__ = ()

    def may_be(self, target_amps: float, now_ns: int) -> float:
        return target_amps


def _with(**parts: type) -> type[EvseGuard]:
    """A guard with some of its parts replaced."""

    class Mutant(EvseGuard):
        def __init__(self, settings, **more):  # type: ignore[no-untyped-def]
            if "faults" in parts:
                super().__init__(settings, **{**more, "latched": {}})
                self.faults = parts["faults"]()
                self.faults.restore(more["latched"], more["now_ns"])
                self._pilot._faults = self.faults
            else:
                super().__init__(settings, **more)
            if "offers" in parts:
                self.offers = parts["offers"](
                    failsafe_amps=settings.failsafe_amps, hold_s=settings.hold_s
                )
            if "diode" in parts:
                self._pilot.diode = parts["diode"]()
            if "filter" in parts:
                self._pilot.filter = parts["filter"](settings.ventilated)
            if "signal" in parts:
                self.signal = parts["signal"]()

    return Mutant


class SixSecondsNeverEnd(EvseGuard):
    def _feed(self, event: PilotEvent) -> None:
        if event is not PilotEvent.GRACE_OVER:
            super()._feed(event)


class SixSecondsSkipped(EvseGuard):
    def _feed(self, event: PilotEvent) -> None:
        super()._feed(event)
        self._grace_until_ns = None


class UnlocksWhenever(EvseGuard):
    def _move_lock(self, state, now_ns):  # type: ignore[no-untyped-def]
        self._lock.want = None
        return

    def _check_connector(self, i: GuardInputs, now_ns: int) -> None:
        super()._check_connector(i, now_ns)
        self._lock_state = self._lock_state.LOCKED


class OverlooksUnplugging(EvseGuard):
    def _follow_plug(self, now_ns: int) -> None:
        if self._pilot.level is not Level.A:
            super()._follow_plug(now_ns)


class TrustsWhatItDidNotSee(EvseGuard):
    """The cable cannot change vehicles while the pilot is lost."""

    def _follow_plug(self, now_ns: int) -> None:
        self._pilot.unwatched = False
        super()._follow_plug(now_ns)


class WakesUpBlindly(EvseGuard):
    """One long state F, and what was plugged before is plugged after."""

    def _f_is_over(self, i: GuardInputs, now_ns: int) -> bool:
        if now_ns < self._f_until_ns + (2800 * MS if self._wake_pulses else 0):
            return False
        self._wake_pulses = 0
        self._pilot.resume(now_ns)
        self._pilot._seen_ns = now_ns
        return True


MUTANTS: dict[str, type[EvseGuard]] = {
    "interlock bypassed": InterlockBypassed,
    "interlock asks only for an offer": InterlockOnlyHears,
    "expiry ignored": _with(offers=_NeverExpires),
    "hold above the last offer": _with(offers=_HoldsEverything),
    "hold offer for an open contactor": _with(offers=_HoldsOpenContactors),
    "plug_id ignored": _with(offers=_TakesAnyPlugId),
    "latch forgotten over a death": _with(faults=_ForgetsLatches),
    "latch ends with its cause": _with(faults=_LetsGo),
    "6 s never end": SixSecondsNeverEnd,
    "6 s skipped": SixSecondsSkipped,
    "diode unchecked": _with(diode=_NoDiodeNeeded),
    "C counts at once": _with(filter=_Hasty),
    "increase without waiting": _with(signal=_Impatient),
    "PWM without lock": UnlocksWhenever,
    "unplugging overlooked": OverlooksUnplugging,
    "swap in noise unnoticed": TrustsWhatItDidNotSee,
    "swap during the wake-up unnoticed": WakesUpBlindly,
}


@pytest.mark.parametrize("name", MUTANTS)
def test_planted_mutant_is_found(name: str) -> None:
    found = ""
    for seed in MUTANT_SEEDS:
        try:
            walk(World(MUTANTS[name], socket=bool(seed % 2)), seed, MUTANT_TICKS)
        except Violated as error:
            found = str(error)
            break
    print(f"{name}: {found}")
    assert found, f"nothing noticed: {name}"
