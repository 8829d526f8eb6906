"""The catalogue of faults: what each does, what ends it, what backends are told, what people should do.

Names are those of the bench API. Severities and clearing follow hardware.md §3.2; MREC = ChargeX rev. 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a fault does to charging."""

    HIGH = "high"
    """contactor open at once, pilot F for 300 ms"""
    MEDIUM = "medium"
    """normal end: PWM off, 6 s, open"""
    BLOCK = "block"
    """no start; a charge that runs ends normally"""
    WARNING = "warning"
    """charging goes on"""


class Clearing(StrEnum):
    """What ends a fault once its cause is gone."""

    SELF = "self"
    UNPLUG = "unplug"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """One entry. `clear_after_s`: how long the cause must be gone (SELF).

    `retry_after_s`, `retries`: a fault that does not clear by itself is nevertheless lifted this long
    after its cause went, this many times (per plug-in for UNPLUG, until a command for COMMAND).
    `momentary`: there is no cause that lasts; it counts as gone as soon as the fault stands.
    `error_16`: errorCode of OCPP 1.6; `mrec`: "CXnnn" or ""; `component`, `variable`: OCPP 2.x.
    """

    name: str
    severity: Severity
    clearing: Clearing
    error_16: str
    mrec: str
    component: str
    variable: str
    installer: str
    driver: str
    clear_after_s: float = 0.0
    retry_after_s: float = 0.0
    retries: int = 0
    momentary: bool = False

    @property
    def latched(self) -> bool:
        """Survives the end of its cause, the guard and a power cut."""
        return self.clearing is not Clearing.SELF

    @property
    def inoperative(self) -> bool:
        """Keeps the EVSE from delivering (1.6 status Faulted)."""
        return self.severity is not Severity.WARNING


H, M, B, W = Severity.HIGH, Severity.MEDIUM, Severity.BLOCK, Severity.WARNING
SELF, UNPLUG, COMMAND = Clearing.SELF, Clearing.UNPLUG, Clearing.COMMAND

_CALL = "Please use another charging point and call the operator."
_WAIT = "Charging goes on by itself when the problem is gone."
_REPLUG = "Unplug the cable, wait a moment and plug it in again."


def _kind(
    name: str, severity: Severity, clearing: Clearing, error_16: str, mrec: str, where: str,
    installer: str, driver: str, *, clear_after_s: float = 0.0, retry_after_s: float = 0.0,
    retries: int = 0, momentary: bool = False,
) -> FaultKind:  # fmt: skip
    component, variable = where.split(".")
    return FaultKind(
        name=name, severity=severity, clearing=clearing, error_16=error_16, mrec=mrec,
        component=component, variable=variable, installer=installer, driver=driver,
        clear_after_s=clear_after_s, retry_after_s=retry_after_s, retries=retries, momentary=momentary,
    )  # fmt: skip


