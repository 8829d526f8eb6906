"""R16-CFG-1, R16-CFG-2: every key of the Core profile, in one table: type, range, access, persistence, effect."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.core.settings import CHANGED, STORED_PREFIX, Access, ChangeResult, Kind
from controller.core.settings_core import CORE
from controller.core.settings_list import first_boot_warning, ping_problem, settings_for
from controller.ocpp.rpc import ErrorName
from controller.ocpp.v16 import config_keys
from tests.unit.ocpp.fakes import installation
from tests.unit.ocpp.test_handlers import Rig

RW, R = Access.READ_WRITE, Access.READ_ONLY
TESTS = Path(__file__).parents[2]
NO_BOOLEAN = ("1", "yes", "", "tru", "null")
NO_NUMBER = ("", "soon", "1.5", "0x10", "1e3", "-1", "99999999999999999999")
NO_MEASURANDS = (
    "Colour",
    "Voltage,Colour",
    "Voltage,,Current.Import",
    "Voltage,voltage",
    "Voltage.L4",
    "Temperature",
    "Current.Export",
    "Power.Active.Import.L1",
    ",".join(["Voltage"] * 33),
)
LISTS = ("", "Voltage", "voltage.l1 , CURRENT.import", "Energy.Active.Import.Register,Frequency")
SWITCH = ("true", "FALSE", "True")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One row. `effect`: the test that shows what the key does ("file::name"; "" = it only informs)."""

    kind: Kind
    access: Access
    good: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    effect: str


def flag(effect: str) -> Key:
    return Key(kind=Kind.BOOLEAN, access=RW, good=SWITCH, bad=NO_BOOLEAN, effect=effect)


def number(effect: str, *, good: tuple[str, ...], bad: tuple[str, ...] = ()) -> Key:
    return Key(kind=Kind.INTEGER, access=RW, good=good, bad=NO_NUMBER + bad, effect=effect)


def measurands(effect: str) -> Key:
    return Key(kind=Kind.LIST, access=RW, good=LISTS, bad=NO_MEASURANDS, effect=effect)


def fixed(kind: Kind = Kind.INTEGER, effect: str = "") -> Key:
    return Key(kind=kind, access=R, effect=effect)


STATION = "unit/station/test_station.py::"
ADAPTER = "unit/ocpp/test_adapter.py::"
EFFECTS = "unit/station/test_key_effects.py::"
HERE = "unit/ocpp/test_keys_core.py::"
AUTH = "unit/core/test_authorization.py::"

