"""Which way to the backend is tried next, and what is kept of what was learnt (R16-SEC-1 to R16-SEC-4).

The rules are values (`core/network_profile.py`); this class holds the state, saves it before anything is
promised, and tells people what happened. It is the same for every OCPP version.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from controller.core.installation import Installation
from controller.core.network_profile import (
    MoveWhen,
    NetworkProfile,
    NetworkState,
    PasswordEncoding,
    Staged,
    Trial,
    password_bytes,
)
from controller.core.security_events import SecurityEventType
from controller.ocpp.endpoint import Endpoint, NoEndpoint, Problem
from controller.ports_security import NetworkStore, Peer, TlsMaterial, Trust

log = logging.getLogger(__name__)

TRIAL_ATTEMPTS = 3
"""so many attempts fail before a new security profile or another backend is given up"""

_EVENTS = {
    Problem.PASSWORD: SecurityEventType.FAILED_TO_AUTHENTICATE_AT_CSMS,
    Problem.OUR_CERTIFICATE: SecurityEventType.FAILED_TO_AUTHENTICATE_AT_CSMS,
    Problem.CERTIFICATE: SecurityEventType.INVALID_CSMS_CERTIFICATE,
    Problem.TLS_VERSION: SecurityEventType.INVALID_TLS_VERSION,
    Problem.TLS_CIPHER: SecurityEventType.INVALID_TLS_CIPHER_SUITE,
}
_REFUSALS = (Problem.PASSWORD, Problem.HTTP, Problem.CLOSED)
"""after these a new key may be the wrong one"""
_DOUBTFUL = (Problem.OUR_CERTIFICATE, Problem.TLS, Problem.CLOSED, Problem.PASSWORD)
"""after these our certificate may be the wrong one"""

Tell = Callable[[SecurityEventType, str], None]


class Network:
    """Implements `endpoint.Attempts`; requests of the backend change what it does next."""

    def __init__(
        self,
        state: NetworkState,
        *,
        store: NetworkStore,
        trust: Trust,
        subprotocols: tuple[str, ...],
        tell: Tell = lambda _event, _info: None,
        changed: Callable[[NetworkState], None] = lambda _state: None,
        any_subprotocol: Callable[[], bool] = lambda: False,
        user_agent: str = "chargepost",
    ) -> None:
        self._state = state
        self._store = store
        self._trust = trust
        self._subprotocols = subprotocols
        self._tell = tell
        self._changed = changed
        self._any_subprotocol = any_subprotocol
        self._user_agent = user_agent
        self._renew: Callable[[], None] = lambda: None
        self._moves: Callable[[], None] = lambda: None
        self._used = state.in_use
        self._peer = Peer()
        self._failures = 0
        self._old_key_next = False
        self._told: set[SecurityEventType] = set()
        self._untold = ""
        changed(state)

    @property
    def state(self) -> NetworkState:
        """Everything, secrets included."""
        return self._state

    @property
    def used(self) -> NetworkProfile:
        """The profile of the attempt or connection of the moment."""
        return self._used

    def attach(
        self, *, renew: Callable[[], None], moves: Callable[[], None] = lambda: None
    ) -> None:
        """`renew` connects anew at once; `moves` looks whether a move is wanted."""
        self._renew = renew
        self._moves = moves

    def reconnect(self) -> None:
        """What was changed counts from the next connection on; it is made now."""
        self._renew()

    # --- endpoint.Attempts ------------------------------------------------------------------------

    def next(self) -> Endpoint:
        """For the attempt that is made now. Raises NoEndpoint."""
        state = self._state
        old = state.candidate is None or (state.trial is Trial.KEY and self._old_key_next)
        profile = state.current if old else state.in_use
        self._used, self._peer = profile, Peer()
        number = profile.security_profile
        if number in (1, 2) and profile.password is None:
            raise NoEndpoint(f"security profile {number} needs a password, and there is none")
        material = None
        if profile.is_tls:
            material = self._trust.material(with_certificate=number == 3)
            if material is None:
                raise NoEndpoint("security profile 3 needs a valid certificate of the station")
        return Endpoint(
            url=profile.address,
            station_id=profile.identity,
            subprotocols=self._subprotocols,
            password=profile.password,
            tls=material,
            any_subprotocol=self._any_subprotocol(),
            user_agent=self._user_agent,
        )

    def opened(self, peer: Peer) -> None:
        """The WebSocket is open; whether it works is not known yet."""
        self._peer = peer

    def worked(self) -> None:
        """The backend spoke, or the connection lasted."""
        self._told.clear()
        if self._used.is_tls:
            self._trust.worked(self._peer)
        state = self._state
        if state.candidate is None or state.trial is Trial.BACKEND:
            return
        if self._used == state.candidate:
            log.info("the new %s works", _what(state.trial))
            self._keep(state.promoted())
        elif state.trial is Trial.KEY:
            self._drop("the backend still wants the old one")

    def failed(self, problem: Problem, why: str) -> bool:
        """Tell once per loss; True = the next attempt is another one and need not wait long."""
        event = _EVENTS.get(problem)
        if event is not None and event not in self._told:
            self._told.add(event)
            self._tell(event, why)
        if self._used.is_tls and problem in _DOUBTFUL:
            self._trust.refused()
        state = self._state
        if state.candidate is None:
            return False
        if state.trial is Trial.KEY:
            if problem in _REFUSALS:
                self._old_key_next = self._used == state.candidate
                self._failures += 1
                return self._failures == 1
            return False
        self._failures += 1
        if self._failures >= TRIAL_ATTEMPTS:
            self._drop(why)
            return True
        return False

    # --- what a backend asks for ------------------------------------------------------------------

    def set_password(self, password: bytes) -> bool:
        """A new key for Basic authentication; True = it is tried at `reconnect`. Raises OSError."""
        state = self._state.with_password(password)
        self._start(state)
        self._tell(_CHANGED, "the key of Basic authentication was changed")
        return state.candidate is not None

    def set_security_profile(self, number: int) -> None:
        """A higher profile, whose preconditions were checked; tried at `reconnect`. Raises OSError."""
        before = self._state.in_use.security_profile
        self._start(self._state.with_security_profile(number))
        self._tell(_CHANGED, f"security profile {before} is to become {number}")

    def stage(self, staged: Staged) -> None:
        """Remember a piece of the next backend. Raises OSError."""
        self._save(replace(self._state, staged=staged))

    def move(self, when: MoveWhen) -> None:
        """Move to the staged backend when its moment comes. Raises OSError."""
        self._save(self._state.with_move(when))
        self._tell(_CHANGED, self._state.note)
        self._moves()

    def cancel_move(self) -> None:
        """Forget what is staged and what waits. Raises OSError."""
        self._save(self._state.without_move())

    # --- moving -----------------------------------------------------------------------------------

    def begin_move(self, leftover: int) -> None:
        """The moment has come: the next connection goes to the other backend. Raises OSError."""
        self._start(self._state.moving(leftover))
        log.warning("%s", self._state.note)

    def registered(self) -> int | None:
        """The backend accepted us: a move has succeeded; how many reports were meant for the one before."""
        state = self._state
        if state.trial is not Trial.BACKEND or self._used != state.candidate:
            return None
        if not self._keep(state.promoted()):
            return None
        log.warning("%s", self._state.note)
        self._tell(_CHANGED, self._state.note)
        return state.leftover

    def leftover_done(self) -> None:
        """The reports that were meant for the backend before are put aside."""
        if self._state.leftover:
            self._keep(replace(self._state, leftover=0))

    def take_note(self) -> str:
        """Why the last move failed, once, for the backend that stays; "" = nothing to tell."""
        note, self._untold = self._untold, ""
        return note

    def give_up_move(self, why: str) -> None:
        """Back to the backend before."""
        if self._state.trial is Trial.BACKEND:
            self._drop(why)

    # --- inside -----------------------------------------------------------------------------------

    def _start(self, state: NetworkState) -> None:
        self._save(state)
        self._failures, self._old_key_next = 0, False

    def _drop(self, why: str) -> None:
        trial = self._state.trial
        if not self._keep(self._state.dropped(why)):
            return
        if trial is Trial.BACKEND:
            self._untold = f"no move: {why}"
        text = f"the new {_what(trial)} does not work, the one before stays: {why}"
        log.warning("%s", text)
        self._tell(_CHANGED, text)

    def _keep(self, state: NetworkState) -> bool:
        """As `_save`, where nobody can be told: what cannot be written is tried again after the next connection."""
        try:
            self._save(state)
        except OSError as error:
            log.error("the way to the backend could not be saved: %s", error)
            return False
        self._failures, self._old_key_next = 0, False
        return True

    def _save(self, state: NetworkState) -> None:
        self._store.save(state)
        self._state = state
        self._changed(state)


_CHANGED = SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS


def _what(trial: Trial | None) -> str:
    return {
        Trial.KEY: "key",
        Trial.SECURITY_PROFILE: "security profile",
        Trial.BACKEND: "backend",
        None: "profile",
    }[trial]


def configured_profile(installation: Installation) -> NetworkProfile:
    """What the configuration file says. A first-boot AuthorizationKey stands in for a password."""
    backend = installation.backend
    if backend is None:
        raise ValueError("the installation has no backend")
    password = None if backend.password is None else backend.password.encode()
    for name, text in installation.first_boot_16.items():
        if password is None and name.casefold() == "authorizationkey":
            password = password_bytes(text, PasswordEncoding.AUTO)
    return NetworkProfile(
        url=backend.url,
        identity=installation.station.id,
        security_profile=backend.security_profile,
        password=password,
    )


class KeptInMemory:
    """Implements `NetworkStore` for a station without a state directory (tests)."""

    def __init__(self) -> None:
        self._state: NetworkState | None = None

    def load(self) -> NetworkState | None:
        """What was saved."""
        return self._state

    def save(self, state: NetworkState) -> None:
        """Until the process ends."""
        self._state = state


class ConfiguredTrust:
    """Implements `Trust` with nothing but what the configuration names."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def material(self, *, with_certificate: bool) -> TlsMaterial | None:
        """The roots of the configuration; there is no certificate of the station."""
        backend = self._installation.backend
        if backend is None or with_certificate:
            return None
        path = self._installation.tls.get("csms_roots")
        return TlsMaterial(
            roots_pem=Path(path).read_text(encoding="ascii", errors="replace") if path else "",
            use_system_trust=backend.use_system_trust,
            verify_hostname=backend.verify_hostname,
        )

    def worked(self, peer: Peer) -> None:
        """Nothing to learn."""

    def refused(self) -> None:
        """There is no other certificate."""