CATALOGUE: dict[str, FaultKind] = {kind.name: kind for kind in (
    _kind("rcd", H, COMMAND, "GroundFailure", "CX002", "RCD.Tripped",
          "Measure the insulation of outlet, cable and vehicle, reset the RCD, then clear the fault.", _CALL),
    _kind("rcd_self_test", H, COMMAND, "GroundFailure", "CX002", "RCD.Problem",
          "Check the test and fault lines of the residual current monitor, run the self-test, then clear the fault.",
          _CALL, momentary=True),
    _kind("no_pe", H, COMMAND, "GroundFailure", "CX002", "ElectricalFeed.Problem",
          "Check the protective conductor of the supply line up to the main earthing terminal.", _CALL,
          retry_after_s=300.0, retries=6),
    _kind("weld", B, COMMAND, "PowerSwitchFailure", "CX017", "PowerContactor.Problem",
          "Disconnect the supply and replace the contactor: its mirror contact says closed although the coil is off.",
          _CALL),
    _kind("fail_to_close", H, UNPLUG, "PowerSwitchFailure", "CX017", "PowerContactor.Problem",
          "Check coil supply, coil wiring and mirror contact: the contactor did not close in three tries.", _REPLUG,
          momentary=True),
    _kind("outlet_live", B, COMMAND, "OtherError", "CX024", "PowerContactor.Problem",
          "Disconnect the supply: there is voltage at the outlet while the contactor is open.", _CALL),
    _kind("over_current", H, UNPLUG, "OverCurrentFailure", "CX004", "OverCurrentProtection.Overload",
          "Compare the meter with a clamp meter; if it is right, the vehicle draws more than it was offered.", _REPLUG,
          retry_after_s=60.0, retries=3, momentary=True),
    _kind("over_voltage", M, SELF, "OverVoltage", "CX005", "ElectricalFeed.Problem",
          "Check the neutral conductor and the supply voltage.", _WAIT, clear_after_s=60.0),
    _kind("under_voltage", M, SELF, "UnderVoltage", "CX006", "ElectricalFeed.Problem",
          "Check the cross-section and the terminals of the supply line under load.", _WAIT, clear_after_s=60.0),
    _kind("mains_lost", M, SELF, "OtherError", "CX015", "ElectricalFeed.Problem",
          "Check the circuit breaker of the charging station.", _WAIT),
    _kind("phase_lost", M, SELF, "OtherError", "CX015", "ElectricalFeed.Problem",
          "Check fuses and terminals of every phase.", _WAIT),
    _kind("over_temperature", M, SELF, "HighTemperature", "CX003", "TemperatureSensor.Problem",
          "Check ventilation, sun exposure and the torque of the power terminals.", _WAIT, clear_after_s=120.0),
    _kind("temperature_derate", W, SELF, "HighTemperature", "CX018", "TemperatureSensor.Problem",
          "The station is warm and offers less; check ventilation and sun exposure if this is frequent.",
          "The station is warm and charges slower."),
    _kind("temperature_sensor", W, SELF, "OtherError", "", "TemperatureSensor.Problem",
          "Check the wiring of the temperature sensor.", "Charging is possible; the operator has been told."),
    _kind("cp_noise", H, SELF, "OtherError", "CX014", "CPPWMController.Problem",
          "Check the control pilot wire, its shield and the calibration of the pilot front end.", _REPLUG,
          clear_after_s=2.0),
    _kind("cp_short", H, SELF, "OtherError", "CX014", "CPPWMController.Problem",
          "Look for a short between control pilot and protective conductor in cable and connector.", _REPLUG),
    _kind("diode", H, UNPLUG, "OtherError", "CX014", "CPPWMController.Problem",
          "The vehicle side shows no diode: test with another vehicle, then check cable and pilot front end.", _REPLUG,
          momentary=True),
    _kind("ventilation", H, SELF, "OtherError", "CX010", "AreaVentilation.Problem",
          "This vehicle gases while charging and may only be charged where ventilation is provided.",
          "This vehicle requires ventilation and cannot be charged here.", clear_after_s=5.0),
    _kind("pp_invalid", B, UNPLUG, "OtherError", "CX023", "Connector.Problem",
          "Measure the coding resistor between PP and PE of the cable: 100, 220, 680 or 1500 ohm.",
          "Please use another charging cable.", momentary=True),
    _kind("cable_cut", H, COMMAND, "OtherError", "CX026", "CableBreakawaySensor.Problem",
          "Replace the tethered cable, then clear the fault.", _CALL),
    _kind("lock_jam", B, UNPLUG, "ConnectorLockFailure", "CX001", "ConnectorPlugRetentionLock.Problem",
          "Check lock motor, its end switch and whether plugs go in all the way.",
          "Unplug the cable and push the plug in firmly.", momentary=True),
    _kind("unlock_jam", W, SELF, "ConnectorLockFailure", "CX001", "ConnectorPlugRetentionLock.Problem",
          "Release the lock by hand and check its motor and end switch.",
          "Push the plug in firmly while the station tries again to unlock it."),
    _kind("emergency_stop", H, COMMAND, "OtherError", "CX008", "EmergencyStopSensor.Active",
          "Remove the danger, release the button, then clear the fault.", _CALL),
    _kind("tilt", H, COMMAND, "OtherError", "", "TiltSensor.Problem",
          "The station was tilted: inspect housing and supply line, then clear the fault.", _CALL),
    _kind("shock", H, COMMAND, "OtherError", "", "ShockSensor.Problem",
          "The station was hit: inspect housing and supply line, then clear the fault.", _CALL),
    _kind("door", H, SELF, "OtherError", "", "CaseAccessSensor.Problem",
          "Close the housing.", _CALL),
    _kind("water", H, COMMAND, "OtherError", "", "FloodSensor.Problem",
          "Disconnect the supply, dry and inspect the housing, then clear the fault.", _CALL),
    _kind("meter_silent", W, SELF, "PowerMeterFailure", "", "FiscalMetering.Problem",
          "Check bus wiring, termination, address and baud rate of the meter.",
          "Charging is possible; the operator has been told."),
    _kind("meter_garbage", W, SELF, "PowerMeterFailure", "", "FiscalMetering.Problem",
          "Check shield and termination of the meter bus and that the meter type is configured rightly.",
          "Charging is possible; the operator has been told."),
    _kind("meter_backwards", W, SELF, "PowerMeterFailure", "", "FiscalMetering.Problem",
          "The register jumped or counted backwards: check whether the meter was exchanged or is defective.",
          "Charging is possible; the operator has been told."),
    _kind("reader_dead", W, SELF, "ReaderFailure", "", "TokenReader.Problem",
          "Check wiring and supply of the card reader.",
          "Cards cannot be read now; start charging with the operator's app."),
    _kind("pilot_board_lost", H, SELF, "InternalError", "", "Controller.Problem",
          "Check wiring and supply of the pilot board.", _CALL, clear_after_s=2.0),
    _kind("supply_low", H, SELF, "InternalError", "", "ELVSupply.Problem",
          "Check the 5 V and 12 V supplies under load.", _CALL, clear_after_s=10.0),
    _kind("guard_state_lost", B, COMMAND, "InternalError", "", "Controller.Problem",
          "The file of latched faults was lost or damaged: inspect the station, then clear the fault.", _CALL),
    _kind("internal", H, SELF, "InternalError", "", "Controller.Problem",
          "Please report this with a support bundle.", _CALL, clear_after_s=5.0),
    _kind("other", H, SELF, "OtherError", "", "ChargingStation.Problem",
          "See the code of the fault.", _CALL),
)}  # fmt: skip
"""Every fault by its name."""


