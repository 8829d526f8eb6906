"""R16-LL-1: which updates of the local authorization list change nothing, and what is a conflict (R16-ST-6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.core.authorization import info_from_text, info_to_text
from controller.core.local_list import (
    ListEntry,
    ListStatus,
    ListUpdate,
    disagree,
    refusal,
)
from controller.core.model import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OK = IdTokenInfo(status=AuthorizationStatus.ACCEPTED)


def entries(*texts: str) -> list[ListEntry]:
    """ "-X" = remove X."""
    return [
        ListEntry(id_token=IdToken(t.lstrip("-")), info=None if t.startswith("-") else OK)
        for t in texts
    ]


def asked(version: int, full: bool, *texts: str, **more: Any) -> ListStatus | None:
    update = ListUpdate(version=version, full=full, entries=entries(*texts))
    listed = {"a", "b"}
    values = {"version": 5, "listed": listed, "size": 2, "most": 4, "most_per_update": 5}
    return refusal(update, **{**values, **more})


@pytest.mark.parametrize("version", [0, -1, -7])
@pytest.mark.parametrize("full", [True, False])
def test_versions_with_a_meaning_of_their_own(version: int, full: bool) -> None:
    """E16 3.52."""
    assert asked(version, full, "x") is ListStatus.FAILED


@pytest.mark.parametrize(("version", "status"), [(4, True), (5, True), (6, False)])
def test_a_differential_update_needs_a_higher_version(version: int, status: bool) -> None:
    """TC_043_2."""
    assert (asked(version, False, "x") is ListStatus.VERSION_MISMATCH) is status
    assert asked(version, True, "x") is None


def test_each_token_once_without_regard_to_case() -> None:
    assert asked(6, False, "x", "X") is ListStatus.FAILED
    assert asked(6, True, "x", "-x") is ListStatus.FAILED


def test_a_full_list_removes_nothing_one_by_one() -> None:
    assert asked(6, True, "x", "-y") is ListStatus.FAILED
    assert asked(6, True) is None


def test_too_many_in_one_update() -> None:
    assert asked(6, False, *"123456") is ListStatus.FAILED
    assert asked(6, False, "1", "2", most_per_update=2) is None


def test_too_many_afterwards() -> None:
    assert asked(6, True, *"1234") is None
    assert asked(6, True, *"12345") is ListStatus.FAILED
    assert asked(6, False, "1", "2") is None
    assert asked(6, False, "1", "2", "3") is ListStatus.FAILED
    # A change of what is listed, or a removal, needs no room.
    assert asked(6, False, "1", "2", "A") is None
    assert asked(6, False, "1", "2", "3", "-B") is None
    assert asked(6, False, "1", "2", "3", "-unknown") is ListStatus.FAILED


@pytest.mark.parametrize(
    ("listed", "told", "conflict"),
    [
        ("Accepted", "Accepted", False),
        ("Accepted", "Invalid", True),
        ("Blocked", "Accepted", True),
        ("Blocked", "Expired", False),
        ("Accepted", "ConcurrentTx", False),
        ("Invalid", "ConcurrentTx", True),
    ],
)
def test_a_conflict_is_about_validity(listed: str, told: str, conflict: bool) -> None:
    here = IdTokenInfo(status=AuthorizationStatus(listed))
    there = IdTokenInfo(status=AuthorizationStatus(told))
    assert disagree(here, there, NOW) is conflict


def test_an_entry_that_expired_is_not_valid() -> None:
    over = IdTokenInfo(status=AuthorizationStatus.ACCEPTED, expires_at=NOW - timedelta(seconds=1))
    assert disagree(over, OK, NOW) and not disagree(over, over, NOW)


@pytest.mark.parametrize("status", list(AuthorizationStatus))
@pytest.mark.parametrize("expires_at", [None, NOW, NOW.replace(microsecond=1)])
@pytest.mark.parametrize("group", [None, IdToken("Gruppe \t\t1", IdTokenType.CENTRAL), IdToken("")])
def test_an_entry_as_text_and_back(
    status: AuthorizationStatus, expires_at: datetime | None, group: IdToken | None
) -> None:
    info = IdTokenInfo(status=status, expires_at=expires_at, group=group)
    assert info_from_text(info_to_text(info)) == info
    assert len(info_to_text(OK)) == 8
