"""R16-RES-1: who gets a reservation, and what the standing ones mean for each EVSE."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from controller.core.model import IdToken
from controller.core.reservation import (
    Hold,
    Reservation,
    ReserveStatus,
    Standing,
    Use,
    holds,
    judge,
    removed,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ANNA, BEN, CLUB = IdToken("ANNA"), IdToken("BEN"), IdToken("CLUB")


def kept(
    number: int = 1, evse: int | None = 1, token: IdToken = ANNA, **more: object
) -> Reservation:
    return Reservation(
        **{"id": number, "evse": evse, "id_token": token, "expires_at": LATER, **more}  # type: ignore[arg-type]
    )


FREE = Standing(evse=1)
BUSY = Standing(evse=1, use=Use.TAKEN)
PLUGGED = Standing(evse=1, use=Use.WAITING)
BROKEN = Standing(evse=1, faulted=True)
OUT = Standing(evse=1, operative=False)


@pytest.mark.parametrize(
    ("standing", "status"),
    [
        (FREE, ReserveStatus.ACCEPTED),
        (BUSY, ReserveStatus.OCCUPIED),
        (PLUGGED, ReserveStatus.OCCUPIED),
        (BROKEN, ReserveStatus.FAULTED),
        (OUT, ReserveStatus.UNAVAILABLE),
    ],
)
@pytest.mark.parametrize("evse", [1, None])
def test_one_evse(standing: Standing, status: ReserveStatus, evse: int | None) -> None:
    """TC_048_1, _2, _3; the same for any EVSE when there is one."""
    assert judge(kept(evse=evse), [standing], [], now=NOW) is status


def test_any_evse_can_be_switched_off() -> None:
    """ReserveConnectorZeroSupported = false."""
    assert judge(kept(evse=None), [FREE], [], now=NOW, any_evse=False) is ReserveStatus.REJECTED
    assert judge(kept(evse=1), [FREE], [], now=NOW, any_evse=False) is ReserveStatus.ACCEPTED


def test_what_is_over_or_not_there_is_rejected() -> None:
    assert judge(kept(expires_at=NOW), [FREE], [], now=NOW) is ReserveStatus.REJECTED
    assert judge(kept(evse=2), [FREE], [], now=NOW) is ReserveStatus.REJECTED


def test_reserved_for_the_same_or_another_token_is_occupied() -> None:
    assert judge(kept(2, token=BEN), [FREE], [kept(1)], now=NOW) is ReserveStatus.OCCUPIED
    assert judge(kept(2, token=ANNA), [FREE], [kept(1)], now=NOW) is ReserveStatus.OCCUPIED


def test_the_same_id_replaces() -> None:
    assert judge(kept(1, token=BEN), [FREE], [kept(1)], now=NOW) is ReserveStatus.ACCEPTED


def test_any_evse_counts_what_is_free_and_not_promised() -> None:
    two = [Standing(evse=1), Standing(evse=2)]
    any_one = kept(1, None)
    assert judge(kept(2, None, BEN), two, [any_one], now=NOW) is ReserveStatus.ACCEPTED
    assert judge(kept(3, None), two, [any_one, kept(2, 2, BEN)], now=NOW) is ReserveStatus.OCCUPIED
    # The last free one is promised already.
    assert judge(kept(3, 1), two, [any_one, kept(2, 2, BEN)], now=NOW) is ReserveStatus.OCCUPIED
    one_left = [Standing(evse=1), Standing(evse=2, use=Use.TAKEN)]
    assert judge(kept(2, 1), one_left, [any_one], now=NOW) is ReserveStatus.OCCUPIED


@pytest.mark.parametrize(
    ("standings", "status"),
    [
        ([BROKEN, Standing(evse=2, operative=False)], ReserveStatus.FAULTED),
        ([BROKEN, Standing(evse=2, use=Use.TAKEN)], ReserveStatus.OCCUPIED),
        ([OUT, Standing(evse=2, operative=False, faulted=True)], ReserveStatus.UNAVAILABLE),
    ],
)
def test_no_evse_at_all(standings: list[Standing], status: ReserveStatus) -> None:
    assert judge(kept(evse=None), standings, [], now=NOW) is status


def test_a_certain_evse_admits_the_token_and_its_group_only() -> None:
    hold = holds([kept(group=CLUB)], [FREE])[1]
    assert hold.admits(IdToken("anna"), None) and hold.admits(BEN, CLUB)
    assert not hold.admits(BEN, None) and not hold.admits(BEN, IdToken("OTHER"))
    # A token that is called like the group is not of the group (R16-AUTH-6).
    assert not hold.admits(CLUB, None)
    assert hold.may_admit(BEN) and "reserved for another driver until 22 Nov 13:00" in hold.why


def test_without_a_group_there_is_nothing_to_find_out() -> None:
    hold = holds([kept()], [FREE])[1]
    assert hold.may_admit(ANNA) and not hold.may_admit(BEN)
    assert Hold().may_admit(BEN) and Hold().admits(BEN, None) and Hold().why == ""


def test_any_evse_holds_only_the_last_free_ones() -> None:
    any_one = kept(1, None)
    free, taken = (
        [Standing(evse=1), Standing(evse=2)],
        [Standing(evse=1), Standing(evse=2, use=Use.TAKEN)],
    )
    assert [h.by for h in holds([any_one], free).values()] == [None, None]
    seen = holds([any_one], taken)
    assert seen[1].by == any_one and seen[2].by is None
    # It is ended by its token on any EVSE, held or not.
    assert holds([any_one], free)[2].ended_by(ANNA, None) == any_one


def test_two_of_any_hold_two() -> None:
    two = [kept(1, None), kept(2, None, BEN)]
    seen = holds(two, [Standing(evse=1), Standing(evse=2)])
    assert all(hold.by is not None and hold.admits(BEN, None) for hold in seen.values())
    assert not seen[1].admits(CLUB, None)


def test_the_one_beside_a_certain_one_is_held() -> None:
    seen = holds([kept(1, 1), kept(2, None, BEN)], [Standing(evse=1), Standing(evse=2)])
    assert not seen[1].admits(BEN, None) and not seen[2].admits(ANNA, None)


def test_a_cable_at_a_held_evse_does_not_free_it() -> None:
    any_one = kept(1, None)
    both = [Standing(evse=1, use=Use.WAITING), Standing(evse=2, use=Use.WAITING)]
    seen = holds([any_one], both, held=[2])
    assert seen[1].by is None and seen[2].by == any_one
    # Another one became free: that is kept instead.
    seen = holds([any_one], [Standing(evse=1), both[1]], held=[2])
    assert seen[1].by == any_one and seen[2].by is None


def test_a_broken_evse_is_no_free_one() -> None:
    any_one = kept(1, None)
    seen = holds([any_one], [BROKEN, Standing(evse=2)])
    assert seen[1].by is None and seen[2].by == any_one


def test_faults_and_unavailability_end_reservations() -> None:
    """§5.13 (3)."""
    certain, any_one = kept(1, 1), kept(2, None)
    assert removed([certain, any_one], [FREE, Standing(evse=2)]) == []
    assert removed([certain, any_one], [BROKEN, Standing(evse=2)]) == [certain]
    assert removed([certain, any_one], [OUT, Standing(evse=2, faulted=True)]) == [certain, any_one]
    assert removed([any_one], [BUSY]) == [] and removed([any_one], []) == []