def kind_of(name: str) -> FaultKind:
    """The catalogue entry; an unknown name is treated as `other`."""
    return CATALOGUE.get(name) or CATALOGUE["other"]


def clears(kind: FaultKind) -> str:
    """In words, what ends this fault once its cause is gone."""
    words = {
        Clearing.SELF: f"by itself after {kind.clear_after_s:g} s"
        if kind.clear_after_s
        else "by itself",
        Clearing.UNPLUG: "on unplugging, or by clear-fault",
        Clearing.COMMAND: "by clear-fault",
    }[kind.clearing]
    if kind.retries:
        words += f"; tried again after {kind.retry_after_s:g} s, {kind.retries} times"
    return words


def render_markdown() -> str:
    """docs/faults.md."""
    lines = [
        "# Faults",
        "",
        "Generated from `controller/core/faults.py`; do not edit.",
        "Write it with `python -m controller.core.faults > docs/faults.md`.",
        "",
        "high: contactor open at once, pilot F for 300 ms. medium: normal end (PWM off, 6 s, open).",
        "block: no start, a running charge ends normally. warning: charging goes on.",
        "",
        "| fault | severity | clears | OCPP 1.6 | MREC | OCPP 2.x | installer | driver |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind in CATALOGUE.values():
        lines.append(
            f"| {kind.name} | {kind.severity.value} | {clears(kind)} | {kind.error_16} | {kind.mrec or '-'} "
            f"| {kind.component}.{kind.variable} | {kind.installer} | {kind.driver} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(render_markdown(), end="")
