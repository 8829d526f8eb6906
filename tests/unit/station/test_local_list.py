"""The station's local list: what it decides, what it says, who may change it (R16-LL-1, R16-AUTH-1, -3, -4)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.core.local_list import ListEntry, ListStatus, ListUpdate
from controller.core.model import AuthorizationStatus, IdToken, IdTokenInfo
from tests.unit.station.fakes import START, World

ANNA, BEN = "04A2B3C4", "04FFEE11"
OK = IdTokenInfo(status=AuthorizationStatus.ACCEPTED)
BLOCKED = IdTokenInfo(status=AuthorizationStatus.BLOCKED)


def world(tmp_path: Path, **settings: str) -> World:
    made = World(tmp_path)
    made.settings_changed = settings
    return made


async def send(
    station: World, entries: dict[str, IdTokenInfo | None], version: int = 1, full: bool = True
) -> ListStatus:
    listed = [ListEntry(id_token=IdToken(t), info=info) for t, info in entries.items()]
    update = ListUpdate(version=version, full=full, entries=listed)
    return await station.station.local_list.update(update)


async def cached(station: World, token: str) -> IdTokenInfo | None:
    return await station.store.auth_cache.find(IdToken(token))


async def test_a_listed_card_starts_without_asking(tmp_path: Path) -> None:
    """TC_008: LocalPreAuthorize."""
    async with world(tmp_path, LocalPreAuthorize="true") as w:
        assert await send(w, {ANNA: OK}) is ListStatus.ACCEPTED
        await w.plug()
        await w.tap(ANNA.lower())
        assert w.view().transaction_id is not None and w.backend.asked == []


async def test_without_pre_authorization_the_operator_is_asked(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await send(w, {ANNA: OK})
        await w.plug()
        await w.tap(ANNA)
        assert w.backend.asked == [ANNA] and w.view().transaction_id is not None


@pytest.mark.parametrize(
    "info",
    [
        BLOCKED,
        IdTokenInfo(status=AuthorizationStatus.ACCEPTED, expires_at=START - timedelta(seconds=1)),
    ],
)
async def test_what_is_not_valid_on_the_list_is_refused_offline(
    tmp_path: Path, info: IdTokenInfo
) -> None:
    """R16-AUTH-4: the list wins over the cache and over AllowOfflineTxForUnknownId."""
    async with world(tmp_path, AllowOfflineTxForUnknownId="true") as w:
        await w.store.auth_cache.remember(IdToken(ANNA), OK)
        await send(w, {ANNA: info})
        w.backend.connected = False
        await w.plug()
        await w.tap(ANNA)
        assert w.view().transaction_id is None
        await w.tap(BEN)
        assert w.view().transaction_id is not None


async def test_an_entry_that_is_valid_starts_offline(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.store.auth_cache.remember(IdToken(ANNA), BLOCKED)
        await send(w, {ANNA: OK})
        w.backend.connected = False
        await w.plug()
        await w.tap(ANNA)
        assert w.view().transaction_id is not None


async def test_offline_authorization_can_be_off(tmp_path: Path) -> None:
    async with world(tmp_path, LocalAuthorizeOffline="false") as w:
        await send(w, {ANNA: OK})
        w.backend.connected = False
        await w.plug()
        await w.tap(ANNA)
        assert w.view().transaction_id is None


async def test_a_list_that_is_off_decides_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, LocalAuthListEnabled="false") as w:
        await send(w, {ANNA: OK})
        w.backend.connected = False
        await w.plug()
        await w.tap(ANNA)
        assert w.view().transaction_id is None


async def test_listed_tokens_never_enter_the_cache(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await send(w, {ANNA: OK})
        await w.plug()
        await w.tap(ANNA)
        await w.station.control.remember(IdToken(ANNA), OK)
        assert await cached(w, ANNA) is None
        await w.station.control.remember(IdToken(BEN), OK)
        assert await cached(w, BEN) == OK


async def test_the_group_on_the_list_stops(tmp_path: Path) -> None:
    """R16-AUTH-2."""
    club = IdTokenInfo(status=AuthorizationStatus.ACCEPTED, group=IdToken("CLUB"))
    async with world(tmp_path, LocalPreAuthorize="true") as w:
        await send(w, {ANNA: club, BEN: club})
        await w.plug()
        await w.tap(ANNA)
        await w.tap(BEN)
        assert w.view().phase.value != "transaction" or w.station.actors[1].session.ending


async def test_a_conflict_is_told_once_and_ends_with_the_next_update(tmp_path: Path) -> None:
    """R16-ST-6."""
    async with world(tmp_path) as w:
        heard: list[bool] = []
        listed = w.station.local_list
        listed.on_conflict(lambda: heard.append(listed.conflict))
        await send(w, {ANNA: OK, BEN: BLOCKED})
        w.backend.answers = {ANNA: BLOCKED}
        await w.plug()
        await w.tap(ANNA)
        await w.tap(ANNA)
        await w.station.control.remember(IdToken(ANNA), BLOCKED)
        assert heard == [True]
        await w.station.control.remember(IdToken(BEN), OK)
        await w.station.control.remember(IdToken(ANNA), OK)
        assert heard == [True]
        await send(w, {ANNA: BLOCKED}, version=2)
        assert heard == [True, False]


async def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await send(w, {ANNA: OK, BEN: BLOCKED}, version=7)
        await w.restart()
        listed = w.station.local_list
        assert (listed.version, listed.size) == (7, 2)
        assert listed.find(IdToken(ANNA)) == OK and listed.find(IdToken(BEN)) == BLOCKED
        assert await send(w, {ANNA: None}, version=8, full=False) is ListStatus.ACCEPTED
        assert listed.find(IdToken(ANNA)) is None and listed.size == 1


async def test_what_cannot_be_stored_fails_and_the_old_list_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await send(w, {ANNA: OK}, version=7)
        assert await send(w, {BEN: OK}, version=2**70) is ListStatus.FAILED
        listed = w.station.local_list
        assert (listed.version, listed.all()) == (7, [ANNA])


async def test_a_person_keeps_the_list_until_the_operator_does(tmp_path: Path) -> None:
    async with world(tmp_path, LocalAuthListMaxLength="2") as w:
        listed = w.station.local_list
        assert await listed.change(add=ANNA) == "" and await listed.change(add=BEN) == ""
        assert await listed.change(add="04000001") == "the list has room for 2 cards"
        assert await listed.change(add=BEN, remove=ANNA) == ""
        assert (listed.version, listed.all()) == (0, [BEN])
        await send(w, {ANNA: OK}, version=3)
        assert "the operator keeps this list (version 3)" in await listed.change(remove=ANNA)
        assert listed.all() == [ANNA]


async def test_stand_alone_a_person_always_may(tmp_path: Path) -> None:
    stand_alone: Any = World(tmp_path, backend=False)
    async with stand_alone as w:
        await send(w, {ANNA: OK}, version=3)
        assert await w.station.local_list.change(remove=ANNA, add=BEN) == ""
        await w.plug()
        await w.tap(ANNA)
        assert w.view().transaction_id is None
        await w.tap(BEN)
        assert w.view().transaction_id is not None