KEYS: dict[str, Key] = {
    "AllowOfflineTxForUnknownId": flag(AUTH + "test_offline_rules"),
    "AuthorizationCacheEnabled": flag(EFFECTS + "test_without_a_cache_there_is_nothing_to_clear"),
    "AuthorizeRemoteTxRequests": flag(STATION + "test_remote_start_with_authorization"),
    "ClockAlignedDataInterval": number(
        EFFECTS + "test_clock_aligned_values_stand_at_multiples_since_midnight",
        good=("0", "900", "86400"),
        bad=("86401",),
    ),
    "ConnectionTimeOut": number(
        EFFECTS + "test_connection_time_out", good=("1", "86400", "007"), bad=("0", "86401")
    ),
    "ConnectorPhaseRotation": Key(
        kind=Kind.LIST,
        access=RW,
        good=("0.RST,1.RST,2.STR", "1.NotApplicable", "0.Unknown", ""),
        bad=("1.XYZ", "RST", "3.RST", "1.RST,,2.RST", "1.RST,1.RST", "0.RST,1.RST,2.RST,0.RTS"),
        effect="",
    ),
    "ConnectorPhaseRotationMaxLength": fixed(),
    "GetConfigurationMaxKeys": fixed(effect=HERE + "test_more_keys_than_allowed_are_refused"),
    "HeartbeatInterval": number(
        ADAPTER + "test_a_new_heartbeat_interval_counts_at_once",
        good=("0", "60", "86400"),
        bad=("86401",),
    ),
    "LocalAuthorizeOffline": flag(AUTH + "test_offline_rules"),
    "LocalPreAuthorize": flag(
        AUTH + "test_online_only_a_local_accepted_with_pre_authorize_suffices"
    ),
    "MaxEnergyOnInvalidId": number(
        "unit/station/test_hardships.py::test_a_refusal_is_acted_on_once_over_restarts",
        good=("0", "500", "1000000"),
    ),
    "MessageTimeout": number(
        ADAPTER + "test_a_silent_link_makes_authorize_fail_and_comes_back",
        good=("1", "600"),
        bad=("0", "601"),
    ),
    "MeterValuesAlignedData": measurands(EFFECTS + "test_each_list_says_what_its_values_contain"),
    "MeterValuesAlignedDataMaxLength": fixed(),
    "MeterValuesSampledData": measurands(EFFECTS + "test_each_list_says_what_its_values_contain"),
    "MeterValuesSampledDataMaxLength": fixed(),
    "MeterValueSampleInterval": number(
        EFFECTS + "test_sample_interval", good=("0", "10", "86400"), bad=("86401",)
    ),
    "MinimumStatusDuration": number(
        ADAPTER + "test_r16_st_1_minimum_status_duration", good=("0", "3600"), bad=("3601",)
    ),
    "NumberOfConnectors": fixed(),
    "ResetRetries": number("", good=("0", "100"), bad=("101",)),
    "StopTransactionMaxMeterValues": fixed(
        effect=EFFECTS + "test_r16_tx_3_the_middle_of_the_stop_data_is_thinned"
    ),
    "StopTransactionOnEVSideDisconnect": flag(
        EFFECTS + "test_stop_transaction_on_ev_side_disconnect"
    ),
    "StopTransactionOnInvalidId": flag(STATION + "test_start_refused_while_charging"),
    "StopTxnAlignedData": measurands(EFFECTS + "test_each_list_says_what_its_values_contain"),
    "StopTxnAlignedDataMaxLength": fixed(),
    "StopTxnSampledData": measurands(EFFECTS + "test_each_list_says_what_its_values_contain"),
    "StopTxnSampledDataMaxLength": fixed(),
    "SupportedFeatureProfiles": fixed(Kind.LIST),
    "TransactionMessageAttempts": number(
        "unit/ocpp/test_outbox.py::test_r16_tx_2_a_callerror_uses_up_an_attempt_and_waits_longer_each_time",
        good=("1", "1000"),
        bad=("0", "1001"),
    ),
    "TransactionMessageRetryInterval": number(
        "unit/ocpp/test_outbox.py::test_r16_tx_2_a_callerror_uses_up_an_attempt_and_waits_longer_each_time",
        good=("0", "60", "86400"),
        bad=("86401",),
    ),
    "UnlockConnectorOnEVSideDisconnect": flag(
        STATION + "test_cable_stays_locked_when_unplugged_at_the_vehicle"
    ),
    "WebSocketPingInterval": number(
        "unit/ocpp/test_link.py::test_rpc_10", good=("0", "30", "86400"), bad=("86401",)
    ),
    "BootOnReconnect": flag(ADAPTER + "test_r16_boot_7_no_second_boot_on_a_plain_reconnect"),
}

CHANGEABLE = [name for name, key in KEYS.items() if key.access is RW]
GOOD = [(name, value) for name, key in KEYS.items() for value in key.good]
BAD = [(name, value) for name, key in KEYS.items() for value in key.bad]


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def reported(rig: Rig, name: str) -> dict[str, object]:
    answer = await rig.ask("GetConfiguration", {"key": [name]})
    assert answer.payload is not None
    (entry,) = answer.payload["configurationKey"]
    return dict(entry)


async def change(rig: Rig, name: str, value: str) -> str:
    return await rig.status("ChangeConfiguration", {"key": name, "value": value})


def test_the_table_has_every_key_of_the_core_profile() -> None:
    assert {s.key16 for s in CORE} | {"SupportedFeatureProfiles"} == set(KEYS)


