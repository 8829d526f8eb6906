"""Costs between two words of the operator, triggers of meter values, and their JSON (COST-…)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from controller.core import pricing_json
from controller.core.local_time import local
from controller.core.pricing import (
    ChargingPrice,
    IdlePrice,
    NextPeriod,
    PriceText,
    RunningCost,
    SessionCost,
    Triggers,
    TriggerWatch,
    Usage,
    money,
    offline_cost,
)
from controller.core.settings_list import settings_for
from tests.unit.ocpp.fakes import installation

T = datetime(2026, 3, 19, 12, 0, tzinfo=UTC)
FULL: dict[str, Any] = {
    "timestamp": "2026-03-19T12:00:00+00:00",
    "meterValue": 1_234_000,
    "cost": 1.25,
    "state": "Charging",
    "chargingPrice": {"kWhPrice": 0.123, "hourPrice": 2.0, "flatFee": 0.5},
    "idlePrice": {"graceMinutes": 30, "hourPrice": 1.0},
    "nextPeriod": {
        "atTime": "2026-03-19T19:00:00+00:00",
        "chargingPrice": {"kWhPrice": 0.1},
        "idlePrice": {"hourPrice": 0.5},
    },
    "triggerMeterValue": {
        "atTime": "2026-03-19T23:00:00+00:00",
        "atEnergykWh": 50.0,
        "atPowerkW": 0.1,
        "atCPStatus": ["SuspendedEV", "SuspendedEVSE"],
    },
}


def after(**time: float) -> datetime:
    return T + timedelta(**time)


def session(running: RunningCost) -> SessionCost:
    return SessionCost(basis=running, register_wh=running.meter_wh).told(running)


def charging(kwh: str = "0", hour: str = "0") -> ChargingPrice:
    return ChargingPrice(per_kwh=Decimal(kwh), per_hour=Decimal(hour))


def test_energy_and_time_are_counted_on_from_the_last_word() -> None:
    """COST-3: cost + kWh × price + hours × price; the flat fee is in the operator's cost already."""
    running = RunningCost(
        at=T, meter_wh=1000.0, cost=Decimal("1.00"), charging=charging("0.20", "2.00")
    )
    cost = session(running).seen(6000.0, after(minutes=30))
    assert cost.estimate(after(minutes=30)) == Decimal("3.00")
    assert session(running).seen(900.0, T).estimate(T) == Decimal("1.00")


def test_the_operators_word_corrects_the_estimate() -> None:
    running = RunningCost(at=T, meter_wh=0.0, cost=Decimal(0), charging=charging("0.30"))
    cost = session(running).seen(2000.0, after(minutes=1))
    told = RunningCost(
        at=after(minutes=1), meter_wh=2000.0, cost=Decimal("0.55"), charging=charging("0.30")
    )
    assert cost.told(told).estimate(after(minutes=2)) == Decimal("0.55")


def test_idle_costs_after_the_time_of_grace() -> None:
    """COST-5: grace runs from the first word that says idle, not from each of them; energy costs nothing."""
    idle = IdlePrice(grace_minutes=30, per_hour=Decimal("1.00"))
    first = RunningCost(
        at=T, meter_wh=0.0, cost=Decimal(2), idle=True, idle_price=idle, charging=charging("9")
    )
    cost = session(first).seen(1000.0, T)
    assert cost.estimate(after(minutes=30)) == Decimal(2)
    assert cost.estimate(after(minutes=60)) == Decimal("2.5")
    later = RunningCost(
        at=after(minutes=20), meter_wh=0.0, cost=Decimal(2), idle=True, idle_price=idle
    )
    assert cost.told(later).estimate(after(minutes=60)) == Decimal("2.5")
    again = RunningCost(at=after(hours=2), meter_wh=0.0, cost=Decimal(4), charging=charging("0"))
    resumed = cost.told(again).told(
        RunningCost(at=after(hours=3), meter_wh=0.0, cost=Decimal(4), idle=True, idle_price=idle)
    )
    assert resumed.estimate(after(hours=3, minutes=30)) == Decimal(4)


