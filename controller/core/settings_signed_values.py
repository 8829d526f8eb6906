"""Settings of signed meter values (SMV §3.3, REG-EICH-4, REG-EICH-5): only where a meter signs."""

from __future__ import annotations

from controller.core.installation import Installation
from controller.core.settings import Access, Kind, Setting
from controller.core.settings_words import boolean, measurands
from controller.core.signed_values import PublicKeyRule, public_key_field

# fmt: off
SIGNING: tuple[Setting, ...] = (
    Setting(key16="PublicKeyWithSignedMeterValue", component="OCPPCommCtrlr",
        variable="PublicKeyWithSignedMeterValue", kind=Kind.STRING,
        default=PublicKeyRule.ONCE_PER_TRANSACTION.value, choices=tuple(rule.value for rule in PublicKeyRule),
        doc="with which signed values the meter's public key goes out"),
    boolean("SampledDataSignReadings", True, "SampledDataCtrlr", "SignReadings",
        "start and end of a transaction are signed by the meter; without a signature no charge begins"),
    boolean("SampledDataSignStartedReadings", False, "SampledDataCtrlr", "SignStartedReadings",
        "the values that StartTxnSampledData asks for are signed"),
    boolean("SampledDataSignUpdatedReadings", False, "SampledDataCtrlr", "SignUpdatedReadings",
        "sampled values during a transaction are signed"),
    boolean("AlignedDataSignReadings", False, "AlignedDataCtrlr", "SignReadings",
        "start and end of a transaction are signed by the meter, also without sampled values"),
    boolean("AlignedDataSignUpdatedReadings", False, "AlignedDataCtrlr", "SignUpdatedReadings",
        "clock-aligned values during a transaction are signed"),
    measurands("StartTxnSampledData", "", "SampledDataCtrlr", "TxStartedMeasurands",
        "values that are sent right after the start of a transaction"),
)
# fmt: on


def key_name(evse: int) -> str:
    """The key that shows the public key of an EVSE's meter."""
    return f"MeterPublicKey{evse}"


def signing_settings(installation: Installation) -> tuple[Setting, ...]:
    """Those that exist in this installation."""
    signing = [evse for evse in installation.evses if evse.meter_signs]
    if not signing:
        return ()
    keys = (
        Setting(
            key16=key_name(evse.id),
            component="FiscalMetering",
            variable="PublicKey",
            instance=str(evse.id),
            kind=Kind.STRING,
            default=_field(evse.meter_public_key),
            access=Access.READ_ONLY,
            doc=f"public key of the meter of EVSE {evse.id}, as it goes out with signed values",
        )
        for evse in signing
    )
    return (*SIGNING, *keys)


def _field(printed: str) -> str:
    try:
        return public_key_field(printed)
    except ValueError:
        return ""  # `check` has told; the meter may know its key itself
