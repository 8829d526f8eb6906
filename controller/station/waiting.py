"""Waiting for something or for a time, in the time of an injected clock."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from controller.clock import Clock

_log = logging.getLogger(__name__)

T = TypeVar("T")


async def event_or_time(event: asyncio.Event, clock: Clock, seconds: float | None) -> bool:
    """True = the event is set; False = the time is over first (None = no limit)."""
    if event.is_set():
        return True
    if seconds is None:
        await event.wait()
        return True
    if seconds <= 0:
        await asyncio.sleep(0)
        return event.is_set()
    woken = asyncio.ensure_future(event.wait())
    over = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((woken, over), return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel(woken, over)
    return event.is_set()


async def within(work: Awaitable[T], clock: Clock, seconds: float) -> T | None:
    """The result, or None when it takes longer; the work is then cancelled."""
    task = asyncio.ensure_future(work)
    over = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((task, over), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        await cancel(task, over)


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancel and wait until they are really over."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task


class Tasks:
    """Background work of one owner: what must live (`start`), and what may fail alone (`aside`)."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self, work: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """Run it; an exception in it reaches the owner's `failed`."""
        task = self._create(work, name)
        task.add_done_callback(self._done)
        return task

    def aside(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run it; its failure is logged and ends nothing else."""
        task = self._create(work, name)
        task.add_done_callback(_log_failure)
        return task

    def _create(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work, name=name or None)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or task.exception() is None:
            return
        if not self.failed.done():
            error = task.exception()
            self.failed.set_exception(error if error is not None else RuntimeError("no error"))

    async def close(self) -> None:
        """Cancel everything."""
        await cancel(*list(self._tasks))
        if not self.failed.done():
            self.failed.cancel()


def _log_failure(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _log.error("%s failed: %s", task.get_name(), error, exc_info=error)
