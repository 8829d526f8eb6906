"""Who may charge: local list, then cache, then backend (OCPP 1.6 §3.5, §4.1; R16-AUTH-1 to -4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from controller.core.model import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType


class AuthorizationMode(StrEnum):
    """How an EVSE decides who may charge (`[charging] authorization`, per EVSE)."""

    BACKEND = "backend"
    LOCAL = "local"
    FREE = "free"


class LocalList(Protocol):
    """Tokens that the operator keeps on the station; they win over the cache."""

    def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """What the list says about the token, or None."""
        ...

    def heard(self, id_token: IdToken, info: IdTokenInfo, now: datetime) -> None:
        """What the backend says about a token that may be listed."""
        ...


class EmptyLocalList:
    """A station without a local list."""

    def find(self, id_token: IdToken) -> IdTokenInfo | None:
        """Nobody is listed."""
        return None

    def heard(self, id_token: IdToken, info: IdTokenInfo, now: datetime) -> None:
        """There is nothing to compare it with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRules:
    """The settings that matter here, by their 1.6 names."""

    local_pre_authorize: bool = False
    local_authorize_offline: bool = True
    allow_offline_for_unknown: bool = False
    cache_enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome. `offline`: decided without the backend. `why`: end of the sentence "… was refused: "."""

    status: AuthorizationStatus
    group: IdToken | None = None
    offline: bool = False
    why: str = ""

    @property
    def accepted(self) -> bool:
        """May charge."""
        return self.status is AuthorizationStatus.ACCEPTED


def effective(info: IdTokenInfo, now: datetime) -> IdTokenInfo:
    """`info` with an expiry date in the past turned into Expired."""
    expired = info.expires_at is not None and info.expires_at <= now
    if info.status is AuthorizationStatus.ACCEPTED and expired:
        return IdTokenInfo(
            status=AuthorizationStatus.EXPIRED, expires_at=info.expires_at, group=info.group
        )
    return info


def from_info(info: IdTokenInfo, now: datetime, *, offline: bool = False) -> Decision:
    """The decision that an answer, a list entry or a cache entry means."""
    seen = effective(info, now)
    why = "" if seen.status is AuthorizationStatus.ACCEPTED else _WORDS[seen.status]
    return Decision(status=seen.status, group=seen.group, offline=offline, why=why)


def before_asking(
    mode: AuthorizationMode,
    rules: AuthorizationRules,
    listed: IdTokenInfo | None,
    cached: IdTokenInfo | None,
    now: datetime,
) -> Decision | None:
    """The decision that needs no backend although the link is up; None = ask.

    A local Accepted suffices only with LocalPreAuthorize; anything else is asked again (R16-AUTH-3).
    """
    if mode is AuthorizationMode.LOCAL:
        return _by_list_alone(listed, now)
    if not rules.local_pre_authorize:
        return None
    known = listed or (cached if rules.cache_enabled else None)
    if known is None:
        return None
    decision = from_info(known, now)
    return decision if decision.accepted else None


def without_backend(
    mode: AuthorizationMode,
    rules: AuthorizationRules,
    listed: IdTokenInfo | None,
    cached: IdTokenInfo | None,
    now: datetime,
    because: str,
) -> Decision:
    """The offline rules (R16-AUTH-3, R16-AUTH-4). `because`: why the backend could not be asked."""
    if mode is AuthorizationMode.LOCAL:
        return _by_list_alone(listed, now)
    known = listed or (cached if rules.cache_enabled else None)
    if known is not None:
        decision = from_info(known, now, offline=True)
        if not decision.accepted or rules.local_authorize_offline:
            return decision
        return _refused(f"{because} and LocalAuthorizeOffline is off")
    if rules.allow_offline_for_unknown:
        return Decision(status=AuthorizationStatus.ACCEPTED, offline=True)
    return _refused(f"{because} and the card is not known here")


def may_stop(
    running: IdToken, running_group: IdToken | None, shown: IdToken, shown_group: IdToken | None
) -> bool:
    """Only the same token or one of the same group ends a transaction (R16-AUTH-2)."""
    if running.same_as(shown):
        return True
    return running_group is not None and running_group.same_as(shown_group)


def _by_list_alone(listed: IdTokenInfo | None, now: datetime) -> Decision:
    if listed is None:
        return Decision(status=AuthorizationStatus.INVALID, why="it is not on the local list")
    return from_info(listed, now)


def _refused(why: str) -> Decision:
    return Decision(status=AuthorizationStatus.INVALID, offline=True, why=why)


_WORDS = {
    AuthorizationStatus.BLOCKED: "it is blocked",
    AuthorizationStatus.EXPIRED: "it has expired",
    AuthorizationStatus.INVALID: "the operator does not know it",
    AuthorizationStatus.CONCURRENT_TX: "it is in use elsewhere",
    AuthorizationStatus.NO_CREDIT: "there is no credit left",
    AuthorizationStatus.NOT_ALLOWED_TYPE_EVSE: "it may not charge at this type of EVSE",
    AuthorizationStatus.NOT_AT_THIS_LOCATION: "it may not charge at this location",
    AuthorizationStatus.NOT_AT_THIS_TIME: "it may not charge at this time",
    AuthorizationStatus.UNKNOWN: "the operator does not know it",
}


def info_to_text(info: IdTokenInfo) -> str:
    """In few bytes: status, expiry, type and text of the group; tabs between, none at the end."""
    expires = info.expires_at.isoformat() if info.expires_at else ""
    if info.group is None:
        return f"{info.status.value}\t{expires}" if expires else info.status.value
    return f"{info.status.value}\t{expires}\t{info.group.type.value}\t{info.group.value}"


def info_from_text(text: str) -> IdTokenInfo:
    """Inverse of `info_to_text`. Raises ValueError."""
    status, expires, kind, group = (*text.split("\t", 3), "", "", "")[:4]
    return IdTokenInfo(
        status=AuthorizationStatus(status),
        expires_at=datetime.fromisoformat(expires) if expires else None,
        group=IdToken(group, IdTokenType(kind)) if kind else None,
    )
