"""The configuration file: checked (every problem at once) and compiled to `Installation`.

`python -m controller.config FILE` checks and compiles; `run` does that in a process of its own, so that
the supervisor stays small. What may stand in the file is declared in `config_model.py`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from controller import __version__
from controller.compiled import COMPILED_NAME, Source, beside, make_private, read_source
from controller.config_checks.checked import Checked
from controller.config_checks.drivers import EVSE_PARTS, check_drivers, meter_signs
from controller.config_checks.outlets import authorization
from controller.config_checks.whole import check_shapes, check_whole
from controller.config_lines import line_of, scan
from controller.config_model import BackendTable, ConfigFile, EvseTable
from controller.config_report import Finding, Where, as_dict, from_validation, render
from controller.core.installation import (
    BackendInstallation,
    BenchInstallation,
    Charging,
    EvseInstallation,
    Installation,
    Site,
    StationIdentity,
)
from controller.errors import ConfigError

_AT = re.compile(r"\(at line (\d+), column (\d+)\)")
"""How the parser of TOML names a place; the line stands at the beginning of ours."""
_TLS_PATHS = ("_roots", "_dir")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What `check` says. `installation`: None while there are problems."""

    where: Where
    problems: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    installation: Installation | None

    def lines(self) -> list[str]:
        """All problems, one line each, in the order of the file."""
        return [render(finding, self.where) for finding in self.problems]

    def warning_lines(self) -> list[str]:
        """All warnings, one line each."""
        return [render(finding, self.where) for finding in self.warnings]

    def to_dict(self) -> dict[str, Any]:
        """For `check --json`."""
        return {
            "ok": not self.problems,
            "problems": [as_dict(finding, self.where) for finding in self.problems],
            "warnings": [as_dict(finding, self.where) for finding in self.warnings],
        }


def check(path: str | Path) -> Verdict:
    """Look at every key of the file; writes nothing."""
    source = read_source(path)
    if source.table is None:
        at = _AT.search(source.error)
        # Line 0: the file as a whole; nobody looks for a line in a file that is not there.
        where = Where(name=_shown(path), lines={(): int(at[1]) if at else 0}, table={})
        return Verdict(
            where=where,
            problems=(Finding(path=(), text=_AT.sub(r"(column \2)", source.error)),),
            warnings=(),
            installation=None,
        )
    where = Where(name=_shown(path), lines=scan(source.text), table=source.table)
    checked = Checked(file=source.path)
    config: ConfigFile | None = None
    try:
        config = ConfigFile.model_validate(source.table)
    except ValidationError as error:
        checked.problems += from_validation(error)
    check_drivers(source.table, checked)
    check_shapes(source.table, checked)
    installation = None
    if config is not None:
        check_whole(config, checked)
        if not checked.problems:
            installation = _installation(config, source, checked)
    found = _once(checked.problems)
    found.sort(key=lambda finding: line_of(where.lines, finding.path))
    return Verdict(
        where=where,
        problems=tuple(found),
        warnings=tuple(_once(checked.warnings)),
        installation=installation if not found else None,
    )


def load(path: str | Path) -> Installation:
    """The installation that the file describes. Raises ConfigError with all problems."""
    verdict = check(path)
    if verdict.installation is None:
        raise ConfigError(verdict.lines())
    return verdict.installation


def compile_to_state(path: str | Path) -> Verdict:
    """Check; if good, write STATE/installation.json atomically (mode 0600: it may hold a password)."""
    verdict = check(path)
    if verdict.installation is not None:
        state = Path(verdict.installation.state_dir)
        state.mkdir(mode=0o750, parents=True, exist_ok=True)
        make_private(Path(verdict.installation.runtime_dir))
        _write_atomically(state / COMPILED_NAME, verdict.installation.to_dict())
    return verdict


def main(arguments: list[str] | None = None) -> int:
    """Check and compile the file named in the first argument; problems on stderr, exit 2."""
    path = (arguments if arguments is not None else sys.argv[1:])[0]
    try:
        verdict = compile_to_state(path)
    except OSError as error:
        print(f"{path}: the state directory cannot be written: {error}", file=sys.stderr)
        return 2
    for line in verdict.lines() or [f"warning: {line}" for line in verdict.warning_lines()]:
        print(line, file=sys.stderr)
    return 0 if verdict.installation is not None else 2


