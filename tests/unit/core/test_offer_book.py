"""DESIGN §1.2, §1.3: offers, expiry, hold offer; increases wait 5 s."""

from __future__ import annotations

import math

import pytest

from controller.core.guard_messages import Offer
from controller.core.offer_book import OfferBook, Signal

S = 1_000_000_000


def offer(amps: float, plug_id: int = 7, valid_s: float = 2.5) -> Offer:
    return Offer(evse=1, plug_id=plug_id, max_amps=amps, valid_s=valid_s)


def book(failsafe_amps: float = 8.0, hold_s: float = 600.0) -> OfferBook:
    return OfferBook(failsafe_amps=failsafe_amps, hold_s=hold_s)


@pytest.mark.parametrize("bad", [offer(16, 8), offer(math.nan), offer(-1), offer(16, valid_s=0)])
def test_void_offers_change_nothing(bad: Offer) -> None:
    offers = book()
    offers.take(offer(10), 7, 0)
    assert not offers.take(bad, 7, 0)
    assert offers.amps == 10


@pytest.mark.parametrize(("last", "held"), [(16, 8), (7, 7)])
def test_expiry_under_load_holds_the_lower_of_last_and_failsafe(last: float, held: float) -> None:
    offers = book()
    offers.take(offer(last), 7, 0)
    offers.tick(True, int(2.49 * S))
    assert (offers.amps, offers.hold) == (last, False)
    offers.tick(True, int(2.5 * S))
    assert (offers.amps, offers.hold) == (held, True)
    offers.tick(True, int(602.4 * S))
    assert offers.hold
    offers.tick(True, int(602.5 * S))
    assert (offers.amps, offers.hold) == (None, False)


def test_open_contactor_gets_no_hold_offer() -> None:
    offers = book()
    offers.take(offer(16), 7, 0)
    offers.tick(False, 3 * S)
    assert offers.amps is None


def test_hold_offer_ends_when_the_contactor_opens() -> None:
    offers = book()
    offers.take(offer(16), 7, 0)
    offers.tick(True, 3 * S)
    offers.tick(False, 4 * S)
    offers.tick(True, 5 * S)
    assert offers.amps is None


@pytest.mark.parametrize("settings", [{"failsafe_amps": 0.0}, {"hold_s": 0.0}])
def test_no_hold_offer_when_configured_so(settings: dict[str, float]) -> None:
    offers = book(**settings)
    offers.take(offer(16), 7, 0)
    offers.tick(True, 3 * S)
    assert offers.amps is None


@pytest.mark.parametrize("amps", [0, 5.9])
def test_offer_of_zero_stays_zero(amps: float) -> None:
    offers = book()
    offers.take(offer(amps), 7, 0)
    assert offers.amps == 0
    offers.tick(True, 3 * S)
    assert offers.amps is None


def test_new_offer_ends_the_hold() -> None:
    offers = book()
    offers.take(offer(16), 7, 0)
    offers.tick(True, 3 * S)
    offers.take(offer(12), 7, 4 * S)
    assert (offers.amps, offers.hold) == (12, False)


def test_validity_is_bounded() -> None:
    offers = book()
    offers.take(offer(16, valid_s=1e9), 7, 0)
    offers.tick(False, 10 * S)
    assert offers.amps is None


def test_decreases_at_once_increases_after_five_seconds() -> None:
    signal = Signal()
    assert signal.may_be(16, 0) == 16
    assert signal.set(16, 0)
    assert not signal.set(16, S)
    assert signal.may_be(10, S) == 10
    signal.set(10, S)
    assert signal.may_be(16, int(5.99 * S)) == 10
    assert signal.may_be(16, 6 * S) == 16
    signal.set(0, 6 * S)
    assert signal.may_be(16, 7 * S) == 0
    signal.forget()
    assert signal.may_be(16, 7 * S) == 16
