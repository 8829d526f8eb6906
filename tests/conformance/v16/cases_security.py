"""Passwords, TLS and security profiles (security whitepaper A00, A01, A05)."""

from __future__ import annotations

from tests.conformance.lab import Lab
from tests.conformance.matching import ANY
from tests.conformance.registry import case
from tests.conformance.v16.keys import change, value_of
from tests.conformance.v16.pki import Pki
from tests.conformance.v16.security import (
    BASIC,
    PASSWORD,
    QUIET,
    SERIAL,
    TLS_BASIC,
    TLS_OWN,
    alive,
    handshakes,
    install,
    security_event,
)

OLD_KEY, NEW_KEY = PASSWORD.encode(), bytes(range(0xEC, 0x100))


# --- passwords ----------------------------------------------------------------------------------


@case(
    "TC_073_CS",
    "R16-SEC-2",
    "R16-SEC-3",
    title="The key of Basic authentication is updated",
    backend=BASIC,
    csms={"password": PASSWORD},
    config=QUIET,
)
async def update_password(lab: Lab) -> None:
    assert lab.csms.credentials == [b"CP1:" + OLD_KEY]
    await change(lab.csms, "AuthorizationKey", NEW_KEY.hex())
    lab.csms.password = NEW_KEY
    await handshakes(lab, 2)
    assert lab.csms.credentials[-1] == b"CP1:" + NEW_KEY
    await alive(lab)
    answer = await lab.csms.call("GetConfiguration", {"key": ["AuthorizationKey"]})
    assert answer == {"unknownKey": ["AuthorizationKey"]}
    frames = str(lab.station.backend.frames())
    assert "AuthorizationKey" in frames
    assert NEW_KEY.hex() not in frames
    await lab.kill()
    await handshakes(lab, 3)
    assert lab.csms.credentials[-1] == b"CP1:" + NEW_KEY


@case(
    "TC_073_CS",
    "R16-SEC-3",
    title="A key that the backend then refuses makes way for the old one",
    backend=BASIC,
    csms={"password": PASSWORD},
    config=QUIET,
)
async def update_password_refused(lab: Lab) -> None:
    await change(lab.csms, "AuthorizationKey", NEW_KEY.hex())
    await handshakes(lab, 3)
    assert lab.csms.credentials[-2:] == [b"CP1:" + NEW_KEY, b"CP1:" + OLD_KEY]
    await alive(lab)
    lab.csms.drop()
    await handshakes(lab, 4)
    assert lab.csms.credentials[-1] == b"CP1:" + OLD_KEY


@case(
    "TC_073_CS",
    "R16-SEC-2",
    title="What is no key is rejected and changes nothing",
    backend=BASIC,
    csms={"password": PASSWORD},
    config=QUIET,
)
async def wrong_passwords(lab: Lab) -> None:
    for text in ("", "short", "ab" * 15, "0" * 39, "not hexadecimal but much too long"):
        await change(lab.csms, "AuthorizationKey", text, "Rejected")
    await change(lab.csms, "PasswordEncoding", "Hex")
    await change(lab.csms, "AuthorizationKey", "sixteen letters!", "Rejected")
    await alive(lab)
    assert len(lab.csms.handshakes) == 1
    await change(lab.csms, "PasswordEncoding", "Text")
    await change(lab.csms, "AuthorizationKey", "ab" * 16)
    lab.csms.password = "ab" * 16
    await handshakes(lab, 2)


@case(
    "TC_085_CS",
    "R16-SEC-1",
    "R16-BOOT-9",
    title="Basic authentication: identity and password with every handshake",
    backend=BASIC,
    csms={"password": PASSWORD},
    on=False,
)
async def basic_authentication(lab: Lab) -> None:
    lab.csms.password = "another password!"
    await lab.power_on()
    await lab.until(lambda: len(lab.csms.credentials) >= 3, 120, "attempts")
    assert set(lab.csms.credentials) == {b"CP1:" + OLD_KEY}
    assert "password" in lab.station.backend.why
    await lab.csms.quiet(None, for_s=1)
    lab.csms.password = PASSWORD
    await lab.csms.expect("BootNotification", within=200, chargePointModel=ANY)
    await lab.registered()


# --- TLS ----------------------------------------------------------------------------------------


@case(
    "TC_086_CS",
    "R16-SEC-1",
    "R16-SEC-5",
    "RPC-14",
    title="TLS with a server certificate and Basic authentication",
    backend=TLS_BASIC,
    csms={"password": PASSWORD},
    on=False,
)
async def server_certificate(lab: Lab) -> None:
    pki = await Pki.serve(lab)
    pki.provision_root()
    await lab.power_on()
    await lab.csms.expect("BootNotification", chargePointVendor=ANY)
    await lab.registered()
    assert lab.csms.credentials[-1] == b"CP1:" + OLD_KEY
    await alive(lab)