def test_the_next_period_begins_at_its_time() -> None:
    """COST-4: until then the old prices, from then the new ones; its own idle price too."""
    upcoming = NextPeriod(at=after(hours=1), charging=charging("0.10", "1.00"))
    running = RunningCost(
        at=T,
        meter_wh=0.0,
        cost=Decimal(0),
        charging=charging("0.20", "2.00"),
        next_period=upcoming,
    )
    cost = session(running).seen(1000.0, after(minutes=59))
    assert cost.basis.next_period is upcoming
    cost = cost.seen(1000.0, after(minutes=61))
    assert cost.basis.next_period is None
    assert cost.estimate(after(hours=1)) == Decimal("2.20")
    assert cost.seen(2000.0, after(hours=2)).estimate(after(hours=2)) == Decimal("3.30")


def test_a_next_period_that_has_begun_already_costs_from_the_word_on() -> None:
    """What lies before the operator's meter value is in its cost."""
    upcoming = NextPeriod(at=after(hours=-5), charging=charging("0", "1.00"))
    running = RunningCost(
        at=T, meter_wh=0.0, cost=Decimal(3), charging=charging("0", "9.00"), next_period=upcoming
    )
    assert session(running).seen(0.0, after(hours=1)).estimate(after(hours=1)) == Decimal(4)


def test_after_the_end_only_idle_time_costs() -> None:
    """COST-6."""
    running = RunningCost(at=T, meter_wh=0.0, cost=Decimal(1), charging=charging("0", "6.00"))
    over = session(running).ended(after(minutes=10))
    assert over.estimate(after(hours=5)) == Decimal(2)
    idle = RunningCost(
        at=after(minutes=10),
        meter_wh=0.0,
        cost=Decimal(2),
        idle=True,
        idle_price=IdlePrice(per_hour=Decimal(6)),
    )
    assert over.told(idle).estimate(after(minutes=20)) == Decimal(3)


def test_a_charge_that_begins_offline_costs_by_the_default_unit_prices() -> None:
    price = ChargingPrice(per_kwh=Decimal("0.15"), flat_fee=Decimal("0.50"))
    cost = offline_cost(price, T, 1000.0).seen(11_000.0, after(hours=1))
    assert cost.estimate(after(hours=1)) == Decimal("2.00")


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("3.31", "3.31"), ("2", "2.00"), ("1.2345", "1.235"), ("0.1", "0.10"), ("-0.0004", "0.00")],
)
def test_money_for_people(amount: str, shown: str) -> None:
    """NumberOfDecimalsForCostValues, at least two."""
    assert money(Decimal(amount), 3).removeprefix("-") == shown


def test_texts_by_language() -> None:
    text = PriceText(text="a", other=(("de", "b"), ("pt-BR", "c"), ("nb_NO", "d")))
    found = [text.in_language(name) for name in ("en", "de", "de-AT", "PT-br", "nb-NO", "pt")]
    assert found == ["a", "b", "b", "c", "d", "a"]


# --- triggers -------------------------------------------------------------------------------------


def watch(**wanted: Any) -> TriggerWatch:
    made = TriggerWatch()
    made.arm(Triggers(**wanted), basis_at=T, basis_consumed_wh=0.0)
    return made


def look(made: TriggerWatch, now: datetime = T, **seen: Any) -> bool:
    values: dict[str, Any] = {"consumed_wh": None, "power_w": None, "usage": None, **seen}
    return made.check(now, **values)


def test_a_time_triggers_once() -> None:
    made = watch(at=after(minutes=5))
    assert [look(made, after(minutes=m)) for m in (1, 5, 6)] == [False, True, False]


def test_consumed_energy_triggers_once_and_not_again_by_the_same_wish() -> None:
    """The operator repeats its wish with each cost; what its own meter value shows is no news."""
    made = watch(consumed_wh=5000.0)
    seen = [look(made, consumed_wh=wh) for wh in (4999.0, 5000.0, 5200.0)]
    assert seen == [False, True, False]
    made.arm(Triggers(consumed_wh=5000.0), basis_at=T, basis_consumed_wh=5200.0)
    assert look(made, consumed_wh=5300.0) is False
    made.arm(Triggers(consumed_wh=5000.0), basis_at=T, basis_consumed_wh=4900.0)
    assert look(made, consumed_wh=5300.0) is True


def test_power_triggers_both_ways_with_hysteresis() -> None:
    """COST-7: 5 % beyond the threshold; a value that wavers around it is told once."""
    made = watch(power_w=8000.0)
    values = (1000.0, 8100.0, 10_000.0, 7990.0, 7610.0, 7200.0, 8010.0, 8390.0, 8401.0)
    seen = [look(made, power_w=value) for value in values]
    assert seen == [False, False, True, False, False, True, False, False, True]


