"""What a charge costs between two words of the operator, over random prices and times (COST-3 to COST-6)."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from controller.core import pricing_json
from controller.core.pricing import (
    ChargingPrice,
    IdlePrice,
    NextPeriod,
    RunningCost,
    SessionCost,
    Triggers,
    TriggerWatch,
    Usage,
)

T = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
MONEY = st.decimals(min_value=0, max_value=100, places=3)
CHARGING = st.builds(
    ChargingPrice, per_kwh=MONEY | st.none(), per_hour=MONEY | st.none(), flat_fee=MONEY | st.none()
)
IDLE = st.builds(IdlePrice, grace_minutes=st.integers(0, 120), per_hour=MONEY | st.none())
MOMENTS = st.integers(0, 86_400).map(lambda s: T + timedelta(seconds=s))
NEXT = st.builds(NextPeriod, at=MOMENTS, charging=CHARGING, idle=IDLE | st.none())
RUNNING = st.builds(
    RunningCost,
    at=MOMENTS,
    meter_wh=st.integers(0, 10**7).map(float),
    cost=MONEY,
    idle=st.booleans(),
    charging=CHARGING,
    idle_price=IDLE | st.none(),
    next_period=NEXT | st.none(),
    triggers=st.builds(
        Triggers,
        at=MOMENTS | st.none(),
        consumed_wh=st.integers(0, 10**5).map(float) | st.none(),
        power_w=st.integers(0, 10**5).map(float) | st.none(),
        usage=st.frozensets(st.sampled_from(Usage)),
    )
    | st.none(),
)


@given(RUNNING, st.lists(st.tuples(st.integers(0, 7200), st.integers(0, 5000)), max_size=12))
def test_a_cost_never_falls_and_never_jumps_over_its_prices(
    running: RunningCost, steps: list[tuple[int, int]]
) -> None:
    """Within each step it rises by no more than the dearest of both periods for time and energy."""
    cost = SessionCost(basis=running, register_wh=running.meter_wh).told(running)
    now, register, last = running.at, running.meter_wh, cost.estimate(running.at)
    assert last == running.cost
    periods: list[tuple[ChargingPrice | None, IdlePrice | None]] = [
        (running.charging, running.idle_price)
    ]
    if running.next_period is not None:
        periods.append((running.next_period.charging, running.next_period.idle))
    kwh = max((p.per_kwh or Decimal(0)) for p, _ in periods if p is not None)
    hour = max(
        [(p.per_hour or Decimal(0)) for p, _ in periods if p is not None]
        + [(i.per_hour or Decimal(0)) for _, i in periods if i is not None]
    )
    spent = Decimal(0)
    for seconds, wh in steps:
        now, register = now + timedelta(seconds=seconds), register + wh
        spent += hour * seconds / 3600 + kwh * wh / 1000
        cost = cost.seen(register, now)
        amount = cost.estimate(now)
        assert amount >= last - Decimal("1e-9")
        assert amount <= running.cost + spent + Decimal("1e-9")
        last = amount


@given(RUNNING)
def test_what_is_stored_is_what_was_told(running: RunningCost) -> None:
    text = pricing_json.dumps(pricing_json.running_to_json(running))
    assert pricing_json.running_cost(pricing_json.object_in(text), pricing_json.iso_time) == running


@given(
    st.integers(1, 20_000),
    st.lists(st.integers(0, 22_000), min_size=1, max_size=60),
)
def test_power_triggers_alternate_beyond_the_band(threshold: int, powers: list[int]) -> None:
    """Each trigger lies beyond the threshold by 5 %, on the other side than the one before."""
    watch = TriggerWatch()
    watch.arm(Triggers(power_w=float(threshold)), basis_at=T, basis_consumed_wh=0.0)
    sides: list[bool] = []
    for power in powers:
        if watch.check(T, consumed_wh=None, power_w=float(power), usage=None):
            assert power > threshold * 1.05 or power <= threshold * 0.95
            sides.append(power > threshold)
    assert all(a is not b for a, b in itertools.pairwise(sides))
