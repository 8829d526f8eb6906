"""A scripted day at a station with two EVSEs: what people, backend, network and mains do, and the truth about it.

One person after the other acts; the truth (who, where, when, how much) is written down as it happens.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from controller.demo.csms_rules_script import Deed, objections
from tests.conformance.lab import Lab
from tests.conformance.virtual_time import VirtualLoop

CARDS = tuple(f"04A0B0C0D0E0{n:02X}" for n in range(10))
"""Known to the backend, and soon to the station's cache."""
BLOCKED = "04FFFFFFFFFF01"
STRANGER = "04FFFFFFFFFF02"
"""Unknown to everybody."""
EVSES = (1, 2)
TIME_TOLERANCE_S = 1.5
ENERGY_TOLERANCE_WH = 1.0
CONFIG = {
    "MeterValueSampleInterval": "60",
    "MeterValuesSampledData": "Energy.Active.Import.Register,Current.Import",
    "StopTxnSampledData": "Energy.Active.Import.Register",
    "ClockAlignedDataInterval": "900",
    "AuthorizationCacheEnabled": "true",
    "ConnectionTimeOut": "120",
    "TransactionMessageRetryInterval": "5",
}
BACKEND = {"retry_wait_minimum_s": 2.0, "retry_repeat_times": 3}


@dataclass(slots=True, kw_only=True)
class Running:
    """A session that goes on, as the world sees it."""

    card: str
    began: datetime
    before_wh: float
    about: str
    reservation: int | None = None
    refused: bool = False
    """the backend will say no as soon as it hears of it"""


class DayLab(Lab):
    """A station that has to register after each of its starts."""

    async def _start_station(self) -> None:
        self.csms.rules.restarted()
        await super()._start_station()


