"""Settings that a backend may read or change, each declared once; 1.6 keys and 2.x variables are views.

`settings_list.py` has the declarations. `Settings` holds the values of one station: first-boot values of the
configuration, then what was changed later (which wins). Changing is pure; the caller stores the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

STORED_PREFIX = "setting."
"""Changed settings are kept in the ValueStore under this prefix and their name."""


class Kind(StrEnum):
    """Type of a value as text."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    STRING = "string"
    LIST = "list"
    """comma-separated members of `choices`"""


class Access(StrEnum):
    """Who may do what over the protocol."""

    READ_WRITE = "rw"
    READ_ONLY = "r"
    WRITE_ONLY = "w"


class ChangeResult(StrEnum):
    """Answer to a change."""

    ACCEPTED = "Accepted"
    REBOOT_REQUIRED = "RebootRequired"
    NOT_SUPPORTED = "NotSupported"
    REJECTED = "Rejected"


CHANGED = (ChangeResult.ACCEPTED, ChangeResult.REBOOT_REQUIRED)
"""The answers that mean: the new value counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One declaration. `key16`: 1.6 key ("" = none). `component`, `variable`, `instance`: 2.x ("" = none).

    `minimum`, `maximum`: of numbers; of lists `maximum` is the number of members allowed, of strings the length.
    `pattern`: what a string, or each member of a list, must match; "" = anything (lists: `choices`).
    `problem`: what a string must be instead, "" = it is fine.
    `by_installer`: read-only for the backend, but a first-boot value of the configuration may set it.
    """

    key16: str
    component: str = ""
    variable: str = ""
    instance: str = ""
    kind: Kind
    default: str
    access: Access = Access.READ_WRITE
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    reboot: bool = False
    problem: Callable[[str], str] | None = None
    by_installer: bool = False
    doc: str = ""

    @property
    def name(self) -> str:
        """The canonical name: the 1.6 key, else "Component.Variable[Instance]"."""
        return self.key16 or self.name2

    @property
    def name2(self) -> str:
        """The 2.x name, "" if there is none."""
        if not self.variable:
            return ""
        instance = f"[{self.instance}]" if self.instance else ""
        return f"{self.component}.{self.variable}{instance}"

    def normal(self, value: str) -> str:
        """The value as it is stored. Raises ValueError with what is allowed."""
        return _NORMAL[self.kind](self, value)


class Settings:
    """Values by 1.6 key or "Component.Variable[Instance]", without regard to case."""

    def __init__(
        self, declared: Iterable[Setting], changed: Mapping[str, str] | None = None
    ) -> None:
        self._declared: dict[str, Setting] = {}
        self._names: dict[str, str] = {}
        for setting in declared:
            key = setting.name.casefold()
            self._declared[key] = setting
            self._names[key] = key
            if setting.name2:
                self._names.setdefault(setting.name2.casefold(), key)
        self._values = {name: s.default for name, s in self._declared.items()}
        self._listeners: list[Callable[[str, str], None]] = []
        for name, value in (changed or {}).items():
            self._restore(name, value)

    def __iter__(self) -> Iterator[Setting]:
        """All declarations, in their order."""
        return iter(self._declared.values())

    def declared(self, name: str) -> Setting | None:
        """The declaration of a name, or None."""
        return self._declared.get(self._names.get(name.casefold(), ""))

    def text(self, name: str) -> str:
        """The value as text. Raises KeyError for an unknown name."""
        return self._values[self._names[name.casefold()]]

    def integer(self, name: str) -> int:
        """The value as a whole number."""
        return int(self.text(name))

    def decimal(self, name: str) -> float:
        """The value as a number."""
        return float(self.text(name))

    def boolean(self, name: str) -> bool:
        """The value as a truth value."""
        return self.text(name).casefold() == "true"

    def members(self, name: str) -> list[str]:
        """The members of a comma-separated list."""
        return [m.strip() for m in self.text(name).split(",") if m.strip()]

    def judge(self, name: str, value: str) -> tuple[ChangeResult, str]:
        """What `change` would answer, and the text that it would keep; nothing is changed."""
        setting = self.declared(name)
        if setting is None:
            return ChangeResult.NOT_SUPPORTED, ""
        if setting.access is Access.READ_ONLY:
            return ChangeResult.REJECTED, ""
        try:
            normal = setting.normal(value)
        except ValueError:
            return ChangeResult.REJECTED, ""
        return (ChangeResult.REBOOT_REQUIRED if setting.reboot else ChangeResult.ACCEPTED), normal

    def change(self, name: str, value: str) -> ChangeResult:
        """A backend changes a value. Nothing changes unless Accepted or RebootRequired (R16-CFG-1)."""
        result, normal = self.judge(name, value)
        if result in CHANGED:
            self._put(self._declared[self._names[name.casefold()]], normal)
        return result

    def learn(self, name: str, value: str) -> None:
        """The station itself sets a value (also a read-only one). Raises KeyError, ValueError."""
        setting = self._declared[self._names[name.casefold()]]
        self._put(setting, setting.normal(value))

    def on_change(self, listener: Callable[[str, str], None]) -> None:
        """Call `listener(name, value)` after each change, with the canonical name."""
        self._listeners.append(listener)

    def _put(self, setting: Setting, normal: str) -> None:
        self._values[setting.name.casefold()] = normal
        for listener in self._listeners:
            listener(setting.name, normal)

    def _restore(self, name: str, value: str) -> None:
        setting = self.declared(name)
        if setting is None:
            return  # declared by another version or configuration
        try:
            self._values[setting.name.casefold()] = setting.normal(value)
        except ValueError:
            return  # a bound became narrower: the default is the better value


