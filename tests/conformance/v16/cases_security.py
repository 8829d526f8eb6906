"""Keys, certificates and security profiles (security whitepaper A00 to A05, M03 to M05)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.conformance.lab import Lab
from tests.conformance.matching import ANY
from tests.conformance.registry import case
from tests.conformance.v16.pki import Pki, hash_data

PASSWORD = "0123456789abcdef"
OLD_KEY, NEW_KEY = PASSWORD.encode(), bytes(range(0xEC, 0x100))
BASIC = {"security_profile": 1, "password": PASSWORD}
TLS_BASIC = {"security_profile": 2, "password": PASSWORD}
TLS_OWN = {"security_profile": 3}
QUIET = {"MeterValueSampleInterval": "0", "CpoName": "Operator"}
FREE_ROOTS = {**QUIET, "AdditionalRootCertificateCheck": "false"}
SERIAL = {"serial_number": "SN-42"}


async def change(lab: Lab, key: str, value: str, status: str = "Accepted") -> None:
    await lab.csms.call("ChangeConfiguration", {"key": key, "value": value}, status=status)


async def value(lab: Lab, key: str) -> str:
    answer = await lab.csms.call("GetConfiguration", {"key": [key]})
    return str(answer["configurationKey"][0]["value"])


async def handshakes(lab: Lab, count: int, within: float = 60.0) -> None:
    await lab.until(lambda: len(lab.csms.handshakes) >= count, within, "a new connection")
    await lab.until(lambda: lab.station.backend.connected, within, "the registration")


async def alive(lab: Lab) -> None:
    """Frames go both ways."""
    await lab.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"}, status="Accepted")
    await lab.csms.expect("Heartbeat")


# --- keys ---------------------------------------------------------------------------------------


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
    await change(lab, "AuthorizationKey", NEW_KEY.hex())
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
    await change(lab, "AuthorizationKey", NEW_KEY.hex())
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
        await change(lab, "AuthorizationKey", text, "Rejected")
    await change(lab, "PasswordEncoding", "Hex")
    await change(lab, "AuthorizationKey", "sixteen letters!", "Rejected")
    await alive(lab)
    assert len(lab.csms.handshakes) == 1
    await change(lab, "PasswordEncoding", "Text")
    await change(lab, "AuthorizationKey", "ab" * 16)
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
    "TC_078_CS",
    "R16-SEC-8",
    title="An invalid root of the backend is rejected and told",
    config=QUIET,
)
async def invalid_root(lab: Lab) -> None:
    pki = Pki(lab)
    expired = pki.authority("old", begins=timedelta(days=-40), lasts=timedelta(days=10))
    await lab.csms.call(
        "InstallCertificate",
        {"certificateType": "CentralSystemRootCertificate", "certificate": expired.pem},
        status="Rejected",
    )
    await lab.csms.expect("SecurityEventNotification", type="InvalidCentralSystemCertificate")


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
    await change(lab, "SecurityProfile", "1", "Rejected")
    await change(lab, "AuthorizationKey", NEW_KEY.hex())
    assert len(lab.csms.handshakes) == 1, "not used yet"
    await change(lab, "SecurityProfile", "1")
    lab.csms.password = NEW_KEY
    await handshakes(lab, 2)
    assert lab.csms.credentials[-1] == b"CP1:" + NEW_KEY
    assert await value(lab, "SecurityProfile") == "1"
    await lab.kill()
    await handshakes(lab, 3)
    assert await value(lab, "SecurityProfile") == "1"


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
    await change(lab, "SecurityProfile", "2", "Rejected")
    await install(lab, pki.root.pem)
    await change(lab, "SecurityProfile", "2")
    await pki.serve_with(pki.server())
    await handshakes(lab, 2)
    await alive(lab)
    assert await value(lab, "SecurityProfile") == "2"


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
    await change(lab, "SecurityProfile", "2")
    await lab.until(lambda: not lab.station.backend.connected, 10, "the disconnection")
    await handshakes(lab, 2, within=120)
    assert await value(lab, "SecurityProfile") == "1"
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
        await change(lab, "SecurityProfile", text, "Rejected")
    await alive(lab)
    assert len(lab.csms.handshakes) == 1
    assert await value(lab, "SecurityProfile") == "1"


# --- certificates of authorities ----------------------------------------------------------------


async def install(
    lab: Lab, pem: str, kind: str = "CentralSystemRootCertificate", status: str = "Accepted"
) -> None:
    request = {"certificateType": kind, "certificate": pem}
    await lab.csms.call("InstallCertificate", request, status=status)


async def listed(lab: Lab, kind: str, *expected: Any) -> None:
    """Exactly these are installed."""
    status = "Accepted" if expected else "NotFound"
    answer = await lab.csms.call(
        "GetInstalledCertificateIds", {"certificateType": kind}, status=status
    )
    found = answer.get("certificateHashData", [])
    wanted = [hash_data(holder) for holder in expected]
    assert sorted(map(str, found)) == sorted(map(str, wanted))


@case("TC_075_1_CS", "R16-SEC-8", title="A root of the manufacturer is installed", config=QUIET)
async def install_manufacturer_root(lab: Lab) -> None:
    kind = "ManufacturerRootCertificate"
    pki = Pki(lab)
    await listed(lab, kind)
    await install(lab, pki.root.pem, kind)
    await listed(lab, kind, pki.root)
    await listed(lab, "CentralSystemRootCertificate")
    await lab.kill()
    await lab.registered()
    await listed(lab, kind, pki.root)
    await install(lab, "no certificate", kind, "Rejected")
    await listed(lab, kind, pki.root)


@case(
    "TC_075_2_CS",
    "R16-SEC-8",
    title="A new root of the backend replaces the old one that signed it",
    backend=TLS_BASIC,
    csms={"password": PASSWORD},
    config=QUIET,
    on=False,
)
async def install_backend_root(lab: Lab) -> None:
    kind = "CentralSystemRootCertificate"
    pki = await Pki.serve(lab)
    pki.provision_root()
    await lab.power_on()
    await lab.registered()
    await install(lab, pki.authority("stranger").pem, status="Rejected")
    successor = pki.authority("successor", pki.root)
    await install(lab, successor.pem)
    await pki.serve_with(pki.server(successor))
    await lab.until(lambda: len(lab.csms.handshakes) >= 2, 60, "a new connection")
    await handshakes(lab, 2)
    await alive(lab)
    answer = await lab.csms.call(
        "GetInstalledCertificateIds", {"certificateType": kind}, status="Accepted"
    )
    [left] = answer["certificateHashData"]
    assert left["serialNumber"] == f"{successor.certificate.serial_number:x}"
    seen = len(lab.csms.handshakes)
    lab.csms.drop()
    await handshakes(lab, seen + 1)
    await alive(lab)


@case(
    "TC_075_2_CS",
    "R16-SEC-8",
    title="While the new root does not work the old one serves",
    backend=TLS_BASIC,
    csms={"password": PASSWORD},
    config=QUIET,
    on=False,
)
async def new_root_does_not_work(lab: Lab) -> None:
    pki = await Pki.serve(lab)
    pki.provision_root()
    await lab.power_on()
    await lab.registered()
    await install(lab, pki.authority("successor", pki.root).pem)
    lab.csms.drop()
    await handshakes(lab, 2)
    await alive(lab)


@case("TC_076_CS", "R16-SEC-8", title="A certificate is deleted", config=FREE_ROOTS)
async def delete_certificate(lab: Lab) -> None:
    kind = "CentralSystemRootCertificate"
    pki = Pki(lab)
    other = pki.authority("other")
    await install(lab, pki.root.pem)
    await install(lab, other.pem)
    name = hash_data(pki.root)
    await lab.csms.call("DeleteCertificate", {"certificateHashData": name}, status="Accepted")
    await listed(lab, kind, other)
    await lab.csms.call("DeleteCertificate", {"certificateHashData": name}, status="NotFound")
    await lab.kill()
    await lab.registered()
    await listed(lab, kind, other)


@case(
    "TC_076_CS",
    "R16-SEC-8",
    title="The root that the connection rests on is not deleted",
    backend=TLS_BASIC,
    csms={"password": PASSWORD},
    config=FREE_ROOTS,
    on=False,
)
async def delete_root_in_use(lab: Lab) -> None:
    pki = await Pki.serve(lab)
    pki.provision_root()
    await lab.power_on()
    await lab.registered()
    name = hash_data(pki.root)
    await lab.csms.call("DeleteCertificate", {"certificateHashData": name}, status="Failed")
    await listed(lab, "CentralSystemRootCertificate", pki.root)


# --- the station's certificate ------------------------------------------------------------------


async def ask_for_certificate(lab: Lab) -> str:
    await lab.csms.call(
        "ExtendedTriggerMessage",
        {"requestedMessage": "SignChargePointCertificate"},
        status="Accepted",
    )
    call = await lab.csms.expect("SignCertificate", csr=lambda csr: "CERTIFICATE REQUEST" in csr)
    return str(call["csr"])


@case(
    "TC_074_CS",
    "R16-SEC-6",
    "R16-SEC-7",
    title="The station's certificate is updated by request of the backend",
    backend=TLS_OWN,
    station=SERIAL,
    config=QUIET,
    on=False,
)
async def update_certificate(lab: Lab) -> None:
    pki = await Pki.serve(lab, clients=True)
    pki.provision_root()
    pki.provision_station("factory")
    await lab.power_on()
    await lab.registered()
    assert lab.csms.client_name == "factory"
    csr = await ask_for_certificate(lab)
    await lab.csms.call("CertificateSigned", {"certificateChain": pki.sign(csr)}, status="Accepted")
    await handshakes(lab, 2)
    assert lab.csms.client_name == "SN-42"
    await alive(lab)
    await lab.kill()
    await handshakes(lab, 3)
    assert lab.csms.client_name == "SN-42"
    await lab.csms.quiet("SignCertificate", for_s=200)


@case(
    "TC_074_CS",
    "R16-SEC-7",
    title="A new certificate that the backend then refuses makes way for the old one",
    backend=TLS_OWN,
    station=SERIAL,
    config=FREE_ROOTS,
    on=False,
)
async def update_certificate_refused(lab: Lab) -> None:
    pki = await Pki.serve(lab, clients=True)
    pki.provision_root()
    pki.provision_station("factory", ends_in=timedelta(days=200))
    await lab.power_on()
    await lab.registered()
    stranger = pki.authority("not known to the backend")
    await install(lab, stranger.pem)
    csr = await ask_for_certificate(lab)
    chain = pki.sign(csr, stranger)
    await lab.csms.call("CertificateSigned", {"certificateChain": chain}, status="Accepted")
    await lab.until(lambda: not lab.station.backend.connected, 10, "the disconnection")
    await lab.until(lambda: lab.station.backend.connected, 60, "the connection")
    assert lab.csms.client_name == "factory"
    await alive(lab)
    await security_event(lab, "DiscardedRenewedClientCertificate")


@case(
    "TC_074_CS",
    "R16-SEC-7",
    title="A certificate for later is used when its time has come",
    backend=TLS_OWN,
    station=SERIAL,
    config=QUIET,
    on=False,
)
async def update_certificate_for_later(lab: Lab) -> None:
    pki = await Pki.serve(lab, clients=True)
    pki.provision_root()
    pki.provision_station("factory")
    await lab.power_on()
    await lab.registered()
    csr = await ask_for_certificate(lab)
    chain = pki.sign(csr, begins=timedelta(seconds=300))
    await lab.csms.call("CertificateSigned", {"certificateChain": chain}, status="Accepted")
    await lab.sleep(250)
    assert len(lab.csms.handshakes) == 1
    await lab.until(lambda: len(lab.csms.handshakes) == 2, 60, "a new connection")
    await handshakes(lab, 2)
    await lab.until(lambda: lab.csms.client_name == "SN-42", 5, "the new certificate")
    await alive(lab)


@case(
    "TC_077_CS",
    "R16-SEC-7",
    title="An invalid certificate of the station is rejected and told",
    config=QUIET,
    station=SERIAL,
)
async def invalid_certificate(lab: Lab) -> None:
    pki = Pki(lab)
    await install(lab, pki.root.pem)
    csr = await ask_for_certificate(lab)
    chain = pki.sign(csr, pki.authority("stranger"))
    await lab.csms.call("CertificateSigned", {"certificateChain": chain}, status="Rejected")
    await lab.csms.expect("SecurityEventNotification", type="InvalidChargePointCertificate")
    chain = pki.sign(csr)
    await lab.csms.call("CertificateSigned", {"certificateChain": chain}, status="Accepted")


@case(
    "R16-SEC-7",
    title="Without CpoName no certificate is asked for; a promise that is not kept is repeated",
    config={"CpoName": "", "CertSigningWaitMinimum": "20", "CertSigningRepeatTimes": "2"},
    station=SERIAL,
)
async def asking_for_a_certificate(lab: Lab) -> None:
    trigger = {"requestedMessage": "SignChargePointCertificate"}
    await lab.csms.call("ExtendedTriggerMessage", trigger, status="Rejected")
    await change(lab, "CpoName", "Operator")
    csr = await ask_for_certificate(lab)
    again = [await lab.csms.expect("SignCertificate", within=60, csr=csr) for _ in range(2)]
    assert 39 < again[1].at_s - again[0].at_s < 42
    await lab.csms.quiet("SignCertificate", for_s=200)
    lab.csms.reply("SignCertificate", {"status": "Rejected"})
    await ask_for_certificate(lab)
    await lab.csms.quiet("SignCertificate", for_s=200)


@case(
    "R16-SEC-7",
    title="A certificate that ends within a month is renewed without being asked",
    backend=TLS_OWN,
    station=SERIAL,
    config=QUIET,
    on=False,
)
async def renewal(lab: Lab) -> None:
    pki = await Pki.serve(lab, clients=True)
    pki.provision_root()
    pki.provision_station("SN-42", ends_in=timedelta(days=20))
    await lab.power_on()
    await lab.registered()
    call = await lab.csms.expect("SignCertificate", within=75, csr=ANY)
    chain = pki.sign(call["csr"])
    await lab.csms.call("CertificateSigned", {"certificateChain": chain}, status="Accepted")
    await handshakes(lab, 2)
    await alive(lab)
    await lab.csms.quiet("SignCertificate", for_s=120)


# --- another backend ----------------------------------------------------------------------------


async def security_event(lab: Lab, kind: str) -> Any:
    """It may have been told already while the station registered."""
    await lab.until(
        lambda: any(
            c.action == "SecurityEventNotification" and c["type"] == kind for c in lab.csms.seen
        ),
        60,
        f"the event {kind}",
    )
    return next(c for c in lab.csms.seen if c.get("type") == kind)
