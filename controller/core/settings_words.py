"""The words in which settings are declared; see `settings_core.py` and its neighbours."""

from __future__ import annotations

from controller.core.settings import Access, Kind, Setting

_PHASED = (
    "Current.Import",
    "Voltage",
)
_PLAIN = (
    "Energy.Active.Import.Register",
    "Energy.Active.Export.Register",
    "Power.Active.Import",
    "Power.Factor",
    "Power.Offered",
    "Current.Import",
    "Current.Offered",
    "Voltage",
    "Frequency",
)
MEASURANDS = _PLAIN + tuple(
    f"{measurand}.{phase}" for measurand in _PHASED for phase in ("L1", "L2", "L3")
)
"""What may be asked of meter values: what `metering.sampled_values` can give. What the meter at hand does
not have is left out of the values.
"""

DAY_S = 86_400


def boolean(
    key: str,
    default: bool,
    component: str,
    variable: str,
    doc: str,
    *,
    access: Access = Access.READ_WRITE,
    by_installer: bool = False,
) -> Setting:
    """A truth value."""
    return Setting(
        key16=key,
        component=component,
        variable=variable,
        kind=Kind.BOOLEAN,
        default=str(default).lower(),
        access=access,
        by_installer=by_installer,
        doc=doc,
    )


def whole(
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
    by_installer: bool = False,
) -> Setting:
    """A whole number."""
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
        by_installer=by_installer,
        doc=doc,
    )


def measurands(key: str, default: str, component: str, variable: str, doc: str) -> Setting:
    """A list of measurands."""
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


def length(key: str, members: int) -> Setting:
    """How many members a list may have."""
    return whole(
        key,
        members,
        "",
        "",
        f"how many members {key.removesuffix('MaxLength')} may have",
        access=Access.READ_ONLY,
    )
