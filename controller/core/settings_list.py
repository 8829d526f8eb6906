"""Every setting, declared once, and the settings of one installation.

1.6 keys by ocpp-requirements §1.2 (R16-CFG), 2.x names by the device model. Keys that only another
profile needs come with that profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from controller.core.installation import Installation
from controller.core.settings import Access, Kind, Setting, Settings

_PHASED = (
    "Current.Import",
    "Power.Active.Import",
    "Voltage",
    "Current.Export",
    "Power.Factor",
)
_PLAIN = (
    "Energy.Active.Import.Register",
    "Energy.Active.Export.Register",
    "Power.Active.Import",
    "Power.Active.Export",
    "Power.Factor",
    "Power.Offered",
    "Current.Import",
    "Current.Export",
    "Current.Offered",
    "Voltage",
    "Frequency",
    "Temperature",
)
MEASURANDS = _PLAIN + tuple(
    f"{measurand}.{phase}" for measurand in _PHASED for phase in ("L1", "L2", "L3")
)
"""What may be asked of meter values; what a meter does not have is left out of the values."""

PROFILES = ("Core", "RemoteTrigger")
"""Feature profiles of 1.6 that are built."""

_SAMPLED = "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage"
_REGISTER = "Energy.Active.Import.Register"
_DAY_S = 86_400
_R = Access.READ_ONLY


def _bool(key: str, default: bool, component: str, variable: str, doc: str) -> Setting:
    return Setting(
        key16=key,
        component=component,
        variable=variable,
        kind=Kind.BOOLEAN,
        default=str(default).lower(),
        doc=doc,
    )


def _whole(
    key: str,
    default: int,
    component: str,
    variable: str,
    doc: str,
    *,
    unit: str = "",
    least: int = 0,
    most: int | None = None,
    instance: str = "",
    access: Access = Access.READ_WRITE,
) -> Setting:
    return Setting(
        key16=key,
        component=component,
        variable=variable,
        instance=instance,
        kind=Kind.INTEGER,
        default=str(default),
        unit=unit,
        minimum=least,
        maximum=most,
        access=access,
        doc=doc,
    )


def _measurands(key: str, default: str, component: str, variable: str, doc: str) -> Setting:
    return Setting(
        key16=key,
        component=component,
        variable=variable,
        kind=Kind.LIST,
        default=default,
        maximum=32,
        choices=MEASURANDS,
        doc=doc,
    )


def _length(key: str, length: int) -> Setting:
    return _whole(
        key,
        length,
        "",
        "",
        f"how many members {key.removesuffix('MaxLength')} may have",
        access=_R,
    )


# fmt: off
SETTINGS: tuple[Setting, ...] = (
    _bool("AllowOfflineTxForUnknownId", False, "AuthCtrlr", "OfflineTxForUnknownIdEnabled",
        "without the backend, start also for cards that neither list nor cache know"),
    _bool("AuthorizationCacheEnabled", True, "AuthCacheCtrlr", "Enabled",
        "remember the backend's answers about cards"),
    _bool("AuthorizeRemoteTxRequests", False, "AuthCtrlr", "AuthorizeRemoteStart",
        "a remote start is authorized like a tapped card first"),
    _whole("ClockAlignedDataInterval", 0, "AlignedDataCtrlr", "Interval",
        "clock-aligned meter values, counted from 00:00:00 UTC; 0 = none", unit="s", most=_DAY_S),
    _whole("ConnectionTimeOut", 60, "TxCtrlr", "EVConnectionTimeOut",
        "how long a card waits for the cable, or a cable for the card", unit="s", least=1, most=_DAY_S),
    Setting(key16="ConnectorPhaseRotation", kind=Kind.LIST, default="", maximum=100,
        pattern=r"\d{1,3}\.(NotApplicable|Unknown|RST|RTS|SRT|STR|TRS|TSR)",
        doc="how the phases are wired, per connector; 0 = the supply"),
    _length("ConnectorPhaseRotationMaxLength", 2),
    _whole("GetConfigurationMaxKeys", 100, "", "", "keys that one GetConfiguration may ask for", access=_R),
    _whole("HeartbeatInterval", 300, "OCPPCommCtrlr", "HeartbeatInterval",
        "silence after which the station sends a heartbeat", unit="s", most=_DAY_S),
    _bool("LocalAuthorizeOffline", True, "AuthCtrlr", "LocalAuthorizeOffline",
        "without the backend, start for cards that list or cache accept"),
    _bool("LocalPreAuthorize", False, "AuthCtrlr", "LocalPreAuthorize",
        "start for cards that list or cache accept without waiting for the backend"),
    _whole("MaxEnergyOnInvalidId", 0, "TxCtrlr", "MaxEnergyOnInvalidId",
        "energy still given after the backend refused a running transaction", unit="Wh"),
    _whole("MessageTimeout", 30, "OCPPCommCtrlr", "MessageTimeout",
        "how long the station waits for an answer", unit="s", least=1, most=600, instance="Default"),
    _measurands("MeterValuesAlignedData", _REGISTER, "AlignedDataCtrlr", "Measurands",
        "what clock-aligned meter values contain"),
    _length("MeterValuesAlignedDataMaxLength", 32),
    _measurands("MeterValuesSampledData", _SAMPLED, "SampledDataCtrlr", "TxUpdatedMeasurands",
        "what sampled meter values contain"),
    _length("MeterValuesSampledDataMaxLength", 32),
    _whole("MeterValueSampleInterval", 60, "SampledDataCtrlr", "TxUpdatedInterval",
        "sampled meter values during a transaction; 0 = none", unit="s", most=_DAY_S),
    _whole("MinimumStatusDuration", 0, "", "", "a status is told only if it lasts this long", unit="s", most=3600),
    _whole("NumberOfConnectors", 1, "", "", "EVSEs of this station", access=_R),
    _whole("ResetRetries", 2, "OCPPCommCtrlr", "ResetRetries", "further attempts of a reset that failed", most=100),
    _whole("StopTransactionMaxMeterValues", 500, "", "",
        "meter values in one StopTransaction; the middle is thinned", access=_R),
    _bool("StopTransactionOnEVSideDisconnect", True, "TxCtrlr", "StopTxOnEVSideDisconnect",
        "unplugging at the car ends the transaction"),
    _bool("StopTransactionOnInvalidId", True, "TxCtrlr", "StopTxOnInvalidId",
        "a transaction that the backend refuses ends; otherwise only its energy does"),
    _measurands("StopTxnAlignedData", "", "AlignedDataCtrlr", "TxEndedMeasurands",
        "clock-aligned values that go with the end of a transaction"),
    _length("StopTxnAlignedDataMaxLength", 32),
    _measurands("StopTxnSampledData", "", "SampledDataCtrlr", "TxEndedMeasurands",
        "sampled values that go with the end of a transaction"),
    _length("StopTxnSampledDataMaxLength", 32),
    Setting(key16="SupportedFeatureProfiles", kind=Kind.LIST, default=",".join(PROFILES), access=_R,
        pattern=r"\w+", doc="what this station can do"),
    _whole("TransactionMessageAttempts", 3, "OCPPCommCtrlr", "MessageAttempts",
        "how often a transaction message that the backend refuses is sent", least=1, most=1000,
        instance="TransactionEvent"),
    _whole("TransactionMessageRetryInterval", 60, "OCPPCommCtrlr", "MessageAttemptInterval",
        "wait before the second attempt; n times as long before the n-th repetition", unit="s", most=_DAY_S,
        instance="TransactionEvent"),
    _bool("UnlockConnectorOnEVSideDisconnect", True, "OCPPCommCtrlr", "UnlockOnEVSideDisconnect",
        "unplugging at the car unlocks the plug at the station"),
    _whole("WebSocketPingInterval", 30, "OCPPCommCtrlr", "WebSocketPingInterval",
        "how often the connection is tested; 0 = never", unit="s", most=_DAY_S),
    _bool("BootOnReconnect", False, "", "",
        "repeat the BootNotification after every reconnection, not only after a start (some backends wait for it)"),
)
# fmt: on


def settings_for(installation: Installation, changed: Mapping[str, str] | None = None) -> Settings:
    """The settings of a station: defaults, what the hardware fixes, first-boot values, then later changes."""
    declared = [_fixed(setting, installation) for setting in SETTINGS]
    names = {s.name.casefold(): n for n, s in enumerate(declared)}
    names.update({s.name2.casefold(): n for n, s in enumerate(declared) if s.name2})
    first_boot = {**installation.first_boot_2, **installation.first_boot_16}
    for name, value in first_boot.items():
        n = names.get(name.casefold())
        if n is None:
            names[name.casefold()] = len(declared)
            declared.append(custom(name, value))
        else:
            declared[n] = _with_default(declared[n], value)
    return Settings(declared, changed)


def custom(name: str, value: str) -> Setting:
    """A key that no standard knows, made by a first-boot value; a backend may read and change it."""
    return Setting(key16=name, kind=Kind.STRING, default=value, maximum=500, doc="custom")


def first_boot_problem(name: str, value: str) -> str | None:
    """What a first-boot value of a standard setting must be instead, or None if it is fine."""
    for setting in SETTINGS:
        if name.casefold() in (setting.name.casefold(), setting.name2.casefold()):
            try:
                setting.normal(value)
            except ValueError as error:
                return f"must be {error}"
    return None


def _with_default(setting: Setting, value: str) -> Setting:
    try:
        return _replaced(setting, default=setting.normal(value))
    except ValueError:
        return setting  # `check` has told; the station starts all the same


def _fixed(setting: Setting, installation: Installation) -> Setting:
    count = len(installation.evses)
    if setting.key16 == "NumberOfConnectors":
        return _replaced(setting, default=str(count))
    if setting.key16 == "ConnectorPhaseRotationMaxLength":
        return _replaced(setting, default=str(count + 1))
    if setting.key16 == "ConnectorPhaseRotation":
        rotations = ["NotApplicable" if evse.phases == 1 else "RST" for evse in installation.evses]
        default = ",".join(
            f"{evse.id}.{r}" for evse, r in zip(installation.evses, rotations, strict=True)
        )
        return _replaced(setting, default=default, maximum=count + 1)
    if setting.key16 == "UnlockConnectorOnEVSideDisconnect":
        # A tethered cable has nothing to unlock: false, and not changeable (E16 3.84).
        if not any(evse.lock for evse in installation.evses):
            return _replaced(setting, default="false", access=_R)
    return setting


def _replaced(
    setting: Setting,
    *,
    default: str,
    maximum: float | None = None,
    access: Access | None = None,
) -> Setting:
    return replace(
        setting,
        default=default,
        maximum=setting.maximum if maximum is None else maximum,
        access=setting.access if access is None else access,
    )
