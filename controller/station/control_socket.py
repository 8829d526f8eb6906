"""`station.sock`: one JSON object a line, one answer a line. Used by the CLI; mode 0600.

{"do": "status"} · {"do": "clear-fault", "evse": 1, "name": "weld"} · {"do": "card", "uid": "…",
"evses": [1]} · {"do": "choose", "evse": 1} · {"do": "list", "add": "UID", "remove": "UID"} (both optional) · {"do": "backend", "connect": true} · {"do": "undelivered"} · {"do": "send-again", "n": 1}
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.core.faults import CATALOGUE
from controller.station.cards import ASK_S

if TYPE_CHECKING:
    from controller.station.station import Station

LINE_LIMIT = 65_536


class ControlSocket:
    """Serves until it is cancelled."""

    def __init__(self, path: Path, station: Station) -> None:
        self._path = path
        self._station = station

    async def run(self) -> None:
        """Listen for ever."""
        self._path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, str(self._path), limit=LINE_LIMIT)
        self._path.chmod(0o600)
        try:
            async with server:
                await server.serve_forever()
        finally:
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError, asyncio.CancelledError):
            pass  # the other side is gone, sent a line without end, or we are stopping
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            return await self._do(request)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return {"error": f"not understood: {error}"}

    async def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        station = self._station
        match request["do"]:
            case "status":
                return station.snapshots.snapshot()
            case "clear-fault":
                evse, name = int(request["evse"]), str(request["name"])
                if evse not in station.actors:
                    return {"error": f"there is no EVSE {evse}"}
                if name not in CATALOGUE:
                    return {
                        "error": f"no fault is called {name!r}; allowed: {', '.join(CATALOGUE)}"
                    }
                if not station.guard.connected:
                    return {"error": "the guard does not answer"}
                station.guard.clear_fault(evse, name, by="command")
                return {"ok": True}
            case "card":
                station.cards.present(str(request["uid"]), tuple(request.get("evses", ())))
                return {"ok": True}
            case "choose":
                evse, asked = int(request["evse"]), station.cards.question is not None
                if evse not in station.actors:
                    return {"error": f"there is no EVSE {evse}"}
                if not station.cards.answer(evse):
                    return {"error": f"EVSE {evse} is not one of those to choose from"}
                card = "the card shown" if asked else f"the next card within {ASK_S:g} s"
                return {"ok": True, "says": f"{card} is for EVSE {evse}"}
            case "backend":
                wanted = bool(request["connect"])
                await (station.backend.connect() if wanted else station.backend.disconnect())
                return {"ok": True}
            case "list":
                add, remove = str(request.get("add", "")), str(request.get("remove", ""))
                problem = await station.local_list.change(add=add, remove=remove)
                return {"error": problem} if problem else {"list": station.local_list.all()}
            case "undelivered":
                return {"undelivered": await station.store.undelivered.as_text()}
            case "send-again":
                ok = await station.store.undelivered.send_again(int(request["n"]))
                station.reports_waiting()
                return {"ok": ok}
            case other:
                return {"error": f"unknown: {other!r}"}
