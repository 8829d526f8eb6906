"""Local list and reservations on disk: one commit each, back after a restart, old cards migrated."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from importlib import resources
from operator import methodcaller
from pathlib import Path

import pytest

from controller.core.authorization import info_from_text
from controller.core.model import AuthorizationStatus, IdToken, IdTokenType
from controller.core.reservation import Reservation
from controller.store.store import FILE, Store

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OK, RICH = "Accepted", "Blocked\t2026-11-22T12:00:00+00:00\tCentral\tClub"


async def test_full_and_differential(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    await store.local_list.apply(3, {"a": OK, "b": RICH}, full=True)
    await store.local_list.apply(4, {"a": None, "b": OK, "c": RICH, "x": None}, full=False)
    await store.close()
    store = await Store.open(tmp_path)
    assert await store.local_list.load() == (4, {"b": OK, "c": RICH})
    await store.local_list.apply(9, {"d": OK}, full=True)
    assert await store.local_list.load() == (9, {"d": OK})
    await store.close()


async def test_an_update_that_fails_changes_nothing(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    await store.local_list.apply(3, {"a": OK}, full=True)
    await store.database.write(
        lambda c: c.execute(
            "CREATE TRIGGER t BEFORE INSERT ON local_list WHEN new.token = 'z' "
            "BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    )
    with pytest.raises(sqlite3.IntegrityError):
        await store.local_list.apply(4, {"b": OK, "z": OK}, full=True)
    assert await store.local_list.load() == (3, {"a": OK})
    await store.close()


async def test_equal_entries_share_one_text(tmp_path: Path) -> None:
    """10,000 accepted cards need one text."""
    store = await Store.open(tmp_path)
    await store.local_list.apply(1, {f"t{n}": OK for n in range(50)}, full=True)
    _, entries = await store.local_list.load()
    assert len({id(text) for text in entries.values()}) == 1
    await store.close()


async def test_cards_kept_by_command_before_are_on_the_list(tmp_path: Path) -> None:
    """The file of an older version: its small values `local-list/…` move, all others stay."""
    schema = resources.files("controller.store") / "schema" / "0001.sql"
    with sqlite3.connect(tmp_path / FILE) as old:
        old.executescript(schema.read_text(encoding="utf-8"))
        old.executemany(
            "INSERT INTO stored_values VALUES (?, ?)",
            [("local-list/04a2b3c4", "Accepted"), ("local-list/x", "Blocked"), ("other", "1")],
        )
        old.execute("PRAGMA user_version = 1")
    old.close()
    store = await Store.open(tmp_path)
    assert store.database.note == ""
    version, entries = await store.local_list.load()
    assert (version, set(entries)) == (0, {"04a2b3c4", "x"})
    assert info_from_text(entries["x"]).status is AuthorizationStatus.BLOCKED
    assert await store.values.all("") == {"other": "1"}
    await store.close()


async def test_reservations(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    one = Reservation(id=-4, evse=None, id_token=IdToken("A"), expires_at=AT)
    two = Reservation(
        id=7,
        evse=2,
        id_token=IdToken("B", IdTokenType.EMAID),
        group=IdToken("G", IdTokenType.CENTRAL),
        expires_at=AT,
    )
    for reservation in (one, two):
        await store.reservations.put(reservation)
    await store.close()
    store = await Store.open(tmp_path)
    assert await store.reservations.load() == [one, two]
    changed = Reservation(id=7, evse=1, id_token=IdToken("C"), expires_at=AT)
    await store.reservations.put(changed)
    await store.reservations.delete(-4)
    await store.reservations.delete(99)
    assert await store.reservations.load() == [changed]
    await store.close()


async def test_a_reservation_that_cannot_be_read_stops_nobody(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    for number in (1, 2, 3):
        await store.reservations.put(
            Reservation(id=number, evse=number, id_token=IdToken("A"), expires_at=AT)
        )
    for change in (
        "UPDATE reservations SET token_type = 'x' WHERE id = 1",
        "UPDATE reservations SET expires_at = 'soon' WHERE id = 3",
    ):
        await store.database.write(methodcaller("execute", change))
    assert [r.id for r in await store.reservations.load()] == [2]
    await store.close()
