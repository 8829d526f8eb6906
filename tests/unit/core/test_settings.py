"""R16-CFG: settings are checked, spelt and listed once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.core.settings import Access, ChangeResult, Kind, Setting, Settings
from controller.core.settings_list import SETTINGS, first_boot_problem, settings_for
from tests.unit.ocpp.fakes import installation

CORE_KEYS = [
    "AllowOfflineTxForUnknownId",
    "AuthorizationCacheEnabled",
    "AuthorizeRemoteTxRequests",
    "ClockAlignedDataInterval",
    "ConnectionTimeOut",
    "ConnectorPhaseRotation",
    "ConnectorPhaseRotationMaxLength",
    "GetConfigurationMaxKeys",
    "HeartbeatInterval",
    "LocalAuthorizeOffline",
    "LocalPreAuthorize",
    "MaxEnergyOnInvalidId",
    "MeterValuesAlignedData",
    "MeterValuesAlignedDataMaxLength",
    "MeterValuesSampledData",
    "MeterValuesSampledDataMaxLength",
    "MeterValueSampleInterval",
    "MinimumStatusDuration",
    "NumberOfConnectors",
    "ResetRetries",
    "StopTransactionOnEVSideDisconnect",
    "StopTransactionOnInvalidId",
    "StopTxnAlignedData",
    "StopTxnAlignedDataMaxLength",
    "StopTxnSampledData",
    "StopTxnSampledDataMaxLength",
    "SupportedFeatureProfiles",
    "TransactionMessageAttempts",
    "TransactionMessageRetryInterval",
    "UnlockConnectorOnEVSideDisconnect",
    "WebSocketPingInterval",
    "MessageTimeout",
    "StopTransactionMaxMeterValues",
]


def test_every_core_key_is_declared_once() -> None:
    keys = [s.key16 for s in SETTINGS]
    assert set(CORE_KEYS) <= set(keys)
    assert len({key.casefold() for key in keys}) == len(keys)
    names2 = [s.name2 for s in SETTINGS if s.name2]
    assert len(set(names2)) == len(names2)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
def test_defaults_are_allowed_values_and_documented(setting: Setting) -> None:
    assert setting.normal(setting.default) == setting.default
    assert setting.doc
    assert len(setting.key16) <= 50
    assert len(setting.default) <= 500


def setting(kind: Kind, **more: object) -> Setting:
    return replace(Setting(key16="K", kind=kind, default=""), **more)


@pytest.mark.parametrize(
    ("declared", "value", "normal"),
    [
        (setting(Kind.BOOLEAN), "True", "true"),
        (setting(Kind.INTEGER), " +7 ", "7"),
        (setting(Kind.INTEGER, minimum=0, maximum=9), "009", "9"),
        (setting(Kind.DECIMAL, minimum=0), "0.5", "0.5"),
        (setting(Kind.STRING, maximum=3), "äöü", "äöü"),
        (setting(Kind.STRING, choices=("Once", "Never")), "never", "Never"),
        (setting(Kind.LIST, choices=("A", "B")), " b ,a", "B,A"),
        (setting(Kind.LIST, choices=("A",)), "", ""),
    ],
)
def test_normal_values(declared: Setting, value: str, normal: str) -> None:
    assert declared.normal(value) == normal


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        (setting(Kind.BOOLEAN), "1"),
        (setting(Kind.INTEGER), "1.0"),
        (setting(Kind.INTEGER), "٣"),
        (setting(Kind.INTEGER), "9" * 30),
        (setting(Kind.INTEGER, minimum=0), "-1"),
        (setting(Kind.INTEGER, maximum=9), "10"),
        (setting(Kind.DECIMAL), "nan"),
        (setting(Kind.DECIMAL), "x"),
        (setting(Kind.DECIMAL, maximum=1), "1.5"),
        (setting(Kind.STRING, maximum=3), "abcd"),
        (setting(Kind.STRING, pattern="[0-9A-F]+"), "xyz"),
        (setting(Kind.STRING, choices=("Once",)), "Twice"),
        (setting(Kind.LIST, choices=("A", "B")), "A,C"),
        (setting(Kind.LIST, choices=("A", "B")), "A,,B"),
        (setting(Kind.LIST, choices=("A", "B")), "A,a"),
        (setting(Kind.LIST, choices=("A", "B"), maximum=1), "A,B"),
    ],
)
def test_r16_cfg_1_bad_values_change_nothing(declared: Setting, value: str) -> None:
    settings = Settings([replace(declared, default="as it was")])
    assert settings.change("k", value) is ChangeResult.REJECTED
    assert settings.text("K") == "as it was"


def test_changes_are_told_with_the_canonical_name() -> None:
    told: list[tuple[str, str]] = []
    settings = Settings([setting(Kind.INTEGER, reboot=True, default="1")])
    settings.on_change(lambda name, value: told.append((name, value)))
    assert settings.change("k", "2") is ChangeResult.REBOOT_REQUIRED
    assert settings.change("k", "x") is ChangeResult.REJECTED
    assert settings.change("other", "x") is ChangeResult.NOT_SUPPORTED
    assert told == [("K", "2")]


def test_read_only_settings_change_only_from_inside() -> None:
    settings = Settings([setting(Kind.INTEGER, access=Access.READ_ONLY, default="1")])
    assert settings.change("K", "2") is ChangeResult.REJECTED
    settings.learn("K", "3")
    assert settings.integer("K") == 3


def test_both_names_reach_the_same_value() -> None:
    settings = settings_for(installation())
    settings.change("TxCtrlr.EVConnectionTimeOut", "90")
    assert settings.integer("connectiontimeout") == 90


def test_later_changes_win_over_first_boot_values_over_defaults() -> None:
    station = installation(first_boot={"ConnectionTimeOut": "33", "Colour": "red"})
    assert settings_for(station).integer("ConnectionTimeOut") == 33
    settings = settings_for(station, {"ConnectionTimeOut": "44", "colour": "blue", "Gone": "x"})
    assert settings.integer("ConnectionTimeOut") == 44
    assert settings.text("Colour") == "blue"
    assert settings.change("COLOUR", "green") is ChangeResult.ACCEPTED


def test_a_stored_value_that_is_not_allowed_any_more_gives_way_to_the_default() -> None:
    settings = settings_for(installation(), {"ConnectionTimeOut": "-5"})
    assert settings.integer("ConnectionTimeOut") == 60


def test_r16_cfg_what_the_hardware_fixes() -> None:
    station = installation(evses=2)
    settings = settings_for(station)
    assert settings.integer("NumberOfConnectors") == 2
    assert settings.text("ConnectorPhaseRotation") == "1.NotApplicable,2.NotApplicable"
    assert settings.boolean("UnlockConnectorOnEVSideDisconnect")
    tethered = replace(station, evses=tuple(replace(e, lock=None) for e in station.evses))
    settings = settings_for(tethered)
    assert settings.change("UnlockConnectorOnEVSideDisconnect", "true") is ChangeResult.REJECTED
    assert not settings.boolean("UnlockConnectorOnEVSideDisconnect")


def test_first_boot_problems_say_what_is_allowed() -> None:
    assert first_boot_problem("heartbeatinterval", "60") is None
    assert first_boot_problem("Colour", "red") is None
    problem = first_boot_problem("HeartbeatInterval", "-1")
    assert problem == "must be a whole number from 0 to 86400"
