"""The bench API: HTTP and JSON on loopback. Every call acts at once and in order."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from hal.sim import bodies
from hal.sim.bodies import Body
from hal.sim.errors import Refused
from hal.sim.evse import VirtualEvse
from hal.sim.faults import NAMES, MeterFaults, ReaderFaults, Target, set_cause
from hal.sim.world import World

log = logging.getLogger(__name__)

MAX_WH = 1e9
MAX_DIGITS = 18


class Reader(ReaderFaults, Protocol):
    """The virtual card reader."""

    def carries(self, text: str) -> bool:
        """Whether this card can go over the reader's wire."""
        ...

    def show(self, text: str) -> None:
        """Hold the card at the reader for a moment."""
        ...


class Parts(Protocol):
    """What the API reaches beside the world."""

    reader: Reader | None

    def meter(self, evse: int) -> MeterFaults | None:
        """The virtual meter of that EVSE."""
        ...


class BenchApi:
    """Routes and their handlers."""

    def __init__(self, world: World, parts: Parts) -> None:
        self._world = world
        self._parts = parts
        app = web.Application(middlewares=[_errors])
        add = app.router.add_route
        add("GET", "/bench", self._state)
        add("GET", "/bench/events", self._events)
        add("PUT", "/bench/evses/{evse}/meter", self._set_meter)
        add("POST", "/bench/evses/{evse}/plug", self._plug)
        add("POST", "/bench/evses/{evse}/unplug", self._unplug)
        add("POST", "/bench/evses/{evse}/pause", self._pause)
        add("POST", "/bench/evses/{evse}/resume", self._resume)
        add("POST", "/bench/evses/{evse}/pulse", self._pulse)
        add("PUT", "/bench/evses/{evse}/faults/{name}", self._set_fault)
        add("DELETE", "/bench/evses/{evse}/faults/{name}", self._remove_fault)
        add("POST", "/bench/rfid", self._rfid)
        add("POST", "/bench/backend/disconnect", self._disconnect)
        add("POST", "/bench/backend/connect", self._connect)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)

    async def start(self, tcp: socket.socket) -> None:
        """Serve on a listening socket."""
        await self._runner.setup()
        await web.SockSite(self._runner, tcp, shutdown_timeout=0.1).start()

    async def stop(self) -> None:
        """Close all connections."""
        await self._runner.cleanup()

    async def _state(self, request: web.Request) -> web.Response:
        return web.json_response(self._world.snapshot())

    async def _events(self, request: web.Request) -> web.Response:
        since = _whole(request.query.get("since", "0"))
        if since is None:
            raise Refused(400, "since must be a whole number")
        events = self._world.events
        return web.json_response({"events": events.since(since), "next": events.last})

    async def _set_meter(self, request: web.Request) -> web.Response:
        evse, body = await self._evse(request), await _body(request)
        energy_wh = body.number("energy_wh", 0.0, 0, MAX_WH)
        body.end()
        if self._parts.meter(evse.id) is None:
            raise Refused(409, f"EVSE {evse.id} has no meter")
        now = self._world.timers.now_ns()
        evse.meter.set_energy(energy_wh, now)
        return _done(now)

    async def _plug(self, request: web.Request) -> web.Response:
        evse, body = await self._evse(request), await _body(request)
        return _done(evse.plug(bodies.vehicle(body)))

    async def _unplug(self, request: web.Request) -> web.Response:
        evse, body = await self._evse(request), await _body(request)
        body.end()
        return _done(evse.unplug())

    async def _pause(self, request: web.Request) -> web.Response:
        evse, body = await self._evse(request), await _body(request)
        body.end()
        return _done(evse.pause())

    async def _resume(self, request: web.Request) -> web.Response:
        evse, body = await self._evse(request), await _body(request)
        current = body.optional_number("current", 0, 200)
        phases = body.optional_number("phases", 1, 3)
        body.end()
        return _done(evse.resume(current, None if phases is None else int(phases)))

    async def _pulse(self, request: web.Request) -> web.Response:
        evse, body = await self._evse(request), await _body(request)
        load, seconds = bodies.pulse(body)
        return _done(evse.pulse(load, seconds))

    async def _set_fault(self, request: web.Request) -> web.Response:
        evse, body = await self._evse(request), await _body(request)
        name = request.match_info["name"]
        code = body.text("code") if name == "other" else body.text("code", "-")
        body.end()
        return self._fault(evse, name, True, code)

    async def _remove_fault(self, request: web.Request) -> web.Response:
        evse = await self._evse(request)
        name = request.match_info["name"]
        return self._fault(evse, name, False, evse.faults.get(name, ""))

    def _fault(self, evse: VirtualEvse, name: str, active: bool, code: str) -> web.Response:
        if not active and name in NAMES and name not in evse.faults:
            set_cause(name, self._target(evse, lambda code, on: None), False, "")
            return _done(self._world.timers.now_ns())
        target = self._target(
            evse, lambda text, on: self._world.tell_station({"other": [evse.id, text, on]})
        )
        set_cause(name, target, active, code)
        if active:
            evse.faults[name] = code
        else:
            del evse.faults[name]
        value = {"name": name, "set": active}
        self._world.events.add(target.now_ns, evse.id, "fault", value)
        return _done(target.now_ns)

    def _target(self, evse: VirtualEvse, other: Callable[[str, bool], None]) -> Target:
        return Target(
            evse=evse,
            now_ns=self._world.timers.now_ns(),
            meter=self._parts.meter(evse.id),
            reader=self._parts.reader,
            other=other,
        )

    async def _rfid(self, request: web.Request) -> web.Response:
        text, evses = bodies.card(await _body(request), self._world.evses)
        reader, now = self._parts.reader, self._world.timers.now_ns()
        if reader is None:
            raise Refused(409, "no card reader is configured")
        if not reader.carries(text):
            self._world.tell_station({"card": text, "evses": list(evses)})
        elif not self._world.station_is_up:
            raise Refused(503, "the station process is not connected to the bench")
        else:
            if evses:
                self._world.tell_station({"hint": text.upper(), "evses": list(evses)})
            reader.show(text)
        self._world.events.add(now, None, "card", text)
        return _done(now)

    async def _disconnect(self, request: web.Request) -> web.Response:
        return await self._link(request, "disconnect")

    async def _connect(self, request: web.Request) -> web.Response:
        return await self._link(request, "connect")

    async def _link(self, request: web.Request, command: str) -> web.Response:
        (await _body(request)).end()
        self._world.tell_station({"link": command})
        return _done(self._world.timers.now_ns())

    async def _evse(self, request: web.Request) -> VirtualEvse:
        number = _whole(request.match_info["evse"])
        if number is None:
            raise Refused(404, "EVSEs are numbered 1, 2 and so on")
        return self._world.evse(number)


def _whole(text: str) -> int | None:
    """A number of plain digits; None = something else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else None


async def _body(request: web.Request) -> Body:
    return Body(await request.read())


def _done(at_ns: int) -> web.Response:
    return web.json_response({"at_ns": at_ns})


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Every refusal is JSON."""
    try:
        return await handler(request)
    except Refused as refused:
        return web.json_response({"error": refused.text}, status=refused.status)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        text = f"{request.method} {request.path}: {error.reason}"
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return web.json_response({"error": text}, status=error.status, headers=headers)
    except Exception as error:
        log.exception("bench: %s %s", request.method, request.path)
        return web.json_response({"error": f"the bench itself failed: {error!r}"}, status=500)