def test_the_side_of_the_power_threshold_is_kept_when_the_wish_is_repeated() -> None:
    made = watch(power_w=100.0)
    assert look(made, power_w=3680.0) is False
    made.arm(Triggers(power_w=100.0), basis_at=T, basis_consumed_wh=0.0)
    assert look(made, power_w=0.0) is True


def test_a_status_triggers_when_it_is_entered() -> None:
    made = watch(usage=frozenset({Usage.SUSPENDED_EV}))
    states = (Usage.CHARGING, Usage.SUSPENDED_EV, Usage.SUSPENDED_EV, Usage.CHARGING)
    assert [look(made, usage=state) for state in states] == [False, True, False, False]


def test_no_wish_no_trigger() -> None:
    made = watch()
    made.arm(None, basis_at=T, basis_consumed_wh=0.0)
    assert look(made, after(days=9), consumed_wh=1e9, power_w=1e6, usage=Usage.FINISHING) is False


# --- JSON -----------------------------------------------------------------------------------------


def test_running_cost_there_and_back() -> None:
    """COST-2: every field of the message, exactly."""
    cost = pricing_json.running_cost(
        pricing_json.object_in(json.dumps(FULL)), pricing_json.iso_time
    )
    assert cost.cost == Decimal("1.25")
    assert cost.charging == ChargingPrice(
        per_kwh=Decimal("0.123"), per_hour=Decimal("2.0"), flat_fee=Decimal("0.5")
    )
    assert cost.triggers == Triggers(
        at=datetime(2026, 3, 19, 23, tzinfo=UTC),
        consumed_wh=50_000.0,
        power_w=100.0,
        usage=frozenset({Usage.SUSPENDED_EV, Usage.SUSPENDED_EVSE}),
    )
    text = pricing_json.dumps(pricing_json.running_to_json(cost))
    again = pricing_json.running_cost(pricing_json.object_in(text), pricing_json.iso_time)
    assert again == cost


@pytest.mark.parametrize(
    "wrong",
    [
        {"timestamp": None},
        {"timestamp": "soon"},
        {"timestamp": "9999-12-31T23:59:59+00:00"},
        {"meterValue": "1234"},
        {"cost": True},
        {"cost": "1.0"},
        {"cost": 1e30},
        {"state": "Waiting"},
        {"chargingPrice": None},
        {"chargingPrice": {"kWhPrice": -0.1}},
        {"chargingPrice": {"kWhPrice": "0.1"}},
        {"idlePrice": []},
        {"idlePrice": {"graceMinutes": 1.5}},
        {"nextPeriod": {"atTime": "2026-03-19T19:00:00Z"}},
        {"nextPeriod": {"chargingPrice": {}}},
        {"triggerMeterValue": {"atTime": 5}},
        {"triggerMeterValue": {"atPowerkW": "a"}},
        {"triggerMeterValue": {"atCPStatus": "SuspendedEV"}},
        {"triggerMeterValue": {"atCPStatus": ["Sleeping"]}},
        {"triggerMeterValue": {"atCPStatus": ["Available"] * 7}},
    ],
)
def test_malformed_running_costs_are_refused(wrong: dict[str, Any]) -> None:
    body = json.loads(json.dumps({**FULL, **wrong}))
    with pytest.raises(ValueError, match=r"must|required"):
        pricing_json.running_cost(body, pricing_json.iso_time)


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '{"a": NaN}', "[" * 100_000, None, 7])
def test_what_is_no_object_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"JSON"):
        pricing_json.object_in(text)


def test_idle_after_the_end_needs_no_charging_price() -> None:
    body = {name: FULL[name] for name in ("timestamp", "meterValue", "cost", "idlePrice")}
    cost = pricing_json.running_cost({**body, "state": "Idle"}, pricing_json.iso_time)
    assert cost.idle and cost.charging is None


def test_final_cost_there_and_back() -> None:
    body = {
        "cost": 3.31,
        "priceText": "$3.31",
        "priceTextExtra": [{"format": "UTF8", "language": "de", "content": "3,31 €"}],
        "qrCodeText": "https://example.org/i/1",
    }
    final = pricing_json.final_cost(pricing_json.object_in(json.dumps(body)))
    text = pricing_json.dumps(pricing_json.final_to_json(final))
    assert pricing_json.final_cost(pricing_json.object_in(text)) == final
    assert final.text.in_language("de") == "3,31 €"
    wrong: dict[str, Any]
    for wrong in (
        {"priceText": ""},
        {"priceTextExtra": {}},
        {"priceTextExtra": [{}]},
        {"qrCodeText": 1},
    ):
        with pytest.raises(ValueError, match="must"):
            pricing_json.final_cost({**body, **wrong})


