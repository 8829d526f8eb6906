"""Errors of the hardware layer.

HalError
├── HalTransientError        try again: the next poll may work
│   ├── MeterSilent          no answer (dead slave, cut wire)
│   ├── MeterGarbage         an answer that fails CRC, framing or plausibility
│   ├── MeterRefused         a well-formed Modbus exception answer
│   └── ReaderSilent         the card reader does not answer
└── HalPermanentError        do not retry without a person
    ├── Misconfigured        a driver setting is wrong or contradicts another (also ValueError)
    ├── WireInUse            a pin, port or bus address has another owner (also ValueError)
    └── WireMissing          the device file, chip or pin does not exist (also OSError)
"""

from __future__ import annotations


class HalError(Exception):
    """Root of all errors that leave `hal`."""


class HalTransientError(HalError):
    """The next attempt may succeed."""


class HalPermanentError(HalError):
    """A person has to change something first."""


class MeterSilent(HalTransientError):
    """The meter did not answer in time."""


class MeterGarbage(HalTransientError):
    """The meter's answer was damaged or implausible and is not used."""


class MeterRefused(HalTransientError):
    """The meter answered with a Modbus exception."""


class ReaderSilent(HalTransientError):
    """The card reader did not answer in time."""


class Misconfigured(HalPermanentError, ValueError):
    """A driver setting is wrong; the text says which and what is allowed."""


class WireInUse(HalPermanentError, ValueError):
    """A wire has another owner; the text names both."""


class WireMissing(HalPermanentError, OSError):
    """A wire does not exist on this computer; the text says which and what to do."""
