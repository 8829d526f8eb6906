"""What the page is served: the state as JSON, and the same as a stream of server-sent events.

The state is `SnapshotSource.snapshot()` and `virtual`. The page shows these keys and bears the lack
of each; what is marked * it derives when it is missing:

    {"station": {"id", "vendor", "model", "version"},
     "backend": {"configured"*: bool, "url" (without secrets), "protocols" or "protocol",
                 "connected": bool, "state"* (one sentence)},
     "queue": reports that wait, "undelivered": reports that the backend refused,
     "guard": {"connected": bool},
     "store": {"durable": bool, "note"},
     "evses": [{"evse": 1, "phase", "charging_state", "operative": bool, "plugged": bool,
                "inoperative_by_fault"*: bool, "status"* (word for people), "tone"* (free | plugged |
                charging | waiting | fault | off), "why" (one sentence), "pilot_state",
                "contactor_closed": bool, "offered_amps", "amps": [L1, L2, L3], "power_w",
                "energy_wh" (register), "transaction_id", "transaction_energy_wh", "started_at",
                "id_token" (these four, or "transaction": {"id", "energy_wh", "started_at",
                "id_token"}), "faults": [{"name", "detail", "latched": bool, "severity", "driver",
                "installer" (what each should do), "clears" (what ends it)}],
                "price"* (null, or what `station/prices_shown.py` says), "meter_public_key"* (as printed)}],
     "last_card": "uid" or "card": {"uid", "at", "result"} or null,
     "asked"*: null or {"uid", "for": "start" | "stop", "evses": [1, 2], "question", "until"} (a card that
               could mean several EVSEs; `POST /api/card/evse/N` from our own page answers),
     "frames": [["out" | "in", [2, "id", "Action", {…}], "time"*], …] (newest last),
     "demo_cards"*: {"known": "uid", "unknown": "uid"} (what the buttons tap)}

A value that is not known is null, never 0. Times are ISO 8601 with a zone.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from controller.ports import SnapshotSource

MIN_INTERVAL_S = 0.2
"""Changes that come faster are sent as one."""
KEEP_ALIVE_S = 10.0
"""The page takes 25 s of silence for a dead link, so two of these may be lost."""
MAX_STREAMS = 32
"""More listeners than a site has people; the rest are told to come back."""

_ALIVE = b": keep-alive\nevent: alive\ndata: {}\n\n"


class StateApi:
    """`GET /api/state` and `GET /api/events`. Nothing is computed while nobody looks."""

    def __init__(
        self,
        source: SnapshotSource,
        *,
        virtual: bool = False,
        min_interval_s: float = MIN_INTERVAL_S,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        self._source = source
        self._virtual = virtual
        self._min_interval_s = min_interval_s
        self._keep_alive_s = keep_alive_s
        self._streams: set[asyncio.Event] = set()
        self._text: str | None = None
        self._closing = False
        self._unsubscribe: Callable[[], None] | None = None

    def routes(self) -> list[web.RouteDef]:
        """Where it answers."""
        return [web.get("/api/state", self._state), web.get("/api/events", self._events)]

    def open(self) -> None:
        """Listen to changes."""
        self._closing = False
        self._unsubscribe = self._source.subscribe(self._changed)

    def close(self) -> None:
        """End all streams; the pages will try again."""
        self._closing = True
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        for stream in self._streams:
            stream.set()

    def _changed(self) -> None:
        self._text = None
        for stream in self._streams:
            stream.set()

    def _current(self) -> str:
        if self._text is None:
            self._text = self._json()
        return self._text

    def _json(self) -> str:
        return to_json({**self._source.snapshot(), "virtual": self._virtual})

    async def _state(self, _request: web.Request) -> web.Response:
        return web.Response(text=self._json(), content_type="application/json")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if len(self._streams) >= MAX_STREAMS:
            return refusal(503, "Too many pages are open on this station.")
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        changed = asyncio.Event()
        changed.set()
        self._streams.add(changed)
        try:
            await response.prepare(request)
            await self._feed(response, changed)
        except ConnectionResetError:
            pass  # the page was closed
        finally:
            self._streams.discard(changed)
        return response

    async def _feed(self, response: web.StreamResponse, changed: asyncio.Event) -> None:
        sent = ""
        while not self._closing:
            try:
                async with asyncio.timeout(self._keep_alive_s):
                    await changed.wait()
            except TimeoutError:
                self._text = None  # also finds a change that was not announced
                await response.write(_ALIVE)
            changed.clear()
            text = self._current()
            if text != sent:
                await response.write(f"event: state\ndata: {text}\n\n".encode())
                sent = text
            await asyncio.sleep(self._min_interval_s)


def refusal(status: int, sentence: str) -> web.Response:
    """An error in the words that the page shows."""
    return web.json_response({"error": sentence}, status=status)


def to_json(state: Mapping[str, Any]) -> str:
    """One line of JSON that a browser accepts: NaN and infinity become null."""
    try:
        return json.dumps(state, allow_nan=False, separators=(",", ":"), default=str)
    except ValueError:
        return json.dumps(_finite(state), separators=(",", ":"), default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
