"""How a feature profile plugs into the 1.6 adapter.

A block answers actions, can be triggered, owns vendors of DataTransfer, and sends through the adapter.
`compose.py` lists the blocks that a station has.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from controller.core.settings import Settings
from controller.ocpp.calls import Answer

Payload = dict[str, Any]
Reply = Answer | Awaitable[Answer]


class Sender(Protocol):
    """The adapter as its blocks see it."""

    @property
    def connected(self) -> bool:
        """Registered, on the connection that is up now."""
        ...

    async def call(self, action: str, payload: Payload, *, late_s: float = 0.0) -> Payload:
        """Send one call now. Raises BackendUnavailable: no link, no answer, or refused."""
        ...

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Do it aside; BackendUnavailable ends it quietly."""
        ...

    def station_error(self, code: str, info: str = "") -> None:
        """The errorCode of connector 0 from now on; "NoError" ends it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One feature profile. Requests reach it after they were checked against the schema.

    `triggers`, `extended_triggers`: by requestedMessage; they get the connectorId (None = not given) and
    answer at once, sending in `Answer.then`. `vendors`: by vendorId, they get the DataTransfer payload.
    `keys`: configuration keys whose change is more than a stored value; they get the new text and answer
    ChangeConfiguration, once the key is known to be writable.
    `connected`: called after each registration, when messages may go out.
    """

    actions: Mapping[str, Callable[[Payload], Reply]] = field(default_factory=dict)
    triggers: Mapping[str, Callable[[int | None], Answer]] = field(default_factory=dict)
    extended_triggers: Mapping[str, Callable[[int | None], Answer]] = field(default_factory=dict)
    vendors: Mapping[str, Callable[[Payload], Reply]] = field(default_factory=dict)
    keys: Mapping[str, Callable[[str], Reply]] = field(default_factory=dict)
    connected: Callable[[], None] = lambda: None


BlockMaker = Callable[[Sender, Settings], Block]
"""Made once the adapter exists; what else a block needs it got from `compose.py`."""


def status_answer(status: str, then: Callable[[], None] | None = None) -> Answer:
    """An answer that is a status and nothing else; `then` runs after it was sent."""
    return Answer(payload={"status": str(status)}, then=then)


def whole(value: object) -> int | None:
    """An optional whole number of a checked request: some backends write 3.0."""
    return int(value) if isinstance(value, (int, float)) else None
