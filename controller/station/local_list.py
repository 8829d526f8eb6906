"""The local authorization list of the station: kept by the backend, or by a person where there is none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from controller.core.authorization import info_from_text, info_to_text
from controller.core.local_list import (
    ListStatus,
    ListUpdate,
    disagree,
    list_key,
    refusal,
)
from controller.core.model import AuthorizationStatus, IdToken, IdTokenInfo
from controller.core.settings import Settings
from controller.ports_lists import LocalListStore

_log = logging.getLogger(__name__)

CHUNK = 500
"""Entries put into words at a time."""
LISTED = info_to_text(IdTokenInfo(status=AuthorizationStatus.ACCEPTED))
"""What a card gets that a person adds."""


class StationLocalList:
    """One list, two ways in. All of it is in memory, as short texts: a card is looked up in microseconds."""

    def __init__(self, store: LocalListStore, settings: Settings, *, has_backend: bool) -> None:
        self._store = store
        self._settings = settings
        self._has_backend = has_backend
        self._version = 0
        self._entries: dict[str, str] = {}
        self._busy = asyncio.Lock()
        self._conflicts: set[str] = set()
        self._listeners: list[Callable[[], None]] = []

    async def load(self) -> None:
        """Read the list once."""
        self._version, self._entries = await self._store.load()

    # --- for authorization ------------------------------------------------------------------------

    def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """What the list says about the token, or None; a list that is switched off says nothing."""
        text = self._entries.get(list_key(id_token))
        return info_from_text(text) if text is not None and self.enabled else None

    def heard(self, id_token: IdToken, info: IdTokenInfo, now: datetime) -> None:
        """What the backend says about a token; notices when the list says the contrary (R16-ST-6)."""
        listed, key, before = self.find(id_token), list_key(id_token), self.conflict
        if listed is not None and disagree(listed, info, now):
            if key not in self._conflicts:
                _log.warning(
                    "local list: the operator calls a token %s, version %d of the list says %s",
                    info.status.value,
                    self._version,
                    listed.status.value,
                )
            self._conflicts.add(key)
        else:
            self._conflicts.discard(key)
        self._tell(before)

    # --- for the backend --------------------------------------------------------------------------

    @property
    def enabled(self) -> bool:
        """The list counts and may be changed."""
        return self._settings.boolean("LocalAuthListEnabled")

    @property
    def version(self) -> int:
        """As the last update gave it; 0 = none yet."""
        return self._version

    @property
    def size(self) -> int:
        """How many tokens are listed."""
        return len(self._entries)

    @property
    def conflict(self) -> bool:
        """List and backend differ about a token; until the next update."""
        return bool(self._conflicts)

    def on_conflict(self, listener: Callable[[], None]) -> None:
        """Call `listener` when `conflict` changes."""
        self._listeners.append(listener)

    async def update(self, update: ListUpdate) -> ListStatus:
        """All of it or nothing; durable when this returns Accepted."""
        async with self._busy:
            refused = refusal(
                update,
                version=self._version,
                listed=self._entries.keys(),
                size=len(self._entries),
                most=self._settings.integer("LocalAuthListMaxLength"),
                most_per_update=self._settings.integer("SendLocalListMaxLength"),
            )
            if refused is not None:
                return refused
            try:
                await self._apply(update.version, await _texts(update), full=update.full)
            except Exception as error:  # noqa: BLE001 - e.g. a full disk: the old list goes on
                _log.error("local list: version %d not stored: %s", update.version, error)
                return ListStatus.FAILED
            _log.info("local list: version %d, %d tokens", self._version, len(self._entries))
        before = self.conflict
        self._conflicts.clear()
        self._tell(before)
        return ListStatus.ACCEPTED

    # --- for a person -----------------------------------------------------------------------------

    def all(self) -> list[str]:
        """The tokens on the list."""
        return sorted(token.upper() for token in self._entries)

    async def change(self, *, add: str = "", remove: str = "") -> str:
        """By command; returns what speaks against it ("" = done)."""
        if not add and not remove:
            return ""
        async with self._busy:
            if self._has_backend and self._version:
                return f"the operator keeps this list (version {self._version})"
            changes: dict[str, str | None] = {}
            if remove:
                changes[remove.casefold()] = None
            if add:
                changes[add.casefold()] = LISTED
            more = sum(1 for k, v in changes.items() if v is not None and k not in self._entries)
            if len(self._entries) + more > (
                most := self._settings.integer("LocalAuthListMaxLength")
            ):
                return f"the list has room for {most} cards"
            await self._apply(self._version, changes, full=False)
        return ""

    # --- inside -----------------------------------------------------------------------------------

    async def _apply(self, version: int, changes: dict[str, str | None], *, full: bool) -> None:
        await self._store.apply(version, changes, full=full)
        self._version = version
        if full:
            self._entries = {key: text for key, text in changes.items() if text is not None}
            return
        for key, text in changes.items():
            if text is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = text

    def _tell(self, before: bool) -> None:
        if self.conflict is not before:
            for listener in self._listeners:
                listener()


async def _texts(update: ListUpdate) -> dict[str, str | None]:
    """By key; equal entries share one text. A long list lets everybody else have a turn now and then."""
    same: dict[str, str] = {}
    found: dict[str, str | None] = {}
    for n, entry in enumerate(update.entries, start=1):
        text = None if entry.info is None else info_to_text(entry.info)
        found[list_key(entry.id_token)] = None if text is None else same.setdefault(text, text)
        if n % CHUNK == 0:
            await asyncio.sleep(0)
    return found
