"""Log lines and the watchdog message."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest

from controller.log import LineFormatter, blank
from controller.notify import notify


def record(text: str, level: int = logging.INFO, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("x", level, "f", 1, text, None, None)
    vars(made).update(fields)
    return made


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Authorization: Basic c2VzYW1l", "Authorization: Basic ***"),
        ("wss://cp:sesame@host/x", "wss://cp:***@host/x"),
        ("no answer of ftp://cp:open@sesame@host/up", "no answer of ftp://cp:***@host/up"),
        ("trying wss://host:8443/x as cp1", "trying wss://host:8443/x as cp1"),
        ("page at http://127.0.0.1:8080/a@b", "page at http://127.0.0.1:8080/a@b"),
        ('{"password": "open sesame", "id": 1}', '{"password": ***, "id": 1}'),
        ("AuthorizationKey=sesame", "AuthorizationKey=***"),
        ("told sesame here", "told *** here"),
        ("the password is asked for", "the password is asked for"),
    ],
)
def test_secrets_are_blanked(text: str, kept: str) -> None:
    assert blank(text, ["sesame"] if "told" in text else []) == kept


def test_under_systemd_each_line_has_its_priority() -> None:
    formatter = LineFormatter("guard", under_systemd=True)
    assert formatter.format(record("a\nb", logging.ERROR, evse=1)) == "<3>a\n<3>b evse=1"
    assert formatter.format(record("a", logging.WARNING)) == "<4>a"


def test_elsewhere_time_and_process_come_first() -> None:
    line = LineFormatter("guard", under_systemd=False).format(record("pilot B2 -> C2", evse=1))
    assert line.endswith(" guard   info    pilot B2 -> C2 evse=1")


def test_notify_reaches_its_supervisor_and_never_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "n"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        notify("READY=1")
        assert heard.recv(100) == b"READY=1"
        monkeypatch.setenv("NOTIFY_SOCKET", "@nobody-listens-here")
        notify("WATCHDOG=1")
        monkeypatch.delenv("NOTIFY_SOCKET")
        notify("STOPPING=1")
