"""One SQLite file, owned by one worker thread; everybody else hands it functions.

WAL with synchronous=FULL: what a `write` returned survives a power cut. Functions that wait at the
same moment share one commit; one that fails is rolled back alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from controller.errors import StoreCorrupt

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

_log = logging.getLogger(__name__)

FILE = "station.db"
"""In the state directory."""
_BATCH = 64
"""Most functions in one commit."""
_QUICK_CHECK_LIMIT = 4 * 1024 * 1024
"""Files up to this size (bytes) are checked whole at each open, larger ones without the outbox."""


class _Job:
    __slots__ = ("error", "future", "loop", "result", "then", "work")

    def __init__(
        self,
        work: Work[Any],
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[Any],
        then: Callable[[Any], None] | None,
    ) -> None:
        self.work, self.loop, self.future, self.then = work, loop, future, then
        self.result: Any = None
        self.error: BaseException | None = None


class Database:
    """The connection and its thread.

    `durable` is false when the file could not be opened for writing and memory stands in for it;
    `busy_s`: how long another station may keep the file.
    `note` says what a person should know about the opening ("" = nothing).
    """

    def __init__(self, path: Path, busy_s: float = 5.0) -> None:
        self.path = path
        self._busy_s = busy_s
        self.durable = True
        self.note = ""
        self.asked = 0
        """Functions that were handed in since the opening."""
        self.answered = 0
        """How many of them have had their result told to the event loop."""
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._opened = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="store", daemon=True)

    def open(self) -> None:
        """Open and migrate; blocks for some milliseconds. A corrupt file is moved aside."""
        self._thread.start()
        self._opened.wait()
        if self._failed is not None:
            raise self._failed

    def write(self, work: Work[T], then: Callable[[T], None] | None = None) -> asyncio.Future[T]:
        """Run `work` in a transaction; the future ends after the commit.

        `then` gets the result in the event loop, strictly in the order of the calls.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self.asked += 1
        self._jobs.put(_Job(work, loop, future, then))
        return future

    async def probe(self) -> None:
        """Returns when the thread still works off its queue (watchdog)."""
        await self.write(lambda connection: connection.execute("SELECT 1").fetchone())

    async def close(self) -> None:
        """Finish what was asked for, then close the file."""
        self._jobs.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    # --- worker thread ----------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            connection = self._open()
        except BaseException as error:  # noqa: BLE001 - raised again in open()
            self._failed = error
            self._opened.set()
            return
        self._opened.set()
        with contextlib.closing(connection):
            while True:
                job = self._jobs.get()
                if job is None:
                    break
                batch, last = [job], False
                while len(batch) < _BATCH and not self._jobs.empty():
                    more = self._jobs.get()
                    if more is None:
                        last = True
                        break
                    batch.append(more)
                self._run(connection, batch)
                if last:
                    break

    def _run(self, connection: sqlite3.Connection, batch: list[_Job]) -> None:
        if not self._commit(connection, batch) and len(batch) > 1:
            for job in batch:
                self._commit(connection, [job])
        for loop in {job.loop for job in batch}:
            with contextlib.suppress(RuntimeError):  # the loop ended before the answer
                loop.call_soon_threadsafe(self._answer, [job for job in batch if job.loop is loop])

    def _answer(self, batch: list[_Job]) -> None:
        self.answered += len(batch)
        _answer(batch)

    def _commit(self, connection: sqlite3.Connection, batch: list[_Job]) -> bool:
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                job.result, job.error = job.work(connection), None
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            for job in batch:
                job.result, job.error = None, error
            return False
        return True

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return _connect(self.path, self._busy_s)
        except StoreCorrupt as error:
            aside = _move_aside(self.path)
            self.note = f"the database could not be read ({error}); it was kept as {aside.name}"
            _log.error("store: %s", self.note)
            return _connect(self.path, self._busy_s)
        except (sqlite3.OperationalError, OSError) as error:
            if "locked" in str(error):
                raise StoreCorrupt(f"{self.path} belongs to another running station") from error
            self.durable = False
            self.note = f"{self.path} cannot be written ({error}); nothing survives a restart"
            _log.error("store: %s", self.note)
            return _connect(Path(":memory:"), self._busy_s)


def _answer(batch: list[_Job]) -> None:
    for job in batch:
        if job.error is None and job.then is not None:
            try:
                job.then(job.result)
            except Exception as error:  # noqa: BLE001 - handed to whoever asked
                _log.exception("store: what follows a commit failed")
                job.error = error
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
            job.future.exception()  # a caller that does not wait has its own way to notice
        else:
            job.future.set_result(job.result)


def _connect(path: Path, busy_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=busy_s)
    try:
        # Exclusive: no second station on this file, and no shared-memory file to write.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA page_size = 1024")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -512")
        _check(connection)
        _migrate(connection)
    except sqlite3.OperationalError:
        connection.close()
        raise
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StoreCorrupt(str(error)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    size = pages * connection.execute("PRAGMA page_size").fetchone()[0]
    tables = [""]
    if size > _QUICK_CHECK_LIMIT:
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        skip = ("outbox", "transactions")
        tables = [f"({n})" for (n,) in rows if n not in skip and not n.startswith("sqlite_")]
    for table in tables:
        for (text,) in connection.execute(f"PRAGMA quick_check{table}"):
            if text != "ok":
                raise StoreCorrupt(text)


def _migrate(connection: sqlite3.Connection) -> None:
    """Apply the numbered schema files that this file has not seen, all in one commit."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    folder = resources.files("controller.store") / "schema"
    files = sorted(f.name for f in folder.iterdir() if f.name.endswith(".sql"))
    if version > len(files):
        raise StoreCorrupt(f"schema {version} is newer than this program knows ({len(files)})")
    if version == len(files):
        return
    connection.execute("BEGIN IMMEDIATE")
    for number, name in enumerate(files, start=1):
        if number <= version:
            continue
        for statement in _statements((folder / name).read_text(encoding="utf-8")):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(files)}")
    connection.execute("COMMIT")


def _statements(script: str) -> list[str]:
    lines = [line for line in script.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]


def _move_aside(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        extra = path.with_name(path.name + suffix)
        if extra.exists():
            extra.replace(aside.with_name(aside.name + suffix))
    return aside
