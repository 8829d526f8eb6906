"""Configuration keys of the way to the backend: answered first, then the connection is made anew (R16-SEC-2 to R16-SEC-4).

A backend may raise the security, never lower it (A00.FR.005); the same holds for another backend.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from controller.core.certificates import CertificateUse
from controller.core.network_profile import (
    MoveWhen,
    NetworkProfile,
    PasswordEncoding,
    Staged,
    password_bytes,
)
from controller.core.settings import ChangeResult, Settings
from controller.core.settings_security import CANCEL_MOVE
from controller.ocpp.calls import Answer
from controller.ocpp.v16.blocks import Block, BlockMaker, Sender
from controller.ports_security import Security

log = logging.getLogger(__name__)


def security_keys(security: Security) -> BlockMaker:
    """The maker of the block."""

    def make(_sender: Sender, settings: Settings) -> Block:
        return _Keys(security, settings).block()

    return make


class _Keys:
    def __init__(self, security: Security, settings: Settings) -> None:
        self._network = security.network
        self._certificates = security.certificates
        self._settings = settings

    def block(self) -> Block:
        return Block(
            keys={
                "AuthorizationKey": self._authorization_key,
                "SecurityProfile": self._security_profile,
                "BackendUrl": self._url,
                "BackendIdentity": self._identity,
                "BackendPassword": self._password,
                "BackendSecurityProfile": self._profile,
                "BackendApply": self._apply,
            }
        )

    # --- the present backend ----------------------------------------------------------------------

    def _authorization_key(self, text: str) -> Answer:
        password = self._bytes(text)
        if password is None:
            return _REJECTED
        tried = False

        def change() -> None:
            nonlocal tried
            tried = self._network.set_password(password)

        if not _done(change):
            return _REJECTED
        return Answer(payload=_ACCEPTED, then=self._network.reconnect if tried else None)

    async def _security_profile(self, text: str) -> Answer:
        number = _number(text)
        now = self._network.state.in_use
        if number is None or number <= now.security_profile:
            return _REJECTED
        problem = await self._missing(replace(now, security_profile=number))
        if problem:
            log.warning("security profile %d is refused: %s", number, problem)
            return _REJECTED
        if not _done(lambda: self._network.set_security_profile(number)):
            return _REJECTED
        return Answer(payload=_ACCEPTED, then=self._network.reconnect)

    async def _missing(self, wanted: NetworkProfile) -> str:
        """What a profile needs and is not there (A05.FR.02 to A05.FR.04); "" = nothing."""
        number = wanted.security_profile
        if number in (1, 2) and wanted.password is None:
            return "there is no AuthorizationKey"
        if number < 2:
            return ""
        certificates = self._certificates
        if certificates is None or not await certificates.has_root(CertificateUse.CSMS_ROOT):
            return "no valid CentralSystemRootCertificate is installed"
        if number == 3 and not await certificates.has_station_certificate():
            return "there is no valid ChargePointCertificate"
        return ""

    # --- another backend --------------------------------------------------------------------------

    def _url(self, text: str) -> Answer:
        try:
            _ = urlsplit(text).port  # a port, or an IPv6 address, that is none
        except ValueError:
            return _REJECTED
        return self._stage("BackendUrl", text, lambda s: replace(s, url=text.rstrip("/") or None))

    def _identity(self, text: str) -> Answer:
        return self._stage("BackendIdentity", text, lambda s: replace(s, identity=text or None))

    def _password(self, text: str) -> Answer:
        password = self._bytes(text)
        if text and password is None:
            return _REJECTED
        return self._stage("BackendPassword", text, lambda s: replace(s, password=password))

    def _profile(self, text: str) -> Answer:
        number = _number(text)
        return self._stage(
            "BackendSecurityProfile", text, lambda s: replace(s, security_profile=number)
        )

    def _stage(self, key: str, text: str, changed: Callable[[Staged], Staged]) -> Answer:
        setting = self._settings.declared(key)
        assert setting is not None
        try:
            setting.normal(text)
        except ValueError:
            return _REJECTED
        if not _done(lambda: self._network.stage(changed(self._network.state.staged))):
            return _REJECTED
        return Answer(payload=_ACCEPTED)

    async def _apply(self, text: str) -> Answer:
        wish = text.strip().casefold()
        if wish == CANCEL_MOVE.casefold():
            return Answer(payload=_ACCEPTED) if _done(self._network.cancel_move) else _REJECTED
        when = next((w for w in MoveWhen if w.value.casefold() == wish), None)
        if when is None:
            return _REJECTED
        problem = await self._unfit(self._network.state.next_backend())
        if problem:
            log.warning("no move to another backend: %s", problem)
            return _REJECTED
        return Answer(payload=_ACCEPTED) if _done(lambda: self._network.move(when)) else _REJECTED

    async def _unfit(self, target: NetworkProfile) -> str:
        now = self._network.state.in_use
        if target == now:
            return "nothing would change"
        if target.security_profile < now.security_profile:
            return "its security profile is lower than the present one"
        if now.is_tls and not target.is_tls:
            return "it is not encrypted, and the present one is"
        return await self._missing(target)

    # --- inside -----------------------------------------------------------------------------------

    def _bytes(self, text: str) -> bytes | None:
        return password_bytes(text, PasswordEncoding(self._settings.text("PasswordEncoding")))


_ACCEPTED = {"status": ChangeResult.ACCEPTED.value}
_REJECTED = Answer(payload={"status": ChangeResult.REJECTED.value})


def _number(text: str) -> int | None:
    stripped = text.strip()
    return int(stripped) if stripped in ("0", "1", "2", "3") else None


def _done(change: Callable[[], object]) -> bool:
    """Whether it could be written down."""
    try:
        change()
    except OSError as error:
        log.error("the way to the backend could not be saved: %s", error)
        return False
    return True
