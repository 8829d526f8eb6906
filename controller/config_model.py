"""Every key of the configuration file: type, range, default and what it means.

Only shapes are checked here; what keys say about each other is in `config_checks/`.
Descriptions carry the unit: they are shown when a value is wrong.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Protocol = Literal["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]
SPOKEN: tuple[Protocol, ...] = ("ocpp1.6",)
"""What this version is able to speak; the others may stand beside it in a list."""
Authorization = Literal["backend", "local", "free"]
Part = Literal["sim", "none"] | dict[str, Any]

# OCPP 1.6 §4.2 (CiString20/25/50) and 2.0.1 BootNotification; the id is a path segment of the URL.
Id = Annotated[str, Field(min_length=1, max_length=48, pattern=r"^[A-Za-z0-9*\-_=:+|@.]+$")]
Text20 = Annotated[str, Field(min_length=1, max_length=20)]
Text25 = Annotated[str, Field(max_length=25)]
Text50 = Annotated[str, Field(max_length=50)]


class Table(BaseModel):
    """A table of the file: exact types, no unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class StationTable(Table):
    """[station]"""

    id: Id = Field(
        default="chargepost-1",
        description="name of the station, last part of the backend URL: letters, digits and *-_=:+|@.",
    )
    vendor: Text20 = Field(default="chargepost", description="manufacturer, as told to the backend")
    model: Text20 = Field(default="chargepost", description="model, as told to the backend")
    serial_number: Text25 = Field(default="", description="serial number of the station")
    firmware_version: Text50 = Field(default="", description="default: the version of this program")
    state_dir: str = Field(
        default="/var/lib/chargepost",
        min_length=1,
        description="directory that holds all state; relative to this file",
    )


class BackendTable(Table):
    """[backend]"""

    url: str = Field(
        pattern=r"^wss?://[^/\s?#]+(/[^\s?#]*)?$",
        description="ws://HOST[:PORT][/PATH] or wss://…, without the station id",
    )
    protocol: Protocol | Annotated[list[Protocol], Field(min_length=1, max_length=3)] = Field(
        default="ocpp1.6",
        description="OCPP version, or a list, best first; this version speaks ocpp1.6",
    )
    security_profile: int = Field(
        default=0, ge=0, le=3, description="OCPP security profile, 0 = none"
    )
    password: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="password of Basic authentication"
    )
    password_file: str | None = Field(
        default=None, min_length=1, description="file whose first line is the password"
    )
    verify_hostname: bool = Field(
        default=True, description="the certificate must carry the host name"
    )
    use_system_trust: bool = Field(
        default=True, description="trust the certificate authorities of this computer"
    )
    retry_wait_minimum: float = Field(
        default=5.0, ge=0.1, le=3600, description="seconds before the first new attempt to connect"
    )
    retry_random_range: float = Field(
        default=10.0, ge=0, le=3600, description="random seconds on top of each wait"
    )
    retry_repeat_times: int = Field(
        default=5, ge=0, le=20, description="how often the wait doubles"
    )


class EvseTable(Table):
    """[[evse]]"""

    id: int | None = Field(
        default=None, ge=1, le=99, description="number of the EVSE; default: its position"
    )
    pilot: Part = Field(description="control pilot front end")
    contactor: Part = Field(description="main power switch")
    meter: Part = Field(default="none", description="energy meter")
    rcd: Part = Field(default="none", description="residual current device with fault output")
    lock: Part = Field(default="none", description="connector lock of a socket")
    proximity: Part = Field(default="none", description="cable coding of a socket")
    temperature: Part = Field(default="none", description="temperature sensor")
    max_current: float = Field(default=32.0, ge=6, le=80, description="amps per phase")
    phases: Literal[1, 3] = Field(default=1, description="phases of this outlet")
    evse_id: str = Field(
        default="",
        pattern=r"^([A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9*]{1,30})?$",
        description='e.g. "DE*ABC*E1234*1"',
    )
    authorization: Authorization | None = Field(
        default=None, description="instead of [charging] authorization"
    )
    free_id_tag: Text20 | None = Field(
        default=None, description="idTag reported when charging is free"
    )
    meter_public_key: str = Field(
        default="",
        max_length=1024,
        description="public key of a signing meter as printed on it: hexadecimal or Base64 of its ASN.1",
    )


