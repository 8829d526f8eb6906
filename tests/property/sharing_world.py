"""Several vehicles on one supply: the real guard cores, the real limits, and an oracle that reads the pilots.

Messages between station and guard take time in both directions; the station dies, the guards die, limits move.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from controller.core.composite import ProfileLimit
from controller.core.duty import amps_read_by_vehicle
from controller.core.evse_guard import EvseGuard
from controller.core.guard_messages import FactKind, Offer, Snapshot, Withdraw
from controller.core.guard_values import SAFE, EvseGuardSettings, GuardInputs, GuardOutputs
from controller.core.installation import (
    Charging,
    EvseInstallation,
    Installation,
    Site,
    StationIdentity,
)
from controller.core.settings_list import settings_for
from controller.core.sharing import Sharing
from controller.energy.limits import Limits
from hal.types import MeterReading, PilotAbilities, PilotReading

MS = 1_000_000
S = 1_000_000_000
TICK = 250 * MS
DELAY = 2
"""Ticks that a message takes at most."""
FOLLOW_NS = 5 * S
"""A vehicle follows its pilot within this time (IEC 61851-1)."""
VOLTS = {"A": 12.0, "B": 9.0, "C": 6.0}
ABILITIES = PilotAbilities(sees_state=True, checks_diode=True)


class Exceeded(AssertionError):
    """The supply was exceeded."""


class Clock:
    """Moved by the world."""

    def __init__(self) -> None:
        self.now_ns = 1000 * S

    def monotonic_ns(self) -> int:
        return self.now_ns

    def utc(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC)

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


class Profiles:
    """ProfileLimits by hand."""

    def __init__(self) -> None:
        self.own: dict[int, float | None] = {}
        self.whole: float | None = None
        self.next_change_at = None
        self.changed: Callable[[], None] = lambda: None

    def limit(self, evse: int) -> ProfileLimit:
        return ProfileLimit(amps=self.own.get(evse))

    def station_limit(self) -> ProfileLimit:
        return ProfileLimit(amps=self.whole)

    def on_change(self, changed: Callable[[], None]) -> Callable[[], None]:
        self.changed = changed
        return lambda: None


@dataclass(slots=True)
class Car:
    """The vehicle at one EVSE. `level`: what it puts on the pilot."""

    level: str = "A"
    takes_amps: float = 32.0
    lag_ns: int = S
    draws_amps: float = 0.0
    may_amps: float = 0.0
    since_ns: int = 0

    def follow(self, out: GuardOutputs, now_ns: int) -> None:
        """Draw at most what the pilot said `lag_ns` ago; nothing behind an open contactor."""
        reads = amps_read_by_vehicle(out.duty) if 0 < out.duty < 1 else 0.0
        if reads != self.may_amps:
            self.may_amps, self.since_ns = reads, now_ns
        if not out.closed or self.level != "C":
            self.draws_amps = 0.0
        elif now_ns - self.since_ns >= self.lag_ns:
            self.draws_amps = min(self.takes_amps, reads)


@dataclass(slots=True)
class Evse:
    """One EVSE as the world has it. `permit`: the plug-in that the station's transaction permits."""

    guard: EvseGuard
    lines: tuple[int, ...]
    max_amps: float
    car: Car = field(default_factory=Car)
    out: GuardOutputs = SAFE
    permit: int | None = None
    offered: Offer | None = None
    reading: MeterReading | None = None


