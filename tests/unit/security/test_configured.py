"""What `check` says about the way to the backend."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.test_config import MINIMAL, problems, warnings

TLS = '[backend]\nurl = "wss://csms.example/x"\n'


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("verify_hostname = false", "any server that a trusted authority vouches for"),
        ("security_profile = 3", "in the name of its id"),
    ],
)
def test_what_weakens_the_connection_is_said(tmp_path: Path, more: str, told: str) -> None:
    text = MINIMAL + TLS + more + "\n"
    assert problems(tmp_path, text) == []
    assert told in warnings(tmp_path, text)
    assert told not in warnings(tmp_path, MINIMAL + TLS)
