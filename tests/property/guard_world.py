"""A vehicle, a station and broken parts around one `EvseGuard`, and an oracle that judges its outputs.

The oracle knows only what it did to the wires and what it sent; it never looks into the guard.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from controller.core.duty import amps_read_by_vehicle
from controller.core.evse_guard import EvseGuard
from controller.core.faults import CATALOGUE, Clearing, Severity
from controller.core.guard_messages import (
    ClearFault,
    FactKind,
    Lock,
    Offer,
    RaiseFault,
    Unlock,
    Withdraw,
)
from controller.core.guard_values import EvseGuardSettings, GuardInputs, GuardOutputs
from hal.types import LockState, PilotAbilities, PilotReading

MS = 1_000_000
S = 1_000_000_000
TICK = 10 * MS
VOLTS = {"A": 12.0, "B": 9.0, "C": 6.0, "D": 3.0, "E": 0.0}
ABILITIES = PilotAbilities(sees_state=True, checks_diode=True)
FAILSAFE_AMPS = 8.0
HOLD_S = 20.0
Make = Callable[..., EvseGuard]


class Violated(AssertionError):
    """An invariant does not hold."""


class World:
    """Everything outside the guard. `make` builds the guard: mutants come in here."""

    def __init__(self, make: Make = EvseGuard, *, socket: bool = True) -> None:
        self.make = make
        self.settings = EvseGuardSettings(
            evse=1, abilities=ABILITIES, max_amps=32.0, failsafe_amps=FAILSAFE_AMPS, hold_s=HOLD_S,
            has_rcd=True, has_proximity=socket,
        )  # fmt: skip
        self.socket = socket
        self.now = 1000 * S
        self.count: Counter[str] = Counter()
        # wires
        self.level = "A"
        self.level_since = self.now
        self.c_since: int | None = None
        self.not_c = 0
        self.diode = True
        self.rcd = self.stop = self.weld = self.coil_broken = self.deaf_test = self.lock_broken = (
            False
        )
        self.mirror = False
        self.lock = LockState.UNLOCKED if socket else LockState.NONE
        self.ohms: float | None = 220.0
        self.disturbed = 0
        # station
        self.offering: float | None = None
        self.next_offer = 0
        self.authorised_car: int | None = None
        # oracle
        self.car = 0
        self.a_visible = 0
        self.stored: dict[str, str] = {}
        self.faults: set[str] = set()
        self.may_clear: set[str] = set()
        self.offer_amps: float | None = None
        self.offer_until = 0
        self.hold_until: int | None = None
        self.pwm_off_at: int | None = None
        self.duty_changed_at = -(10**18)
        self.was = GuardOutputs()
        self.unsettled_until = 0
        self.start_guard()

    def start_guard(self) -> None:
        """A new life: only what was stored survives; outputs are safe in between."""
        self.guard = self.make(
            self.settings, first_plug_id=random.Random(self.now).randrange(1 << 30),
            latched=self.stored, now_ns=self.now,
        )  # fmt: skip
        self.was = GuardOutputs()
        self.forget_offer()
        self.authorised_car = None
        self.pwm_off_at = None
        self.duty_changed_at = -(10**18)
        latched = {n for n in self.faults if CATALOGUE[n].latched}
        if not latched <= {f.name for f in self.guard.faults.views()}:
            raise Violated(f"forgotten over a death: {latched}")
        self.faults = set(latched)
        self.unsettled_until = self.now + S

    def forget_offer(self) -> None:
        self.offer_amps = None
        self.hold_until = None

    # --- what may happen ----------------------------------------------------------------------------

    def set_level(self, level: str) -> None:
        if level != self.level:
            self.level, self.level_since = level, self.now

    def die(self) -> None:
        self.count["deaths"] += 1
        self.mirror = self.weld
        self.start_guard()

    def offer(self, amps: float, plug_id: int | None = None, valid_s: float = 2.5) -> None:
        own = self.guard.plug_id
        message = Offer(
            evse=1, plug_id=own if plug_id is None else plug_id, max_amps=amps, valid_s=valid_s
        )
        taken = self.guard.feed(message, self.now)
        if message.plug_id == own and taken and self.authorised_car == self.car:
            self.offer_amps = amps
            self.offer_until = self.now + int(valid_s * S)
            self.hold_until = None

    def withdraw(self) -> None:
        self.offering = None
        self.guard.feed(Withdraw(evse=1, plug_id=self.guard.plug_id), self.now)
        self.forget_offer()

    def raise_fault(self, name: str) -> None:
        self.guard.feed(RaiseFault(evse=1, name=name), self.now)

    def cause_gone(self, name: str) -> None:
        self.guard.feed(ClearFault(evse=1, name=name, by="cause"), self.now)

    def clear(self, name: str) -> None:
        self.may_clear.add(name)
        self.guard.feed(ClearFault(evse=1, name=name, by="command"), self.now)

    def ask_lock(self, locked: bool) -> None:
        closed = self.was.closed or self.mirror
        taken = self.guard.feed(Lock(evse=1) if locked else Unlock(evse=1), self.now)
        if not locked and taken and closed:
            raise Violated("unlocking accepted while closed")

    # --- one tick -------------------------------------------------------------------------------------

    def ticks(self, n: int) -> None:
        for _ in range(n):
            self.tick()

    def tick(self) -> None:
        self.now += TICK
        self.count["ticks"] += 1
        self._follow_car()
        if self.offering is not None and self.now >= self.next_offer:
            self.next_offer = self.now + S
            self.offer(self.offering)
        out = self.guard.tick(self._inputs(), self.now)
        for fact in self.guard.take_facts():
            self._note(fact.kind, fact.value)
        self.stored = dict(self.guard.faults.latched())
        self._let_time_pass()
        self._judge(out)
        self._act(out)
        self.may_clear.clear()

    def _inputs(self) -> GuardInputs:
        if self.was.duty == 0.0:
            high = low = -12.0
        else:
            high = VOLTS[self.level]
            low = high
            if self.was.duty < 1.0:
                low = -12.0 if self.diode or self.level in "AE" else -high
                low = 0.0 if self.level == "E" else low
        self._follow_c()
        mixed = self.disturbed > 0
        self.disturbed -= mixed
        return GuardInputs(
            reading=PilotReading(volts_high=high, volts_low=low, taken_at_ns=self.now, mixed=mixed),
            mirror=self.mirror,
            rcd_tripped=self.rcd or (self.was.rcd_test and not self.deaf_test),
            emergency_stop=self.stop,
            lock=self.lock,
            pp_ohms=self.ohms,
        )

    def _follow_car(self) -> None:
        """Another vehicle: after 80 ms of A in sight, or after 1.2 s of it that nobody could see."""
        if self.level != "A":
            self.a_visible = 0
            return
        in_sight = self.was.duty > 0.0 and not self.disturbed
        before, self.a_visible = self.a_visible, self.a_visible + 1 if in_sight else 0
        hidden_ns = self.now - self.level_since
        if (before == 8 and in_sight) or hidden_ns - TICK < 1200 * MS <= hidden_ns:
            self.car += 1
            self.forget_offer()

    def _follow_c(self) -> None:
        """Since when the level is C, glitches of one or two windows not counted."""
        self.not_c = 0 if self.level == "C" else self.not_c + 1
        if self.not_c >= 3:
            self.c_since = None
        elif self.level == "C" and self.c_since is None:
            self.c_since = self.now

    def _act(self, out: GuardOutputs) -> None:
        """The wires follow."""
        self.mirror = self.weld or (out.closed and not self.coil_broken)
        if out.lock is not None and not self.lock_broken:
            if out.lock.value == "unlock" and (out.closed or self.was.closed):
                raise Violated("unlocked while closed")
            self.lock = LockState.LOCKED if out.lock.value == "lock" else LockState.UNLOCKED
        if out.closed is not self.was.closed:
            self.count["closes" if out.closed else "opens"] += 1
        if amps_read_by_vehicle(out.duty) != amps_read_by_vehicle(self.was.duty):
            self.duty_changed_at = self.now
        self.was = out

    def _note(self, kind: FactKind, value: object) -> None:
        if kind is FactKind.FAULT_RAISED:
            self.count["faults"] += 1
            self.faults.add(str(value))
        elif kind is FactKind.FAULT_CLEARED:
            self._judge_clearing(str(value))
        elif kind in (FactKind.PLUGGED, FactKind.UNPLUGGED):
            self.forget_offer()
            self.authorised_car = self.car if kind is FactKind.PLUGGED else None
            self.count["plug-ins"] += kind is FactKind.PLUGGED
        elif kind is FactKind.HOLD_STARTED:
            self.count["holds"] += 1

    def _judge_clearing(self, name: str) -> None:
        entry = CATALOGUE[name]
        allowed = (
            not entry.latched
            or name in self.may_clear
            or entry.retries > 0
            or (entry.clearing is Clearing.UNPLUG and self.level == "A")
        )
        if not allowed:
            raise Violated(f"{name} went away by itself")
        self.faults.discard(name)

    def _let_time_pass(self) -> None:
        """Offer → hold offer → nothing, as the rules say."""
        if self.offer_amps is None:
            return
        if self.hold_until is not None:
            if self.now >= self.hold_until or not self.was.closed:
                self.forget_offer()
        elif self.now >= self.offer_until:
            if self.was.closed and min(self.offer_amps, FAILSAFE_AMPS) >= 6:
                self.hold_until = self.now + int(HOLD_S * S)
            else:
                self.forget_offer()

    # --- the invariants ----------------------------------------------------------------------------

    def _judge(self, out: GuardOutputs) -> None:
        allowed = self.offer_amps or 0.0
        if self.hold_until is not None:
            allowed = min(allowed, FAILSAFE_AMPS)
        pwm = 0.0 < out.duty < 1.0
        read = amps_read_by_vehicle(out.duty)
        if read > allowed + 1e-3:
            raise Violated(f"the vehicle reads {read} A, {allowed} A are permitted")
        if pwm and self.socket and self.lock is not LockState.LOCKED and not 0 < self.was.duty < 1:
            raise Violated("PWM began unlocked")
        risen = read > amps_read_by_vehicle(self.was.duty)
        fresh_car = self.was.duty == 1.0 and self.guard.plug_id != getattr(self, "_pwm_plug", None)
        if risen and not fresh_car and self.now - self.duty_changed_at < 5 * S - TICK:
            raise Violated("increased within 5 s of the last change")
        if pwm:
            self._pwm_plug = self.guard.plug_id
        self.pwm_off_at = None if pwm else (self.pwm_off_at or self.now)
        if out.closed:
            self._judge_closed(allowed, pwm)
        elif self.was.closed:
            self._judge_opening()
        if out.closed and not self.was.closed:
            self._judge_closing(pwm)

    def _judge_closed(self, allowed: float, pwm: bool) -> None:
        in_grace = self.pwm_off_at is not None and self.now - self.pwm_off_at <= 6 * S + TICK
        if not (pwm and allowed >= 6) and not in_grace:
            raise Violated("closed without offer, hold offer or grace")
        if self.stop or (self.rcd and not self.was.rcd_test):
            raise Violated("closed with RCD or emergency stop")
        high = {n for n in self.faults if CATALOGUE[n].severity is Severity.HIGH}
        if high:
            raise Violated(f"closed with {high}")
        if self.level != "C" and self.now - self.level_since > 80 * MS and not self.disturbed:
            raise Violated(f"closed in {self.level}")

    def _judge_closing(self, pwm: bool) -> None:
        if not pwm:
            raise Violated("closed without PWM")
        if self.level != "C" or self.c_since is None or self.now - self.c_since < 480 * MS:
            raise Violated("closed without a stable C")
        if not self.diode:
            raise Violated("closed without a diode")
        if self.faults and any(CATALOGUE[n].inoperative for n in self.faults):
            raise Violated(f"closed with {self.faults}")
        if self.socket and self.lock is not LockState.LOCKED:
            raise Violated("closed unlocked")

    def _judge_opening(self) -> None:
        """Never under load without a reason."""
        grace_over = self.pwm_off_at is not None and self.now - self.pwm_off_at >= 6 * S - TICK
        high = {n for n in self.faults if CATALOGUE[n].severity is Severity.HIGH}
        left_c = self.level != "C" or self.now - self.level_since < 600 * MS
        if not (grace_over or high or left_c or self.disturbed or self.coil_broken):
            raise Violated("opened under load without a reason")


LATCHED_BY_STATION = ("no_pe", "cable_cut", "tilt", "over_current", "outlet_live")
PASSING_BY_STATION = ("over_voltage", "meter_silent", "phase_lost", "door")


def random_step(world: World, rng: random.Random) -> None:
    """One random thing, then some time."""
    action = rng.choices(
        (
            "level",
            "charge",
            "station",
            "part",
            "fault",
            "clear",
            "die",
            "burst",
            "foreign",
            "lock",
            "repair",
            "swap",
            "sleep",
        ),
        weights=(8, 24, 9, 4, 4, 16, 4, 3, 4, 2, 12, 4, 1),
    )[0]
    wait = rng.choice((1, 2, 5, 20, 60, 120))
    if action == "level":
        world.set_level(rng.choice("AABBCCCDE"))
    elif action == "charge":
        world.set_level("B" if world.level in "ADE" else "C")
        world.offering = rng.choice((6.0, 10.0, 16.0, 32.0))
        wait = rng.choice((60, 80, 150))
        if world.was.closed and rng.random() < 0.3:  # the station dies under load
            world.ticks(10)
            world.offering, wait = None, rng.choice((300, 400))
    elif action == "station":
        choice = rng.choice(("offer", "offer", "zero", "silent", "withdraw", "short"))
        if choice == "offer":
            world.offering = rng.choice((6.0, 7.5, 10.0, 16.0, 32.0, 52.0))
        elif choice == "zero":
            world.offering = rng.choice((0.0, 5.0))
        elif choice == "silent":
            world.offering, wait = None, rng.choice((100, 300, 350, 400, 2500))
        elif choice == "withdraw":
            world.withdraw()
            wait = rng.choice((10, 100, 650))
        else:
            world.offer(16.0, valid_s=0.3)
    elif action == "part":
        part = rng.choice(
            ("rcd", "stop", "weld", "coil_broken", "deaf_test", "lock_broken", "diode", "ohms")
        )
        if part == "diode":
            world.diode = False
        elif part == "ohms":
            world.ohms = rng.choice((None, 10.0, 680.0, 9e9))
        elif part != "weld" or not world.was.closed:
            setattr(world, part, True)
        if rng.random() < 0.6:  # the next vehicle meets it from the start
            world.offering = 16.0
            for level in "ABC":
                world.set_level(level)
                world.ticks(80)
    elif action == "fault":
        world.raise_fault(rng.choice(LATCHED_BY_STATION + PASSING_BY_STATION))
    elif action == "clear":
        for name in [*LATCHED_BY_STATION, *PASSING_BY_STATION]:
            world.cause_gone(name)
        if world.faults:
            for name in rng.sample(sorted(world.faults), rng.randint(1, len(world.faults))):
                world.clear(name)
    elif action == "die":
        world.die()
    elif action == "burst":
        world.disturbed = rng.choice((1, 2, 3, 6, 400))
    elif action == "foreign":
        world.offer(32.0, plug_id=world.guard.plug_id + rng.choice((-1, 1, 7)))
    elif action == "swap":  # in noise
        world.disturbed = rng.choice((125, 150, 200, 400))
        swap(world, rng)
    elif (
        action == "sleep"
    ):  # a vehicle that does not answer is woken up; meanwhile another one comes
        world.offering = 16.0
        world.set_level("B")
        for _ in range(3200):
            world.tick()
            if world.was.duty == 0.0 and world.count["ticks"] % 97 == 0:
                break
        swap(world, rng)
    elif action == "lock":
        world.ask_lock(rng.random() < 0.7)
    elif action == "repair":
        world.rcd = world.stop = world.weld = world.coil_broken = world.deaf_test = False
        world.lock_broken = False
        world.diode, world.ohms = True, 220.0
    world.ticks(wait)


def swap(world: World, rng: random.Random) -> None:
    """The cable goes to another vehicle, as fast as a person can."""
    world.count["swaps"] += 1
    world.set_level("A")
    world.ticks(122)
    world.set_level("B")
    world.ticks(rng.choice((20, 300)))
    world.set_level("C")
    world.ticks(80)


def walk(world: World, seed: int, ticks: int) -> World:
    """Random steps until so many ticks have passed; raises Violated with seed and tick."""
    rng = random.Random(seed)
    try:
        while world.count["ticks"] < ticks:
            random_step(world, rng)
    except Violated as error:
        raise Violated(f"seed {seed}, tick {world.count['ticks']}: {error}") from error
    return world
