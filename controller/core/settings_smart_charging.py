"""Settings of the SmartCharging profile (1.6 §9.4); what 2.x calls SmartChargingCtrlr."""

from __future__ import annotations

from dataclasses import replace

from controller.core.settings import Access, Kind, Setting
from controller.core.settings_words import boolean, whole

_R = Access.READ_ONLY

# fmt: off
SMART_CHARGING: tuple[Setting, ...] = (
    replace(whole("ChargeProfileMaxStackLevel", 20, "SmartChargingCtrlr", "ProfileStackLevel",
        "highest stack level, and most profiles of one purpose at one EVSE", most=100, access=_R), by_installer=True),
    Setting(key16="ChargingScheduleAllowedChargingRateUnit", component="SmartChargingCtrlr", variable="RateUnit",
        kind=Kind.LIST, default="Current,Power", access=_R, maximum=2, choices=("Current", "Power"),
        doc="units that a charging schedule may have (messages say A and W)"),
    replace(whole("ChargingScheduleMaxPeriods", 1440, "SmartChargingCtrlr", "PeriodsPerSchedule",
        "most periods in one charging schedule", least=1, most=10_000, access=_R), by_installer=True),
    boolean("ConnectorSwitch3to1PhaseSupported", False, "SmartChargingCtrlr", "Phases3to1",
        "the station can go from 3 phases to 1 during a transaction", access=_R),
    replace(whole("MaxChargingProfilesInstalled", 100, "SmartChargingCtrlr", "Entries",
        "most charging profiles installed at a time", least=1, most=1000, instance="ChargingProfiles", access=_R), by_installer=True),
    boolean("AllowChargingProfileWithoutStartSchedule", True, "", "",
        "an Absolute or Recurring profile without startSchedule starts when it is installed (else it is refused)"),
)
# fmt: on
