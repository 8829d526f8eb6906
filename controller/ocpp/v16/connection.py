"""The 1.6 link: from the installation and the settings to a WebSocket that is kept up."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol

from controller.core.installation import Installation
from controller.core.network_profile import NetworkState
from controller.core.settings import Settings
from controller.ocpp.backoff import BackOff
from controller.ocpp.link import Link
from controller.ocpp.network import (
    ConfiguredTrust,
    KeptInMemory,
    Network,
    Tell,
    configured_profile,
)
from controller.ports_security import NetworkStore, Trust

SUBPROTOCOLS = ("ocpp1.6",)


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


def network_16(
    installation: Installation,
    settings: Settings,
    *,
    store: NetworkStore | None = None,
    trust: Trust | None = None,
    tell: Tell = lambda _event, _info: None,
) -> Network:
    """The way to the backend as it was left, or as the configuration says. Shows it in the settings."""
    store = store or KeptInMemory()
    configured = configured_profile(installation)
    saved = store.load()
    station = installation.station

    def show(state: NetworkState) -> None:
        now, next_ = state.in_use, state.next_backend()
        for name, value in (
            ("SecurityProfile", str(state.current.security_profile)),
            ("BackendUrl", next_.url),
            ("BackendIdentity", next_.identity),
            ("BackendSecurityProfile", str(next_.security_profile)),
            ("BackendStatus", state.note or f"{now.address} as {now.identity}"),
        ):
            with contextlib.suppress(ValueError):  # an identity that no 1.6 key could hold
                settings.learn(name, value[:500])

    return Network(
        NetworkState.first(configured) if saved is None else saved.configured_as(configured),
        store=store,
        trust=trust or ConfiguredTrust(installation),
        subprotocols=SUBPROTOCOLS,
        tell=tell,
        changed=show,
        any_subprotocol=lambda: settings.boolean("TolerateMissingSubprotocol"),
        user_agent=f"{station.model}/{station.firmware_version}".rstrip("/"),
    )


def link_16(
    installation: Installation,
    settings: Settings,
    network: Network,
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
        network,
        back_off,
        on_up=user.link_up,
        on_down=user.link_down,
        on_frame=user.link_frame,
        ping_interval_s=lambda: settings.integer("WebSocketPingInterval"),
        pong_timeout_s=pong_timeout_s,
    )
