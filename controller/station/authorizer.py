"""Asks list, cache and backend in that order; never longer than `authorize_wait_s`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from controller.clock import Clock
from controller.core import authorization
from controller.core.authorization import (
    AuthorizationMode,
    AuthorizationRules,
    Decision,
    LocalList,
)
from controller.core.model import IdToken, IdTokenInfo
from controller.errors import BackendUnavailable
from controller.ports import Backend
from controller.station.stores import AuthCacheStore
from controller.station.waiting import Tasks

_log = logging.getLogger(__name__)

LateAnswer = Callable[[IdToken, IdTokenInfo], None]


class Authorizer:
    """One for all EVSEs. `late` hears answers that came after the offline rules had decided."""

    def __init__(
        self,
        *,
        backend: Backend,
        cache: AuthCacheStore,
        local_list: LocalList,
        rules: Callable[[], AuthorizationRules],
        clock: Clock,
        wait_s: float,
        before_accepted: bool,
        late: LateAnswer,
        tasks: Tasks,
    ) -> None:
        self._backend = backend
        self._cache = cache
        self._list = local_list
        self._rules = rules
        self._clock = clock
        self._wait_s = wait_s
        self._before_accepted = before_accepted
        self._late = late
        self._tasks = tasks

    async def decide(self, id_token: IdToken, mode: AuthorizationMode) -> Decision:
        """Whether the token may charge; at the latest after `authorize_wait_s`."""
        rules, now = self._rules(), self._clock.utc()
        listed = self._list.find(id_token)
        if mode is AuthorizationMode.LOCAL:
            return authorization.without_backend(mode, rules, listed, None, now, "")
        connected = self._backend.connected
        if connected and not rules.local_pre_authorize:
            return await self._ask(id_token, mode, listed)
        cached = await self._cached(id_token) if rules.cache_enabled else None
        if connected:
            known = authorization.before_asking(mode, rules, listed, cached, now)
            return known if known is not None else await self._ask(id_token, mode, listed)
        if not self._backend.ever_accepted and not self._before_accepted:
            because = "the operator has not accepted this station yet"
            off = AuthorizationRules(local_authorize_offline=False)
            return authorization.without_backend(mode, off, listed, cached, now, because)
        because = "the operator cannot be reached"
        return authorization.without_backend(mode, rules, listed, cached, now, because)

    async def group_of(self, id_token: IdToken) -> IdToken | None:
        """The group as far as it is known here."""
        info = self._list.find(id_token) or await self._cached(id_token)
        return None if info is None else info.group

    async def remember(self, id_token: IdToken, info: IdTokenInfo) -> None:
        """Into the cache if that can be written; never what the list has (R16-AUTH-1)."""
        self._list.heard(id_token, info, self._clock.utc())
        if not self._rules().cache_enabled or self._list.find(id_token) is not None:
            return
        try:
            await self._cache.remember(id_token, info)
        except Exception as error:  # noqa: BLE001 - the answer itself counts all the same
            _log.error("the authorization cache cannot be written: %s", error)

    async def _cached(self, id_token: IdToken) -> IdTokenInfo | None:
        try:
            return await self._cache.find(id_token)
        except Exception as error:  # noqa: BLE001 - a card that is not in the cache can still be asked for
            _log.error("the authorization cache cannot be read: %s", error)
            return None

    async def _ask(
        self, id_token: IdToken, mode: AuthorizationMode, listed: IdTokenInfo | None
    ) -> Decision:
        question = self._tasks.aside(self._question(id_token), "authorization")
        over = asyncio.ensure_future(self._clock.sleep(self._wait_s))
        try:
            await asyncio.wait((question, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
        now, rules = self._clock.utc(), self._rules()
        because = f"the operator did not answer within {self._wait_s:.0f} s"
        if question.done():
            info, because = question.result()
            if info is not None:
                return authorization.from_info(info, now)
        else:
            question.add_done_callback(lambda task: self._answered_late(id_token, task))
        cached = await self._cached(id_token) if rules.cache_enabled else None
        return authorization.without_backend(mode, rules, listed, cached, now, because)

    async def _question(self, id_token: IdToken) -> tuple[IdTokenInfo | None, str]:
        try:
            info = await self._backend.authorize(id_token)
        except BackendUnavailable as error:
            return None, str(error) or "the operator cannot be reached"
        self._tasks.aside(self.remember(id_token, info), "authorization cache")
        return info, ""

    def _answered_late(
        self, id_token: IdToken, task: asyncio.Task[tuple[IdTokenInfo | None, str]]
    ) -> None:
        if task.cancelled() or task.exception() is not None:
            return
        info, _ = task.result()
        if info is not None:
            self._late(id_token, info)
