"""Where the compiled configuration lies and whether it still fits the file; standard library only.

`run`, `guard` and `safe-outputs` start from here, so that none of them waits for the validation. Values are
named tuples here and in `run`: the dataclasses module alone would be a tenth of the supervisor's memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from controller import __version__

DEFAULT_CONFIG = "/etc/chargepost/chargepost.toml"
DEFAULT_STATE_DIR = "/var/lib/chargepost"
COMPILED_NAME = "installation.json"
UNIT_RUNTIME_DIR = Path("/run/chargepost")
"""where the two services of systemd have their sockets"""
_IN_TMP = "/tmp/chargepost-"  # noqa: S108  sockets need a short path; made 0700

_COMPILERS = (
    "controller/config.py",
    "controller/config_checks/addresses.py",
    "controller/config_checks/backend.py",
    "controller/config_checks/checked.py",
    "controller/config_checks/drivers.py",
    "controller/config_checks/first_boot.py",
    "controller/config_checks/meters.py",
    "controller/config_checks/outlets.py",
    "controller/config_checks/whole.py",
    "controller/config_checks/wires.py",
    "controller/config_report.py",
    "controller/config_model.py",
    "controller/core/installation.py",
    "hal/sim/defaults.py",
)
"""Files whose change makes a compiled configuration stale although its version did not change."""


class Source(NamedTuple):
    """A configuration file as read. `table`: None when it is not TOML at all."""

    path: Path
    text: str
    table: Mapping[str, Any] | None
    error: str = ""

    @property
    def state_dir(self) -> Path:
        """`[station] state_dir`; relative = beside the configuration file."""
        value = _table(self.table, "station").get("state_dir")
        chosen = value if isinstance(value, str) and value else DEFAULT_STATE_DIR
        return beside(self.path, chosen)

    @property
    def runtime_dir(self) -> Path:
        """Where the sockets are."""
        return runtime_dir(self.state_dir)

    @property
    def compiled(self) -> Path:
        """The compiled configuration (it may not exist)."""
        return self.state_dir / COMPILED_NAME

    def fingerprint(self) -> str:
        """Changes whenever compiling again could give something else."""
        digest = hashlib.sha256(f"{__version__}\0{self.path}\0{self.runtime_dir}\0".encode())
        digest.update(self.text.encode())
        password_file = _table(self.table, "backend").get("password_file")
        files = [beside(self.path, password_file)] if isinstance(password_file, str) else []
        house = Path(__file__).parent.parent
        for file in [*files, *(house / name for name in _COMPILERS)]:
            try:
                stat = file.stat()
                digest.update(f"\0{stat.st_mtime_ns}:{stat.st_size}:{stat.st_ino}".encode())
            except OSError:
                digest.update(b"\0-")
        return digest.hexdigest()

    def fresh_compiled(self) -> dict[str, Any] | None:
        """The compiled configuration if it belongs to this very file, else None."""
        if self.table is None:
            return None
        compiled = read_compiled(self.compiled)
        if compiled is None or compiled.get("config_hash") != self.fingerprint():
            return None
        return compiled


def read_source(path: str | Path) -> Source:
    """Read the file; never raises: `error` says why it cannot be used."""
    path = Path(os.path.abspath(path))
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return Source(path=path, text="", table=None, error="does not exist")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        return Source(path=path, text="", table=None, error=f"cannot be read: {reason}")
    try:
        return Source(path=path, text=text, table=tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        return Source(path=path, text=text, table=None, error=f"is not valid TOML: {error}")


def read_compiled(path: Path) -> dict[str, Any] | None:
    """The compiled configuration at `path`, or None when there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def runtime_dir(state_dir: Path) -> Path:
    """$CHARGEPOST_RUNTIME_DIR, else $RUNTIME_DIRECTORY, else a short path of this state_dir's own."""
    for name in ("CHARGEPOST_RUNTIME_DIR", "RUNTIME_DIRECTORY"):
        value = os.environ.get(name, "").split(":")[0]
        if value:
            return Path(value)
    digest = hashlib.sha256(str(state_dir).encode()).hexdigest()
    return Path(f"{_IN_TMP}{digest[:8]}")


def remove_own(directory: Path) -> None:
    """At the end of `run`: its directory in /tmp goes, with the sockets in it; others stay."""
    if not str(directory).startswith(_IN_TMP):
        return
    with contextlib.suppress(OSError):
        for socket in directory.glob("*.sock"):
            socket.unlink()
        directory.rmdir()


def make_private(directory: Path) -> None:
    """Create with mode 0700; refuses a directory of somebody else (a trap in /tmp)."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    stat = directory.lstat()
    if (
        not os.path.isdir(directory)
        or os.path.islink(directory)
        or stat.st_uid not in (os.getuid(), 0)
    ):
        raise PermissionError(
            f"{directory} belongs to somebody else: remove it or set CHARGEPOST_RUNTIME_DIR"
        )


def beside(config: Path, value: str) -> Path:
    """A path of the configuration; relative ones start at the file's directory."""
    return Path(os.path.normpath(config.parent / os.path.expanduser(value)))


def _table(root: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    value = (root or {}).get(name)
    return value if isinstance(value, dict) else {}
