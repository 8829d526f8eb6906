"""The SmartCharging profile of 1.6: charging profiles in its words, and its three requests (R16-SC-1 to R16-SC-12)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from controller.core.charging_profile import (
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    Purpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from controller.core.charging_profile_book import ProfileFilter
from controller.core.composite import CompositeSchedule
from controller.core.settings import Settings
from controller.ocpp.calls import Answer
from controller.ocpp.rpc import ErrorName
from controller.ocpp.v16.blocks import Block, BlockMaker, Payload, Sender, status_answer, whole
from controller.ocpp.wire_time import format_time, parse_time
from controller.ports import OutboxStore
from controller.ports_charging import ChargingProfiles

_STATION_MAX_16 = "ChargePointMaxProfile"


class InvalidProfile(ValueError):
    """What the schema cannot see: `args[0]` says which field must be what."""


def smart_charging(profiles: ChargingProfiles, outbox: OutboxStore) -> BlockMaker:
    """`outbox` knows what the backend calls our transactions."""

    def make(sender: Sender, settings: Settings) -> Block:
        requests = _Requests(profiles, outbox)
        return Block(
            actions={
                "SetChargingProfile": requests.set_profile,
                "ClearChargingProfile": requests.clear,
                "GetCompositeSchedule": requests.composite,
            }
        )

    return make


class _Requests:
    def __init__(self, profiles: ChargingProfiles, outbox: OutboxStore) -> None:
        self._profiles = profiles
        self._outbox = outbox

    async def set_profile(self, request: Payload) -> Answer:
        """An unknown connector is a CALLERROR, everything else that cannot be is Rejected (E16 3.38, 3.39)."""
        connector, body = int(request["connectorId"]), request["csChargingProfiles"]
        if connector not in (0, *self._profiles.evses()):
            return Answer(
                error=ErrorName.PROPERTY, description=f"connectorId {connector} is unknown"
            )
        try:
            profile = charging_profile(body)
        except InvalidProfile as error:
            return Answer(error=ErrorName.PROPERTY, description=str(error))
        if "transactionId" in body and profile.purpose is not Purpose.TX:
            return status_answer("Rejected")
        if "transactionId" in body:
            ours = await self._running(connector, body["transactionId"])
            if ours is None:
                return status_answer("Rejected")
            profile = replace(profile, transaction_id=ours)  # another one may begin meanwhile
        status = await self._profiles.install(connector, profile)
        return status_answer(status)

    async def clear(self, request: Payload) -> Answer:
        """Unknown = nothing matched."""
        purpose = request.get("chargingProfilePurpose")
        which = ProfileFilter(
            profile_id=request.get("id"),
            evse=request.get("connectorId"),
            purpose=_purpose(purpose) if purpose is not None else None,
            stack_level=request.get("stackLevel"),
        )
        cleared = await self._profiles.clear(which)
        return status_answer("Accepted" if cleared else "Unknown")

    async def composite(self, request: Payload) -> Answer:
        """From the moment of the request on."""
        unit = request.get("chargingRateUnit")
        schedule = await self._profiles.composite(
            int(request["connectorId"]),
            int(request["duration"]),
            RateUnit(unit) if unit is not None else None,
        )
        if schedule is None:
            return status_answer("Rejected")
        return Answer(payload=composite_16(schedule))

    async def _running(self, connector: int, backend_id: int) -> str | None:
        """Our id of the transaction that runs there, if it is the one that the backend means."""
        ours = self._profiles.transaction(connector)
        if ours is None:
            return None
        told = await self._outbox.backend_transaction_id(ours)
        if told is None:
            # The answer to StartTransaction may have come in the frame just before this one.
            told = await self._outbox.backend_transaction_id(ours)
        return ours if told == backend_id else None


def charging_profile(body: Payload) -> ChargingProfile:
    """A ChargingProfile that matches the schema, without its transactionId. Raises InvalidProfile."""
    schedule = body["chargingSchedule"]
    recurrency = body.get("recurrencyKind")
    return ChargingProfile(
        id=int(body["chargingProfileId"]),
        stack_level=int(body["stackLevel"]),
        purpose=_purpose(body["chargingProfilePurpose"]),
        kind=ProfileKind(body["chargingProfileKind"]),
        recurrency=Recurrency(recurrency) if recurrency is not None else None,
        valid_from=_time(body, "validFrom"),
        valid_to=_time(body, "validTo"),
        schedule=ChargingSchedule(
            rate_unit=RateUnit(schedule["chargingRateUnit"]),
            start=_time(schedule, "startSchedule"),
            duration_s=whole(schedule.get("duration")),
            min_charging_rate=schedule.get("minChargingRate"),
            periods=tuple(
                SchedulePeriod(
                    start_s=int(period["startPeriod"]),
                    limit=float(period["limit"]),
                    number_phases=whole(period.get("numberPhases")),
                )
                for period in schedule["chargingSchedulePeriod"]
            ),
        ),
    )


def tx_profile(body: Payload) -> ChargingProfile:
    """The profile of a RemoteStartTransaction (E16 3.41). Raises InvalidProfile."""
    if "transactionId" in body:
        raise InvalidProfile("transactionId is not known yet")
    profile = charging_profile(body)
    if profile.purpose is not Purpose.TX:
        raise InvalidProfile(f"chargingProfilePurpose must be {Purpose.TX}")
    return profile


def composite_16(schedule: CompositeSchedule) -> Payload:
    """GetCompositeSchedule.conf; startSchedule is left out inside (E16 3.57)."""
    periods = [
        {"startPeriod": period.start_s, "limit": period.limit}
        | ({} if period.number_phases is None else {"numberPhases": period.number_phases})
        for period in schedule.periods
    ]
    return {
        "status": "Accepted",
        "connectorId": schedule.evse,
        "scheduleStart": format_time(schedule.start),
        "chargingSchedule": {
            "duration": schedule.duration_s,
            "chargingRateUnit": schedule.rate_unit.value,
            "chargingSchedulePeriod": periods,
        },
    }


def _purpose(name: str) -> Purpose:
    return Purpose.STATION_MAX if name == _STATION_MAX_16 else Purpose(name)


def _time(body: Payload, name: str) -> datetime | None:
    if name not in body:
        return None
    at = parse_time(body[name])
    if at is None:
        raise InvalidProfile(f"{name} is not a time")
    return at
