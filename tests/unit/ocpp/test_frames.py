"""What page and support see of the frames: no secret that a backend sent (RPC-16)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.ocpp.frames import FrameLog

SECRET = "pa55/word@x"


def shown(*frames: tuple[str, list[Any]]) -> str:
    log = FrameLog()
    for direction, frame in frames:
        log.add(direction, frame, len(json.dumps(frame)))
    return json.dumps(log.all())


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("ChangeConfiguration", {"key": "authorizationKey", "value": SECRET}),
        ("ChangeConfiguration", {"key": "BackendPassword", "value": [SECRET]}),
        ("GetDiagnostics", {"location": f"ftp://user:{SECRET}@files.example/d"}),
        ("GetLog", {"log": {"remoteLocation": f"sftp://user:{SECRET}@files.example/d"}}),
        ("GetLog", {"log": {"remoteLocation": f"https://files.example/d?signature={SECRET}"}}),
        ("UpdateFirmware", {"location": f"http://{SECRET}@files.example/d?a={SECRET}"}),
        ("SignedUpdateFirmware", {"firmware": {"location": f"FTPS://u:{SECRET}@files.example/d"}}),
        ("UpdateFirmware", {"location": [f"http://u:{SECRET}@files.example/d"]}),
        ("UpdateFirmware", {"location": f"u:{SECRET}@files.example/d"}),
    ],
)
def test_no_secret_of_a_request_is_kept(action: str, payload: dict[str, Any]) -> None:
    assert SECRET not in shown(("in", [2, "m1", action, payload]))


def test_the_address_itself_stays_readable() -> None:
    frame = [2, "m1", "GetDiagnostics", {"location": "ftp://u:p@files.example/d", "retries": 1}]
    text = shown(("in", frame))
    assert "ftp://***@files.example/d" in text and '"retries": 1' in text
    assert frame[3]["location"] == "ftp://u:p@files.example/d"  # what is acted on is not touched


def test_the_refusal_of_a_secret_does_not_quote_it() -> None:
    request = [2, "m1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": [SECRET]}]
    refusal = [4, "m1", "TypeConstraintViolation", f'value: ["{SECRET}"] is not a string', {}]
    text = shown(("in", request), ("out", refusal))
    assert SECRET not in text and "TypeConstraintViolation" in text


def test_other_frames_are_kept_as_they_are() -> None:
    frames = [
        ("in", [2, "m1", "ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}]),
        ("out", [3, "m1", {"status": "Accepted"}]),
        ("in", [2, "m2", "GetLog", {"log": {"remoteLocation": "https://files.example/d"}}]),
        ("out", [4, "m3", "NotImplemented", "x is not supported", {}]),
    ]
    assert json.loads(shown(*frames)) == [list(frame) for frame in frames]
