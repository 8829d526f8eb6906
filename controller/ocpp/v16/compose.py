"""Which feature profiles a station has: one line each."""

from __future__ import annotations

from controller.ocpp.v16.blocks import BlockMaker
from controller.ports import OutboxStore, Services


def blocks(services: Services, outbox: OutboxStore) -> list[BlockMaker]:
    """The makers of all blocks whose service exists. `outbox` knows the backend's transaction ids."""
    makers: list[BlockMaker] = []
    if services.charging_profiles is not None:
        from controller.ocpp.v16.smart_charging import smart_charging

        makers.append(smart_charging(services.charging_profiles, outbox))
    if services.prices is not None:
        from controller.ocpp.v16.cost_messages import cost_messages

        makers.append(cost_messages(services.prices, outbox))
    if services.local_list is not None:
        from controller.ocpp.v16.local_list import local_list

        makers.append(local_list(services.local_list))
    if services.reservations is not None:
        from controller.ocpp.v16.reservation import reservation

        makers.append(reservation(services.reservations))
    if services.security is not None:
        from controller.ocpp.v16.security_keys import security_keys

        makers.append(security_keys(services.security))
        if services.security.certificates is not None:
            from controller.ocpp.v16.certificates import certificates

            makers.append(certificates(services.security, services.security.certificates))
    if services.maintenance is not None:
        from controller.ocpp.v16.firmware import firmware
        from controller.ocpp.v16.logs import logs
        from controller.ocpp.v16.security_events import security_events

        makers.append(logs(services.maintenance))
        makers.append(firmware(services.maintenance))
        makers.append(security_events(services.maintenance))
    return makers
