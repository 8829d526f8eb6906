"""Where the backend is and how the station proves who it is; which profile is tried next, as values.

A change over the protocol is a candidate beside the profile that worked last: it takes that one's place
when it has worked too, and is dropped when it does not (R16-SEC-3, R16-SEC-4). At most one candidate at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit, urlunsplit


class Trial(StrEnum):
    """What the candidate changes, which decides when it has worked."""

    KEY = "key"
    SECURITY_PROFILE = "security_profile"
    BACKEND = "backend"


class MoveWhen(StrEnum):
    """When a move to another backend begins."""

    IDLE = "WhenIdle"
    """no transaction runs and everything is delivered"""
    NOW = "Now"
    """transactions are ended first; what is not delivered soon is kept as undelivered"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkProfile:
    """One way to a backend. `password`: bytes of Basic authentication; None = none is sent."""

    url: str
    identity: str
    security_profile: int = 0
    password: bytes | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """The URL with the scheme that the security profile demands; never a weaker one than written."""
        parts = urlsplit(self.url)
        scheme = "wss" if self.security_profile >= 2 else parts.scheme
        return urlunsplit((scheme, *parts[1:])).rstrip("/")

    @property
    def is_tls(self) -> bool:
        """The connection is encrypted."""
        return urlsplit(self.address).scheme == "wss"

    def same_backend(self, other: NetworkProfile) -> bool:
        """The same place as the same station, whatever proves it."""
        ours, theirs = urlsplit(self.url), urlsplit(other.url)
        return (ours[1:], self.identity) == (theirs[1:], other.identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """The next backend while it is being told piece by piece; None = as it is now."""

    url: str | None = None
    identity: str | None = None
    security_profile: int | None = None
    password: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkState:
    """Everything about the way to the backend that survives a restart.

    `configured`: what the configuration file said when this was saved. `candidate`, `trial`: the change that
    is being tried. `move`: a candidate that waits for its moment. `leftover`: reports at the head of the queue
    that were meant for the backend before. `note`: what came of the last move, for people.
    """

    configured: NetworkProfile
    current: NetworkProfile
    candidate: NetworkProfile | None = None
    trial: Trial | None = None
    move: NetworkProfile | None = None
    move_when: MoveWhen = MoveWhen.IDLE
    staged: Staged = Staged()
    leftover: int = 0
    note: str = ""

    @classmethod
    def first(cls, configured: NetworkProfile) -> NetworkState:
        """As the configuration says."""
        return cls(configured=configured, current=configured)

    @property
    def in_use(self) -> NetworkProfile:
        """What requests of the backend refer to: the candidate while it is tried."""
        return self.candidate or self.current

    def configured_as(self, configured: NetworkProfile) -> NetworkState:
        """After a start: what a person changed in the file since then wins, field by field."""
        before = self.configured
        if configured == before:
            return self
        names = ("url", "identity", "security_profile", "password")
        changed = {
            name: getattr(configured, name)
            for name in names
            if getattr(configured, name) != getattr(before, name)
        }
        return NetworkState(
            configured=configured, current=replace(self.current, **changed), note=self.note
        )

    def with_password(self, password: bytes) -> NetworkState:
        """A new key: tried where Basic authentication is what counts, else simply kept."""
        if self.candidate is not None:
            return replace(self, candidate=replace(self.candidate, password=password))
        changed = replace(self.current, password=password)
        if changed.security_profile not in (1, 2):
            return replace(self, current=changed)
        return replace(self, candidate=changed, trial=Trial.KEY)

    def with_security_profile(self, number: int) -> NetworkState:
        """A higher security profile is tried."""
        changed = replace(self.in_use, security_profile=number)
        trial = Trial.BACKEND if self.trial is Trial.BACKEND else Trial.SECURITY_PROFILE
        return replace(self, candidate=changed, trial=trial)

    def next_backend(self) -> NetworkProfile:
        """What the staged pieces and the present together describe."""
        now, staged = self.in_use, self.staged
        profile = (
            now.security_profile if staged.security_profile is None else staged.security_profile
        )
        return NetworkProfile(
            url=now.url if staged.url is None else staged.url,
            identity=now.identity if staged.identity is None else staged.identity,
            security_profile=profile,
            password=now.password if staged.password is None else staged.password,
        )

    def with_move(self, when: MoveWhen) -> NetworkState:
        """The staged backend waits for its moment."""
        target = self.next_backend()
        note = f"waiting to move to {target.address} as {target.identity}"
        return replace(self, move=target, move_when=when, note=note)

    def without_move(self) -> NetworkState:
        """What is staged and what waits is forgotten."""
        return replace(self, move=None, staged=Staged(), note="")

    def moving(self, leftover: int) -> NetworkState:
        """The trial of the other backend begins."""
        assert self.move is not None
        return replace(
            self,
            candidate=self.move,
            trial=Trial.BACKEND,
            move=None,
            leftover=leftover,
            note=f"trying {self.move.address} as {self.move.identity}",
        )

    def promoted(self) -> NetworkState:
        """The candidate has worked."""
        if self.candidate is None:
            return self
        moved = self.trial is Trial.BACKEND
        return replace(
            self,
            current=self.candidate,
            candidate=None,
            trial=None,
            staged=Staged() if moved else self.staged,
            note=f"moved to {self.candidate.address}" if moved else self.note,
        )

    def dropped(self, why: str) -> NetworkState:
        """The candidate does not work; the profile before counts again."""
        moved = self.trial is Trial.BACKEND
        return replace(
            self,
            candidate=None,
            trial=None,
            leftover=0,
            note=f"stayed with {self.current.address}: {why}" if moved else self.note,
        )

    # --- as JSON ----------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; passwords as hex."""
        return {
            "configured": _profile_to(self.configured),
            "current": _profile_to(self.current),
            "candidate": None if self.candidate is None else _profile_to(self.candidate),
            "trial": None if self.trial is None else self.trial.value,
            "move": None if self.move is None else _profile_to(self.move),
            "move_when": self.move_when.value,
            "staged": {
                "url": self.staged.url,
                "identity": self.staged.identity,
                "security_profile": self.staged.security_profile,
                "password": _hex(self.staged.password),
            },
            "leftover": self.leftover,
            "note": self.note,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NetworkState:
        """Inverse of `to_dict`. Raises KeyError, TypeError or ValueError when the shape is not ours."""
        staged = data["staged"]
        return cls(
            configured=_profile_from(data["configured"]),
            current=_profile_from(data["current"]),
            candidate=None if data["candidate"] is None else _profile_from(data["candidate"]),
            trial=None if data["trial"] is None else Trial(data["trial"]),
            move=None if data["move"] is None else _profile_from(data["move"]),
            move_when=MoveWhen(data["move_when"]),
            staged=Staged(
                url=staged["url"],
                identity=staged["identity"],
                security_profile=staged["security_profile"],
                password=_bytes(staged["password"]),
            ),
            leftover=int(data["leftover"]),
            note=str(data["note"]),
        )


def _profile_to(profile: NetworkProfile) -> dict[str, Any]:
    return {
        "url": profile.url,
        "identity": profile.identity,
        "security_profile": profile.security_profile,
        "password": _hex(profile.password),
    }


def _profile_from(data: Mapping[str, Any]) -> NetworkProfile:
    return NetworkProfile(
        url=str(data["url"]),
        identity=str(data["identity"]),
        security_profile=int(data["security_profile"]),
        password=_bytes(data["password"]),
    )


def _hex(secret: bytes | None) -> str | None:
    return None if secret is None else secret.hex()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


PASSWORD_LENGTHS = range(16, 21)
"""bytes of an AuthorizationKey (A00.FR.205)"""


class PasswordEncoding(StrEnum):
    """How the text of a new password becomes the bytes of the Basic header (R16-SEC-2)."""

    AUTO = "Auto"
    """hex digits of 16 to 20 bytes are decoded, 16 to 20 other characters are sent as they are"""
    HEX = "Hex"
    TEXT = "Text"
    """sent as it is, 16 to 40 characters"""


def password_bytes(text: str, encoding: PasswordEncoding) -> bytes | None:
    """The bytes that go into the Basic header, or None if the text is no valid password."""
    if encoding is not PasswordEncoding.TEXT:
        decoded = _decoded(text)
        if decoded is not None and len(decoded) in PASSWORD_LENGTHS:
            return decoded
        if encoding is PasswordEncoding.HEX:
            return None
    plain = text.encode()
    longest = 40 if encoding is PasswordEncoding.TEXT else PASSWORD_LENGTHS[-1]
    return plain if PASSWORD_LENGTHS[0] <= len(plain) <= longest and text.isprintable() else None


def _decoded(text: str) -> bytes | None:
    if not text.isascii() or not text.isalnum():
        return None  # bytes.fromhex would skip blanks
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
