"""The strict backend's rule for statuses: only the changes of the specification's table (§4.9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Payload = dict[str, Any]

_POWER = frozenset({"Charging", "SuspendedEV", "SuspendedEVSE"})
_ENDS = frozenset({"Available", "Finishing", "Unavailable", "Faulted"})

CHANGES: dict[str, frozenset[str]] = {
    "Available": _POWER | {"Preparing", "Reserved", "Unavailable", "Faulted"},
    "Preparing": _POWER | {"Available", "Finishing", "Faulted"},
    "Charging": _POWER - {"Charging"} | _ENDS,
    "SuspendedEV": _POWER - {"SuspendedEV"} | _ENDS,
    "SuspendedEVSE": _POWER - {"SuspendedEVSE"} | _ENDS,
    "Finishing": frozenset({"Available", "Preparing", "Unavailable", "Faulted"}),
    "Reserved": frozenset({"Available", "Preparing", "Unavailable", "Faulted"}),
    "Unavailable": _POWER | {"Available", "Preparing", "Faulted"},
    "Faulted": _POWER | {"Available", "Preparing", "Finishing", "Reserved", "Unavailable"},
}
STATION = frozenset({"Available", "Unavailable", "Faulted"})
"""What connector 0 may say."""
ONLY_WITH = {
    "EVCommunicationError": frozenset({"Preparing", "SuspendedEV", "SuspendedEVSE", "Finishing"})
}


class Statuses:
    """Of all connectors of one station; what happened while it was away is not told (R16-ST-4)."""

    def __init__(self, object_to: Callable[[str], None]) -> None:
        self._object = object_to
        self.now: dict[int, str] = {}
        self._since: dict[int, str] = {}
        self._any: set[int] = set()

    def connected(self) -> None:
        """After an absence the first status of each connector may be any."""
        self._any = set(self.now)

    def repeats(self, payload: Payload) -> bool:
        """The same status since the same moment, as a trigger asks for it."""
        connector = payload["connectorId"]
        if self.now.get(connector) != payload["status"]:
            return False
        return bool(self._since.get(connector) == payload.get("timestamp", ""))

    def told(self, payload: Payload) -> None:
        """A StatusNotification that was not told before."""
        connector, status = payload["connectorId"], payload["status"]
        before = self.now.get(connector)
        self.now[connector] = status
        self._since[connector] = payload.get("timestamp", "")
        if connector == 0 and status not in STATION:
            self._object(f"connector 0 cannot be {status}")
        if (status == "Faulted") == (payload["errorCode"] == "NoError"):
            if status == "Faulted":
                self._object(f"connector {connector} is Faulted without an errorCode")
        allowed = ONLY_WITH.get(payload["errorCode"])
        if allowed is not None and status not in allowed and status != "Faulted":
            self._object(f"{payload['errorCode']} cannot go with {status}")
        if connector in self._any:
            self._any.discard(connector)
        elif before is not None and before != status and status not in CHANGES[before]:
            self._object(f"connector {connector} went from {before} to {status}")
