"""Settings of prices and costs ("OCPP & California Pricing Requirements" for 1.6, TariffCostCtrlr of 2.x).

They exist where the driver can see a price: with a page, or with a first-boot value
CustomDisplayCostAndPrice = "true" for a display of another kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from controller.core.installation import Installation
from controller.core.settings import Access, Kind, Setting
from controller.core.settings_words import boolean, whole

LANGUAGES = ("en", "de", "nl", "fr", "es")
"""Without a first-boot value of SupportedLanguages."""
DISPLAY = "CustomDisplayCostAndPrice"
_OFFSET = r"([+-]?(0\d|1[0-3]):[0-5]\d|[+-]?14:00)?"
_LANGUAGE = r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}"
_R = Access.READ_ONLY


def _default_price(value: str) -> str:
    from controller.core import pricing_json  # only a station that is told prices pays for it

    return _problem(pricing_json.default_price, value)


def _default_price_text(value: str) -> str:
    from controller.core import pricing_json

    return _problem(pricing_json.default_price_text, value)


def _no_time(value: str) -> str:
    """Like what `local_time` reckons with."""
    try:
        sensible = not value or 2000 <= datetime.fromisoformat(value).year < 2900
    except ValueError:
        sensible = False
    return "" if sensible else "a time like 2026-10-25T03:00:00+02:00"


def _problem(read: Callable[[str], object], value: str) -> str:
    if not value:
        return ""
    try:
        read(value)
    except ValueError as error:
        return f'JSON like {{"priceText": "…"}} ({error})'
    return ""


# fmt: off
SHOWS_PRICES = replace(boolean(DISPLAY, False, "TariffCostCtrlr", "Enabled",
    "the driver is shown prices and costs that the backend tells", access=_R), by_installer=True)

_PRICING: tuple[Setting, ...] = (
    whole("NumberOfDecimalsForCostValues", 3, "TariffCostCtrlr", "NumberOfDecimalsForCostValues",
        "decimals of costs shown to the driver", access=_R, most=6),
    Setting(key16="DefaultPrice", kind=Kind.STRING, default="", maximum=500, problem=_default_price,
        doc="price shown while no other is known, and unit prices of charges that begin offline, as JSON"),
    Setting(key16="Currency", component="TariffCostCtrlr", variable="Currency", kind=Kind.STRING, default="",
        pattern=r"([A-Z]{3})?", doc='currency of bare amounts on the page, for example "EUR"; "" = only the number'),
    Setting(key16="TimeOffset", component="ClockCtrlr", variable="TimeOffset", kind=Kind.STRING, default="",
        pattern=_OFFSET, doc="local time minus UTC, for times shown to the driver, for example +01:00"),
    Setting(key16="NextTimeOffsetTransitionDateTime", component="ClockCtrlr",
        variable="NextTimeOffsetTransitionDateTime", kind=Kind.STRING, default="", maximum=40,
        problem=_no_time,
        doc="when TimeOffsetNextTransition replaces TimeOffset"),
    Setting(key16="TimeOffsetNextTransition", component="ClockCtrlr", variable="TimeOffset",
        instance="NextTransition", kind=Kind.STRING, default="", pattern=_OFFSET,
        doc="TimeOffset from that moment on"),
    boolean("CustomIdleFeeAfterStop", False, "", "",
        "idle time counts until the plug is out: the backend is told when, after the end of the transaction"),
    boolean("CustomMultiLanguageMessages", True, "", "", "texts may come in several languages", access=_R),
    whole("WaitForSetUserPriceTimeout", 0, "", "",
        "how long an accepted card waits for its own price before the charge begins", unit="ms", most=60_000),
)
_LANGUAGES = Setting(key16="SupportedLanguages", kind=Kind.LIST, default=",".join(LANGUAGES), access=_R, by_installer=True,
    maximum=20, pattern=_LANGUAGE, doc="languages of texts for the driver (RFC 5646)")
_LANGUAGE_SHOWN = Setting(key16="Language", component="DisplayMessageCtrlr", variable="Language",
    kind=Kind.STRING, default="en", pattern=_LANGUAGE, doc="language of texts for the driver")
# fmt: on


def text_key(language: str) -> str:
    """The key of the default price text in one language."""
    return f"DefaultPriceText,{language}"


def _text_setting(language: str) -> Setting:
    return Setting(
        key16=text_key(language),
        kind=Kind.STRING,
        default="",
        maximum=500,
        problem=_default_price_text,
        doc=f"DefaultPrice's texts in the language {language}, as JSON",
    )


PRICING: tuple[Setting, ...] = (
    SHOWS_PRICES,
    *_PRICING,
    _LANGUAGES,
    _LANGUAGE_SHOWN,
    *(_text_setting(language) for language in LANGUAGES),
)


def price_settings(installation: Installation) -> tuple[Setting, ...]:
    """Those that exist in this installation."""
    shown = _first_boot(installation, DISPLAY) or str(bool(installation.web_listen)).lower()
    shows = replace(SHOWS_PRICES, default=shown.strip().casefold())
    if shows.default != "true":
        return (replace(shows, default="false"),)
    try:
        languages = _LANGUAGES.normal(
            _first_boot(installation, "SupportedLanguages") or _LANGUAGES.default
        )
    except ValueError:
        languages = _LANGUAGES.default
    names = tuple(languages.split(","))
    chosen = replace(_LANGUAGE_SHOWN, choices=names, default="en" if "en" in names else names[0])
    return (
        shows,
        *_PRICING,
        replace(_LANGUAGES, default=languages),
        chosen,
        *(_text_setting(language) for language in names),
    )


def _first_boot(installation: Installation, key: str) -> str:
    values = {**installation.first_boot_2, **installation.first_boot_16}
    return next((v for name, v in values.items() if name.casefold() == key.casefold()), "")
