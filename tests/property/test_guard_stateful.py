"""The same world and oracle under hypothesis: it shrinks what the random walk would only stumble over."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from .guard_world import LATCHED_BY_STATION, PASSING_BY_STATION, World

WAIT = st.sampled_from((1, 3, 60, 120, 610))


class GuardMachine(RuleBasedStateMachine):
    """Every rule ends with time passing, and the oracle judges each tick."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(level=st.sampled_from("ABCDE"), wait=WAIT)
    def vehicle(self, level: str, wait: int) -> None:
        self.world.set_level(level)
        self.world.ticks(wait)

    @rule(amps=st.sampled_from((6.0, 10.0, 32.0)))
    def charges(self, amps: float) -> None:
        self.world.offering = amps
        for level in "BC":
            self.world.set_level(level)
            self.world.ticks(60)

    @rule(amps=st.floats(0, 80), wait=WAIT)
    def station_offers(self, amps: float, wait: int) -> None:
        self.world.offering = amps
        self.world.next_offer = 0
        self.world.ticks(wait)

    @rule(wait=st.sampled_from((1, 260, 900, 2300)))
    def station_falls_silent(self, wait: int) -> None:
        self.world.offering = None
        self.world.ticks(wait)

    @rule(wait=WAIT)
    def station_withdraws(self, wait: int) -> None:
        self.world.withdraw()
        self.world.ticks(wait)

    @rule(shift=st.sampled_from((-1, 1, 1000)))
    def foreign_offer(self, shift: int) -> None:
        self.world.offer(32.0, plug_id=self.world.guard.plug_id + shift)
        self.world.ticks(5)

    @rule(
        part=st.sampled_from(("rcd", "stop", "coil_broken", "deaf_test", "lock_broken")), wait=WAIT
    )
    def part_breaks(self, part: str, wait: int) -> None:
        setattr(self.world, part, True)
        self.world.ticks(wait)

    @rule(name=st.sampled_from(LATCHED_BY_STATION + PASSING_BY_STATION), wait=WAIT)
    def station_raises(self, name: str, wait: int) -> None:
        self.world.raise_fault(name)
        self.world.ticks(wait)

    @rule()
    def repaired_and_cleared(self) -> None:
        world = self.world
        world.rcd = world.stop = world.coil_broken = world.deaf_test = world.lock_broken = False
        for name in (*LATCHED_BY_STATION, *PASSING_BY_STATION):
            world.cause_gone(name)
        world.ticks(5)
        for name in sorted(world.faults):
            world.clear(name)
        world.ticks(5)

    @rule(windows=st.sampled_from((1, 3, 5, 350)))
    def noise(self, windows: int) -> None:
        self.world.disturbed = windows
        self.world.ticks(windows + 5)

    @rule()
    def guard_dies(self) -> None:
        self.world.die()
        self.world.ticks(5)


GuardMachine.TestCase.settings = settings(
    max_examples=10,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestGuardMachine = GuardMachine.TestCase
