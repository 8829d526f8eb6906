"""Certificates of authorities and of the station (security whitepaper A02, A03, M03 to M05)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.conformance.lab import Lab
from tests.conformance.matching import ANY
from tests.conformance.registry import case
from tests.conformance.v16.keys import change
from tests.conformance.v16.pki import Pki, hash_data
from tests.conformance.v16.security import (
    FREE_ROOTS,
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

# --- certificates of authorities ----------------------------------------------------------------


async def listed(lab: Lab, kind: str, *expected: Any) -> None:
    """Exactly these are installed."""
    status = "Accepted" if expected else "NotFound"
    answer = await lab.csms.call(
        "GetInstalledCertificateIds", {"certificateType": kind}, status=status
    )
    found = answer.get("certificateHashData", [])
    wanted = [hash_data(holder) for holder in expected]
    assert sorted(map(str, found)) == sorted(map(str, wanted))


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
    await change(lab.csms, "CpoName", "Operator")
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