def _installation(config: ConfigFile, source: Source, checked: Checked) -> Installation | None:
    backend = None
    if config.backend is not None:
        password, problem = _password(config.backend, source)
        if problem is not None:
            checked.problems.append(problem)
            return None
        protocol = config.backend.protocol
        backend = BackendInstallation(
            url=config.backend.url.rstrip("/"),
            protocols=(protocol,) if isinstance(protocol, str) else tuple(protocol),
            security_profile=config.backend.security_profile,
            password=password,
            verify_hostname=config.backend.verify_hostname,
            use_system_trust=config.backend.use_system_trust,
            retry_wait_minimum_s=config.backend.retry_wait_minimum,
            retry_random_range_s=config.backend.retry_random_range,
            retry_repeat_times=config.backend.retry_repeat_times,
        )
    bench = None
    if config.bench is not None:
        bench = BenchInstallation(
            listen=config.bench.listen or "",
            attach="unix:" + str(beside(source.path, config.bench.attach.removeprefix("unix:")))
            if config.bench.attach
            else "",
            outputs_on_death=config.bench.outputs_on_death,
            coil_gate=config.bench.coil_gate,
        )
    phases = config.site.phases or (3 if any(evse.phases == 3 for evse in config.evse) else 1)
    return Installation(
        station=StationIdentity(
            id=config.station.id,
            vendor=config.station.vendor,
            model=config.station.model,
            serial_number=config.station.serial_number,
            firmware_version=config.station.firmware_version or __version__,
        ),
        state_dir=str(source.state_dir),
        runtime_dir=str(source.runtime_dir),
        evses=tuple(_evse(index, evse, checked) for index, evse in enumerate(config.evse)),
        charging=Charging(
            authorization=authorization(config),
            failsafe_amps=float(config.charging.failsafe_amps),
            hold_s=float(config.charging.hold_s),
            resume_after_power_loss=config.charging.resume_after_power_loss,
            authorize_wait_s=float(config.charging.authorize_wait),
            before_accepted=config.charging.before_accepted,
        ),
        site=Site(
            max_amps=config.site.max_current, phases=phases, voltage_v=float(config.site.voltage)
        ),
        backend=backend,
        rfid=checked.tables.get(("rfid",)),
        bench=bench,
        web_listen=config.web.listen if config.web is not None else "",
        tls=_tls(config, source),
        first_boot_16=dict(config.ocpp16),
        first_boot_2=dict(config.ocpp201),
        config_hash=source.fingerprint(),
    )


def _evse(index: int, evse: EvseTable, checked: Checked) -> EvseInstallation:
    tables: dict[str, Any] = {
        part: checked.tables.get(("evse", index, part)) for part in EVSE_PARTS
    }
    pilot = tables.pop("pilot")
    contactor = tables.pop("contactor")
    return EvseInstallation(
        id=evse.id if evse.id is not None else index + 1,
        pilot=pilot or {},
        contactor=contactor,
        **tables,
        max_amps=float(evse.max_current),
        phases=evse.phases,
        evse_id=evse.evse_id,
        authorization=evse.authorization,
        free_id_tag=evse.free_id_tag or "",
        meter_public_key=evse.meter_public_key,
        meter_signs=meter_signs(tables["meter"]),
    )


def _password(backend: BackendTable, source: Source) -> tuple[str | None, Finding | None]:
    if backend.password_file is None:
        return backend.password, None
    try:
        first = beside(source.path, backend.password_file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        return None, Finding(
            path=("backend", "password_file"),
            value=backend.password_file,
            text=f"cannot be read: {reason}",
        )
    if not first or not first[0].strip():
        text = "is empty: its first line must be the password"
        return None, Finding(
            path=("backend", "password_file"), value=backend.password_file, text=text
        )
    return first[0].strip(), None


def _tls(config: ConfigFile, source: Source) -> dict[str, Any]:
    values = config.tls.model_dump(exclude_none=True)
    for key, value in values.items():
        if key.endswith(_TLS_PATHS):
            values[key] = str(beside(source.path, value))
    return values


def _once(findings: list[Finding]) -> list[Finding]:
    """One finding for each place: the first says most."""
    kept: dict[tuple[str | int, ...], Finding] = {}
    for finding in findings:
        kept.setdefault((*finding.path, "" if finding.path else finding.text), finding)
    return list(kept.values())


def _shown(path: str | Path) -> str:
    return str(path)


def _write_atomically(path: Path, value: Any) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(
        os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


if __name__ == "__main__":
    sys.exit(main())
