"""Logging of every process: one line per event on stderr, fields as `key=value`, secrets blanked.

Under systemd each line starts with its priority (`<4>`, sd-daemon(3)) and the journal adds the time;
elsewhere the line starts with UTC time and process name.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Iterable

_PRIORITY = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}

_SECRETS = re.compile(
    r"(?i)(\b(?:authorization:\s*(?:basic|bearer)|"
    r"[\w-]*(?:password|passphrase|authorizationkey|secret)[\"']?\s*[:=])\s*)"
    r"(\"[^\"]*\"|'[^']*'|[^\s,;@}\]]+)"
)
_IN_ADDRESS = re.compile(r"(?i)(\b(?:wss?|https?|s?ftp|ftpe?s)://[^\s:/@]*:)[^\s/?#]*(?=@)")
BLANK = "***"

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def setup(process: str, *, level: str = "", secrets: Iterable[str] = ()) -> None:
    """Send the root logger to stderr. `level`: default $CHARGEPOST_LOG, else INFO."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        LineFormatter(process, under_systemd=bool(os.environ.get("JOURNAL_STREAM")))
    )
    handler.addFilter(SecretsFilter(secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    wanted = (level or os.environ.get("CHARGEPOST_LOG", "")).upper()
    root.setLevel(wanted if wanted in logging.getLevelNamesMapping() else logging.INFO)
    logging.captureWarnings(True)


class LineFormatter(logging.Formatter):
    """One line per record; `extra={"evse": 1}` becomes ` evse=1` at its end."""

    def __init__(self, process: str, *, under_systemd: bool) -> None:
        super().__init__()
        self._process = process
        self._under_systemd = under_systemd

    def format(self, record: logging.LogRecord) -> str:
        """The finished text; a traceback follows on lines of the same priority."""
        text = record.getMessage()
        fields = {k: v for k, v in vars(record).items() if k not in _STANDARD}
        text += "".join(f" {key}={value}" for key, value in fields.items())
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        if self._under_systemd:
            priority = next((p for lv, p in _PRIORITY.items() if record.levelno <= lv), 2)
            return "\n".join(f"<{priority}>{line}" for line in text.splitlines() or [""])
        at = time.strftime("%H:%M:%S", time.gmtime(record.created))
        return (
            f"{at}.{int(record.msecs):03d} {self._process:<7} {record.levelname.lower():<7} {text}"
        )


class SecretsFilter(logging.Filter):
    """Blanks passwords: the texts given, and whatever stands where a password usually stands."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secret for secret in secrets if secret)

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the message in place; nothing is dropped."""
        text = blank(record.getMessage(), self._secrets)
        record.msg, record.args = text, None
        return True


def blank(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without secrets."""
    for secret in secrets:
        text = text.replace(secret, BLANK)
    text = _IN_ADDRESS.sub(lambda match: match[1] + BLANK, text)
    return _SECRETS.sub(lambda match: match[1] + BLANK, text)