# --- settings -------------------------------------------------------------------------------------


def prices_on(**first_boot: str) -> Any:
    return settings_for(
        installation(first_boot={"CustomDisplayCostAndPrice": "true", **first_boot})
    )


def test_the_keys_exist_only_with_a_display() -> None:
    """R16-CFG: a station without a page has no prices to show."""
    bare = settings_for(installation())
    assert bare.text("CustomDisplayCostAndPrice") == "false"
    assert bare.declared("DefaultPrice") is None
    assert prices_on().text("SupportedLanguages") == "en,de,nl,fr,es"


@pytest.mark.parametrize(
    ("key", "value", "result"),
    [
        ("DefaultPrice", '{"priceText": "0.15 $/kWh"}', "Accepted"),
        ("DefaultPrice", '{"priceText": "a", "chargingPrice": {"kWhPrice": 0.15}}', "Accepted"),
        ("DefaultPrice", "", "Accepted"),
        ("DefaultPrice", "0.15 $/kWh", "Rejected"),
        ("DefaultPrice", '{"priceText": 1}', "Rejected"),
        ("DefaultPrice", '{"priceText": "' + "a" * 500 + '"}', "Rejected"),
        ("DefaultPriceText,de", '{"priceText": "0,15 €/kWh", "priceTextOffline": "b"}', "Accepted"),
        ("DefaultPriceText,de", "{}", "Rejected"),
        ("DefaultPriceText,pt", '{"priceText": "a"}', "NotSupported"),
        ("TimeOffset", "-05:00", "Accepted"),
        ("TimeOffset", "02:00", "Accepted"),
        ("TimeOffset", "25:00", "Rejected"),
        ("NextTimeOffsetTransitionDateTime", "2026-03-29T01:00:00+01:00", "Accepted"),
        ("NextTimeOffsetTransitionDateTime", "in March", "Rejected"),
        ("NextTimeOffsetTransitionDateTime", "2026-13-45T01:00:00Z", "Rejected"),
        ("NextTimeOffsetTransitionDateTime", "9999-12-31T23:59:59Z", "Rejected"),
        ("NextTimeOffsetTransitionDateTime", "", "Accepted"),
        ("TimeOffsetNextTransition", "+02:00", "Accepted"),
        ("Language", "nl", "Accepted"),
        ("Language", "pt", "Rejected"),
        ("CustomIdleFeeAfterStop", "true", "Accepted"),
        ("WaitForSetUserPriceTimeout", "5000", "Accepted"),
        ("WaitForSetUserPriceTimeout", "-1", "Rejected"),
        ("CustomDisplayCostAndPrice", "false", "Rejected"),
        ("SupportedLanguages", "en", "Rejected"),
        ("NumberOfDecimalsForCostValues", "2", "Rejected"),
        ("CustomMultiLanguageMessages", "false", "Rejected"),
        ("Currency", "EUR", "Accepted"),
    ],
)
def test_types_ranges_and_access_of_the_keys(key: str, value: str, result: str) -> None:
    assert prices_on().change(key, value).value == result


def test_languages_of_the_installer() -> None:
    settings = prices_on(SupportedLanguages="en,pt-BR", Language="pt-BR")
    assert settings.text("Language") == "pt-BR"
    assert settings.declared("DefaultPriceText,pt-BR") is not None
    assert settings.declared("DefaultPriceText,de") is None


def test_local_time_follows_the_offsets() -> None:
    """TimeOffset until the transition, then TimeOffsetNextTransition; also without a zone in it."""
    settings = prices_on()
    assert local(T, settings).strftime("%H:%M") == "12:00"
    settings.change("TimeOffset", "+01:00")
    settings.change("TimeOffsetNextTransition", "+02:00")
    settings.change("NextTimeOffsetTransitionDateTime", "2026-03-19T13:30:00")
    moments = (T, after(minutes=29), after(minutes=30))
    assert [f"{local(at, settings):%H:%M}" for at in moments] == ["13:00", "13:29", "14:30"]
    settings.change("TimeOffset", "-05:30")
    settings.change("NextTimeOffsetTransitionDateTime", "")
    assert f"{local(T, settings):%H:%M}" == "06:30"
