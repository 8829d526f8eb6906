"""The link: address, handshake, back-off, pings, clock (OCPP-J 1.6 §3 and §7; RPC-1, RPC-9, RPC-10, RPC-15 to RPC-17)."""

from __future__ import annotations

import itertools
from datetime import timedelta

from tests.conformance.lab import Lab
from tests.conformance.matching import ANY
from tests.conformance.registry import case
from tests.conformance.v16.pki import Pki

PASSWORD = "0123456789abcdef"
QUIET = {"MeterValueSampleInterval": "0"}
BASIC = {"security_profile": 1, "password": PASSWORD}
TLS = {"security_profile": 2, "password": PASSWORD}


async def back(lab: Lab, within: float = 400.0) -> None:
    await lab.until(lambda: lab.station.backend.connected, within, "the connection")
    await lab.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"}, status="Accepted")
    await lab.csms.expect("Heartbeat")


@case(
    "RPC-1",
    "RPC-16",
    title="The identity is percent-encoded in the path and the user of every handshake",
    backend=BASIC,
    csms={"password": PASSWORD},
    station={"id": "RDAM 12|3"},
    config=QUIET,
    on=False,
)
async def identity(lab: Lab) -> None:
    await lab.power_on()
    await lab.csms.expect("BootNotification", chargePointModel=ANY)
    await lab.registered()
    lab.csms.drop()
    await lab.until(lambda: len(lab.csms.handshakes) == 2, 10, "a new connection")
    await back(lab)
    assert [path for _, path in lab.csms.handshakes] == ["/ocpp/RDAM 12|3"] * 2
    assert lab.csms.credentials == [b"RDAM 12|3:" + PASSWORD.encode()] * 2


@case(
    "RPC-9",
    "R16-BOOT-9",
    title="Refused with 401, 403 or 404 it keeps trying, in growing intervals",
    config=QUIET,
)
async def refused(lab: Lab) -> None:
    for status in (401, 403, 404):
        lab.csms.refuse_with = status
        seen = len(lab.csms.handshakes)
        lab.csms.drop()
        await lab.until(lambda n=seen: len(lab.csms.handshakes) >= n + 4, 900, "attempts")
        times = [at for at, _ in lab.csms.handshakes[seen:]]
        assert [round(b - a) for a, b in itertools.pairwise(times)] == [5, 10, 20]
        assert str(status) in lab.station.backend.why
        lab.csms.refuse_with = None
        await back(lab)


@case(
    "RPC-9",
    title="A backend that closes at once is knocked at in growing intervals",
    config=QUIET,
)
async def closed_at_once(lab: Lab) -> None:
    lab.csms.close_at_once = True
    lab.csms.drop()
    seen = len(lab.csms.handshakes)
    await lab.until(lambda: len(lab.csms.handshakes) >= seen + 5, 900, "attempts")
    times = [at for at, _ in lab.csms.handshakes[seen:]]
    assert [round(b - a) for a, b in itertools.pairwise(times)] == [5, 10, 20, 40]
    lab.csms.close_at_once = False
    await back(lab)


@case(
    "RPC-10",
    "R16-CFG-1",
    title="A link that went dead without a word is noticed by a ping and made anew",
    config={**QUIET, "WebSocketPingInterval": "20"},
)
async def silent_link(lab: Lab) -> None:
    await lab.sleep(100)
    assert len(lab.csms.handshakes) == 1, "pings that are answered end nothing"
    lab.csms.go_silent()
    went_s = lab.now_s
    await lab.until(lambda: len(lab.csms.handshakes) == 2, 60, "a new connection")
    assert lab.now_s - went_s <= 20 + 10 + 2
    await back(lab)


@case(
    "RPC-17",
    title="A redirect is not followed",
    backend=BASIC,
    csms={"password": PASSWORD},
    config=QUIET,
)
async def redirect(lab: Lab) -> None:
    lab.csms.refuse_with = 302
    lab.csms.drop()
    await lab.until(lambda: "do not go" in lab.station.backend.why, 60, "the refusal")
    lab.csms.refuse_with = None
    await back(lab)


@case(
    "RPC-15",
    "RPC-14",
    title="With a clock of the year 2000 TLS works, and the backend's time is adopted",
    backend=TLS,
    csms={"password": PASSWORD},
    config=QUIET,
    on=False,
)
async def clock_of_2000(lab: Lab) -> None:
    lab.jump_clock(-timedelta(days=9500).total_seconds())
    pki = await Pki.serve(lab)
    pki.provision_root()
    await lab.power_on()
    await lab.csms.expect("BootNotification", chargePointModel=ANY)
    await lab.registered()
    await lab.until(
        lambda: lab.csms.count("SecurityEventNotification", type="SettingSystemTime") == 1,
        30,
        "the event that the clock was set",
    )
    expired = pki.server(ends=lab.utc - timedelta(days=2))
    await pki.serve_with(expired)
    await lab.until(lambda: "not trusted" in lab.station.backend.why, 60, "the refusal")
    await pki.serve_with(pki.server())
    await back(lab)
