"""Settings that a backend may read or change, each declared once; 1.6 keys and 2.x variables are views.

`SETTINGS` lists the declarations. `Settings` holds the values of one station: first-boot values of the
configuration, then what was changed later (which wins). Changing is pure; the caller stores the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One declaration. `key16`: 1.6 key ("" = none). `component`, `variable`, `instance`: 2.x ("" = none).

    `minimum`, `maximum`: of numbers; of lists `maximum` is the number of members allowed.
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
    reboot: bool = False
    doc: str = ""


class Settings:
    """Values by 1.6 key or "Component.Variable[Instance]", without regard to case."""

    def __init__(self, declared: Iterable[Setting], changed: Mapping[str, str] | None = None) -> None:
        self._declared = {s.key16.casefold() or _name2(s).casefold(): s for s in declared}
        self._values = {name: s.default for name, s in self._declared.items()}
        for name, value in (changed or {}).items():
            self._values[name.casefold()] = value
        self._listeners: list[Callable[[str, str], None]] = []

    def text(self, name: str) -> str:
        """The value as text. Raises KeyError for an unknown name."""
        return self._values[name.casefold()]

    def integer(self, name: str) -> int:
        """The value as a whole number."""
        return int(self.text(name))

    def boolean(self, name: str) -> bool:
        """The value as a truth value."""
        return self.text(name).casefold() == "true"

    def members(self, name: str) -> list[str]:
        """The members of a comma-separated list."""
        return [m.strip() for m in self.text(name).split(",") if m.strip()]

    def on_change(self, listener: Callable[[str, str], None]) -> None:
        """Call `listener(name, value)` after each change."""
        self._listeners.append(listener)


def _name2(setting: Setting) -> str:
    instance = f"[{setting.instance}]" if setting.instance else ""
    return f"{setting.component}.{setting.variable}{instance}"
