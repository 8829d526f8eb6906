"""Errors of the controller.

ChargepostError
├── TransientError           try again
│   ├── BackendUnavailable   no link, no answer in time, or a CALLERROR
│   └── GuardUnavailable     the guard's socket is not there
├── PermanentError           a person has to change something
│   ├── ConfigError          the configuration has problems; carries all of them
│   └── StoreCorrupt         the database cannot be read (it was moved aside)
└── Refused                  asked for something that is impossible now; the text says why
"""

from __future__ import annotations


class ChargepostError(Exception):
    """Root of all errors of the controller."""


class TransientError(ChargepostError):
    """The next attempt may succeed."""


class BackendUnavailable(TransientError):
    """The backend cannot be asked now."""


class GuardUnavailable(TransientError):
    """The guard cannot be reached now."""


class PermanentError(ChargepostError):
    """A person has to change something first."""


class ConfigError(PermanentError):
    """All problems of a configuration, one line each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class StoreCorrupt(PermanentError):
    """The database cannot be read."""


class Refused(ChargepostError):
    """Not possible now."""
