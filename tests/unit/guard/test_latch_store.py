"""DESIGN §1.4: latched faults outlive everything; without readable state the guard starts blocked."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from controller.guard.latch_store import Latched, LatchStore, LatchWriter, StateLostError

SOME: Latched = {1: {"rcd": "tripped"}, 2: {}}


def test_round_trip(tmp_path: Path) -> None:
    LatchStore(tmp_path).save(SOME)
    assert LatchStore(tmp_path).load() == SOME
    assert [path.name for path in (tmp_path / "guard").iterdir()] == ["latched.json"]


def test_factory_new_station_has_nothing(tmp_path: Path) -> None:
    (tmp_path / "installation.json").write_text("{}")
    assert LatchStore(tmp_path).load() == {}


def test_station_whose_first_start_failed_is_not_blocked(tmp_path: Path) -> None:
    LatchStore(tmp_path).load()  # then a driver does not open; the station goes on
    (tmp_path / "station.db").touch()
    assert LatchStore(tmp_path).load() == {}


def test_missing_file_of_a_used_station_is_lost_state(tmp_path: Path) -> None:
    (tmp_path / "station.db").touch()
    with pytest.raises(StateLostError, match="missing"):
        LatchStore(tmp_path).load()


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    store = LatchStore(tmp_path)
    store.save(SOME)
    good = store.path.read_bytes()
    for position in range(len(good)):
        if good[position : position + 1].isspace():
            continue
        store.path.write_bytes(good[:position] + b"7" + good[position + 1 :])
        if store.path.read_bytes() != good:
            with pytest.raises(StateLostError):
                store.load()


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{}", b"\xff", b'{"version": 2}'])
def test_damaged_file_is_lost_state(tmp_path: Path, text: bytes) -> None:
    store = LatchStore(tmp_path)
    store.save(SOME)
    store.path.write_bytes(text)
    with pytest.raises(StateLostError):
        store.load()


def test_unreadable_file_is_lost_state(tmp_path: Path) -> None:
    (tmp_path / "guard" / "latched.json").mkdir(parents=True)
    with pytest.raises(StateLostError, match="cannot be read"):
        LatchStore(tmp_path).load()


def test_writer_saves_in_its_thread_and_tells_when(tmp_path: Path) -> None:
    done = threading.Event()
    store = LatchStore(tmp_path)
    writer = LatchWriter(store, done.set)
    writer.submit(SOME)
    assert done.wait(5)
    writer.end(5)
    assert not writer.pending
    assert store.load() == SOME


def test_full_disk_does_not_stop_the_facts_and_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "guard").write_text("a file where the directory should be")
    tried = threading.Semaphore(0)
    store = LatchStore(tmp_path)
    writer = LatchWriter(store, tried.release)
    writer.submit(SOME)
    assert tried.acquire(timeout=5)
    assert writer.failing
    assert not writer.pending
    (tmp_path / "guard").unlink()
    writer.submit(SOME)
    assert tried.acquire(timeout=5)
    writer.end(5)
    assert store.load() == SOME
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_new_station_may_be_quicker_than_its_guard(tmp_path: Path) -> None:
    """The supervisor looked before it started both; without its word a missing file is a loss."""
    (tmp_path / "station.db").touch()
    with pytest.raises(StateLostError, match="missing"):
        LatchStore(tmp_path).load()
    assert LatchStore(tmp_path, told_new=True).load() == {}
    assert LatchStore(tmp_path).load() == {}