class World:
    """`make_limits`: mutants come in here."""

    def __init__(
        self,
        seed: int,
        evses: int,
        sharing: Callable[..., Sharing] = Sharing,
        *,
        meters: bool = True,
    ) -> None:
        self.rng = random.Random(seed)
        self.clock = Clock()
        self.count: Counter[str] = Counter()
        self.profiles = Profiles()
        self.site_amps = self.rng.choice((10.0, 13.0, 16.0, 20.0, 32.0, 40.0))
        self.meters = meters
        self._sharing = sharing
        phases = [self.rng.choice((1, 1, 3)) for _ in range(evses)]
        rotations = [self.rng.choice(("RST", "STR", "TRS")) for _ in range(evses)]
        self.evses: dict[int, Evse] = {}
        for n in range(1, evses + 1):
            start = ("RST", "STR", "TRS").index(rotations[n - 1])
            lines = tuple((start + k) % 3 for k in range(phases[n - 1]))
            most = self.rng.choice((16.0, 32.0))
            self.evses[n] = Evse(self._guard(n, most), lines, most)
        self.installation = Installation(
            station=StationIdentity(id="CP1"), state_dir="", runtime_dir="",
            evses=tuple(
                EvseInstallation(id=n, pilot={}, contactor={}, max_amps=e.max_amps, phases=len(e.lines))
                for n, e in self.evses.items()
            ),
            charging=Charging(authorization="free"), site=Site(max_amps=self.site_amps),
            first_boot_16={
                "ConnectorPhaseRotation": ",".join(f"{n}.{r}" for n, r in enumerate(rotations, 1)),
            },
        )  # fmt: skip
        # What a backend says about the wires is not how they are.
        self.settings = settings_for(self.installation, {
            "ConnectorPhaseRotation": ",".join(
                f"{n}.{self.rng.choice(('RST', 'STR', 'TRS'))}" for n in self.evses
            ),
        })  # fmt: skip
        self.down: deque[tuple[int, Offer | Withdraw]] = deque()
        self.up: deque[tuple[int, Snapshot]] = deque()
        self.snapshot: Snapshot | None = None
        self.alive_from_ns: int | None = None
        self.next_second_ns = 0
        self.facts = False
        self.allowed: deque[tuple[int, float]] = deque()
        self.lowered_ns = 0
        self.told: tuple[object, ...] = ()
        self.drawn_too_much = False
        self.start_station()

    def _guard(self, evse: int, max_amps: float) -> EvseGuard:
        settings = EvseGuardSettings(
            evse=evse, abilities=ABILITIES, max_amps=max_amps, failsafe_amps=self.rng.choice((6.0, 10.0)),
            hold_s=30.0,
        )  # fmt: skip
        first = self.rng.randrange(1 << 30)
        return EvseGuard(settings, first_plug_id=first, now_ns=self.clock.now_ns)

    # --- the station --------------------------------------------------------------------------------

    def start_station(self) -> None:
        """A new life: what was offered is forgotten, the transactions are not."""
        link = cast(Any, self)
        self.limits = Limits(
            installation=self.installation, settings=self.settings, guard=link, clock=self.clock,
            profiles=self.profiles, turn_s=8.0,
        )  # fmt: skip
        cast(Any, self.limits)._sharing = self._sharing(turn_s=8.0)
        self.limits.bind(lambda n: self.evses[n].reading, self._offer)
        self.alive = True
        self.snapshot = None
        for n, evse in self.evses.items():
            evse.offered = None
            if evse.permit is not None:
                self.limits.wants(n, True)

    def die(self) -> None:
        """What was sent is in the guard's socket already."""
        self.count["deaths"] += 1
        self.alive = False

    def permit(self, n: int) -> None:
        evse = self.evses[n]
        evse.permit = evse.guard.plug_id
        self.limits.wants(n, True)
        self._offer(n)

    def withdraw(self, n: int) -> None:
        evse = self.evses[n]
        if evse.permit is not None:
            self._send(Withdraw(evse=n, plug_id=evse.permit))
        evse.permit, evse.offered = None, None
        self.limits.wants(n, False)

    def _offer(self, n: int) -> None:
        evse = self.evses[n]
        if evse.permit is None:
            return
        amps = self.limits.grant(n).amps
        if (
            evse.offered is None
            or evse.offered.max_amps != amps
            or evse.offered.plug_id != evse.permit
        ):
            evse.offered = Offer(evse=n, plug_id=evse.permit, max_amps=amps)
            self._send(evse.offered)

    def _send(self, message: Offer | Withdraw) -> None:
        earliest = self.down[-1][0] if self.down else 0
        at = max(earliest, self.clock.now_ns + self.rng.randint(0, DELAY) * TICK)
        self.down.append((at, message))

    def _station(self) -> None:
        now = self.clock.now_ns
        while self.up and self.up[0][0] <= now:
            self.snapshot = self.up.popleft()[1]
            if self.alive:
                self._reconcile(self.snapshot)
                self.limits.look()
        if now < self.next_second_ns:
            return
        self.next_second_ns = now + S
        for evse in self.evses.values():
            evse.reading = self._read(evse) if self.meters else None
        if self.alive:
            self.limits.look()
            for evse in self.evses.values():
                if evse.offered is not None:
                    self._send(evse.offered)

    def _reconcile(self, snapshot: Snapshot) -> None:
        for seen in snapshot.evses:
            permit = self.evses[seen.evse].permit
            if permit is not None and (not seen.plugged or seen.plug_id != permit):
                self.withdraw(seen.evse)

    def _read(self, evse: Evse) -> MeterReading:
        amps = evse.car.draws_amps
        return MeterReading(
            energy_wh=0.0, taken_at_ns=self.clock.now_ns, power_w=amps * 230.0,
            amps=(amps, amps if len(evse.lines) > 1 else None, None), volts=(230.0, None, None), refresh_ms=0,
        )  # fmt: skip

    # --- one tick -------------------------------------------------------------------------------------

    def tick(self) -> None:
        self.clock.now_ns += TICK
        now = self.clock.now_ns
        self._station()
        while self.down and self.down[0][0] <= now:
            message = self.down.popleft()[1]
            self.evses[message.evse].guard.feed(message, now)
        for evse in self.evses.values():
            if evse.car.level != "A" or not evse.guard.idle:
                evse.out = evse.guard.tick(self._inputs(evse), now)
                for fact in evse.guard.take_facts():
                    self.facts = True
                    self.count[fact.kind.value] += 1
                    if fact.kind is FactKind.FAULT_RAISED:
                        raise AssertionError(f"the world is broken: {fact}")
            evse.car.follow(evse.out, now)
        if self.facts or now % S < TICK:
            self.facts = False
            seen = Snapshot(
                at_ns=now, last_n=0, evses=tuple(e.guard.snapshot() for e in self.evses.values())
            )
            earliest = self.up[-1][0] if self.up else 0
            self.up.append((max(earliest, now + self.rng.randint(0, DELAY) * TICK), seen))
        self._judge()

    def _inputs(self, evse: Evse) -> GuardInputs:
        duty, level = evse.out.duty, evse.car.level
        high = -12.0 if duty == 0.0 else VOLTS[level]
        low = -12.0 if duty < 1.0 and level != "A" else high
        return GuardInputs(
            reading=PilotReading(volts_high=high, volts_low=low, taken_at_ns=self.clock.now_ns),
            mirror=evse.out.closed,
        )

    # --- the oracle -----------------------------------------------------------------------------------

    def limit_amps(self) -> float:
        return min(
            self.site_amps, self.site_amps if self.profiles.whole is None else self.profiles.whole
        )

    def _judge(self) -> None:
        """By what the pilots signal, and by what the vehicles draw. A lower limit may take its way down."""
        now = self.clock.now_ns
        limit = self.limit_amps()
        if self.allowed and limit < self.allowed[-1][1]:
            self.lowered_ns = now
        self.allowed.append((now, limit))
        while self.allowed[0][0] < now - (DELAY + 1) * TICK:
            self.allowed.popleft()
        most = max(amps for _, amps in self.allowed)
        told = (most, *((e.out.duty, e.car.draws_amps) for e in self.evses.values()))
        if told == self.told and not self.drawn_too_much:
            return
        self.told, self.drawn_too_much = told, False
        for line in range(3):
            here = [e for e in self.evses.values() if line in e.lines]
            offers = sum(amps_read_by_vehicle(e.out.duty) for e in here if 0 < e.out.duty < 1)
            drawn = sum(e.car.draws_amps for e in here)
            self.count["shared"] += sum(0 < e.out.duty < 1 for e in here) > 1
            if offers > most + 1e-3:
                raise Exceeded(f"L{line + 1}: {offers:.2f} A are offered, {most} A allowed")
            self.drawn_too_much |= drawn > most + 1e-3
            if drawn > most + 1e-3 and now - self.lowered_ns > FOLLOW_NS + 2 * S and self.alive:
                raise Exceeded(f"L{line + 1}: {drawn:.2f} A are drawn, {most} A allowed")

    # --- what happens ---------------------------------------------------------------------------------

    def event(self) -> None:
        """One random thing."""
        rng, n = self.rng, self.rng.choice(list(self.evses))
        evse = self.evses[n]
        what = rng.choices(
            ("plug", "start", "stop", "unplug", "pause", "own", "whole", "die", "guard", "wait"),
            weights=(8, 12, 2, 2, 4, 4, 4, 2, 1, 4),
        )[0]
        if what == "plug" and evse.car.level == "A":
            evse.car = Car(level="B", takes_amps=rng.choice((6.0, 8.0, 16.0, 32.0)),
                           lag_ns=rng.choice((S // 2, S, 3 * S)))  # fmt: skip
        elif what == "start" and self.alive and evse.guard.plugged and evse.permit is None:
            self.permit(n)
            evse.car.level = "C"
        elif what == "stop" and self.alive:
            self.withdraw(n)
        elif what == "unplug":
            evse.car.level = "A"
        elif what == "pause" and evse.car.level != "A":
            evse.car.level = "B" if evse.car.level == "C" else "C"
        elif what == "own" and self.alive:
            self.profiles.own[n] = rng.choice((None, 0.0, 6.0, 9.0, 16.0))
            self.profiles.changed()
        elif what == "whole" and self.alive:
            self.profiles.whole = rng.choice((None, None, 0.0, 7.0, 12.0, 18.0))
            self.profiles.changed()
        elif what == "die":
            if self.alive:
                self.die()
            else:
                self.start_station()
        elif what == "guard":
            self.count["guard deaths"] += 1
            for number, other in self.evses.items():
                other.guard, other.out = self._guard(number, other.max_amps), SAFE
                other.permit, other.offered = None, None
                self.limits.wants(number, False)
            self.down.clear()
            self.up.clear()
            self.snapshot = None

    def run(self, ticks: int) -> World:
        """Most begin to charge; then random events until so many ticks have passed."""
        for evse in self.evses.values():
            if self.rng.random() < 0.8:
                evse.car = Car(level="B", lag_ns=self.rng.choice((S // 2, S, 3 * S)))
        for _ in range(5):
            self.tick()
        for n, evse in self.evses.items():
            if evse.guard.plugged and self.rng.random() < 0.8:
                self.permit(n)
                evse.car.level = "C"
        while ticks > 0:
            self.event()
            for _ in range(self.rng.choice((1, 2, 5, 15))):
                self.tick()
                ticks -= 1
        return self
