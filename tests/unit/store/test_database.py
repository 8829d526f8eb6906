"""Opening, migrating, failing: the file is never the reason that the station does not start."""

from __future__ import annotations

import asyncio
import sqlite3
from importlib import resources
from pathlib import Path

import pytest

from controller.errors import StoreCorrupt
from controller.store.database import Database
from controller.store.store import FILE, Store


async def test_the_settings_that_durability_rests_on(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)

    def read(connection: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "user_version", "foreign_keys")
        return [connection.execute(f"PRAGMA {n}").fetchone()[0] for n in names]

    files = list(resources.files("controller.store").joinpath("schema").iterdir())
    assert await store.database.write(read) == ["wal", 2, len(files), 1]
    await store.close()


async def test_opening_twice_changes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        store = await Store.open(tmp_path)
        await store.values.put("a", "1")
        assert await store.values.all("") == {"a": "1"}
        await store.close()


async def test_a_corrupt_file_is_moved_aside_and_reported(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    await store.values.put("a", "1")
    await store.close()
    path = tmp_path / FILE
    path.write_bytes(b"x" * path.stat().st_size)
    store = await Store.open(tmp_path)
    assert "kept as" in store.database.note
    assert await store.values.all("") == {}
    await store.close()
    assert len(list(tmp_path.glob(f"{FILE}.corrupt-*"))) == 1
    store = await Store.open(tmp_path)
    assert store.database.note == ""
    await store.close()


async def test_a_damaged_page_is_found_at_the_start(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    for n in range(200):
        await store.values.put(f"name-{n}", "x" * 50)
    await store.close()
    path = tmp_path / FILE
    data = bytearray(path.read_bytes())
    data[6 * 1024 : 9 * 1024] = b"\xff" * 3 * 1024
    path.write_bytes(data)
    store = await Store.open(tmp_path)
    assert store.database.note
    await store.close()


async def test_a_second_station_on_the_same_state_is_refused(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    with pytest.raises(StoreCorrupt, match="another running station"):
        Database(tmp_path / FILE, busy_s=0.05).open()
    await store.close()


async def test_a_folder_that_cannot_be_written_does_not_stop_the_station(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    store = await Store.open(tmp_path / "state")
    assert not store.database.durable
    assert store.database.note
    await store.values.put("a", "1")
    await store.close()


async def test_a_newer_schema_is_kept_aside(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    await store.close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    store = await Store.open(tmp_path)
    assert "newer" in store.database.note
    await store.close()


async def test_what_follows_a_commit_may_fail_without_stopping_the_rest(tmp_path: Path) -> None:
    """The one who asked is told, and the others of the same commit get their answers."""
    store = await Store.open(tmp_path)

    def wrong(_: object) -> None:
        raise ValueError("planted")

    futures = [
        store.database.write(lambda _: 1),
        store.database.write(lambda _: 2, wrong),
        store.database.write(lambda _: 3),
    ]
    async with asyncio.timeout(5):
        assert await futures[0] == 1
        with pytest.raises(ValueError, match="planted"):
            await futures[1]
        assert await futures[2] == 3
    await store.close()


async def test_one_failing_write_does_not_touch_its_neighbours(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)

    def wrong(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO stored_values VALUES ('half', 'done')")
        raise ValueError("planted")

    futures = [
        store.database.write(lambda c: c.execute("INSERT INTO stored_values VALUES ('a', '1')")),
        store.database.write(wrong),
        store.database.write(lambda c: c.execute("INSERT INTO stored_values VALUES ('b', '2')")),
    ]
    await futures[0]
    with pytest.raises(ValueError, match="planted"):
        await futures[1]
    await futures[2]
    await store.close()
    store = await Store.open(tmp_path)
    assert await store.values.all("") == {"a": "1", "b": "2"}
    await store.close()
