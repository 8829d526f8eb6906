"""What is installed, deleted, listed and signed (R16-SEC-6 to R16-SEC-8; A02, A03, M03 to M05)."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.ocsp import OCSPRequestBuilder
from cryptography.x509.oid import NameOID

from controller.core.certificates import (
    CertificateHash,
    CertificateUse,
    DeleteResult,
    HashAlgorithm,
    InstallResult,
)
from controller.core.installation import StationIdentity
from controller.core.security_events import SecurityEventType as Event
from controller.core.settings_list import settings_for
from controller.ports_security import Peer
from controller.security.certificates import CertificateService
from controller.security.time_floor import TimeFloor
from tests.unit.ocpp.fakes import installation
from tests.unit.security.pki import Holder, authority, issue, rsa_key, signed

CSMS, MAKER = CertificateUse.CSMS_ROOT, CertificateUse.MANUFACTURER_ROOT


class Rig:
    """A service on a directory, with a clock that can be moved."""

    def __init__(self, directory: Path, **keys: str) -> None:
        self.directory = directory
        self.ahead = timedelta()
        self.events: list[tuple[Event, str]] = []
        base = installation("wss://localhost:1/", first_boot={"CpoName": "Operator", **keys})
        self.installation = replace(
            base,
            state_dir=str(directory),
            station=StationIdentity(id="CP1", serial_number="SN-42"),
            tls={},
        )
        self.settings = settings_for(self.installation)
        self.service = self.again()

    def again(self) -> CertificateService:
        """As after a restart."""
        floor = TimeFloor(self.directory, self.utc, self.utc)
        return CertificateService(
            self.installation, self.settings, floor, lambda e, t: self.events.append((e, t))
        )

    def utc(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def names(self, use: CertificateUse) -> list[CertificateHash]:
        return [one.hash for one in await self.service.installed([use])]

    async def told(self) -> list[Event]:
        await asyncio.sleep(0)
        return [event for event, _ in self.events]

    async def with_certificate(self, root: Holder, **more: Any) -> None:
        csr = await self.service.make_request()
        assert csr is not None
        assert await self.service.accept_signed(signed(csr, root, **more))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def free(tmp_path: Path) -> Rig:
    """Without the check that a new root is signed by the old one."""
    return Rig(tmp_path, AdditionalRootCertificateCheck="false", CertificateStoreMaxLength="16")


# --- roots --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rsa", [False, True])
async def test_m05_installed_listed_and_trusted(rig: Rig, rsa: bool) -> None:
    root = authority(key=rsa_key(0) if rsa else None)
    assert await rig.service.install(CSMS, root.pem) is InstallResult.ACCEPTED
    [name] = await rig.names(CSMS)
    asked = OCSPRequestBuilder().add_certificate(
        root.certificate, root.certificate, hashes.SHA256()
    )
    expected = asked.build()
    assert name.issuer_name_hash == expected.issuer_name_hash.hex()
    assert name.issuer_key_hash == expected.issuer_key_hash.hex()
    assert name.serial_number == f"{root.certificate.serial_number:x}"
    assert await rig.names(MAKER) == []
    assert Event.RECONFIGURATION_OF_SECURITY_PARAMETERS in await rig.told()
    material = rig.again().material(with_certificate=False)
    assert material is not None
    assert root.pem.strip() in material.roots_pem


@pytest.mark.parametrize(
    "make",
    [
        lambda: "no certificate",
        lambda: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        lambda: "ü",
        lambda: authority().pem + authority().pem,
        lambda: issue("leaf").pem,
        lambda: issue("no constraints", basic=False).pem,
        lambda: authority(begins=timedelta(days=-30), lasts=timedelta(days=20)).pem,
        lambda: authority(begins=timedelta(days=30)).pem,
        lambda: authority(key=rsa_key(9, 1024)).pem,
        lambda: authority(key=ec.generate_private_key(ec.SECP192R1())).pem,
    ],
    ids=["text", "bad", "non-ascii", "two", "leaf", "plain", "expired", "early", "rsa1024", "p192"],
)
async def test_m05_fr_06_what_is_no_good_root_is_rejected(rig: Rig, make: Any) -> None:
    assert await rig.service.install(MAKER, make()) is InstallResult.REJECTED
    assert await rig.names(MAKER) == []


async def test_m05_a_root_that_was_tampered_with_is_rejected(rig: Rig) -> None:
    good = authority()
    forged = bytearray(good.der)
    forged[-1] ^= 1
    try:
        pem = x509.load_der_x509_certificate(bytes(forged)).public_bytes(
            __import__("cryptography").hazmat.primitives.serialization.Encoding.PEM
        )
    except ValueError:
        pytest.skip("the last byte is part of the structure")
    assert await rig.service.install(CSMS, pem.decode()) is InstallResult.REJECTED


async def test_m05_the_same_root_twice_is_there_once(rig: Rig) -> None:
    root = authority()
    for _ in range(2):
        assert await rig.service.install(CSMS, root.pem) is InstallResult.ACCEPTED
    assert len(await rig.names(CSMS)) == 1


async def test_m05_fr_03_a_full_store_rejects(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.settings.learn("CertificateStoreMaxLength", "2")
    for name in "ab":
        assert await rig.service.install(MAKER, authority(name).pem) is InstallResult.ACCEPTED
    assert await rig.service.install(MAKER, authority("c").pem) is InstallResult.REJECTED
    assert await rig.service.install(CSMS, authority("d").pem) is InstallResult.REJECTED


async def test_m05_fr_04_what_cannot_be_written_failed(rig: Rig) -> None:
    (rig.directory / "certificates").write_text("a file where a directory should be")
    assert await rig.service.install(CSMS, authority().pem) is InstallResult.FAILED


async def test_m04_deleted_by_any_hash(free: Rig) -> None:
    for algorithm, digest in (
        (HashAlgorithm.SHA256, hashes.SHA256()),
        (HashAlgorithm.SHA384, hashes.SHA384()),
        (HashAlgorithm.SHA512, hashes.SHA512()),
    ):
        root = authority()
        await free.service.install(CSMS, root.pem)
        asked = OCSPRequestBuilder().add_certificate(root.certificate, root.certificate, digest)
        expected = asked.build()
        name = CertificateHash(
            algorithm=algorithm,
            issuer_name_hash=expected.issuer_name_hash.hex().upper(),
            issuer_key_hash=expected.issuer_key_hash.hex().upper(),
            serial_number="00" + f"{root.certificate.serial_number:X}",
        )
        assert await free.service.delete(name) is DeleteResult.ACCEPTED
        assert await free.service.delete(name) is DeleteResult.NOT_FOUND
        assert await free.names(CSMS) == []


async def test_m04_fr_06_the_root_in_use_stays(free: Rig) -> None:
    used, other = authority("used"), authority("other")
    await free.service.install(CSMS, used.pem)
    await free.service.install(CSMS, other.pem)
    free.service.material(with_certificate=False)
    free.service.worked(Peer(chain=(issue("server", used).der, used.der)))
    names = {n.serial_number: n for n in await free.names(CSMS)}
    in_use = names[f"{used.certificate.serial_number:x}"]
    assert await free.service.delete(in_use) is DeleteResult.FAILED
    free_one = names[f"{other.certificate.serial_number:x}"]
    assert await free.service.delete(free_one) is DeleteResult.ACCEPTED


async def test_m04_fr_05_the_own_certificate_is_not_deleted(rig: Rig) -> None:
    root = authority()
    await rig.service.install(CSMS, root.pem)
    await rig.with_certificate(root)
    [pair] = rig.service._own.pairs()
    own = x509.load_pem_x509_certificate(pair.certificate_file.read_bytes())
    asked = OCSPRequestBuilder().add_certificate(own, root.certificate, hashes.SHA256()).build()
    name = CertificateHash(
        algorithm=HashAlgorithm.SHA256,
        issuer_name_hash=asked.issuer_name_hash.hex(),
        issuer_key_hash=asked.issuer_key_hash.hex(),
        serial_number=f"{own.serial_number:x}",
    )
    assert await rig.service.delete(name) is DeleteResult.FAILED
    assert rig.service._own.pairs() == [pair]


# --- AdditionalRootCertificateCheck -------------------------------------------------------------


async def test_m05_fr_10_a_stranger_does_not_replace_the_root(rig: Rig) -> None:
    old = authority("old")
    await rig.service.install(CSMS, old.pem)
    assert await rig.service.install(CSMS, authority("new").pem) is InstallResult.REJECTED
    fake = authority("fake", authority("old"))  # the same name, another key
    assert await rig.service.install(CSMS, fake.pem) is InstallResult.REJECTED
    assert len(await rig.names(CSMS)) == 1
    assert await rig.service.install(MAKER, authority("maker").pem) is InstallResult.ACCEPTED


async def test_m05_fr_11_and_12_the_old_root_stays_until_the_new_one_worked(rig: Rig) -> None:
    old = authority("old")
    new = authority("new", old)
    await rig.service.install(CSMS, old.pem)
    assert await rig.service.install(CSMS, new.pem) is InstallResult.ACCEPTED
    material = rig.again().material(with_certificate=False)
    assert material is not None
    assert new.pem.strip() in material.roots_pem
    assert old.pem.strip() in material.roots_pem
    rig.service.material(with_certificate=False)
    rig.service.worked(Peer(chain=(issue("server", old).der, old.der)))
    assert len(await rig.names(CSMS)) == 2, "the old one was needed"
    rig.service.worked(Peer(chain=(issue("server", new).der, new.der)))
    [left] = await rig.names(CSMS)
    assert left.serial_number == f"{new.certificate.serial_number:x}"


async def test_a_root_in_use_outlives_two_successors_that_have_not_worked(rig: Rig) -> None:
    old = authority("old")
    new = authority("new", old)
    newest = authority("newest", new)
    await rig.service.install(CSMS, old.pem)
    rig.service.material(with_certificate=False)
    rig.service.worked(Peer(chain=(issue("server", old).der, old.der)))
    await rig.service.install(CSMS, new.pem)
    assert await rig.service.install(CSMS, newest.pem) is InstallResult.ACCEPTED
    material = rig.service.material(with_certificate=False)
    assert material is not None
    for root in (old, new, newest):
        assert root.pem.strip() in material.roots_pem
    rig.service.worked(Peer(chain=(issue("server", newest).der, newest.der)))
    assert len(await rig.names(CSMS)) == 1


async def test_without_the_check_several_roots_live_together(free: Rig) -> None:
    for name in "abc":
        assert await free.service.install(CSMS, authority(name).pem) is InstallResult.ACCEPTED
    assert len(await free.names(CSMS)) == 3


# --- the station's own --------------------------------------------------------------------------


async def test_a02_key_request_and_certificate(rig: Rig) -> None:
    root = authority()
    await rig.service.install(CSMS, root.pem)
    csr_pem = await rig.service.make_request()
    assert csr_pem is not None
    csr = x509.load_pem_x509_csr(csr_pem.encode())
    names = {a.oid: a.value for a in csr.subject}
    assert names == {NameOID.COMMON_NAME: "SN-42", NameOID.ORGANIZATION_NAME: "Operator"}
    key = csr.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    [key_file] = (rig.directory / "certificates" / "station-keys").iterdir()
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(key_file.parent.stat().st_mode) == 0o700
    assert not await rig.service.has_station_certificate()
    assert await rig.service.accept_signed(signed(csr_pem, root))
    assert await rig.service.has_station_certificate()
    material = rig.again().material(with_certificate=True)
    assert material is not None
    assert material.key_file == str(key_file)


async def test_a02_over_an_intermediate_authority(rig: Rig) -> None:
    root = authority()
    middle = authority("middle", root)
    await rig.service.install(CSMS, root.pem)
    csr = await rig.service.make_request()
    assert csr is not None
    leaf = signed(csr, middle)
    assert not await rig.service.accept_signed(leaf), "the middle is missing"
    assert await rig.service.accept_signed(leaf + middle.pem)


async def test_a02_without_an_organization_nothing_is_asked(tmp_path: Path) -> None:
    rig = Rig(tmp_path, CpoName="")
    assert await rig.service.make_request() is None


@pytest.mark.parametrize("wrong", ["root", "key", "expired", "text", "long", "none", "weak issuer"])
async def test_a02_fr_07_a_wrong_certificate_is_discarded_and_told(rig: Rig, wrong: str) -> None:
    root = authority()
    await rig.service.install(CSMS, root.pem)
    csr = await rig.service.make_request()
    assert csr is not None
    chain = {
        "root": lambda: signed(csr, authority()),
        "key": lambda: issue("SN-42", root).pem,
        "expired": lambda: signed(csr, root, begins=timedelta(-30), lasts=timedelta(20)),
        "text": lambda: "nothing",
        "long": lambda: signed(csr, root) * 20,
        "none": lambda: "",
        "weak issuer": lambda: (
            signed(csr, (leaf := issue("no authority", root))) + leaf.pem  # not a CA
        ),
    }[wrong]()
    rig.events.clear()
    assert not await rig.service.accept_signed(chain)
    assert await rig.told() == [Event.INVALID_CHARGING_STATION_CERTIFICATE]
    assert not await rig.service.has_station_certificate()


async def test_a02_fr_08_and_09_the_newest_whose_time_has_come(rig: Rig) -> None:
    root = authority()
    await rig.service.install(CSMS, root.pem)
    await rig.with_certificate(root, begins=timedelta(days=-10))
    first = rig.service.material(with_certificate=True)
    await rig.with_certificate(root, begins=timedelta(days=2))
    assert rig.service.material(with_certificate=True) == first, "not yet"
    begins = await rig.service.next_change()
    assert begins is not None
    rig.ahead = timedelta(days=3)
    later = rig.service.material(with_certificate=True)
    assert first is not None
    assert later is not None
    assert later.certificate_file != first.certificate_file
    assert await rig.service.next_change() is None


async def test_the_certificate_before_is_the_fall_back(rig: Rig) -> None:
    root = authority()
    await rig.service.install(CSMS, root.pem)
    await rig.with_certificate(root, begins=timedelta(days=-10))
    old = rig.service.material(with_certificate=True)
    rig.service.worked(Peer())
    await rig.with_certificate(root, begins=timedelta(days=-1))
    new = rig.service.material(with_certificate=True)
    assert new != old
    rig.service.refused()
    assert rig.service.material(with_certificate=True) == old
    rig.events.clear()
    for _ in range(2):
        rig.service.worked(Peer())
    assert await rig.told() == [Event.DISCARDED_RENEWED_CLIENT_CERTIFICATE]
    rig.service.refused()
    assert rig.service.material(with_certificate=True) == old, "it works, so it is not to blame"


async def test_the_only_certificate_is_not_blamed_for_what_the_backend_does(rig: Rig) -> None:
    root = authority()
    await rig.service.install(CSMS, root.pem)
    await rig.with_certificate(root)
    only = rig.service.material(with_certificate=True)
    rig.events.clear()
    for _ in range(3):
        rig.service.refused()
        assert rig.service.material(with_certificate=True) == only
    rig.service.worked(Peer())
    assert await rig.told() == []


async def test_a03_renewal_is_due_in_the_last_month(rig: Rig) -> None:
    assert not await rig.service.renewal_due()
    root = authority(lasts=timedelta(days=4000))
    await rig.service.install(CSMS, root.pem)
    await rig.with_certificate(root, lasts=timedelta(days=91))
    rig.ahead = timedelta(days=59)
    assert not await rig.service.renewal_due()
    rig.ahead = timedelta(days=61)
    assert await rig.service.renewal_due()


async def test_a02_fr_10_old_certificates_go_a_month_later(rig: Rig) -> None:
    root = authority(lasts=timedelta(days=4000))
    await rig.service.install(CSMS, root.pem)
    await rig.with_certificate(root, begins=timedelta(days=-10))
    await rig.with_certificate(root)
    rig.service.material(with_certificate=True)
    rig.service.worked(Peer())
    rig.ahead = timedelta(days=20)
    await rig.service.renewal_due()
    assert len(rig.service._own.pairs()) == 2
    rig.ahead = timedelta(days=40)
    await rig.service.renewal_due()
    assert len(rig.service._own.pairs()) == 1
    assert len(list((rig.directory / "certificates" / "station-keys").iterdir())) == 1


async def test_keys_whose_certificate_never_came_do_not_pile_up(rig: Rig) -> None:
    for _ in range(6):
        await rig.service.make_request()
    assert len(list((rig.directory / "certificates" / "station-keys").iterdir())) <= 3


async def test_files_that_a_person_put_there_are_used(tmp_path: Path) -> None:
    root = authority()
    holder = issue("SN-42", root)
    certs, keys = tmp_path / "c", tmp_path / "k"
    for directory in (certs, keys):
        directory.mkdir()
    (certs / "mine.crt").write_text(holder.pem)
    (certs / "rubbish.pem").write_text("x")
    (keys / "other-name.key").write_text(holder.key_pem)
    rig = Rig(tmp_path / "state")
    rig.installation = replace(
        rig.installation, tls={"client_cert_dir": str(certs), "client_key_dir": str(keys)}
    )
    service = rig.again()
    assert await service.has_station_certificate()
    material = service.material(with_certificate=True)
    assert material is not None
    assert material.certificate_file.endswith("mine.crt")


async def test_keys_are_encrypted_with_the_configured_password(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.installation = replace(rig.installation, tls={"private_key_password": "geheim"})
    rig.service = rig.again()
    root = authority()
    await rig.service.install(CSMS, root.pem)
    await rig.with_certificate(root)
    [file] = (tmp_path / "certificates" / "station-keys").iterdir()
    assert "ENCRYPTED" in file.read_text()
    material = rig.service.material(with_certificate=True)
    assert material is not None
    assert material.key_password == "geheim"
