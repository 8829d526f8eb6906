"""What each EVSE may offer, so that the sum never exceeds the site's supply (DESIGN §1.7).

Fixed shares: as many EVSEs as the supply can give 6 A each get the same share, in the order of their
ids. Sharing by what is really used comes with `energy/`.
"""

from __future__ import annotations

from controller.core.installation import Installation

MINIMUM_AMPS = 6.0


def shares(installation: Installation) -> dict[int, float]:
    """Amps per phase by EVSE; 0 = the supply is too small for this one."""
    limit = installation.site.max_amps
    if limit is None:
        return {evse.id: evse.max_amps for evse in installation.evses}
    count = min(len(installation.evses), int(limit // MINIMUM_AMPS))
    share = limit / count if count else 0.0
    return {
        evse.id: min(evse.max_amps, share) if place < count else 0.0
        for place, evse in enumerate(installation.evses)
    }
