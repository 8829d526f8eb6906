"""The values that a session keeps between two facts, and the rules it follows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from controller.core.authorization import AuthorizationMode
from controller.core.charging_profile import ChargingProfile
from controller.core.model import IdToken, StopReason

END_OPEN_WAIT_S = 10.0
"""How long a stop waits for the contactor to open (the guard opens within 6 s)."""
END_READ_WAIT_S = 10.0
"""How long a stop waits for a poll after the contactor opened (DESIGN §5)."""
RECOVERY_READ_WAIT_S = 30.0
"""The same after a power loss."""

SETTLE_S = 0.3
"""With the contactor open at the stop: it may be closing at this moment, so look again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """Settings that matter to a session, by their 1.6 names. `connection_timeout_s` 0 = none."""

    connection_timeout_s: float = 60.0
    stop_on_ev_side_disconnect: bool = True
    stop_on_invalid_id: bool = True
    unlock_on_ev_side_disconnect: bool = True
    has_lock: bool = False
    """A socket: the cable may have to be given back."""
    max_energy_on_invalid_wh: float = 0.0
    mode: AuthorizationMode = AuthorizationMode.BACKEND
    free_token: IdToken | None = None
    resume_after_power_loss: bool = False
    end_read_wait_s: float = END_READ_WAIT_S
    """A signing meter may take longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Somebody may charge as soon as the cable is in."""

    id_token: IdToken
    group: IdToken | None = None
    remote_start_id: int | None = None
    offline: bool = False
    charging_profile: ChargingProfile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An open question. `deadline_s`: when its answer starts nothing any more; None = the plug-in's."""

    request: int
    id_token: IdToken
    stops: bool = False
    deadline_s: float | None = None
    remote: bool = False
    remote_start_id: int | None = None
    charging_profile: ChargingProfile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A transaction on its way out. `reading_since_s` None = the contactor is not open yet."""

    reason: StopReason
    at: datetime
    since_s: float
    read_wait_s: float = END_READ_WAIT_S
    id_token: IdToken | None = None
    reading_since_s: float | None = None
    cable_out: bool = False
    settled_s: float = 0.0

    @property
    def deadline_s(self) -> float:
        """When the last good value has to do."""
        if self.reading_since_s is None:
            return self.since_s + max(END_OPEN_WAIT_S, self.read_wait_s)
        return self.reading_since_s + self.read_wait_s