@pytest.mark.parametrize(("name", "key"), KEYS.items(), ids=KEYS)
async def test_declared_as_the_specification_says(rig: Rig, name: str, key: Key) -> None:
    declared = rig.settings.declared(name)
    assert declared is not None
    assert (declared.kind, declared.access) == (key.kind, key.access)
    entry = await reported(rig, name.swapcase())
    assert entry["key"] == name, "the canonical spelling is reported"
    assert entry["readonly"] is (key.access is R)
    if key.kind is Kind.BOOLEAN:
        assert entry["value"] in ("true", "false")


@pytest.mark.parametrize(("name", "key"), KEYS.items(), ids=KEYS)
def test_the_test_of_its_effect_exists(name: str, key: Key) -> None:
    if not key.effect:
        return
    file, test = key.effect.split("::")
    assert f"def {test}" in (TESTS / file).read_text(encoding="utf-8"), key.effect


@pytest.mark.parametrize(("name", "value"), GOOD)
async def test_r16_cfg_1_allowed_values_count_at_once_and_after_a_restart(
    rig: Rig, name: str, value: str
) -> None:
    declared = rig.settings.declared(name)
    assert declared is not None
    assert await change(rig, name.upper(), value) == "Accepted"
    entry = await reported(rig, name)
    assert entry["value"] == declared.normal(value)
    stored = {n.removeprefix(STORED_PREFIX): v for n, v in rig.values.values.items()}
    assert list(stored) == [name]
    assert settings_for(installation(evses=2), stored).text(name) == entry["value"]


@pytest.mark.parametrize(("name", "value"), BAD)
async def test_r16_cfg_1_other_values_are_rejected_and_nothing_changes(
    rig: Rig, name: str, value: str
) -> None:
    before = await reported(rig, name)
    told: list[str] = []
    rig.settings.on_change(lambda changed, _: told.append(changed))
    assert await change(rig, name, value) == "Rejected"
    assert await reported(rig, name) == before
    assert rig.values.values == {}
    assert told == []


@pytest.mark.parametrize("name", [n for n, key in KEYS.items() if key.access is R])
async def test_r16_cfg_1_read_only_keys_are_rejected(rig: Rig, name: str) -> None:
    before = await reported(rig, name)
    for value in (str(before["value"]), "1", "true", "Core", ""):
        assert await change(rig, name, value) == "Rejected"
    assert await reported(rig, name) == before
    assert rig.values.values == {}


@pytest.mark.parametrize(
    "name", ["BlinkRepeat", "LightIntensity", "Colour", "TxCtrlr.TxStartPoint"]
)
async def test_r16_cfg_1_unknown_keys_are_not_supported(rig: Rig, name: str) -> None:
    assert await change(rig, name, "1") == "NotSupported"
    answer = await rig.ask("GetConfiguration", {"key": [name]})
    assert answer.payload == {"unknownKey": [name]}


async def test_a_name_of_2x_is_no_key_of_16_unless_it_is_the_same_setting(rig: Rig) -> None:
    for setting in rig.settings:
        if not setting.key16:
            assert await change(rig, setting.name2, setting.default) == "NotSupported"


@pytest.mark.parametrize(
    "payload", [{}, {"key": []}], ids=["no member key", "an empty list of keys"]
)
async def test_r16_cfg_2_no_keys_means_all(rig: Rig, payload: dict[str, object]) -> None:
    answer = await rig.ask("GetConfiguration", payload)
    assert answer.payload is not None and "unknownKey" not in answer.payload
    names = [entry["key"] for entry in answer.payload["configurationKey"]]
    assert set(KEYS) <= set(names)
    assert len(names) == len(set(names))


async def test_more_keys_than_allowed_are_refused(rig: Rig) -> None:
    """GetConfigurationMaxKeys."""
    most = rig.settings.integer("GetConfigurationMaxKeys")
    answer = await rig.ask("GetConfiguration", {"key": ["HeartbeatInterval"] * most})
    assert answer.error is None
    answer = await rig.ask("GetConfiguration", {"key": ["HeartbeatInterval"] * (most + 1)})
    assert answer.error is ErrorName.OCCURRENCE


