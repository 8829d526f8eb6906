"""The local authorization list: what an update must be like (OCPP 1.6 §5.15, R16-LL-1); pure."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from controller.core.authorization import effective
from controller.core.model import AuthorizationStatus, IdToken, IdTokenInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEntry:
    """One token; `info` None = take it off the list."""

    id_token: IdToken
    info: IdTokenInfo | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListUpdate:
    """`full`: the entries replace everything; otherwise they are changes. `version`: of the list afterwards."""

    version: int
    full: bool
    entries: Sequence[ListEntry] = ()


class ListStatus(StrEnum):
    """SendLocalListStatusEnumType."""

    ACCEPTED = "Accepted"
    FAILED = "Failed"
    VERSION_MISMATCH = "VersionMismatch"


def list_key(id_token: IdToken) -> str:
    """Tokens are equal without regard to case."""
    return id_token.value.casefold()


def refusal(
    update: ListUpdate,
    *,
    version: int,
    listed: Container[str],
    size: int,
    most: int,
    most_per_update: int,
) -> ListStatus | None:
    """Why an update changes nothing; None = it may be applied.

    `version`, `listed` (keys), `size`: the list as it is. `most`: entries it may have afterwards.
    """
    keys = {list_key(entry.id_token) for entry in update.entries}
    if update.version <= 0 or len(update.entries) > most_per_update:
        return ListStatus.FAILED
    if not update.full and update.version <= version:
        return ListStatus.VERSION_MISMATCH
    if len(keys) != len(update.entries):
        return ListStatus.FAILED
    if update.full and any(entry.info is None for entry in update.entries):
        return ListStatus.FAILED
    left = 0 if update.full else size
    for entry in update.entries:
        known = not update.full and list_key(entry.id_token) in listed
        left += (entry.info is not None) - known
    return ListStatus.FAILED if left > most else None


def disagree(listed: IdTokenInfo, told: IdTokenInfo, now: datetime) -> bool:
    """List and backend differ about whether the token is valid (§3.5.2)."""
    return _valid(listed, now) is not _valid(told, now)


def _valid(info: IdTokenInfo, now: datetime) -> bool:
    # A token in use elsewhere is a valid one.
    seen = effective(info, now).status
    return seen in (AuthorizationStatus.ACCEPTED, AuthorizationStatus.CONCURRENT_TX)
