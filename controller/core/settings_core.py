"""Settings that every station has (the Core profile of 1.6, ocpp-requirements §1.2).

BlinkRepeat and LightIntensity are optional and absent: no driver for lamps exists, so they would do nothing.
"""

from __future__ import annotations

from controller.core.settings import Access, Kind, Setting
from controller.core.settings_words import DAY_S, boolean, length, measurands, whole

_SAMPLED = "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage"
_REGISTER = "Energy.Active.Import.Register"

# fmt: off
CORE: tuple[Setting, ...] = (
    boolean("AllowOfflineTxForUnknownId", False, "AuthCtrlr", "OfflineTxForUnknownIdEnabled",
        "without the backend, start also for cards that neither list nor cache know"),
    boolean("AuthorizationCacheEnabled", True, "AuthCacheCtrlr", "Enabled",
        "remember the backend's answers about cards"),
    boolean("AuthorizeRemoteTxRequests", False, "AuthCtrlr", "AuthorizeRemoteStart",
        "a remote start is authorized like a tapped card first"),
    whole("ClockAlignedDataInterval", 0, "AlignedDataCtrlr", "Interval",
        "clock-aligned meter values, counted from 00:00:00 UTC; 0 = none", unit="s", most=DAY_S),
    whole("ConnectionTimeOut", 60, "TxCtrlr", "EVConnectionTimeOut",
        "how long a card waits for the cable, or a cable for the card", unit="s", least=1, most=DAY_S),
    Setting(key16="ConnectorPhaseRotation", kind=Kind.LIST, default="", maximum=100,
        pattern=r"\d{1,3}\.(NotApplicable|Unknown|RST|RTS|SRT|STR|TRS|TSR)",
        doc="how the phases are wired, per connector; 0 = the supply"),
    length("ConnectorPhaseRotationMaxLength", 2),
    whole("GetConfigurationMaxKeys", 100, "", "", "keys that one GetConfiguration may ask for",
        least=1, most=1000, access=Access.READ_ONLY, by_installer=True),
    whole("HeartbeatInterval", 300, "OCPPCommCtrlr", "HeartbeatInterval",
        "silence after which the station sends a heartbeat", unit="s", most=DAY_S),
    boolean("LocalAuthorizeOffline", True, "AuthCtrlr", "LocalAuthorizeOffline",
        "without the backend, start for cards that list or cache accept"),
    boolean("LocalPreAuthorize", False, "AuthCtrlr", "LocalPreAuthorize",
        "start for cards that list or cache accept without waiting for the backend"),
    whole("MaxEnergyOnInvalidId", 0, "TxCtrlr", "MaxEnergyOnInvalidId",
        "energy still given after the backend refused a running transaction", unit="Wh"),
    whole("MessageTimeout", 30, "OCPPCommCtrlr", "MessageTimeout",
        "how long the station waits for an answer", unit="s", least=1, most=600, instance="Default"),
    measurands("MeterValuesAlignedData", _REGISTER, "AlignedDataCtrlr", "Measurands",
        "what clock-aligned meter values contain"),
    length("MeterValuesAlignedDataMaxLength", 32),
    measurands("MeterValuesSampledData", _SAMPLED, "SampledDataCtrlr", "TxUpdatedMeasurands",
        "what sampled meter values contain"),
    length("MeterValuesSampledDataMaxLength", 32),
    whole("MeterValueSampleInterval", 60, "SampledDataCtrlr", "TxUpdatedInterval",
        "sampled meter values during a transaction; 0 = none", unit="s", most=DAY_S),
    whole("MinimumStatusDuration", 0, "", "", "a status is told only if it lasts this long", unit="s", most=3600),
    whole("NumberOfConnectors", 1, "", "", "EVSEs of this station", access=Access.READ_ONLY),
    whole("ResetRetries", 2, "OCPPCommCtrlr", "ResetRetries", "further attempts of a reset that failed", most=100),
    whole("StopTransactionMaxMeterValues", 500, "", "",
        "meter values in one StopTransaction; the middle is thinned", least=2, most=500,
        access=Access.READ_ONLY, by_installer=True),
    boolean("StopTransactionOnEVSideDisconnect", True, "TxCtrlr", "StopTxOnEVSideDisconnect",
        "unplugging at the car ends the transaction"),
    boolean("StopTransactionOnInvalidId", True, "TxCtrlr", "StopTxOnInvalidId",
        "a transaction that the backend refuses ends; otherwise only its energy does"),
    measurands("StopTxnAlignedData", "", "AlignedDataCtrlr", "TxEndedMeasurands",
        "clock-aligned values that go with the end of a transaction"),
    length("StopTxnAlignedDataMaxLength", 32),
    measurands("StopTxnSampledData", "", "SampledDataCtrlr", "TxEndedMeasurands",
        "sampled values that go with the end of a transaction"),
    length("StopTxnSampledDataMaxLength", 32),
    whole("TransactionMessageAttempts", 3, "OCPPCommCtrlr", "MessageAttempts",
        "how often a transaction message that the backend refuses is sent", least=1, most=1000,
        instance="TransactionEvent"),
    whole("TransactionMessageRetryInterval", 60, "OCPPCommCtrlr", "MessageAttemptInterval",
        "wait before the second attempt; n times as long before the n-th repetition", unit="s", most=DAY_S,
        instance="TransactionEvent"),
    boolean("UnlockConnectorOnEVSideDisconnect", True, "OCPPCommCtrlr", "UnlockOnEVSideDisconnect",
        "unplugging at the car unlocks the plug at the station"),
    whole("WebSocketPingInterval", 30, "OCPPCommCtrlr", "WebSocketPingInterval",
        "how often the connection is tested; 0 = never", unit="s", most=DAY_S),
    boolean("BootOnReconnect", False, "", "",
        "repeat the BootNotification after every reconnection, not only after a start (some backends wait for it)"),
)
# fmt: on
