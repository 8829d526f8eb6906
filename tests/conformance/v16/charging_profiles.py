"""Words for cases about charging profiles."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.conformance.lab import Lab

QUIET = {"MeterValueSampleInterval": "0"}
DAY_S = 86_400
RAISE_S = 15.0
"""An increase waits for the guard's 5 s, the end of a pause for 10 s."""


def periods(*steps: tuple[int, float], phases: int | None = None) -> list[dict[str, Any]]:
    """(start, limit) as chargingSchedulePeriod."""
    told = {} if phases is None else {"numberPhases": phases}
    return [{"startPeriod": start, "limit": limit, **told} for start, limit in steps]


def profile(number: int, purpose: str, *steps: tuple[int, float], **more: Any) -> dict[str, Any]:
    """A csChargingProfiles; `more`: `level`, `kind`, fields of the schedule by their names, the rest of the profile."""
    schedule: dict[str, Any] = {"chargingRateUnit": more.pop("unit", "A")}
    for name in ("startSchedule", "duration", "minChargingRate"):
        if name in more:
            schedule[name] = more.pop(name)
    schedule["chargingSchedulePeriod"] = periods(*steps, phases=more.pop("phases", None))
    return {
        "chargingProfileId": number,
        "stackLevel": more.pop("level", 0),
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": more.pop("kind", "Absolute" if "startSchedule" in schedule else "Relative"),
        "chargingSchedule": schedule,
        **more,
    }  # fmt: skip


async def install(
    lab: Lab, connector: int, given: dict[str, Any], status: str = "Accepted"
) -> None:
    request = {"connectorId": connector, "csChargingProfiles": given}
    await lab.csms.call("SetChargingProfile", request, status=status)


async def clear(lab: Lab, status: str = "Accepted", **which: Any) -> None:
    await lab.csms.call("ClearChargingProfile", which, status=status)


async def composite(
    lab: Lab,
    connector: int,
    duration: int,
    *steps: tuple[int, float],
    unit: str = "A",
    phases: int = 1,
) -> dict[str, Any]:
    """Ask and compare: steps from now on."""
    request = {"connectorId": connector, "duration": duration, "chargingRateUnit": unit}
    return await lab.csms.call(
        "GetCompositeSchedule",
        request,
        status="Accepted",
        connectorId=connector,
        chargingSchedule={
            "duration": duration,
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": periods(*steps, phases=phases),
        },
    )  # fmt: skip


async def second(lab: Lab) -> datetime:
    """Wait until shortly after a whole second of UTC; that second."""
    await lab.sleep(1.2 - lab.utc.microsecond / 1e6)
    return lab.utc.replace(microsecond=0)


def iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def offers(lab: Lab, amps: float, number: int = 1) -> bool:
    """The pilot says so, as far as its duty cycle can."""
    return abs(lab.evse(number).offered_amps - amps) < 0.05


async def offered(lab: Lab, amps: float, number: int = 1, within: float = RAISE_S) -> None:
    await lab.until(lambda: offers(lab, amps, number), within, f"{amps} A on the pilot")
