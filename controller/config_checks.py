"""What the keys of a configuration say about each other, and what the drivers say about their tables."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from controller.config_lines import Path
from controller.config_model import BackendTable, ConfigFile, EvseTable
from controller.config_report import MISSING, Finding, nearest
from controller.core.signed_values import KEY_LENGTH, public_key_field
from hal import registry
from hal.errors import Misconfigured
from hal.register_map import load
from hal.sim.defaults import default_table

EVSE_PARTS = ("pilot", "contactor", "meter", "rcd", "lock", "proximity", "temperature")
SERIAL_PARTS = ("meter", "rfid")

_ADDRESS = re.compile(r"^(\[[0-9A-Fa-f:]+\]|[^\s:/]+):(\d{1,5})$")
_VARIABLE = re.compile(r"^(?P<component>\w+)(@\d+(/\d+)?)?\.(?P<variable>\w+)(\[[^\]]+\])?$")


@dataclass(slots=True)
class Checked:
    """Findings, and the driver tables with `"sim"` expanded."""

    problems: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    tables: dict[Path, Mapping[str, Any] | None] = field(default_factory=dict)


ENERGISING: Mapping[str, tuple[str, ...]] = {
    "contactor": ("pin",),
    "pilot": ("pin",),
    "lock": ("lock_pin", "unlock_pin"),
    "rcd": ("test_pin",),
}
LIVE_AT_BOOT = frozenset((*range(9), 14))
"""GPIO 0 to 8 are pulled up at power-on, 14 is the console's transmitter (docs/wiring.md §1)."""


def check_drivers(raw: Mapping[str, Any], checked: Checked) -> None:
    """Expand and check every driver table; works on whatever has the right shape."""
    evses = raw.get("evse")
    for index, evse in enumerate(evses if isinstance(evses, list) else []):
        if not isinstance(evse, dict):
            continue
        phases = 3 if evse.get("phases") == 3 else 1
        for part in EVSE_PARTS:
            if part in evse:
                value = _virtual(part, evse[part], phases, raw)
                _check_table(("evse", index, part), part, value, phases, checked)
    rfid = raw.get("rfid")
    if isinstance(rfid, dict):
        _check_table(("rfid",), "rfid", _virtual("rfid", rfid, 1, raw), 1, checked)


def check_shapes(raw: Mapping[str, Any], checked: Checked) -> None:
    """What can be said about single tables even while others have problems."""
    rows = raw.get("evse")
    evses = [row if isinstance(row, dict) else {} for row in rows] if isinstance(rows, list) else []
    ids: dict[Any, int] = {}
    for index, evse in enumerate(evses):
        number = evse.get("id", index + 1)
        if isinstance(number, int) and ids.setdefault(number, index) != index:
            checked.problems.append(
                Finding(
                    path=("evse", index, "id"),
                    value=evse.get("id", MISSING),
                    text=f"EVSE {number} exists already (number {ids[number] + 1} in the file)",
                )
            )
    _check_wires(checked, evses)
    _check_bench(raw, checked)
    web = raw.get("web")
    if isinstance(web, dict) and isinstance(web.get("listen", ""), str):
        problem, loopback = _address(web.get("listen", "127.0.0.1:8080"))
        if problem:
            checked.problems.append(
                Finding(path=("web", "listen"), value=web["listen"], text=problem)
            )
        elif not loopback:
            checked.warnings.append(
                Finding(
                    path=("web", "listen"),
                    value=web["listen"],
                    text="everybody in this network can see and use the page: it has no login yet",
                )
            )


def check_whole(config: ConfigFile, checked: Checked) -> None:
    """Rules over the whole file; only called when every table has its right shape."""
    if config.backend is not None:
        _check_backend(config.backend, checked)
        if config.backend.security_profile == 3 and not config.station.serial_number:
            text = "is empty: the station's certificate is asked for in the name of its id"
            checked.warnings.append(Finding(path=("station", "serial_number"), text=text))
    for index, evse in enumerate(config.evse):
        _check_evse(config, index, evse, checked)
    _check_charging(config, checked)
    _check_first_boot(config, checked)


