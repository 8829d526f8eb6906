"""One connection attempt: where to, as whom, how protected, and what came of it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from controller.ports_security import Peer, TlsMaterial


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where and as whom to connect. `password` bytes go into the Basic header as they are.

    `tls`: needed for wss://. `any_subprotocol`: a backend that names none is taken at the first offered.
    """

    url: str
    station_id: str
    subprotocols: tuple[str, ...]
    password: bytes | None = field(default=None, repr=False)
    tls: TlsMaterial | None = field(default=None, repr=False)
    any_subprotocol: bool = False
    user_agent: str = "chargepost"

    @property
    def address(self) -> str:
        """The URL with the percent-encoded identity as last part of the path (RPC-1)."""
        parts = urlsplit(self.url)
        path = f"{parts.path.rstrip('/')}/{quote(self.station_id, safe='')}"
        return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))

    @property
    def is_tls(self) -> bool:
        """wss://"""
        return urlsplit(self.url).scheme == "wss"

    def headers(self) -> dict[str, str]:
        """Authorization on every handshake, if there is a password; never logged (RPC-16)."""
        if self.password is None:
            return {}
        pair = self.station_id.encode() + b":" + self.password
        return {"Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}


class Problem(StrEnum):
    """Why an attempt failed, as far as it decides what to try next and whom to tell."""

    UNREACHABLE = "unreachable"
    """nothing answered; says nothing about us"""
    PASSWORD = "password"  # noqa: S105 - the name of a problem
    HTTP = "http"
    """another answer than a WebSocket"""
    CERTIFICATE = "certificate"
    """theirs cannot be trusted"""
    TLS_VERSION = "tls_version"
    TLS_CIPHER = "tls_cipher"
    OUR_CERTIFICATE = "our_certificate"
    TLS = "tls"
    SUBPROTOCOL = "subprotocol"
    CLOSED = "closed"
    """open, and closed again before anything was said"""
    NOT_POSSIBLE = "not_possible"
    """something is missing here"""
    OTHER = "other"


class NoEndpoint(Exception):
    """No attempt may be made now; the text says why."""


class Attempts(Protocol):
    """Decides where each attempt goes and learns from what came of it."""

    def next(self) -> Endpoint:
        """For the attempt that is made now. Raises NoEndpoint."""
        ...

    def opened(self, peer: Peer) -> None:
        """The WebSocket is open."""
        ...

    def worked(self) -> None:
        """The backend spoke, or the connection lasted."""
        ...

    def failed(self, problem: Problem, why: str) -> bool:
        """It did not work; True = the next attempt is another one and need not wait long."""
        ...


class OneEndpoint:
    """Always the same."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def next(self) -> Endpoint:
        """The one."""
        return self._endpoint

    def opened(self, peer: Peer) -> None:
        """Nothing to learn."""

    def worked(self) -> None:
        """Nothing to learn."""

    def failed(self, problem: Problem, why: str) -> bool:
        """There is no other."""
        return False
