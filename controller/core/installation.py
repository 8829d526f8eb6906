"""What the configuration file says about this installation, compiled to plain values.

`config.py` validates the TOML file and writes this as JSON into `state_dir`; guard and station start
from the JSON, so neither needs the validation library. Driver tables are plain dicts with the key
`driver` and, on virtual hardware, `wires = "sim"`; None = "none" (the part does not exist).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

DriverTable = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StationIdentity:
    """Who the station says it is. `id` is the last part of the backend URL and the Basic user name."""

    id: str
    vendor: str = "chargepost"
    model: str = "chargepost"
    serial_number: str = ""
    firmware_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendInstallation:
    """How to reach the backend. `protocols`: best first. `password`: None = no Basic authentication."""

    url: str
    protocols: tuple[str, ...] = ("ocpp1.6",)
    security_profile: int = 0
    password: str | None = None
    verify_hostname: bool = True
    use_system_trust: bool = True
    retry_wait_minimum_s: float = 5.0
    retry_random_range_s: float = 10.0
    retry_repeat_times: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseInstallation:
    """One EVSE. `authorization` overrides [charging] for it ("backend", "local", "free").

    `meter_signs`: the meter's driver can sign values; `meter_public_key`: as printed on the meter, "" = it tells.
    """

    id: int
    pilot: DriverTable
    contactor: DriverTable | None
    meter: DriverTable | None = None
    rcd: DriverTable | None = None
    lock: DriverTable | None = None
    proximity: DriverTable | None = None
    temperature: DriverTable | None = None
    max_amps: float = 32.0
    phases: int = 1
    evse_id: str = ""
    authorization: str | None = None
    free_id_tag: str = ""
    meter_public_key: str = ""
    meter_signs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The supply that all EVSEs share. `max_amps` per phase; None = not limited here."""

    max_amps: float | None = None
    phases: int = 3
    voltage_v: float = 230.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Charging:
    """Rules of charging; `authorization` is resolved (never empty) by the configuration."""

    authorization: str
    failsafe_amps: float = 6.0
    hold_s: float = 600.0
    resume_after_power_loss: bool = False
    authorize_wait_s: float = 10.0
    before_accepted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchInstallation:
    """The virtual world. Exactly one of `listen` ("127.0.0.1:PORT") and `attach` ("unix:…") is set."""

    listen: str = ""
    attach: str = ""
    outputs_on_death: str = "kept"
    coil_gate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Everything the processes need to know. `state_dir` and `runtime_dir` are absolute paths.

    `runtime_dir` holds sockets (short path, mode 0700, made by `run` or systemd).
    `web_listen`: "HOST:PORT" or "" (nothing listens).
    `first_boot_16`, `first_boot_2`: first-boot values of configuration keys / variables.
    """

    station: StationIdentity
    state_dir: str
    runtime_dir: str
    evses: tuple[EvseInstallation, ...]
    charging: Charging
    site: Site = field(default_factory=Site)
    backend: BackendInstallation | None = None
    rfid: DriverTable | None = None
    bench: BenchInstallation | None = None
    web_listen: str = ""
    tls: Mapping[str, Any] = field(default_factory=dict)
    first_boot_16: Mapping[str, str] = field(default_factory=dict)
    first_boot_2: Mapping[str, str] = field(default_factory=dict)
    config_hash: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Installation:
        """Inverse of `to_dict`; raises KeyError or TypeError when the shape is not ours."""
        values = dict(data)
        values["station"] = StationIdentity(**values["station"])
        values["evses"] = tuple(EvseInstallation(**evse) for evse in values["evses"])
        values["charging"] = Charging(**values["charging"])
        values["site"] = Site(**values["site"])
        if values.get("backend") is not None:
            backend = dict(values["backend"])
            backend["protocols"] = tuple(backend["protocols"])
            values["backend"] = BackendInstallation(**backend)
        if values.get("bench") is not None:
            values["bench"] = BenchInstallation(**values["bench"])
        return cls(**values)