def authorization(config: ConfigFile) -> str:
    """`[charging] authorization`, or what follows from the rest of the file."""
    if config.charging.authorization is not None:
        return config.charging.authorization
    if config.backend is not None:
        return "backend"
    return "local" if config.rfid is not None and config.rfid.get("driver") != "none" else "free"


def _virtual(part: str, value: Any, phases: int, raw: Mapping[str, Any]) -> Any:
    """A serial device on virtual wires needs no port; beside [bench], one without a port is on them."""
    if part not in SERIAL_PARTS or not isinstance(value, dict):
        return value
    table = dict(value)
    if table.get("driver") in (None, "sim", "none"):
        return value
    if "bench" in raw and not {"port", "wires"} & table.keys():
        table["wires"] = "sim"
    if table.get("wires") != "sim":
        return value
    default = default_table(part, phases=phases)
    if table["driver"] == default["driver"]:
        return {**default, **table}
    return {"port": default["port"], **table}


def _check_table(path: Path, part: str, value: Any, phases: int, checked: Checked) -> None:
    if value == "none" or (isinstance(value, dict) and value.get("driver") == "none"):
        checked.tables[path] = None
        return
    if value == "sim":
        value = {"driver": "sim"}
    if not isinstance(value, dict):
        return  # reported as a wrong type already
    table = dict(value)
    if table.get("driver") == "sim":
        try:
            table = {
                **default_table(part, phases=phases),
                **{k: v for k, v in table.items() if k != "driver"},
            }
        except KeyError:
            text = f'there is no virtual {part} yet; allowed: "none" or a table {{driver = "…", …}}'
            checked.problems.append(Finding(path=path, value="sim", text=text))
            return
    wires = table.get("wires")
    if wires is not None and wires != "sim":
        text = 'must be "sim" (virtual wires) or left out'
        checked.problems.append(Finding(path=(*path, "wires"), value=wires, text=text))
    checked.tables[path] = table
    if wires is None:
        _check_boot_levels(path, part, table, checked)
    for problem in registry.check(part, table):
        text, hint = problem.text, ""
        if problem.key == "driver" and isinstance(problem.value, str):
            hint = nearest(problem.value, registry.names(part))
        found = MISSING if problem.value is None else problem.value
        where = (*path, problem.key) if problem.key else path
        checked.problems.append(Finding(path=where, value=found, text=text, hint=hint))


def _check_boot_levels(path: Path, part: str, table: Mapping[str, Any], checked: Checked) -> None:
    """Outputs that switch something on must not be on pins that are high or toggle at boot."""
    for key in ENERGISING.get(part, ()):
        if table.get(key) in LIVE_AT_BOOT and not isinstance(table[key], bool):
            text = "is pulled up or toggles while the computer boots: use GPIO 16 to 27 for outputs"
            checked.problems.append(Finding(path=(*path, key), value=table[key], text=text))


def _check_wires(checked: Checked, evses: list[dict[str, Any]]) -> None:
    """No pin, PWM channel or bus address twice. Virtual EVSEs have a header each."""
    used: dict[tuple[Any, ...], Path] = {}
    for path, table in checked.tables.items():
        if table is None:
            continue
        header = path[1] if table.get("wires") == "sim" and len(path) > 1 else "real"
        for key, resource in _resources(path, table):
            owner = used.setdefault((header, *resource), path)
            if owner != path or resource in [r for k, r in _resources(path, table) if k < key]:
                words = _owner(owner, evses)
                text = f"{' '.join(map(str, resource))} belongs to {words} already"
                checked.problems.append(
                    Finding(path=(*path, key), value=table.get(key, MISSING), text=text)
                )