_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def _boolean(setting: Setting, value: str) -> str:
    lowered = value.strip().casefold()
    if lowered not in ("true", "false"):
        raise ValueError("true or false")
    return lowered


def _integer(setting: Setting, value: str) -> str:
    text = value.strip()
    if not _WHOLE.fullmatch(text):
        raise ValueError(_a_number(setting))
    _in_range(setting, int(text))
    return str(int(text))


def _decimal(setting: Setting, value: str) -> str:
    try:
        number = float(value)
    except ValueError:
        raise ValueError(_a_number(setting)) from None
    if not math.isfinite(number):
        raise ValueError(_a_number(setting))
    _in_range(setting, number)
    return value.strip()


def _string(setting: Setting, value: str) -> str:
    if setting.choices:
        return _choice(setting.choices, value)
    if setting.maximum is not None and len(value) > setting.maximum:
        raise ValueError(f"at most {setting.maximum:.0f} characters")
    if setting.pattern and not re.fullmatch(setting.pattern, value, re.ASCII):
        raise ValueError(f"text like {setting.pattern}")
    if setting.problem is not None and (problem := setting.problem(value)):
        raise ValueError(problem)
    return value


def _list(setting: Setting, value: str) -> str:
    members = [member.strip() for member in value.split(",")] if value.strip() else []
    if setting.maximum is not None and len(members) > setting.maximum:
        raise ValueError(f"at most {setting.maximum:.0f} members")
    chosen: list[str] = []
    for member in members:
        if setting.pattern:
            if not re.fullmatch(setting.pattern, member, re.ASCII):
                raise ValueError(f"members like {setting.pattern}")
            chosen.append(member)
        else:
            chosen.append(_choice(setting.choices, member))
    if len({member.casefold() for member in chosen}) != len(chosen):
        raise ValueError("each member once")
    return ",".join(chosen)


def _choice(choices: tuple[str, ...], value: str) -> str:
    for choice in choices:
        if choice.casefold() == value.strip().casefold():
            return choice
    raise ValueError("one of " + ", ".join(choices))


def _in_range(setting: Setting, number: float) -> None:
    if setting.minimum is not None and number < setting.minimum:
        raise ValueError(_a_number(setting))
    if setting.maximum is not None and number > setting.maximum:
        raise ValueError(_a_number(setting))


def _a_number(setting: Setting) -> str:
    noun = "a whole number" if setting.kind is Kind.INTEGER else "a number"
    low = "" if setting.minimum is None else f" from {setting.minimum:g}"
    high = "" if setting.maximum is None else f" to {setting.maximum:g}"
    return noun + low + high


_NORMAL: Mapping[Kind, Callable[[Setting, str], str]] = {
    Kind.BOOLEAN: _boolean,
    Kind.INTEGER: _integer,
    Kind.DECIMAL: _decimal,
    Kind.STRING: _string,
    Kind.LIST: _list,
}