@dataclass(slots=True)
class Day:
    """`until(200)` lets sessions happen; `judge()` says what was told wrongly about them."""

    lab: Lab
    chance: random.Random
    deeds: list[Deed] = field(default_factory=list)
    running: dict[int, Running] = field(default_factory=dict)
    online: bool = True
    happened: Counter[str] = field(default_factory=Counter)
    bad_name: set[str] = field(default_factory=set)
    """the station's cache remembers them as blocked until they start with a link"""
    reservations: int = 0
    profiles: int = 0

    # --- what a day is made of --------------------------------------------------------------------

    async def until(self, sessions: int) -> None:
        """Act until that many sessions are over and nobody charges."""
        for card in CARDS:
            await self.session_of(card)
        await self.tour()
        while len(self.deeds) < sessions:
            await self.something(sessions)
        if not self.online:
            await self.come_back()
        await self.lab.sleep(30)

    async def something(self, sessions: int) -> None:
        """The next thing that happens."""
        left = sessions - len(self.deeds) - len(self.running)
        free = [n for n in EVSES if n not in self.running]
        draw = self.chance.random()
        if self.running and draw < 0.12:
            await self.disturb()
        elif self.running and draw < 0.2:
            await self.wish(self.chance.choice(sorted(self.running)))
        elif draw < 0.27:
            await (self.go_away() if self.online else self.come_back())
        elif free and left > 0 and (not self.running or draw < 0.55):
            await self.begin(self.chance.choice(free))
        elif self.running:
            long = self.chance.random() < 0.15
            await self.lab.sleep(
                self.chance.uniform(65, 140) if long else self.chance.uniform(3, 15)
            )
            await self.end(self.chance.choice(sorted(self.running)))
        else:
            await self.lab.sleep(1)

    async def tour(self) -> None:
        """Each kind of thing at least once; chance has the rest of the day."""
        ends = [self.by_card, self.pulled_out, self.by_remote_stop, self.by_unlock]
        starts = [self.by_card_and_cable, self.remotely_with_a_profile, self.taken_by_another]
        for way, end in zip([*starts, self.by_cable_and_card], ends, strict=True):
            await way(1, CARDS[0])
            for wish in (self.limited, self.suspended, self.pause, self.triggered):
                await wish(1)
            await end(1)
            await self.leave(1)
        await self.refused(1, CARDS[0])
        await self.reserve(1, CARDS[0])
        await self.cancel()
        for disturb in (self.killed, self.stopped, self.link_broken, self.power_cut, self.reset):
            for n in EVSES:
                if n not in self.running:
                    await self.by_cable_and_card(n, CARDS[n])
            await disturb()
        await self.go_away()
        await self.refused_later(1, CARDS[3])
        await self.come_back()

    async def session_of(self, card: str) -> None:
        """An ordinary session from begin to end, so that the card is known afterwards."""
        await self.by_cable_and_card(1, card)
        await self.lab.sleep(5)
        await self.by_card(1)
        await self.leave(1)

    # --- beginnings -------------------------------------------------------------------------------

    async def begin(self, n: int) -> None:
        """One of the ways in which a session begins, or fails to."""
        used = {r.card for r in self.running.values()}
        out = used if self.online else used | self.bad_name
        fit = [c for c in CARDS if c not in out]
        if not fit:
            await self.come_back()
            return
        card = self.chance.choice(fit)
        online: list[Callable[[int, str], Awaitable[None]]] = [
            self.by_cable_and_card,
            self.by_cable_and_card,
            self.by_card_and_cable,
            self.remotely,
            self.remotely_with_a_profile,
            self.reserved,
            self.taken_by_another,
            self.refused,
        ]
        offline = [self.by_cable_and_card, self.by_card_and_cable, self.refused, self.refused_later]
        await self.chance.choice(online if self.online else offline)(n, card)

    async def by_cable_and_card(self, n: int, card: str) -> None:
        self.lab.plug(n, current=self.chance.choice((10.0, 16.0, 32.0)))
        await self.lab.sleep(self.chance.uniform(1, 3))
        began = self.lab.utc
        self.lab.tap(card, n)
        await self.charging(n, card, began, "cable, card")

    async def by_card_and_cable(self, n: int, card: str) -> None:
        self.lab.tap(card, n)
        await self.lab.sleep(self.chance.uniform(1, 3))
        began = self.lab.utc
        self.lab.plug(n)
        await self.charging(n, card, began, "card, cable")

    async def remotely(self, n: int, card: str, **more: Any) -> None:
        self.lab.plug(n)
        await self.lab.sleep(3)
        began = self.lab.utc
        await self.ask("RemoteStartTransaction", {"idTag": card, "connectorId": n, **more})
        await self.charging(n, card, began, "remote start")

    async def remotely_with_a_profile(self, n: int, card: str) -> None:
        await self.remotely(n, card, chargingProfile=self.profile("TxProfile", 10.0))
        self.happened["profile in a remote start"] += 1

    async def reserved(self, n: int, card: str) -> None:
        await self.reserve(n, card)
        if self.chance.random() < 0.3:
            await self.cancel()
            return
        self.lab.plug(n)
        await self.lab.sleep(3)
        await self.claim(n, card)

    async def taken_by_another(self, n: int, card: str) -> None:
        """Another card does not get in."""
        await self.reserve(n, card)
        self.lab.plug(n)
        await self.lab.sleep(3)
        used = {card, *(r.card for r in self.running.values())}
        self.lab.tap(self.chance.choice([c for c in CARDS if c not in used]), n)
        await self.lab.never(lambda: self.lab.evse(n).closed, 4, "charging on a reserved EVSE")
        self.happened["reserved for another"] += 1
        await self.claim(n, card)

    async def reserve(self, n: int, card: str) -> None:
        self.reservations += 1
        expires = (self.lab.utc + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
        await self.ask(
            "ReserveNow",
            {
                "connectorId": n,
                "expiryDate": expires,
                "idTag": card,
                "reservationId": self.reservations,
            },
        )

    async def cancel(self) -> None:
        await self.ask("CancelReservation", {"reservationId": self.reservations})
        self.happened["reservation cancelled"] += 1

    async def claim(self, n: int, card: str) -> None:
        began = self.lab.utc
        self.lab.tap(card, n)
        await self.charging(n, card, began, "reservation", reservation=self.reservations)

    async def refused(self, n: int, card: str) -> None:
        self.lab.plug(n)
        await self.lab.sleep(2)
        self.lab.tap(BLOCKED if self.online else STRANGER, n)
        await self.lab.never(lambda: self.lab.evse(n).closed, 3, "charging with a refused card")
        self.happened["refused"] += 1
        await self.leave(n)

    async def refused_later(self, n: int, card: str) -> None:
        """Known here, blocked by the backend meanwhile."""
        await self.by_cable_and_card(n, card)
        self.lab.csms.card(card, "Blocked")
        self.bad_name.add(card)
        self.running[n].refused = True
        self.running[n].about = "refused later"
        self.happened["refused later"] += 1

    async def charging(
        self, n: int, card: str, began: datetime, about: str, reservation: int | None = None
    ) -> None:
        before_wh = self.lab.evse(n).energy_wh
        try:
            await self.lab.closed(n)
        except AssertionError as error:
            error.add_note(f"online={self.online} {about} {card}: {self.lab.sentence(n)}")
            raise
        self.running[n] = Running(
            card=card, began=began, before_wh=before_wh, about=about, reservation=reservation
        )
        self.happened[about] += 1
        if self.online:
            await self.known(n)
            self.bad_name.discard(card)

    # --- ends -------------------------------------------------------------------------------------

    async def end(self, n: int) -> None:
        """One of the ways in which a session ends."""
        ways: list[Callable[[int], Awaitable[None]]] = [self.by_card, self.by_card, self.pulled_out]
        if self.online:
            ways += [self.by_remote_stop, self.by_unlock]
        if self.chance.random() < 0.1:
            ways = [self.by_emergency_stop]
        await self.chance.choice(ways)(n)
        await self.leave(n)

    async def by_card(self, n: int) -> None:
        at = self.lab.utc
        self.lab.tap(self.running[n].card, n)
        await self.over(n, "Local", at)

    async def pulled_out(self, n: int) -> None:
        at = self.lab.utc
        self.lab.unplug(n)
        await self.over(n, "EVDisconnected", at)

    async def by_remote_stop(self, n: int) -> None:
        known = await self.known(n)
        at = self.lab.utc
        await self.ask("RemoteStopTransaction", {"transactionId": known})
        await self.over(n, "Remote", at)

    async def by_unlock(self, n: int) -> None:
        await self.known(n)
        at = self.lab.utc
        await self.lab.csms.call("UnlockConnector", {"connectorId": n}, status="Unlocked")
        await self.over(n, "UnlockCommand", at)

    async def by_emergency_stop(self, n: int) -> None:
        at = self.lab.utc
        self.lab.fault("emergency_stop", True, n)
        await self.over(n, "EmergencyStop", at)
        self.lab.fault("emergency_stop", False, n)
        await self.lab.sleep(3)
        # It is latched: a person looks after it and clears it.
        self.lab.station.station.guard.clear_fault(n, "emergency_stop", by="command")
        await self.lab.sleep(3)

    async def over(self, n: int, reason: str, at: datetime | None) -> None:
        """The contactor opens; the session is written down."""
        await self.lab.opened(n)
        await self.lab.sleep(2)
        self.write_down(n, reason, at)

    def write_down(self, n: int, reason: str, at: datetime | None) -> None:
        was = self.running.pop(n)
        self.deeds.append(
            Deed(
                connector=n,
                id_tag=was.card,
                reason=reason,
                energy_wh=self.lab.evse(n).energy_wh - was.before_wh,
                started_at=was.began,
                ended_at=at,
                reservation=was.reservation,
                about=was.about,
            )
        )
        self.happened[reason] += 1

    async def leave(self, n: int) -> None:
        """The vehicle drives away."""
        await self.lab.sleep(self.chance.uniform(0.5, 2))
        self.lab.unplug(n)
        await self.lab.sleep(self.chance.uniform(1, 3))

    # --- what the backend wants meanwhile ---------------------------------------------------------

    async def wish(self, n: int) -> None:
        """The vehicle pauses, or the backend limits, triggers, looks."""
        acts: list[Callable[[int], Awaitable[None]]] = [self.pause]
        if self.online:
            acts += [self.limited, self.suspended, self.triggered]
        await self.chance.choice(acts)(n)

    async def pause(self, n: int) -> None:
        self.lab.pause(n)
        await self.lab.sleep(8)
        self.lab.resume(n)
        await self.lab.closed(n)
        self.happened["pause"] += 1

    async def limited(self, n: int) -> None:
        number = await self.set_profile(n, 8.0)
        await self.lab.until(lambda: self.lab.evse(n).offered_amps <= 8.0, 20, "the limit")
        await self.lab.sleep(5)
        await self.clear_profile(number)
        self.happened["profile"] += 1

    async def suspended(self, n: int) -> None:
        """A limit of 0, then none: the session goes on."""
        number = await self.set_profile(n, 0.0)
        await self.lab.opened(n, 20)
        await self.lab.sleep(5)
        await self.clear_profile(number)
        await self.lab.closed(n, 30)
        self.happened["limit 0"] += 1

    async def set_profile(self, n: int, amps: float) -> int:
        """For the running transaction, above the one that came with its start."""
        profile = self.profile("TxProfile", amps)
        profile |= {"transactionId": await self.known(n), "stackLevel": 1}
        await self.ask("SetChargingProfile", {"connectorId": n, "csChargingProfiles": profile})
        return int(profile["chargingProfileId"])

    async def clear_profile(self, number: int) -> None:
        await self.ask("ClearChargingProfile", {"id": number})

    async def triggered(self, n: int) -> None:
        message = self.chance.choice(("MeterValues", "StatusNotification", "Heartbeat"))
        await self.ask("TriggerMessage", {"requestedMessage": message})
        self.happened["trigger"] += 1

    def profile(self, purpose: str, amps: float) -> dict[str, Any]:
        self.profiles += 1
        return {
            "chargingProfileId": self.profiles,
            "stackLevel": 0,
            "chargingProfilePurpose": purpose,
            "chargingProfileKind": "Relative",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": amps}],
            },
        }

    # --- disturbances -----------------------------------------------------------------------------

    async def disturb(self) -> None:
        """Network, processes, mains."""
        acts = [self.killed, self.stopped, self.power_cut, self.link_broken]
        if self.online:
            acts += [self.reset]
        await self.chance.choice(acts)()

    async def killed(self) -> None:
        """The station alone dies; the transactions go on."""
        await self.lab.kill(off_s=self.chance.uniform(1, 20))
        await self.back()
        self.happened["killed"] += 1

    async def stopped(self) -> None:
        """Stopped in good order and started again; the transactions go on."""
        await self.lab.stop()
        await self.lab.sleep(3)
        await self.lab.start()
        await self.back()
        self.happened["stopped"] += 1

    async def power_cut(self) -> None:
        """Every transaction ends; the register after the boot is its end."""
        await self.lab.power_loss(off_s=self.chance.uniform(5, 60))
        await self.back()
        await self.lab.sleep(10)
        for n in sorted(self.running):
            assert not self.lab.evse(n).closed
            self.write_down(n, "PowerLoss", None)
            await self.leave(n)
        self.happened["power cut"] += 1

    async def reset(self) -> None:
        kind = self.chance.choice(("Soft", "Hard"))
        for n in sorted(self.running):
            await self.known(n)
        at = self.lab.utc
        before = len(self.lab.exits)
        await self.ask("Reset", {"type": kind})
        await self.lab.until(lambda: len(self.lab.exits) > before, 90, "the restart")
        await self.lab.until(lambda: self.lab.is_on, 30, "the station")
        await self.back()
        for n in sorted(self.running):
            assert not self.lab.evse(n).closed
            self.write_down(n, f"{kind}Reset", at)
            await self.leave(n)
        self.happened["reset"] += 1

    async def link_broken(self) -> None:
        self.lab.csms.drop()
        await self.lab.sleep(5)
        await self.back()
        self.happened["link broken"] += 1

    async def go_away(self) -> None:
        await self.lab.csms.offline()
        self.online = False
        self.happened["offline"] += 1
        await self.lab.sleep(self.chance.uniform(2, 20))

    async def come_back(self) -> None:
        await self.lab.csms.online()
        self.online = True
        await self.back()
        for n in sorted(self.running):
            was = self.running[n]
            if was.refused:
                await self.over(n, "DeAuthorized", None)
                self.lab.csms.card(was.card)
                await self.leave(n)
        for card in CARDS:
            self.lab.csms.card(card)

    async def back(self) -> None:
        """Registered again if there is a backend, and the queue is empty."""
        if not self.online:
            await self.lab.sleep(10)
            return
        await self.lab.until(lambda: self.lab.is_on and self.lab.station.backend.connected, 120)
        await self.lab.until(lambda: self.lab.station.store.outbox.waiting == 0, 120, "the queue")
        await self.lab.sleep(1)

    # --- the backend's side -----------------------------------------------------------------------

    async def ask(self, action: str, payload: dict[str, Any]) -> None:
        await self.lab.csms.call(action, payload, status="Accepted")

    async def known(self, n: int) -> int:
        """The backend's id of what runs there, once it has heard of it."""
        await self.lab.until(
            lambda: self.lab.csms.rules.books.running(n) is not None, 30, "a start"
        )
        running = self.lab.csms.rules.books.running(n)
        assert running is not None
        return running.id

    # --- the judgement ----------------------------------------------------------------------------

    def judge(self) -> list[str]:
        """Books against truth."""
        rules = self.lab.csms.rules
        rules.finish({n: self.lab.evse(n).energy_wh for n in EVSES})
        return objections(
            rules.transactions.values(),
            self.deeds,
            energy_tolerance_wh=ENERGY_TOLERANCE_WH,
            time_tolerance_s=TIME_TOLERANCE_S,
        )


def run_day(seed: int, sessions: int, directory: Path) -> tuple[Day, list[str]]:
    """A whole day; returns what happened and everything that was wrong."""

    async def live(loop: VirtualLoop) -> tuple[Day, list[str]]:
        lab = DayLab(loop, directory, evses=2, lock=True, config=CONFIG, backend=BACKEND)
        for card in CARDS:
            lab.csms.card(card)
        lab.csms.card(BLOCKED, "Blocked")
        rules = lab.csms.rules
        rules.on_time_s, rules.answered_s, rules.books.gap_wh = 1.0, 10.0, 1.0
        for n in EVSES:
            rules.books.starts_from(n, lab.evse(n).energy_wh)
        day = Day(lab, random.Random(seed))
        await lab.begin()
        try:
            await day.until(sessions)
            found = day.judge()
        except BaseException as error:
            error.add_note(f"after {len(day.deeds)} sessions: {dict(day.happened)}")
            error.add_note("\n".join(lab.csms.log[-40:]))
            for text in await lab.end():
                error.add_note(f"also wrong: {text}")
            raise
        return day, found + await lab.end()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(live(loop))