class SiteTable(Table):
    """[site]"""

    max_current: float | None = Field(
        default=None, ge=6, le=4000, description="amps per phase of the supply"
    )
    phases: Literal[1, 3] | None = Field(
        default=None, description="phases of the supply; default: as the EVSEs need"
    )
    voltage: float = Field(default=230.0, ge=90, le=300, description="volts from phase to neutral")


class ChargingTable(Table):
    """[charging]"""

    authorization: Authorization | None = Field(
        default=None,
        description="who may charge; default: backend, else local with [rfid], else free",
    )
    failsafe_amps: float = Field(
        default=6.0,
        ge=0,
        le=80,
        description="amps of the hold offer when the station process is gone, 0 = pause",
    )
    hold_s: float = Field(
        default=600.0, ge=0, le=86_400, description="seconds that a hold offer lasts at most"
    )
    resume_after_power_loss: bool = Field(
        default=False, description="go on with the same transaction after a power cut"
    )
    authorize_wait: float = Field(
        default=10.0,
        ge=1,
        le=120,
        description="seconds to wait for the backend before the offline rules decide",
    )
    before_accepted: bool = Field(
        default=True,
        description="listed and cached cards start before the first BootNotification is accepted",
    )


class TlsTable(Table):
    """[tls]"""

    csms_roots: str | None = Field(default=None, min_length=1, description="PEM bundle, writable")
    manufacturer_roots: str | None = Field(
        default=None, min_length=1, description="PEM bundle, writable"
    )
    mo_roots: str | None = Field(default=None, min_length=1, description="PEM bundle, writable")
    v2g_roots: str | None = Field(default=None, min_length=1, description="PEM bundle, writable")
    client_cert_dir: str | None = Field(
        default=None, min_length=1, description="directory of client certificates"
    )
    client_key_dir: str | None = Field(
        default=None, min_length=1, description="directory of client keys"
    )
    secc_cert_dir: str | None = Field(
        default=None, min_length=1, description="directory of SECC certificates"
    )
    secc_key_dir: str | None = Field(
        default=None, min_length=1, description="directory of SECC keys"
    )
    private_key_password: str | None = Field(
        default=None, min_length=1, description="password of the key files"
    )
    client_expiry_check_delay: int = Field(
        default=60, ge=0, le=86_400, description="seconds after the start"
    )
    client_expiry_check_interval: int = Field(
        default=43_200, ge=60, le=31_536_000, description="seconds"
    )
    secc_expiry_check_delay: int = Field(
        default=60, ge=0, le=86_400, description="seconds after the start"
    )
    secc_expiry_check_interval: int = Field(
        default=43_200, ge=60, le=31_536_000, description="seconds"
    )
    secc_common_name: str = Field(
        default="", max_length=64, description="subject CN of the SECC certificate"
    )
    secc_organization: str = Field(
        default="", max_length=64, description="subject O of the SECC certificate"
    )
    secc_country: str = Field(
        default="", pattern=r"^([A-Z]{2})?$", description="two capital letters"
    )
    connector_evse_ids: list[str] = Field(
        default=[], description="EVSE ids of the connectors, in order"
    )


class WebTable(Table):
    """[web]"""

    listen: str = Field(default="127.0.0.1:8080", description='"HOST:PORT"')


class BenchTable(Table):
    """[bench]"""

    listen: str | None = Field(default=None, description='"127.0.0.1:PORT"')
    attach: str | None = Field(
        default=None, pattern=r"^unix:.+$", description='"unix:PATH" of `chargepost bench serve`'
    )
    outputs_on_death: Literal["kept", "released"] = Field(
        default="kept", description="what the virtual computer does with the pins of a dead process"
    )
    coil_gate: bool = Field(default=False, description="a heartbeat must keep the coil's supply on")


class ConfigFile(Table):
    """The whole file."""

    station: StationTable = StationTable()
    backend: BackendTable | None = None
    evse: list[EvseTable] = Field(
        min_length=1, max_length=99, description="one table for each EVSE"
    )
    site: SiteTable = SiteTable()
    rfid: dict[str, Any] | None = Field(default=None, description="card reader")
    charging: ChargingTable = ChargingTable()
    tls: TlsTable = TlsTable()
    web: WebTable | None = None
    bench: BenchTable | None = None
    ocpp16: dict[str, str] = Field(
        default={}, description="first-boot values of configuration keys, as texts"
    )
    ocpp201: dict[str, str] = Field(
        default={}, description="first-boot values of variables, as texts"
    )
