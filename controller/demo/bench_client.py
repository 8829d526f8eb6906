"""A small client of the bench API, for the demo and the tests; blocking, standard library only."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any


class BenchError(Exception):
    """The bench refused: `status` is the HTTP status (0 = not reachable), the text is its reason."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        super().__init__(reason)


class BenchClient:
    """Talks to http://HOST:PORT of a running bench."""

    def __init__(self, address: str, timeout_s: float = 5.0) -> None:
        self.base = f"http://{address}"
        self.timeout_s = timeout_s

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One request. Raises BenchError; returns the parsed answer (None if empty)."""
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(
            self.base + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise BenchError(error.code, error.read().decode(errors="replace")) from error
        except OSError as error:
            raise BenchError(0, f"the bench at {self.base} does not answer: {error}") from error
        return json.loads(text) if text else None

    def state(self) -> dict[str, Any]:
        """The whole world now."""
        state: dict[str, Any] = self.call("GET", "/bench")
        return state

    def evse(self, evse: int = 1) -> dict[str, Any]:
        """One EVSE's part of the world."""
        found: dict[str, Any] = next(e for e in self.state()["evses"] if e["id"] == evse)
        return found

    def plug(self, evse: int = 1, **vehicle: Any) -> None:
        """Cable in."""
        self.call("POST", f"/bench/evses/{evse}/plug", vehicle)

    def unplug(self, evse: int = 1) -> None:
        """Cable out."""
        self.call("POST", f"/bench/evses/{evse}/unplug")

    def pause(self, evse: int = 1) -> None:
        """The vehicle opens S2."""
        self.call("POST", f"/bench/evses/{evse}/pause")

    def resume(self, evse: int = 1, **vehicle: Any) -> None:
        """The vehicle closes S2."""
        self.call("POST", f"/bench/evses/{evse}/resume", vehicle)

    def pulse(self, state: str, seconds: float, evse: int = 1) -> None:
        """The pilot is forced for that long."""
        self.call("POST", f"/bench/evses/{evse}/pulse", {"state": state, "seconds": seconds})

    def tap(self, uid: str, evses: list[int] | None = None) -> None:
        """A card is shown."""
        self.call("POST", "/bench/rfid", {"uid": uid, **({"evses": evses} if evses else {})})

    def fault(self, name: str, present: bool = True, evse: int = 1, **body: Any) -> None:
        """Set or remove the cause of a fault."""
        self.call("PUT" if present else "DELETE", f"/bench/evses/{evse}/faults/{name}", body)

    def set_meter(self, energy_wh: float, evse: int = 1) -> None:
        """Set the virtual register."""
        self.call("PUT", f"/bench/evses/{evse}/meter", {"energy_wh": energy_wh})

    def link(self, up: bool) -> None:
        """Connect or disconnect the backend."""
        self.call("POST", f"/bench/backend/{'connect' if up else 'disconnect'}")

    def events(self, since: int = 0) -> list[dict[str, Any]]:
        """Events with n > since."""
        found: list[dict[str, Any]] = self.call("GET", f"/bench/events?since={since}")["events"]
        return found

    def last_event(self) -> int:
        """Number of the newest event."""
        number: int = self.call("GET", "/bench/events?since=0")["next"]
        return number

    def wait_up(self, timeout_s: float = 10.0) -> dict[str, Any]:
        """Wait until the bench answers. Raises BenchError after the time-out."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                return self.state()
            except BenchError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
