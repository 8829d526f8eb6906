"""The operator's system: protocol, address, and what security profile, password and TLS say together."""

from __future__ import annotations

from urllib.parse import urlsplit

from controller.config_checks.addresses import is_loopback
from controller.config_checks.checked import Checked
from controller.config_model import SPOKEN, BackendTable, ConfigFile
from controller.config_report import MISSING, Finding


def check_backend(config: ConfigFile, backend: BackendTable, checked: Checked) -> None:
    """All of [backend], and the serial number that its certificates need."""

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
    _check_protocol(backend, checked)
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
    if not secure and not is_loopback(host):
        text = "everything, cards and password too, goes over the network unencrypted"
        checked.warnings.append(Finding(path=("backend", "url"), value=backend.url, text=text))
    if profile == 3 and not config.station.serial_number:
        text = "is empty: the station's certificate is asked for in the name of its id"
        checked.warnings.append(Finding(path=("station", "serial_number"), text=text))


def _check_protocol(backend: BackendTable, checked: Checked) -> None:
    """A station that speaks none of them would never connect; one of them is enough."""
    wanted = [backend.protocol] if isinstance(backend.protocol, str) else backend.protocol
    unknown = [name for name in wanted if name not in SPOKEN]
    if not unknown:
        return
    finding = Finding(
        path=("backend", "protocol"),
        value=backend.protocol,
        text=f"{', '.join(unknown)} is not built yet: this version speaks {', '.join(SPOKEN)} only",
    )
    (checked.problems if len(unknown) == len(wanted) else checked.warnings).append(finding)
