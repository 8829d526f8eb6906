"""The cards that may charge without any backend, kept in the store under `local-list/`."""

from __future__ import annotations

from controller.core.model import AuthorizationStatus, IdToken, IdTokenInfo
from controller.ports import ValueStore

_PREFIX = "local-list/"


class StoredLocalList:
    """A LocalList that a person keeps by command; all of it is in memory."""

    def __init__(self, values: ValueStore) -> None:
        self._values = values
        self._tokens: dict[str, AuthorizationStatus] = {}

    async def load(self) -> None:
        """Read the list once."""
        stored = await self._values.all(_PREFIX)
        self._tokens = {
            name.removeprefix(_PREFIX): AuthorizationStatus(text) for name, text in stored.items()
        }

    def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """What the list says about the token, or None."""
        status = self._tokens.get(id_token.value.casefold())
        return None if status is None else IdTokenInfo(status=status)

    def all(self) -> list[str]:
        """The tokens that may charge."""
        return sorted(token.upper() for token in self._tokens)

    async def add(self, token: str) -> None:
        """This token may charge from now on."""
        await self._values.put(_PREFIX + token.casefold(), AuthorizationStatus.ACCEPTED.value)
        self._tokens[token.casefold()] = AuthorizationStatus.ACCEPTED

    async def remove(self, token: str) -> None:
        """This token is not known any more."""
        await self._values.put(_PREFIX + token.casefold(), None)
        self._tokens.pop(token.casefold(), None)
