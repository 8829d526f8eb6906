"""LocalAuthListManagement of 1.6: SendLocalList and GetLocalListVersion (R16-LL-1, R16-ST-6)."""

from __future__ import annotations

import asyncio
from typing import Any

from controller.core.local_list import ListEntry, ListUpdate
from controller.core.model import IdToken
from controller.core.settings import Settings
from controller.ocpp.calls import Answer
from controller.ocpp.v16.blocks import Block, BlockMaker, Payload, Sender, status_answer
from controller.ocpp.v16.translate import id_token_info
from controller.ports_lists import LocalListService

CHUNK = 250
"""Entries translated at a time; between two chunks everybody else gets a turn."""
SWITCHED_OFF = -1


def local_list(service: LocalListService) -> BlockMaker:
    """The block over the station's list."""

    def make(sender: Sender, settings: Settings) -> Block:
        def conflict_changed() -> None:
            if service.conflict:
                sender.station_error("LocalListConflict", "local list and operator differ")
            else:
                sender.station_error("NoError")

        def version(request: Payload) -> Answer:
            # 0 says that the list is empty, whatever its last version was.
            number = service.version if service.size else 0
            return Answer(payload={"listVersion": number if service.enabled else SWITCHED_OFF})

        async def send(request: Payload) -> Answer:
            if not service.enabled:
                return status_answer("NotSupported")
            listed = request.get("localAuthorizationList") or []
            if len(listed) > settings.integer("SendLocalListMaxLength"):
                return status_answer("Failed")
            update = ListUpdate(
                version=request["listVersion"],
                full=request["updateType"] == "Full",
                entries=await _entries(listed),
            )
            return status_answer(await service.update(update))

        service.on_conflict(conflict_changed)
        return Block(actions={"GetLocalListVersion": version, "SendLocalList": send})

    return make


async def _entries(listed: list[dict[str, Any]]) -> list[ListEntry]:
    found: list[ListEntry] = []
    infos: dict[tuple[Any, ...], Any] = {}
    for n, entry in enumerate(listed, start=1):
        data = entry.get("idTagInfo")
        info = None
        if data is not None:
            key = (data["status"], data.get("expiryDate"), data.get("parentIdTag"))
            info = infos.get(key)  # most entries say the same: one object for all of them
            if info is None:
                info = infos[key] = id_token_info(data)
        found.append(ListEntry(id_token=IdToken(entry["idTag"]), info=info))
        if n % CHUNK == 0:
            await asyncio.sleep(0)
    return found