async def test_write_only_keys_are_never_returned(rig: Rig) -> None:
    """EJ16 3.12."""
    hidden = [s.name for s in rig.settings if s.access is Access.WRITE_ONLY]
    everything = await rig.ask("GetConfiguration", {})
    assert everything.payload is not None
    shown = {entry["key"] for entry in everything.payload["configurationKey"]}
    for name in hidden:
        assert name not in shown
        answer = await rig.ask("GetConfiguration", {"key": [name]})
        assert answer.payload == {"unknownKey": [name]}


async def test_a_value_that_cannot_be_stored_does_not_count(rig: Rig) -> None:
    """Durable before acknowledged: the error goes out, the old value stays."""

    async def full(name: str, value: str | None) -> None:
        raise OSError("disk full")

    rig.values.put = full  # type: ignore[method-assign]
    with pytest.raises(OSError, match="disk full"):
        await rig.ask("ChangeConfiguration", {"key": "ConnectionTimeOut", "value": "90"})
    assert rig.settings.integer("ConnectionTimeOut") == 60


async def test_a_value_is_stored_before_it_counts(rig: Rig) -> None:
    seen: list[str | None] = []
    rig.settings.on_change(lambda name, _: seen.append(rig.values.values.get(f"setting.{name}")))
    await change(rig, "ConnectionTimeOut", "90")
    assert seen == ["90"]


async def test_a_change_to_the_present_value_wins_over_a_later_configuration(rig: Rig) -> None:
    await change(rig, "ConnectionTimeOut", "60")
    stored = {n.removeprefix(STORED_PREFIX): v for n, v in rig.values.values.items()}
    station = installation(first_boot={"ConnectionTimeOut": "33"})
    assert settings_for(station, stored).integer("ConnectionTimeOut") == 60


# --- the ping against the attempts (EJ16 3.11) ------------------------------------------------------------


def test_the_defaults_notice_a_dead_link_in_time() -> None:
    settings = settings_for(installation())
    assert ping_problem(*(settings.integer(name) for name in config_keys.PING_KEYS)) is None


@pytest.mark.parametrize(
    ("ping_s", "attempts", "interval_s", "fine"),
    [
        (30, 3, 60, True),
        (180, 3, 60, False),
        (0, 3, 60, False),
        (179, 3, 60, True),
        (30, 3, 0, True),
    ],
)
def test_ping_below_attempts_times_interval(
    ping_s: int, attempts: int, interval_s: int, fine: bool
) -> None:
    assert (ping_problem(ping_s, attempts, interval_s) is None) is fine


async def test_a_ping_that_is_too_slow_is_accepted_with_a_warning(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """The errata recommend the order of the two; they do not forbid it."""
    with caplog.at_level(logging.WARNING):
        assert await change(rig, "WebSocketPingInterval", "3600") == "Accepted"
    assert "should be less than" in caplog.text


# --- first-boot values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["NumberOfConnectors", "supportedfeatureprofiles", "StopTxnSampledDataMaxLength"]
)
def test_what_is_fixed_cannot_be_set_by_the_configuration(name: str) -> None:
    assert first_boot_warning(name) is not None
    settings = settings_for(installation(first_boot={name: "7"}))
    assert settings.text(name) != "7"


def test_limits_of_the_program_may_be_set_by_the_installer_only() -> None:
    chosen = {"StopTransactionMaxMeterValues": "20", "GetConfigurationMaxKeys": "5"}
    settings = settings_for(installation(first_boot=chosen))
    for name, value in chosen.items():
        assert first_boot_warning(name) is None
        assert settings.text(name) == value
        assert settings.change(name, "9") is ChangeResult.REJECTED


def test_the_answers_that_change_something() -> None:
    assert set(CHANGED) == {ChangeResult.ACCEPTED, ChangeResult.REBOOT_REQUIRED}
