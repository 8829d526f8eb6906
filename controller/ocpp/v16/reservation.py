"""Reservation of 1.6: ReserveNow and CancelReservation; connector 0 = any EVSE (R16-RES-1)."""

from __future__ import annotations

from controller.core.model import IdToken
from controller.core.reservation import Reservation
from controller.core.settings import Settings
from controller.ocpp.calls import Answer
from controller.ocpp.rpc import ErrorName
from controller.ocpp.v16.blocks import Block, BlockMaker, Payload, Sender, status_answer
from controller.ocpp.wire_time import parse_time
from controller.ports_lists import ReservationService


def reservation(service: ReservationService) -> BlockMaker:
    """The block over the station's reservations."""

    async def reserve_now(request: Payload) -> Answer:
        expires_at = parse_time(request["expiryDate"])
        if expires_at is None:
            return Answer(error=ErrorName.PROPERTY, description="expiryDate: not a time")
        group = request.get("parentIdTag")
        wanted = Reservation(
            id=request["reservationId"],
            evse=request["connectorId"] or None,
            id_token=IdToken(request["idTag"]),
            group=IdToken(group) if group else None,
            expires_at=expires_at,
        )
        return status_answer(await service.reserve(wanted))

    async def cancel(request: Payload) -> Answer:
        return status_answer(await service.cancel(request["reservationId"]))

    def make(sender: Sender, settings: Settings) -> Block:
        return Block(actions={"ReserveNow": reserve_now, "CancelReservation": cancel})

    return make
