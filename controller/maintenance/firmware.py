"""Carries out firmware updates; `core/firmware_update.py` says what comes next."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

from controller.clock import Clock
from controller.core import firmware_update as course
from controller.core.firmware_update import (
    CertificateVerdict,
    FirmwareNews,
    FirmwareRequest,
    FirmwareStatus,
    Phase,
    Update,
    UpdateAnswer,
)
from controller.core.security_events import SecurityEventType
from controller.maintenance.transfer import Transfer, TransferFailed, retrying
from controller.ports import ValueStore
from controller.ports_maintenance import (
    Installer,
    InstallRefused,
    SecurityEvents,
    SignatureCheck,
    Upkeep,
)

log = logging.getLogger(__name__)

RECORD = "firmware/update"
IMAGE = "image"
LOOK_S = 30.0
"""The clock may be set while a time is waited for."""
TOLD_S = 20.0
"""How long a restart waits until the backend knows of it."""
TOLD_FIRST_S = 2.0
"""A backend that is there hears of each step before the next begins."""
HELD_S = 0.5
"""It also hears first that free EVSEs are out of service."""
HOLD = "the station is about to update itself"


_QUICK = (Phase.DOWNLOAD, Phase.VERIFY, Phase.INSTALL)
"""Phases that end by themselves; what is told meanwhile is stored with the next one."""


class FirmwareService:
    """The `FirmwareUpdates` of a station. `folder`: where the image lies; `installer` None = cannot install."""

    def __init__(
        self,
        *,
        values: ValueStore,
        clock: Clock,
        transfer: Transfer,
        signatures: SignatureCheck,
        installer: Installer | None,
        upkeep: Upkeep,
        events: SecurityEvents,
        folder: Path,
    ) -> None:
        self._values = values
        self._clock = clock
        self._transfer = transfer
        self._signatures = signatures
        self._installer = installer
        self._upkeep = upkeep
        self._events = events
        self._image = folder / IMAGE
        self._update: Update | None = None
        self._task: asyncio.Task[None] | None = None
        self._news: list[Callable[[], None]] = []
        self._changed = asyncio.Event()
        self._holds = False
        self._requests = asyncio.Lock()
        self.restarted = False
        upkeep.on_change(self._changed.set)

    async def load(self) -> None:
        """What was under way when the station stopped; `restarted`: it stopped to start new firmware."""
        text = await self._values.get(RECORD)
        if text is None:
            return
        try:
            update = course.from_json(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            log.error("the record of a firmware update cannot be read: %s", error)
            return
        self._update = update
        if update.phase is Phase.OVER:
            return
        self.restarted = update.phase is Phase.RESTART
        activated = None if self._installer is None else await self._installer.activated()
        there = self._image.is_file()
        await self._become(course.resumed(update, activated, image_is_there=there))
        if self._installer is not None:
            await self._installer.confirm()

    # --- FirmwareUpdates --------------------------------------------------------------------------

    async def request(self, request: FirmwareRequest) -> UpdateAnswer:
        """Durable before it returns. An update under way is cancelled unless it is too late for that."""
        async with self._requests:
            return await self._request(request)

    async def _request(self, request: FirmwareRequest) -> UpdateAnswer:
        before = self._update if self.running is not None else None
        if before is not None and not before.cancellable:
            log.warning("a firmware update is being installed: another one is refused")
            return UpdateAnswer.REJECTED
        if request.signed:
            if self._installer is None:
                log.error(
                    "no firmware can be installed here: the operating system's packages do it"
                )
                return UpdateAnswer.REJECTED
            verdict, why = await self._signatures.signing_certificate(
                request.certificate, self._clock.utc()
            )
            if verdict is not CertificateVerdict.VALID:
                self._events.raise_event(
                    SecurityEventType.INVALID_FIRMWARE_SIGNING_CERTIFICATE, why
                )
                log.warning("firmware refused: its signing certificate is not accepted: %s", why)
                revoked = verdict is CertificateVerdict.REVOKED
                return (
                    UpdateAnswer.REVOKED_CERTIFICATE
                    if revoked
                    else UpdateAnswer.INVALID_CERTIFICATE
                )
        await self._cancel()
        if self._installer is None:
            log.error("no firmware can be installed here: the operating system's packages do it")
            await self._become(course.refuse(request))
        else:
            update = course.begin(request, self._clock.utc())
            if not await self._store(update):
                # What cannot be kept must not be promised.
                self._update = None if request.signed else course.refuse(request)
                return UpdateAnswer.REJECTED
            self._update = update
        return UpdateAnswer.ACCEPTED if before is None else UpdateAnswer.ACCEPTED_CANCELED

    def start(self) -> None:
        """The answer left: begin (also: go on after a restart)."""
        for news in self._news:
            news()
        if self.running is not None and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._go())

    @property
    def status(self) -> FirmwareNews:
        """The last status; Idle after Installed and when there was none."""
        if self._update is None:
            return FirmwareNews(status=FirmwareStatus.IDLE)
        return course.news_of(self._update)

    @property
    def running(self) -> FirmwareStatus | None:
        """The status of an update that is under way, or None."""
        update = self._update
        return None if update is None or update.phase is Phase.OVER else update.status

    def untold(self) -> FirmwareNews | None:
        """The oldest status that the backend was not told."""
        if self._update is None or not self._update.untold:
            return None
        return self._update.untold[0]

    async def told(self, news: FirmwareNews) -> None:
        """The backend knows it."""
        update = self._update
        if update is None or news not in update.untold:
            return  # of an update that was replaced meanwhile
        self._update = update = course.told(update, news.n)
        self._changed.set()
        if not update.untold and update.phase not in _QUICK:
            await self._store(update)  # so that a restart does not tell it again

    def on_news(self, news: Callable[[], None]) -> None:
        """Call `news` when there is something to tell."""
        self._news.append(news)

    async def close(self) -> None:
        """Stop working; the next start goes on."""
        await self._stop()

    # --- the work ---------------------------------------------------------------------------------

    async def _go(self) -> None:
        try:
            while self._update is not None and self._update.phase is not Phase.OVER:
                await self._step(self._update)
        except Exception:
            log.exception("the firmware update failed")
            if self._update is not None:
                await self._fail(FirmwareStatus.INSTALLATION_FAILED)

    async def _step(self, update: Update) -> None:
        await self._all_told(TOLD_FIRST_S)
        now = self._clock.utc()
        due = update.due
        waits_for_idle = update.phase is Phase.WAIT_IDLE
        if update.phase is Phase.WAIT_INSTALL:
            waits_for_idle = due is None or due <= now
        if (waits_for_idle or update.holds) and not self._holds:
            self._holds = True
            self._upkeep.hold(HOLD)
            await self._clock.sleep(HELD_S)
        self._changed.clear()
        update = self._current  # with what was told meanwhile
        later = course.look(update, now, busy=self._upkeep.busy)
        if later != update:
            await self._become(later)
            return
        match update.phase:
            case Phase.WAIT_DOWNLOAD | Phase.WAIT_INSTALL if due is not None:
                await self._clock.sleep(min((due - now).total_seconds(), LOOK_S))
            case Phase.WAIT_IDLE:
                await self._changed.wait()
            case Phase.DOWNLOAD:
                await self._download(update)
            case Phase.VERIFY:
                await self._verify(update)
            case Phase.INSTALL:
                await self._install()
            case Phase.RESTART:
                await self._restart()

    async def _download(self, update: Update) -> None:
        request = update.request
        self._image.parent.mkdir(parents=True, exist_ok=True)
        try:
            await retrying(
                lambda: self._transfer.download(request.location, self._image),
                retries=request.retries,
                interval_s=request.retry_interval_s,
                clock=self._clock,
            )
        except TransferFailed as error:
            log.error("the firmware was not downloaded: %s", error)
            await self._fail(FirmwareStatus.DOWNLOAD_FAILED)
            return
        await self._become(course.downloaded(self._current, self._clock.utc()))

    async def _verify(self, update: Update) -> None:
        request = update.request
        why = await self._signatures.file(self._image, request.signature, request.certificate)
        if why:
            log.error("the firmware is not installed: %s", why)
            await self._fail(FirmwareStatus.INVALID_SIGNATURE)
            await self._all_told(TOLD_FIRST_S)  # the status first, if that is possible now
            self._events.raise_event(SecurityEventType.INVALID_FIRMWARE_SIGNATURE, why)
            return
        await self._become(course.verified(self._current, self._clock.utc()))

    async def _install(self) -> None:
        if self._installer is None:
            await self._fail(FirmwareStatus.INSTALLATION_FAILED)
            return
        try:
            await self._installer.check(self._image)
        except InstallRefused as error:
            log.error("the firmware is not installed: %s", error)
            await self._fail(FirmwareStatus.INSTALL_VERIFICATION_FAILED)
            return
        try:
            version = await self._installer.stage(self._image)
        except InstallRefused as error:
            log.error("the firmware could not be installed: %s", error)
            await self._fail(FirmwareStatus.INSTALLATION_FAILED)
            return
        await self._become(course.staged(self._current, version))

    async def _restart(self) -> None:
        await self._all_told(TOLD_S)
        await self._store(self._current)
        log.warning("restarting with new firmware")
        self._upkeep.restart()
        await asyncio.Event().wait()

    # --- inside -----------------------------------------------------------------------------------

    @property
    def _current(self) -> Update:
        """With what the backend was told meanwhile."""
        assert self._update is not None
        return self._update

    async def _fail(self, status: FirmwareStatus) -> None:
        await self._become(course.failed(self._current, status))

    async def _all_told(self, within_s: float) -> None:
        deadline = asyncio.ensure_future(self._clock.sleep(within_s))
        while self.untold() is not None and not deadline.done():
            self._changed.clear()
            changed = asyncio.ensure_future(self._changed.wait())
            await asyncio.wait((deadline, changed), return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
        deadline.cancel()

    async def _become(self, update: Update) -> None:
        self._update = update
        await self._store(update)
        if update.phase is Phase.OVER:
            self._release()
            with contextlib.suppress(OSError):
                self._image.unlink(missing_ok=True)
            if update.status is FirmwareStatus.INSTALLED:
                log.warning("firmware %s is installed", update.version)
                self._events.raise_event(SecurityEventType.FIRMWARE_UPDATED, update.version)
        for news in self._news:
            news()

    async def _store(self, update: Update) -> bool:
        try:
            await self._values.put(RECORD, json.dumps(course.to_json(update)))
        except Exception as error:  # noqa: BLE001 - the update goes on; a restart would not know of it
            log.error("the firmware update is not recorded: %s", error)
            return False
        return True

    def _release(self) -> None:
        self._holds = False
        self._upkeep.release()

    async def _cancel(self) -> None:
        await self._stop()
        self._release()
        with contextlib.suppress(OSError):
            self._image.unlink(missing_ok=True)

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
