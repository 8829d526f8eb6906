"""Where certificates and the connection's settings meet the protocol adapters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from controller.core.certificates import (
        CertificateHash,
        CertificateUse,
        DeleteResult,
        InstalledCertificate,
        InstallResult,
    )
    from controller.core.network_profile import MoveWhen, NetworkState, Staged


class Certificates(Protocol):
    """The roots that are trusted and the station's own certificates; durable when an answer returns."""

    async def install(self, use: CertificateUse, pem: str) -> InstallResult:
        """Trust another certificate of an authority (M05)."""
        ...

    async def delete(self, name: CertificateHash) -> DeleteResult:
        """Trust it no longer; never the station's own, never the one in use (M04)."""
        ...

    async def installed(
        self, uses: Sequence[CertificateUse], limit: int | None = None
    ) -> list[InstalledCertificate]:
        """What is installed (M03); SHA-256."""
        ...

    async def make_request(self) -> str | None:
        """A new key and its CSR as PEM; the key stays here. None = the organization is not set."""
        ...

    async def accept_signed(self, chain_pem: str) -> bool:
        """Keep the signed certificate; False = not valid, an event was raised (A02.FR.06, A02.FR.07)."""
        ...

    async def has_root(self, use: CertificateUse) -> bool:
        """At least one valid certificate of an authority is installed."""
        ...

    async def has_station_certificate(self) -> bool:
        """The station can prove with a certificate who it is, now."""
        ...

    async def next_change(self) -> datetime | None:
        """When a certificate that was signed for later becomes valid (aware UTC)."""
        ...

    async def renewal_due(self) -> bool:
        """The newest own certificate ends within a month (A03.FR.02); tidies away what is long over."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsMaterial:
    """What a TLS handshake needs. `roots_pem`: trusted certificates; the other two are files.

    `not_before_floor`: the machine's clock is wrong; it is at least so late (aware UTC). None = the clock is good.
    """

    roots_pem: str = ""
    use_system_trust: bool = False
    verify_hostname: bool = True
    certificate_file: str = ""
    key_file: str = ""
    key_password: str | None = None
    not_before_floor: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who answered a connection attempt: TLS version and cipher, and the verified chain (DER, leaf first)."""

    tls_version: str = ""
    cipher: str = ""
    chain: tuple[bytes, ...] = ()


class Trust(Protocol):
    """What the link asks before and tells after each attempt. Nothing here waits."""

    def material(self, *, with_certificate: bool) -> TlsMaterial | None:
        """For the next attempt; None = there is no valid certificate of the station."""
        ...

    def worked(self, peer: Peer) -> None:
        """A connection with the last material works: root and certificate are proven."""
        ...

    def refused(self) -> None:
        """The backend may dislike our certificate: the next attempt uses the one before, if there is one."""
        ...


class NetworkStore(Protocol):
    """The network profiles, secrets included, readable by the service alone."""

    def load(self) -> NetworkState | None:
        """What was saved; None = nothing yet."""
        ...

    def save(self, state: NetworkState) -> None:
        """Durable when this returns: the old state or the new one, never half. Raises OSError."""
        ...


class NetworkControl(Protocol):
    """What a backend may change about the way to it; each change is durable when it returns. Raises OSError."""

    @property
    def state(self) -> NetworkState:
        """Everything, secrets included."""
        ...

    def set_password(self, password: bytes) -> bool:
        """A new key for Basic authentication; True = it is tried at `reconnect`."""
        ...

    def set_security_profile(self, number: int) -> None:
        """A higher profile, whose preconditions were checked; tried at `reconnect`."""
        ...

    def stage(self, staged: Staged) -> None:
        """Remember a piece of the next backend."""
        ...

    def move(self, when: MoveWhen) -> None:
        """Move to the staged backend when its moment comes."""
        ...

    def cancel_move(self) -> None:
        """Forget what is staged and what waits."""
        ...

    def reconnect(self) -> None:
        """What was changed counts from the next connection on; it is made now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """The connection's security as a backend reaches it. Intervals in seconds.

    `certificates`: None = this station keeps none.
    """

    network: NetworkControl
    certificates: Certificates | None = None
    utc: Callable[[], datetime]
    expiry_check_delay_s: float = 60.0
    expiry_check_interval_s: float = 43_200.0