def _resources(path: Path, table: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for key, value in table.items():
        if (key == "pin" or key.endswith("_pin")) and isinstance(value, int) and value >= 0:
            yield key, ("GPIO", value)
    part = path[-1]
    if part == "pilot" and table.get("driver") == "pwm":
        yield "channel", (table.get("chip", "pwmchip0"), "channel", table.get("channel", 0))
    if "port" in table and isinstance(table["port"], str):
        address = table.get("address")
        yield "port", (table["port"], *(("address", address) if address is not None else ()))


def _owner(path: Path, evses: list[dict[str, Any]]) -> str:
    if path[0] != "evse" or not isinstance(path[1], int):
        return str(path[0])
    return f"EVSE {evses[path[1]].get('id', path[1] + 1)} {path[2]}"


def _check_bench(raw: Mapping[str, Any], checked: Checked) -> None:
    virtual = [
        path for path, table in checked.tables.items() if table and table.get("wires") == "sim"
    ]
    bench = raw.get("bench")
    misspelt = any(nearest(name, ["bench"]) for name in raw if name not in ConfigFile.model_fields)
    if virtual and bench is None and not misspelt:
        text = 'is on virtual wires: that needs [bench] with listen = "127.0.0.1:PORT" or attach = "unix:PATH"'
        checked.problems.append(Finding(path=virtual[0], value="sim", text=text))
    if not isinstance(bench, dict):
        return
    if not virtual and checked.tables:
        text = "is only for virtual hardware, and no part of this file is on virtual wires"
        checked.problems.append(Finding(path=("bench",), text=text))
    listen, attach = bench.get("listen"), bench.get("attach")
    if (listen is None) == (attach is None):
        text = 'needs exactly one of listen = "127.0.0.1:PORT" and attach = "unix:PATH"'
        checked.problems.append(Finding(path=("bench",), text=text))
    if isinstance(listen, str):
        problem, loopback = _address(listen)
        if not problem and not loopback:
            problem = "must be an address of this computer itself: whoever reaches the bench can do anything"
        if problem:
            hint = (
                f'"127.0.0.1:{listen.rsplit(":", 1)[-1]}"' if not loopback and ":" in listen else ""
            )
            checked.problems.append(
                Finding(path=("bench", "listen"), value=listen, text=problem, hint=hint)
            )


def _check_backend(backend: BackendTable, checked: Checked) -> None:
    def problem(key: str, text: str) -> None:
        value = getattr(backend, key)
        shown = MISSING if value is None else "…" if key == "password" else value
        checked.problems.append(Finding(path=("backend", key), value=shown, text=text))

    secure = backend.url.startswith("wss")
    profile = backend.security_profile
    named = backend.password is not None or backend.password_file is not None
    if profile == 1 and secure:
        problem(
            "security_profile",
            "profile 1 is Basic authentication without TLS: use ws://, or profile 2",
        )
    if profile in (2, 3) and not secure:
        problem("security_profile", f"profile {profile} is TLS: the url must start with wss://")
    if profile in (1, 2) and not named:
        problem("password", f"is required by security_profile = {profile} (or password_file)")
    if backend.password is not None and backend.password_file is not None:
        problem("password_file", "only one of password and password_file may be there")
    wanted = [backend.protocol] if isinstance(backend.protocol, str) else backend.protocol
    if "ocpp1.6" not in wanted:
        text = "this version speaks ocpp1.6 only: the station will not connect"
        checked.warnings.append(
            Finding(path=("backend", "protocol"), value=backend.protocol, text=text)
        )
    try:
        parts = urlsplit(backend.url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        problem("url", f"is not an address: {error}")
        return
    if parts.username or parts.password:
        problem("url", "must not contain user or password: use password or password_file")
    if profile in (0, 3) and named:
        text = f"is sent although security_profile = {profile}; 1 (ws) or 2 (wss) say so"
        key = "password" if backend.password is not None else "password_file"
        checked.warnings.append(Finding(path=("backend", key), text=text))
    if secure and not backend.verify_hostname:
        text = "any server that a trusted authority vouches for is taken for the backend"
        checked.warnings.append(Finding(path=("backend", "verify_hostname"), text=text))
    if not secure and not _is_loopback(host):
        text = "everything, cards and password too, goes over the network unencrypted"
        checked.warnings.append(Finding(path=("backend", "url"), value=backend.url, text=text))


def _check_evse(config: ConfigFile, index: int, evse: EvseTable, checked: Checked) -> None:
    path: Path = ("evse", index)
    pilot = checked.tables.get((*path, "pilot"))
    if (*path, "pilot") in checked.tables and pilot is None:
        text = "an EVSE cannot be without a pilot; for a relay beside an autonomous board use that board's driver"
        checked.problems.append(Finding(path=(*path, "pilot"), value="none", text=text))
    if pilot is not None and drives_contactor(pilot) and pilot.get("plug_contact") is not True:
        text = (
            "while the pilot is cut only a contact at the plug tells that a vehicle is there, and without a vehicle "
            "nothing begins: wire it to connected_pin, the board's status to charging_pin, and say plug_contact = true"
        )
        checked.problems.append(Finding(path=(*path, "pilot"), value="relay", text=text))
    if (*path, "contactor") in checked.tables and checked.tables[(*path, "contactor")] is None:
        if pilot is not None and not drives_contactor(pilot):
            text = f"the pilot driver {pilot.get('driver')!r} does not switch power itself: a contactor is required"
            checked.problems.append(Finding(path=(*path, "contactor"), value="none", text=text))
    if evse.authorization == "backend" and config.backend is None:
        text = "there is no [backend] that could authorize"
        checked.problems.append(Finding(path=(*path, "authorization"), value="backend", text=text))
    if config.site.phases == 1 and evse.phases == 3:
        text = "the supply has one phase: [site] phases = 1"
        checked.problems.append(Finding(path=(*path, "phases"), value=3, text=text))
    _check_access(config, path, evse, checked)
    if checked.tables.get((*path, "meter")) is None:
        text = "there is none: energy is unknown and cannot be billed"
        checked.warnings.append(Finding(path=(*path, "meter"), text=text))
    _check_public_key(path, evse, checked)
    _check_signing_map(path, checked)


def _check_signing_map(path: Path, checked: Checked) -> None:
    table = checked.tables.get((*path, "meter"))
    if table is None or not meter_signs(table) or not isinstance(table.get("map"), str):
        return
    try:
        problem = "" if load(table["map"]).signing is not None else "has no table [signing]"
    except Misconfigured as error:
        problem = str(error)
    if problem:
        found = Finding(path=(*path, "meter", "map"), value=table["map"], text=problem)
        checked.problems.append(found)


def _check_public_key(path: Path, evse: EvseTable, checked: Checked) -> None:
    key = (*path, "meter_public_key")
    if not evse.meter_public_key:
        return
    try:
        shown = public_key_field(evse.meter_public_key)
    except ValueError as error:
        text = f"is not the public key of a meter, as printed on it: {error}"
        checked.problems.append(Finding(path=key, value=evse.meter_public_key, text=text))
        return
    if len(shown) > KEY_LENGTH:
        text = f"is too long for a configuration key ({len(shown)} of {KEY_LENGTH} characters)"
        checked.problems.append(Finding(path=key, value=evse.meter_public_key, text=text))
    if not meter_signs(checked.tables.get((*path, "meter"))):
        text = "has no effect: the driver of this meter does not sign values"
        checked.warnings.append(Finding(path=key, value=evse.meter_public_key, text=text))


def meter_signs(table: Mapping[str, Any] | None) -> bool:
    """Whether this meter can sign values (its driver declares it)."""
    if table is None:
        return False
    try:
        registration = registry.find("meter", str(table.get("driver")))
    except Misconfigured:
        return False
    return getattr(registration.driver_class, "signs", False) is True


def _check_access(config: ConfigFile, path: Path, evse: EvseTable, checked: Checked) -> None:
    """Who may charge at this EVSE, and whether anybody can say who he is."""
    mode = evse.authorization or authorization(config)
    if mode == "free":
        text = "charging is free for everybody who plugs in"
        checked.warnings.append(Finding(path=path, text=text))
        if config.backend is not None and evse.free_id_tag is None:
            text = "is missing: the backend is told about free charges with an empty idTag"
            checked.warnings.append(Finding(path=(*path, "free_id_tag"), text=text))
        return
    if evse.free_id_tag is not None:
        text = f'is not used: it is for free charging, and authorization is "{mode}" here'
        checked.warnings.append(
            Finding(path=(*path, "free_id_tag"), value=evse.free_id_tag, text=text)
        )
    if mode == "local" and (config.rfid is None or config.rfid.get("driver") == "none"):
        text = "there is no [rfid], so nobody can show a card of the local list"
        checked.warnings.append(Finding(path=(*path, "authorization"), value="local", text=text))


def _check_charging(config: ConfigFile, checked: Checked) -> None:
    charging = config.charging
    if charging.authorization == "backend" and config.backend is None:
        text = "there is no [backend] that could authorize"
        checked.problems.append(
            Finding(path=("charging", "authorization"), value="backend", text=text)
        )
    if 0 < charging.failsafe_amps < 6:
        text = "must be 0 (pause) or at least 6: a pilot cannot signal less"
        checked.problems.append(
            Finding(path=("charging", "failsafe_amps"), value=charging.failsafe_amps, text=text)
        )
    limit = config.site.max_current
    if limit is not None and limit < 6 * len(config.evse):
        text = (
            f"is enough for {limit // 6:g} of {len(config.evse)} vehicles at a time "
            "(6 A is the least a vehicle can be offered): they take turns"
        )
        checked.warnings.append(Finding(path=("site", "max_current"), value=limit, text=text))


def drives_contactor(table: Mapping[str, Any]) -> bool:
    """Whether this pilot board switches the power by itself (its driver declares it)."""
    try:
        registration = registry.find("pilot", str(table.get("driver")))
    except Misconfigured:
        return False
    return getattr(registration.driver_class, "drives_contactor", False) is True


def _check_first_boot(config: ConfigFile, checked: Checked) -> None:
    if not config.ocpp16 and not config.ocpp201:
        return
    from controller.core.settings_list import first_boot_problem, first_boot_warning

    known16, known2 = _standard_names()
    for table, values, known, shaped in (
        ("ocpp16", config.ocpp16, known16, _any_key),
        ("ocpp201", config.ocpp201, known2, _VARIABLE.match),
    ):
        for name, value in values.items():
            match = shaped(name)
            if not match:
                text = 'the key must have the form "Component.Variable[Instance]"'
                checked.problems.append(Finding(path=(table, name), value=value, text=text))
                continue
            plain = name if table == "ocpp16" else f"{match['component']}.{match['variable']}"
            if known and plain.casefold() not in known:
                checked.warnings.append(
                    Finding(
                        path=(table, name),
                        value=value,
                        text="is not a standard name: it becomes a custom one",
                        hint=nearest(plain, known.values()),
                    )
                )
            elif warning := first_boot_warning(name):
                checked.warnings.append(Finding(path=(table, name), value=value, text=warning))
            elif problem := first_boot_problem(name, value):
                checked.problems.append(Finding(path=(table, name), value=value, text=problem))


def _any_key(name: str) -> Any:
    return re.match(r".{1,50}$", name)


def _standard_names() -> tuple[dict[str, str], dict[str, str]]:
    from controller.core.settings_list import SETTINGS

    known16 = {s.key16.casefold(): s.key16 for s in SETTINGS if s.key16}
    names2 = [f"{s.component}.{s.variable}" for s in SETTINGS if s.component]
    return known16, {name.casefold(): name for name in names2}


def _address(text: str) -> tuple[str, bool]:
    """(what is wrong with "HOST:PORT" or "", whether it is this computer only)."""
    match = _ADDRESS.match(text)
    if not match or not 0 <= int(match[2]) <= 65_535:
        return 'must be "HOST:PORT", for example "127.0.0.1:8080"', False
    return "", _is_loopback(match[1].strip("[]"))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