@case(
    "TC_078_CS",
    "R16-SEC-5",
    title="A backend with a certificate of somebody else is left, and the event is told later",
    backend=TLS_BASIC,
    csms={"password": PASSWORD},
    on=False,
)
async def wrong_server_certificate(lab: Lab) -> None:
    pki = await Pki.serve(lab)
    pki.provision_root()
    await pki.serve_with(pki.stranger())
    await lab.power_on()
    await lab.until(lambda: "not trusted" in lab.station.backend.why, 30, "the refusal")
    assert lab.csms.handshakes == [], "nothing was told to it"
    await pki.serve_with(pki.server())
    await lab.csms.expect("BootNotification", within=200, chargePointModel=ANY)
    await lab.registered()
    await security_event(lab, "InvalidCentralSystemCertificate")


@case(
    "TC_087_CS",
    "R16-SEC-1",
    title="TLS with a certificate of the station",
    backend=TLS_OWN,
    station=SERIAL,
    on=False,
)
async def client_certificate(lab: Lab) -> None:
    pki = await Pki.serve(lab, clients=True)
    pki.provision_root()
    pki.provision_station("SN-42")
    await lab.power_on()
    await lab.csms.expect("BootNotification", chargePointVendor=ANY)
    await lab.registered()
    assert lab.csms.client_name == "SN-42"
    assert lab.csms.credentials[-1] is None
    await alive(lab)


@case(
    "TC_088_CS",
    "RPC-2",
    title="The sub-protocol is offered in lower case, and a backend without it is left",
    config=QUIET,
)
async def subprotocol(lab: Lab) -> None:
    await lab.csms.offline()
    lab.csms.subprotocols = ()
    await lab.csms.online()
    before = len(lab.csms.handshakes)
    await lab.until(lambda: len(lab.csms.handshakes) >= before + 3, 120, "attempts")
    await lab.csms.quiet(None, for_s=1)
    assert "sub-protocols ocpp1.6" in lab.station.backend.why
    await lab.csms.offline()
    lab.csms.subprotocols = ("ocpp1.6",)
    await lab.csms.online()
    await lab.until(lambda: lab.station.backend.connected, 200, "the connection")
    await alive(lab)


@case(
    "TC_088_CS",
    "RPC-2",
    title="A backend that names no sub-protocol can be tolerated",
    config={**QUIET, "TolerateMissingSubprotocol": "true"},
    on=False,
)
async def no_subprotocol(lab: Lab) -> None:
    await lab.csms.offline()
    lab.csms.subprotocols = ()
    await lab.csms.online()
    await lab.power_on()
    await lab.csms.expect("BootNotification", chargePointModel=ANY)
    await lab.registered()


# --- security profiles --------------------------------------------------------------------------


@case("TC_083_CS", "R16-SEC-4", title="From profile 0 to 1", config=QUIET)
async def upgrade_to_basic(lab: Lab) -> None:
    await change(lab.csms, "SecurityProfile", "1", "Rejected")
    await change(lab.csms, "AuthorizationKey", NEW_KEY.hex())
    assert len(lab.csms.handshakes) == 1, "not used yet"
    await change(lab.csms, "SecurityProfile", "1")
    lab.csms.password = NEW_KEY
    await handshakes(lab, 2)
    assert lab.csms.credentials[-1] == b"CP1:" + NEW_KEY
    assert await value_of(lab.csms, "SecurityProfile") == "1"
    await lab.kill()
    await handshakes(lab, 3)
    assert await value_of(lab.csms, "SecurityProfile") == "1"


@case(
    "TC_083_CS",
    "R16-SEC-4",
    title="From profile 1 to 2, after a root was installed",
    backend=BASIC,
    csms={"password": PASSWORD},
    config=QUIET,
)
async def upgrade_to_tls(lab: Lab) -> None:
    pki = Pki(lab)
    await change(lab.csms, "SecurityProfile", "2", "Rejected")
    await install(lab, pki.root.pem)
    await change(lab.csms, "SecurityProfile", "2")
    await pki.serve_with(pki.server())
    await handshakes(lab, 2)
    await alive(lab)
    assert await value_of(lab.csms, "SecurityProfile") == "2"


@case(
    "TC_083_CS",
    "R16-SEC-4",
    title="A higher profile that does not work makes way for the one before",
    backend=BASIC,
    csms={"password": PASSWORD},
    config=QUIET,
)
async def upgrade_fails(lab: Lab) -> None:
    await install(lab, Pki(lab).root.pem)
    await change(lab.csms, "SecurityProfile", "2")
    await lab.until(lambda: not lab.station.backend.connected, 10, "the disconnection")
    await handshakes(lab, 2, within=120)
    assert await value_of(lab.csms, "SecurityProfile") == "1"
    await alive(lab)


@case(
    "TC_084_CS",
    "R16-SEC-4",
    title="A lower or equal profile is rejected",
    backend=BASIC,
    csms={"password": PASSWORD},
    config=QUIET,
)
async def downgrade(lab: Lab) -> None:
    for text in ("0", "1", "4", "-1", "x", ""):
        await change(lab.csms, "SecurityProfile", text, "Rejected")
    await alive(lab)
    assert len(lab.csms.handshakes) == 1
    assert await value_of(lab.csms, "SecurityProfile") == "1"
