"""Permission of one EVSE: offers bound to a plug-in, their expiry, the hold offer, the 5 s rule (DESIGN §1.2, §1.3)."""

from __future__ import annotations

from controller.core.duty import MIN_AMPS
from controller.core.guard_messages import Offer

_S = 1_000_000_000
MAX_VALID_S = 10.0
INCREASE_WAIT_NS = 5 * _S
_NEVER_NS = -(1 << 62)


class OfferBook:
    """What may be signalled now. `amps` None = no permission; 0 = paused; never 0 < amps < 6."""

    __slots__ = ("_expires_ns", "_failsafe_amps", "_hold_ns", "_hold_until_ns", "_offered_amps", "hold",
                 "phases")  # fmt: skip

    def __init__(self, *, failsafe_amps: float, hold_s: float) -> None:
        self._failsafe_amps = failsafe_amps
        self._hold_ns = int(hold_s * _S)
        self._offered_amps: float | None = None
        self._expires_ns = 0
        self._hold_until_ns = 0
        self.hold = False
        self.phases = 0

    @property
    def amps(self) -> float | None:
        """The permission that counts now: the offer, or the hold offer."""
        if self.hold and self._offered_amps is not None:
            return min(self._offered_amps, self._failsafe_amps)
        return self._offered_amps

    def take(self, offer: Offer, plug_id: int, now_ns: int) -> bool:
        """Adopt an offer; False = void (another plug-in, or not a number)."""
        if offer.plug_id != plug_id or not offer.max_amps >= 0 or not offer.valid_s > 0:
            return False
        self._offered_amps = offer.max_amps if offer.max_amps + 1e-6 >= MIN_AMPS else 0.0
        self._expires_ns = now_ns + int(min(offer.valid_s, MAX_VALID_S) * _S)
        self.phases = offer.phases
        self.hold = False
        return True

    def withdraw(self) -> None:
        """No permission any more."""
        self._offered_amps = None
        self.hold = False

    def tick(self, closed: bool, now_ns: int) -> None:
        """Let time pass. `closed`: the contactor is closed on permission (not merely in the 6 s of an end)."""
        if self._offered_amps is None:
            return
        if self.hold:
            if not closed or now_ns >= self._hold_until_ns:
                self.withdraw()
            return
        if now_ns < self._expires_ns:
            return
        hold_amps = min(self._offered_amps, self._failsafe_amps)
        if closed and hold_amps >= MIN_AMPS and self._hold_ns > 0:
            self.hold = True
            self._hold_until_ns = now_ns + self._hold_ns
        else:
            self.withdraw()


class Signal:
    """The current that is signalled: down at once, up only 5 s after the last change (IEC 61851-1 A.6 seq. 6)."""

    __slots__ = ("_changed_ns", "amps")

    def __init__(self) -> None:
        self.amps = 0.0
        """0 = PWM off"""
        self._changed_ns = _NEVER_NS

    def may_be(self, target_amps: float, now_ns: int) -> float:
        """What may be signalled now on the way to `target_amps`."""
        if target_amps <= self.amps or now_ns - self._changed_ns >= INCREASE_WAIT_NS:
            return target_amps
        return self.amps

    def set(self, amps: float, now_ns: int) -> bool:
        """What is signalled from now on; True when that is a change."""
        if amps == self.amps:
            return False
        self.amps = amps
        self._changed_ns = now_ns
        return True

    def forget(self) -> None:
        """A new vehicle has seen nothing yet."""
        self.amps = 0.0
        self._changed_ns = _NEVER_NS
