"""All cases by id. A case is an async function that gets a laboratory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Body = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`ids`: cases of the certification programme and rows of the requirements it shows.

    `setup`: arguments of the laboratory.
    """

    ids: tuple[str, ...]
    title: str
    body: Body
    setup: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name in test ids: the first id and the function."""
        return f"{self.ids[0]}-{self.body.__name__}"

    @property
    def place(self) -> str:
        """The module it stands in."""
        return self.body.__module__


CASES: dict[str, Case] = {}


def case(*ids: str, title: str, **setup: Any) -> Callable[[Body], Body]:
    """Register an async function `(lab) -> None`; `setup` goes to `Lab`."""

    def register(body: Body) -> Body:
        made = Case(ids=ids, title=title, body=body, setup=setup)
        if made.name in CASES:
            raise ValueError(f"{made.name} exists twice")
        CASES[made.name] = made
        return body

    return register


def cases_in(module: str) -> list[Case]:
    """The cases of one module that is imported, in order of their names."""
    return sorted((c for c in CASES.values() if c.place == module), key=lambda c: c.name)
