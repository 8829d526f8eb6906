"""What must never be half there: latched faults, keys, certificates."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from controller.files import PUBLIC, remove, write_whole


@pytest.fixture
def touched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was made durable or renamed, in order: a directory by its name, a file as "file"."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        done.append(path.name if path.is_dir() else f"file of {path.stat().st_size}")
        fsync(descriptor)

    def note_replace(old: Any, new: Any) -> None:
        done.append("replace")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    return done


def test_content_then_name_then_directory_are_durable(tmp_path: Path, touched: list[str]) -> None:
    path = tmp_path / "made" / "key"
    write_whole(path, b"secret")
    assert touched == ["file of 6", "replace", "made"]
    assert path.read_bytes() == b"secret"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    touched.clear()
    remove(path)
    assert touched == ["made"]
    assert list(path.parent.iterdir()) == []


def test_what_a_death_left_neither_disturbs_nor_shows_the_next_content(tmp_path: Path) -> None:
    left = tmp_path / ".key.new"
    left.write_bytes(b"a longer one that was cut off")
    left.chmod(0o666)
    write_whole(tmp_path / "key", b"new")
    assert (tmp_path / "key").read_bytes() == b"new"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert not left.exists()


def test_a_full_disk_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "roots.pem"
    write_whole(path, b"old", PUBLIC)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new", PUBLIC)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["roots.pem"]
