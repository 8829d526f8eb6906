"""The 1.6 link: from the installation to a WebSocket endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from controller.core.installation import Installation
from controller.core.settings import Settings
from controller.ocpp.backoff import BackOff
from controller.ocpp.link import Endpoint, Link


class LinkUser(Protocol):
    """Whom the link tells what happens."""

    def link_up(self) -> None:
        """The WebSocket is open."""
        ...

    def link_down(self) -> None:
        """The WebSocket is gone."""
        ...

    def link_frame(self, raw: bytes | str) -> None:
        """A frame came in."""
        ...


def endpoint_16(installation: Installation) -> Endpoint:
    """Where the backend is and how to prove who we are."""
    backend = installation.backend
    if backend is None:
        raise ValueError("the installation has no backend")
    station = installation.station
    return Endpoint(
        url=backend.url,
        station_id=station.id,
        subprotocols=("ocpp1.6",),
        password=None if backend.password is None else backend.password.encode(),
        verify_hostname=backend.verify_hostname,
        use_system_trust=backend.use_system_trust,
        csms_roots=str(installation.tls.get("csms_roots") or ""),
        user_agent=f"{station.model}/{station.firmware_version}".rstrip("/"),
    )


def link_16(
    installation: Installation,
    settings: Settings,
    random_part: Callable[[], float],
    pong_timeout_s: float,
    user: LinkUser,
) -> Link:
    """The link with its back-off; pings as WebSocketPingInterval says."""
    backend = installation.backend
    if backend is None:
        raise ValueError("the installation has no backend")
    back_off = BackOff(
        wait_minimum_s=backend.retry_wait_minimum_s,
        random_range_s=backend.retry_random_range_s,
        repeat_times=backend.retry_repeat_times,
        random=random_part,
    )
    return Link(
        endpoint_16(installation),
        back_off,
        on_up=user.link_up,
        on_down=user.link_down,
        on_frame=user.link_frame,
        ping_interval_s=lambda: settings.integer("WebSocketPingInterval"),
        pong_timeout_s=pong_timeout_s,
    )
