"""Every setting, declared once, and the settings of one installation.

1.6 keys by ocpp-requirements §1.2 (R16-CFG), 2.x names by the device model. The declarations of each area
stand in `settings_<area>.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from controller.core.installation import Installation
from controller.core.settings import Access, Kind, Setting, Settings
from controller.core.settings_core import CORE
from controller.core.settings_lists import LISTS
from controller.core.settings_maintenance import MAINTENANCE
from controller.core.settings_pricing import PRICING, price_settings
from controller.core.settings_security import SECURITY
from controller.core.settings_signed_values import SIGNING, signing_settings
from controller.core.settings_smart_charging import SMART_CHARGING

PROFILES = (
    "Core",
    "FirmwareManagement",
    "LocalAuthListManagement",
    "Reservation",
    "RemoteTrigger",
    "SmartCharging",
)
"""Feature profiles of 1.6 that are built."""

_R = Access.READ_ONLY

SETTINGS: tuple[Setting, ...] = (
    *CORE,
    *LISTS,
    *SMART_CHARGING,
    *SECURITY,
    *MAINTENANCE,
    *PRICING,
    *SIGNING,
    Setting(
        key16="SupportedFeatureProfiles",
        kind=Kind.LIST,
        default=",".join(PROFILES),
        access=_R,
        pattern=r"\w+",
        doc="what this station can do",
    ),
)


OPTIONAL = (*PRICING, *SIGNING)
"""Settings that only some installations have."""


def existing(installation: Installation) -> list[Setting]:
    """The declarations that count in this installation."""
    optional = {setting.name for setting in OPTIONAL}
    always = [setting for setting in SETTINGS if setting.name not in optional]
    return [*always, *price_settings(installation), *signing_settings(installation)]


def settings_for(installation: Installation, changed: Mapping[str, str] | None = None) -> Settings:
    """The settings of a station: defaults, what the hardware fixes, first-boot values, then later changes."""
    declared = [_fixed(setting, installation) for setting in existing(installation)]
    absent = {s.name.casefold() for s in OPTIONAL}
    names = {s.name.casefold(): n for n, s in enumerate(declared)}
    names.update({s.name2.casefold(): n for n, s in enumerate(declared) if s.name2})
    first_boot = {**installation.first_boot_2, **installation.first_boot_16}
    for name, value in first_boot.items():
        n = names.get(name.casefold())
        if n is None and name.casefold() not in absent:
            names[name.casefold()] = len(declared)
            declared.append(custom(name, value))
        elif n is not None and may_be_set(declared[n]):
            declared[n] = _with_default(declared[n], value)
    return Settings(declared, changed)


def custom(name: str, value: str) -> Setting:
    """A key that no standard knows, made by a first-boot value; a backend may read and change it."""
    return Setting(key16=name, kind=Kind.STRING, default=value, maximum=500, doc="custom")


def may_be_set(setting: Setting) -> bool:
    """Whether a first-boot value counts; otherwise hardware or code has fixed it."""
    return setting.access is not _R or setting.by_installer


def first_boot_warning(name: str) -> str | None:
    """Why a first-boot value of a standard setting has no effect, or None."""
    for setting in SETTINGS:
        if name.casefold() in (setting.name.casefold(), setting.name2.casefold()):
            if not may_be_set(setting):
                return "is fixed by the hardware or the program; this value has no effect"
    return None


def ping_problem(ping_interval_s: int, attempts: int, retry_interval_s: int) -> str | None:
    """A dead link should be noticed before a transaction message has used up its attempts (EJ16 3.11)."""
    if retry_interval_s <= 0 or 0 < ping_interval_s < attempts * retry_interval_s:
        return None
    return (
        f"WebSocketPingInterval = {ping_interval_s} should be less than TransactionMessageAttempts "
        f"x TransactionMessageRetryInterval = {attempts * retry_interval_s}, and not 0"
    )


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
        connectors = "|".join(str(n) for n in (0, *(evse.id for evse in installation.evses)))
        pattern = setting.pattern.replace(r"\d{1,3}", f"({connectors})")
        return replace(setting, default=default, maximum=count + 1, pattern=pattern)
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
