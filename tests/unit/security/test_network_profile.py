"""The values behind the way to the backend: what a change tries, keeps and drops (R16-SEC-2 to R16-SEC-4)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from controller.core.network_profile import (
    MoveWhen,
    NetworkProfile,
    NetworkState,
    PasswordEncoding,
    Staged,
    Trial,
    password_bytes,
)

OLD = NetworkProfile(
    url="ws://old/ocpp", identity="CP1", security_profile=1, password=b"0123456789abcdef"
)
NEW_KEY = b"\x00\xff" * 10


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("00ff" * 10, "Auto", NEW_KEY),
        ("00FF" * 8, "Auto", b"\x00\xff" * 8),
        ("0123456789abcdef", "Auto", b"0123456789abcdef"),
        ("a plain password", "Auto", b"a plain password"),
        ("a" * 20, "Auto", b"a" * 20),
        ("a" * 15, "Auto", None),
        ("g" * 21, "Auto", None),
        ("0" * 33, "Auto", None),
        ("zz" * 20, "Auto", None),
        ("00ff 00ff" * 4, "Auto", None),
        ("", "Auto", None),
        ("new\nline in a key", "Auto", None),
        ("00ff" * 8, "Text", b"00ff" * 8),
        ("g" * 40, "Text", b"g" * 40),
        ("g" * 41, "Text", None),
        ("0123456789abcdef", "Hex", None),
        ("00ff" * 8, "Hex", b"\x00\xff" * 8),
        ("ü" * 10, "Auto", ("ü" * 10).encode()),
        ("ü" * 11, "Auto", None),
    ],
)
def test_r16_sec_2_hex_of_16_to_20_bytes_or_the_text_itself(
    text: str, encoding: str, expected: bytes | None
) -> None:
    assert password_bytes(text, PasswordEncoding(encoding)) == expected


def test_r16_sec_1_the_scheme_is_never_weaker_than_the_profile() -> None:
    assert OLD.address == "ws://old/ocpp"
    assert replace(OLD, security_profile=2).address == "wss://old/ocpp"
    assert replace(OLD, url="wss://old/ocpp/", security_profile=0).address == "wss://old/ocpp"
    assert replace(OLD, security_profile=3).is_tls


def test_r16_sec_3_a_key_is_a_candidate_until_it_worked() -> None:
    state = NetworkState.first(OLD).with_password(NEW_KEY)
    assert (state.current, state.trial) == (OLD, Trial.KEY)
    assert state.in_use.password == NEW_KEY
    assert state.promoted().current.password == NEW_KEY
    assert state.promoted().candidate is None
    assert state.dropped("refused") == NetworkState.first(OLD)


@pytest.mark.parametrize("number", [0, 3])
def test_a_key_that_is_not_used_now_is_only_kept(number: int) -> None:
    first = NetworkState.first(replace(OLD, security_profile=number))
    state = first.with_password(NEW_KEY)
    assert state.candidate is None
    assert state.current.password == NEW_KEY


def test_r16_sec_4_a_profile_is_a_candidate_too() -> None:
    state = NetworkState.first(OLD).with_security_profile(2)
    assert state.in_use.address == "wss://old/ocpp"
    assert state.promoted().current.security_profile == 2
    assert state.dropped("no").current == OLD


def test_a_move_takes_what_is_not_told_from_the_present() -> None:
    first = NetworkState.first(OLD)
    state = replace(first, staged=Staged(url="ws://new/x")).with_move(MoveWhen.IDLE)
    assert state.in_use == OLD
    assert state.move == replace(OLD, url="ws://new/x")
    trying = state.moving(leftover=3)
    assert (trying.in_use, trying.trial, trying.move) == (state.move, Trial.BACKEND, None)
    assert trying.promoted().current == state.move
    assert trying.promoted().staged == Staged()
    back = trying.dropped("nobody there")
    assert (back.current, back.leftover) == (OLD, 0)
    assert back.staged.url == "ws://new/x"
    assert back.note == "stayed with ws://old/ocpp: nobody there"


def test_what_a_person_writes_into_the_file_wins_field_by_field() -> None:
    state = NetworkState.first(OLD).with_password(NEW_KEY).promoted()
    assert state.configured_as(OLD) == state
    moved = state.configured_as(replace(OLD, url="ws://third"))
    assert moved.current == replace(OLD, url="ws://third", password=NEW_KEY)
    lowered = state.with_security_profile(2).configured_as(replace(OLD, security_profile=0))
    assert (lowered.current.security_profile, lowered.candidate) == (0, None)


def test_as_json_and_back() -> None:
    state = NetworkState.first(OLD).with_password(NEW_KEY)
    state = replace(state, staged=Staged(url="wss://x", password=b"\xff"), move=OLD, note="n")
    assert NetworkState.from_dict(json.loads(json.dumps(state.to_dict()))) == state


def test_no_secret_in_a_representation() -> None:
    state = replace(NetworkState.first(OLD), staged=Staged(password=b"geheimgeheimgehe"))
    assert "0123456789" not in repr(state)
    assert "geheim" not in repr(state)


def test_a_restart_with_the_same_configuration_goes_on_with_what_was_begun() -> None:
    new = replace(OLD, url="ws://new/ocpp")
    waiting = replace(
        NetworkState.first(OLD), move=new, move_when=MoveWhen.NOW, staged=Staged(url=new.url)
    )
    trying = replace(NetworkState.first(OLD), candidate=new, trial=Trial.BACKEND, leftover=3)
    assert waiting.configured_as(OLD) == waiting
    assert trying.configured_as(OLD) == trying
    changed = trying.configured_as(replace(OLD, identity="CP2"))
    assert changed.trial is None and changed.candidate is None, "a person's word ends it"
    assert changed.current == replace(OLD, identity="CP2")
