"""R16-SEC-10: who may sign firmware, and whether the signature fits the file."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path

import pytest

from controller.core.firmware_update import CertificateVerdict
from controller.security.signatures import Signatures
from tests.conformance.v16.files import AFTER, BEFORE, Manufacturer

NOW = BEFORE + timedelta(days=100)
BODY = bytes(range(256)) * 1000


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(BODY)
    return path


async def verdict(roots: str, pem: str) -> CertificateVerdict:
    found, why = await Signatures(lambda: roots.encode()).signing_certificate(pem, NOW)
    assert bool(why) == (found is not CertificateVerdict.VALID)
    return found


@pytest.mark.parametrize("kind", ["rsa", "ec"])
async def test_a_signature_over_the_whole_file(kind: str, image: Path) -> None:
    maker = Manufacturer(kind)
    check = Signatures(lambda: maker.root_pem.encode()).file
    pem = maker.signing_pem()
    assert await check(image, maker.sign(BODY), pem) == ""
    assert "does not fit" in await check(image, maker.sign(BODY[:-1]), pem)
    assert "does not fit" in await check(image, Manufacturer(kind).sign(BODY), pem)
    image.write_bytes(BODY + b"x")
    assert "does not fit" in await check(image, maker.sign(BODY), pem)


async def test_signatures_that_are_none(image: Path) -> None:
    maker = Manufacturer()
    check, pem = Signatures(lambda: b"").file, maker.signing_pem()
    assert await check(image, "", pem)
    assert await check(image, "%%%", pem)
    assert await check(image, base64.b64encode(b"junk").decode(), pem)
    assert await check(image, maker.sign(BODY), "no certificate")
    image.unlink()
    assert "cannot be read" in await check(image, maker.sign(BODY), pem)


async def test_certificates() -> None:
    maker, stranger = Manufacturer(), Manufacturer(name="Stranger")
    impostor = Manufacturer()  # the same name, another key
    pem, roots = maker.signing_pem(), stranger.root_pem + maker.root_pem
    assert await verdict(roots, pem) is CertificateVerdict.VALID
    for bad_roots, bad_pem in (
        ("", pem),
        (stranger.root_pem, pem),
        (impostor.root_pem, pem),
        (roots, "junk"),
        (roots, maker.signing_pem(after=NOW - timedelta(days=1))),
        (roots, maker.signing_pem(before=NOW + timedelta(days=1), after=AFTER)),
    ):
        assert await verdict(bad_roots, bad_pem) is CertificateVerdict.INVALID


async def test_revoked_by_the_list_beside_the_root() -> None:
    maker, stranger = Manufacturer(), Manufacturer(name="Stranger")
    pem = maker.signing_pem()
    revoked = maker.root_pem + maker.revocations(pem)
    assert await verdict(revoked, pem) is CertificateVerdict.REVOKED
    assert await verdict(revoked, maker.signing_pem()) is CertificateVerdict.VALID
    foreign = maker.root_pem + stranger.revocations(pem)
    assert await verdict(foreign, pem) is CertificateVerdict.VALID, "not its issuer's list"
