"""What a 1.6 backend may ask (Core and RemoteTrigger); every request is answered at once.

Actions of profiles that are not built are NotSupported, unknown names NotImplemented. The other profiles
are blocks (`blocks.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from controller.core.model import (
    AvailabilityStatus,
    IdToken,
    RequestStatus,
    ResetKind,
    UnlockStatus,
)
from controller.core.settings import Access, Settings
from controller.ocpp.calls import Answer
from controller.ocpp.rpc import ErrorName, IncomingCall
from controller.ocpp.v16 import config_keys
from controller.ocpp.v16.blocks import Block, Payload, Reply, status_answer
from controller.ocpp.v16.smart_charging import InvalidProfile, tx_profile
from controller.ocpp.validation import Problem, ProblemKind, Validators
from controller.ports import OutboxStore, StationControl, ValueStore

ERRORS_16: Mapping[ProblemKind, ErrorName] = {
    ProblemKind.MISSING: ErrorName.PROTOCOL,
    ProblemKind.UNKNOWN_PROPERTY: ErrorName.FORMATION,
    ProblemKind.TYPE: ErrorName.TYPE,
    ProblemKind.VALUE: ErrorName.PROPERTY,
    ProblemKind.COUNT: ErrorName.OCCURRENCE,
    ProblemKind.FORM: ErrorName.FORMATION,
}


class Triggers(Protocol):
    """What TriggerMessage and ChangeAvailability need of the adapter."""

    @property
    def accepted(self) -> bool:
        """The station is registered."""
        ...

    def boot_now(self) -> None:
        """Send a BootNotification without waiting for the interval."""
        ...

    def heartbeat_now(self) -> None:
        """Send a Heartbeat."""
        ...

    def status_now(self, connector: int | None) -> None:
        """Send the status of one connector, or of 0 and all."""
        ...

    def meter_values_now(self, connector: int | None) -> bool:
        """Send current values; False = no meter can be read."""
        ...

    async def station_operative(self, operative: bool) -> None:
        """ChangeAvailability of connector 0; durable."""
        ...


class Handlers:
    """From an incoming call to its answer."""

    def __init__(
        self,
        *,
        control: StationControl,
        settings: Settings,
        values: ValueStore,
        outbox: OutboxStore,
        triggers: Triggers,
        validators: Validators,
        blocks: Sequence[Block] = (),
        on_invalid: Callable[[str], None] = lambda _why: None,
    ) -> None:
        self._control = control
        self._settings = settings
        self._values = values
        self._outbox = outbox
        self._triggers = triggers
        self._validators = validators
        self._on_invalid = on_invalid
        self.actions: dict[str, Callable[[Payload], Reply]] = {
            "ChangeAvailability": self._change_availability,
            "ChangeConfiguration": self._change_configuration,
            "ClearCache": self._clear_cache,
            "DataTransfer": self._data_transfer,
            "ExtendedTriggerMessage": self._extended_trigger,
            "GetConfiguration": self._get_configuration,
            "RemoteStartTransaction": self._remote_start,
            "RemoteStopTransaction": self._remote_stop,
            "Reset": self._reset,
            "TriggerMessage": self._trigger_message,
            "UnlockConnector": self._unlock_connector,
        }
        self._block_triggers: dict[str, Callable[[int | None], Answer]] = {}
        self._extended: dict[str, Callable[[int | None], Answer]] = {}
        self._keys: dict[str, Callable[[str], Reply]] = {}
        self._vendors: dict[str, Callable[[Payload], Reply]] = {}
        for block in blocks:
            self.actions |= block.actions
            self._block_triggers |= block.triggers
            self._extended |= block.extended_triggers
            self._vendors |= block.vendors
            self._keys |= {name.casefold(): change for name, change in block.keys.items()}

    def answer(self, call: IncomingCall) -> Reply:
        """The answer to any call (RPC-6)."""
        handler = self.actions.get(call.action)
        if handler is None:
            known = self._validators.knows(call.action)
            error = ErrorName.NOT_SUPPORTED if known else ErrorName.NOT_IMPLEMENTED
            return Answer(error=error, description=f"{call.action[:40]} is not supported")
        problem = self._validators.request(call.action, call.payload)
        if problem is not None:
            self._on_invalid(f"{call.action}: {problem.where}: {problem.kind}")
            return _refusal(problem)
        return handler(call.payload)

    # --- one per action, by name ------------------------------------------------------------------

    async def _change_availability(self, request: Payload) -> Answer:
        connector, operative = request["connectorId"], request["type"] == "Operative"
        if connector != 0 and connector not in self._control.evses():
            return status_answer(AvailabilityStatus.REJECTED)
        status = await self._control.change_availability(connector or None, operative)
        if connector == 0 and status is not AvailabilityStatus.REJECTED:
            await self._triggers.station_operative(operative)
        return status_answer(status)

    def _change_configuration(self, request: Payload) -> Reply:
        key = request["key"]
        change = self._keys.get(key.casefold())
        setting = self._settings.declared(key)
        if change is None or setting is None or setting.access is Access.READ_ONLY:
            return self._change_setting(request)
        return change(request["value"])

    async def _change_setting(self, request: Payload) -> Answer:
        return status_answer(
            await config_keys.change_configuration(
                self._settings, self._values, request["key"], request["value"]
            )
        )

    async def _clear_cache(self, request: Payload) -> Answer:
        return status_answer(await self._control.clear_cache())

    def _data_transfer(self, request: Payload) -> Reply:
        vendor = self._vendors.get(request["vendorId"])
        return status_answer("UnknownVendorId") if vendor is None else vendor(request)

    def _get_configuration(self, request: Payload) -> Answer:
        keys = request.get("key") or []
        most = self._settings.integer("GetConfigurationMaxKeys")
        if len(keys) > most:
            return Answer(error=ErrorName.OCCURRENCE, description=f"at most {most} keys")
        return Answer(payload=config_keys.get_configuration(self._settings, keys))

    async def _remote_start(self, request: Payload) -> Answer:
        connector, body = request.get("connectorId"), request.get("chargingProfile")
        if not self._triggers.accepted or connector not in (None, *self._control.evses()):
            return status_answer(RequestStatus.REJECTED)
        try:
            profile = None if body is None else tx_profile(body)
        except InvalidProfile:
            return status_answer(RequestStatus.REJECTED)
        token = IdToken(request["idTag"])
        return status_answer(
            await self._control.remote_start(token, connector, charging_profile=profile)
        )

    async def _remote_stop(self, request: Payload) -> Answer:
        ours = await self._running(request["transactionId"])
        if not self._triggers.accepted or ours is None:
            return status_answer(RequestStatus.REJECTED)
        return status_answer(await self._control.remote_stop(ours))

    async def _running(self, backend_id: int) -> str | None:
        """Our id of the running transaction that the backend calls so; 0 is a real id (R16-TX-10)."""
        for evse in self._control.evses():
            ours = self._control.view(evse).transaction_id
            if ours is not None and await self._outbox.backend_transaction_id(ours) == backend_id:
                return ours
        return None

    async def _reset(self, request: Payload) -> Answer:
        return status_answer(await self._control.reset(ResetKind(request["type"])))

    def _trigger_message(self, request: Payload) -> Answer:
        return self._trigger(request, self._block_triggers)

    def _extended_trigger(self, request: Payload) -> Answer:
        return self._trigger(request, self._extended)

    def _trigger(
        self, request: Payload, more: Mapping[str, Callable[[int | None], Answer]]
    ) -> Answer:
        message, connector = request["requestedMessage"], request.get("connectorId")
        lowest = 0 if message == "StatusNotification" else 1
        asked = connector if message in ("StatusNotification", "MeterValues") else None
        if asked is not None and not (asked >= lowest and asked in (0, *self._control.evses())):
            return status_answer(RequestStatus.REJECTED)
        triggers = self._triggers
        if message == "BootNotification":
            if triggers.accepted:
                return status_answer(RequestStatus.REJECTED)
            return status_answer(RequestStatus.ACCEPTED, then=triggers.boot_now)
        if message == "Heartbeat":
            return status_answer(RequestStatus.ACCEPTED, then=triggers.heartbeat_now)
        if message == "StatusNotification":
            return status_answer(RequestStatus.ACCEPTED, then=lambda: triggers.status_now(asked))
        if message == "MeterValues":
            if not self._has_values(asked):
                return status_answer(RequestStatus.REJECTED)
            return status_answer(
                RequestStatus.ACCEPTED, then=lambda: _drop(triggers.meter_values_now(asked))
            )
        triggered = more.get(message)
        if triggered is not None:
            return triggered(connector)
        return status_answer("NotImplemented")

    def _has_values(self, connector: int | None) -> bool:
        measurands = self._settings.text("MeterValuesSampledData")
        asked = self._control.evses() if connector is None else (connector,)
        return any(self._control.sample(evse, measurands) is not None for evse in asked)

    async def _unlock_connector(self, request: Payload) -> Answer:
        connector = request["connectorId"]
        if connector not in self._control.evses():
            return status_answer(UnlockStatus.NOT_SUPPORTED)
        return status_answer(await self._control.unlock(connector))


def _refusal(problem: Problem) -> Answer:
    where = f"{problem.where}: " if problem.where else ""
    return Answer(error=ERRORS_16[problem.kind], description=where + problem.text)


def _drop(_: object) -> None:
    """For callbacks whose result nobody needs."""
