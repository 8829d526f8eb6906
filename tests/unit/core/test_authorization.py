"""List, cache, backend, offline rules (R16-AUTH-1 to R16-AUTH-5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from controller.core.authorization import (
    AuthorizationMode,
    AuthorizationRules,
    EmptyLocalList,
    before_asking,
    effective,
    from_info,
    may_stop,
    without_backend,
)
from controller.core.model import AuthorizationStatus, IdToken, IdTokenInfo

NOW = datetime(2026, 11, 22, tzinfo=UTC)
GOOD = IdTokenInfo(status=AuthorizationStatus.ACCEPTED)
BAD = IdTokenInfo(status=AuthorizationStatus.BLOCKED)
OLD = IdTokenInfo(status=AuthorizationStatus.ACCEPTED, expires_at=NOW - timedelta(seconds=1))
BACKEND, LOCAL = AuthorizationMode.BACKEND, AuthorizationMode.LOCAL
A, B = IdToken("a1"), IdToken("B2")


def test_an_expiry_in_the_past_counts_as_expired() -> None:
    assert effective(OLD, NOW).status is AuthorizationStatus.EXPIRED
    assert effective(OLD, NOW - timedelta(hours=1)) == OLD
    assert from_info(OLD, NOW).why == "it has expired"


@pytest.mark.parametrize("status", list(AuthorizationStatus))
def test_every_refusal_has_words(status: AuthorizationStatus) -> None:
    decision = from_info(IdTokenInfo(status=status), NOW)
    assert decision.accepted == (decision.why == "")


@pytest.mark.parametrize(
    ("pre", "listed", "cached", "accepted"),
    [
        (False, GOOD, GOOD, None),
        (True, GOOD, None, True),
        (True, None, GOOD, True),
        (True, BAD, GOOD, None),
        (True, None, BAD, None),
        (True, None, OLD, None),
        (True, None, None, None),
    ],
)
def test_online_only_a_local_accepted_with_pre_authorize_suffices(
    pre: bool, listed: IdTokenInfo | None, cached: IdTokenInfo | None, accepted: bool | None
) -> None:
    """R16-AUTH-3."""
    rules = AuthorizationRules(local_pre_authorize=pre)
    decision = before_asking(BACKEND, rules, listed, cached, NOW)
    assert (None if decision is None else decision.accepted) is accepted


def test_the_cache_can_be_switched_off() -> None:
    rules = AuthorizationRules(local_pre_authorize=True, cache_enabled=False)
    assert before_asking(BACKEND, rules, None, GOOD, NOW) is None
    assert not without_backend(BACKEND, rules, None, GOOD, NOW, "down").accepted


@pytest.mark.parametrize(
    ("offline", "unknown", "listed", "cached", "accepted"),
    [
        (True, False, GOOD, None, True),
        (True, False, None, GOOD, True),
        (True, False, BAD, GOOD, False),
        (True, False, None, None, False),
        (True, True, None, None, True),
        (True, True, BAD, None, False),
        (True, True, OLD, None, False),
        (True, True, None, BAD, False),
        (False, True, GOOD, None, False),
        (False, True, None, None, True),
    ],
)
def test_offline_rules(
    offline: bool,
    unknown: bool,
    listed: IdTokenInfo | None,
    cached: IdTokenInfo | None,
    accepted: bool,
) -> None:
    """R16-AUTH-4: what is known as bad stays bad, also for AllowOfflineTxForUnknownId."""
    rules = AuthorizationRules(local_authorize_offline=offline, allow_offline_for_unknown=unknown)
    decision = without_backend(BACKEND, rules, listed, cached, NOW, "the link is down")
    assert decision.accepted is accepted
    assert decision.offline
    assert accepted == (decision.why == "")


def test_local_mode_knows_only_the_list() -> None:
    rules = AuthorizationRules(allow_offline_for_unknown=True)
    assert without_backend(LOCAL, rules, GOOD, None, NOW, "").accepted
    assert not without_backend(LOCAL, rules, None, GOOD, NOW, "").accepted
    decision = before_asking(LOCAL, rules, None, GOOD, NOW)
    assert decision is not None and not decision.accepted
    assert EmptyLocalList().find(A) is None


def test_who_may_stop() -> None:
    """R16-AUTH-2, R16-AUTH-6."""
    assert may_stop(A, None, IdToken("A1"), None)
    assert not may_stop(A, None, B, None)
    assert may_stop(A, IdToken("G"), B, IdToken("g"))
    assert not may_stop(A, IdToken("G"), IdToken("G"), None)
    assert not may_stop(A, None, B, IdToken("G"))
