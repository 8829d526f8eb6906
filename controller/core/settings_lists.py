"""Settings of the local authorization list and of reservations (ocpp-requirements §1.2)."""

from __future__ import annotations

from dataclasses import replace

from controller.core.settings import Access, Setting
from controller.core.settings_words import boolean, whole

_R = Access.READ_ONLY

# fmt: off
LISTS: tuple[Setting, ...] = (
    boolean("LocalAuthListEnabled", True, "LocalAuthListCtrlr", "Enabled",
        "the local authorization list counts and the backend may change it"),
    replace(whole("LocalAuthListMaxLength", 10_000, "", "", "tokens that the list may have", access=_R,
        least=1, most=100_000), by_installer=True),
    replace(whole("SendLocalListMaxLength", 500, "LocalAuthListCtrlr", "ItemsPerMessage",
        "tokens that one SendLocalList may have", access=_R, least=1, most=100_000), by_installer=True),
    boolean("ReservationEnabled", True, "ReservationCtrlr", "Enabled",
        "the backend may reserve; otherwise it is told Rejected"),
    replace(boolean("ReserveConnectorZeroSupported", True, "ReservationCtrlr", "NonEvseSpecific",
        "the backend may reserve without naming a connector", access=_R), by_installer=True),
)
# fmt: on
