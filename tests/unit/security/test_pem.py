"""Bundles of roots as text (R16-SEC-8)."""

from __future__ import annotations

import pytest

from controller.security.pem import Root, bundle, roots

PEM = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----"
KEPT = [Root(pem=PEM.format("YQ==")), Root(pem=PEM.format("Yg=="), fallback=True)]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_bundle_comes_back_as_it_was(line_end: str) -> None:
    """Also when an editor changed the line ends: the installer may put roots there."""
    text = bundle(KEPT).replace("\n", line_end)
    assert roots(text) == KEPT
    assert [root.der for root in KEPT] == [b"a", b"b"]


def test_what_is_no_base64_is_no_certificate() -> None:
    assert Root(pem=PEM.format("=")).der == b""
