"""What a strict backend objects to: schema, order, sums and times of everything a 1.6 station says.

`csms_rules_books.py` has the transactions, `csms_rules_status.py` the statuses, `csms_rules_script.py` what
a script of people at the station must lead to.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from controller.demo.csms_rules_books import Books, KnownTransaction, parsed
from controller.demo.csms_rules_status import Statuses
from controller.ocpp.validation import Validators

Payload = dict[str, Any]

LONGEST_ID = 36
ANSWERED_S = 2.0
"""A backend with a short patience waits no longer for an answer (CitrineOS 20 s, but chains add up)."""


class Rules:
    """Sees every frame of one station over all its connections; collects what is wrong in `violations`.

    Off unless set, because they need a clock that nothing slows down: `on_time_s` (how far a time stamp may
    be from the moment at which it could first be told) and `answered_s`. `books.gap_wh` needs a meter that nobody sets.
    """

    def __init__(
        self,
        validators: Validators,
        *,
        patience_s: float = 30.0,
        monotonic_s: Callable[[], float] = time.monotonic,
        utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.violations: list[str] = []
        self.patience_s = patience_s
        self.on_time_s: float | None = None
        self.answered_s: float | None = None
        self.books = Books(self._object)
        self.statuses = Statuses(self._object)
        self._monotonic_s = monotonic_s
        self._utc = utc
        self._validators = validators
        self._open: dict[str, tuple[str, float]] = {}
        self._asked: dict[str, tuple[str, float]] = {}
        self._seen: dict[str, tuple[str, str]] = {}
        self._status = ""
        self._triggered = False
        self._readable = True
        self._free_since: datetime | None = None

    @property
    def transactions(self) -> dict[int, KnownTransaction]:
        """By the id that the backend gave."""
        return self.books.transactions

    # --- connections ------------------------------------------------------------------------------

    def connected(self) -> None:
        """A new connection: whatever was open is void."""
        self._open.clear()
        self._never_answered()
        self._asked.clear()
        self.statuses.connected()
        self._free_since = self._utc()

    def restarted(self) -> None:
        """The station has started again: it must register before it says anything else."""
        self._status = ""

    def finish(self, registers: dict[int, float]) -> None:
        """The day is over; `registers`: what the meters show, by connector."""
        self.books.finish(registers)
        self._never_answered()

    # --- the station's frames ---------------------------------------------------------------------

    def station_calls(self, message_id: str, action: str, payload: Any) -> bool:
        """A CALL of the station; True when it repeats an earlier one."""
        self._check_open(message_id, action)
        self._readable = self._check_request(message_id, action, payload)
        self._check_registration(action)
        body = json.dumps(payload, sort_keys=True)
        before = self._seen.get(message_id)
        self._seen[message_id] = (action, body)
        if before is not None:
            if before != (action, body):
                self._object(f"message id {message_id} used again for something else")
            return True
        if self._readable:
            if action == "StatusNotification":
                repeated = self.statuses.repeats(payload)
                self.statuses.told(payload)
                if repeated:
                    return False
            self._check_times(action, payload)
        return False

    def station_answers(self, message_id: str, payload: Any) -> None:
        """A CALLRESULT of the station."""
        action = self._answered(message_id)
        if action is None:
            self._object(f"answer to {message_id}, which nobody asked")
            return
        if not self._validators.knows(action):
            self._object(f"{action} does not exist and was answered")
            return
        problem = self._validators.response(action, payload, tolerate_extra=False)
        if problem is not None:
            self._object(f"answer to {action}: {problem.where} {problem.text}")

    def station_fails(self, message_id: str) -> None:
        """A CALLERROR of the station."""
        self._answered(message_id)

    # --- the backend's frames ---------------------------------------------------------------------

    def backend_answers(self, message_id: str, action: str, payload: Payload) -> None:
        """A CALLRESULT of ours: must be valid too, or the test lies."""
        self._close(message_id)
        problem = self._validators.response(action, payload, tolerate_extra=False)
        if problem is not None:
            self._object(f"own answer to {action}: {problem.where} {problem.text}")
        if action == "BootNotification":
            self._status = str(payload.get("status"))

    def backend_fails(self, message_id: str) -> None:
        """A CALLERROR of ours."""
        self._close(message_id)

    def backend_calls(self, message_id: str, action: str, payload: Any) -> None:
        """A CALL of ours (not checked: tests send nonsense on purpose)."""
        self._asked[message_id] = (action, self._monotonic_s())
        if action in ("TriggerMessage", "ExtendedTriggerMessage"):
            self._triggered = True

    # --- transactions -----------------------------------------------------------------------------

    def started(self, transaction_id: int, payload: Payload) -> None:
        """A StartTransaction that was accepted into the books."""
        if self._readable:
            self.books.started(transaction_id, payload)

    def stopped(self, payload: Payload) -> KnownTransaction | None:
        """A StopTransaction; None for one whose start was never told (-1)."""
        return self.books.stopped(payload) if self._readable else None

    def metered(self, payload: Payload) -> None:
        """MeterValues; those of a transaction belong between its start and its stop."""
        if self._readable:
            self.books.metered(payload)

    # --- inside -----------------------------------------------------------------------------------

    def _check_request(self, message_id: object, action: str, payload: Any) -> bool:
        if not isinstance(message_id, str) or not 0 < len(message_id) <= LONGEST_ID:
            self._object(f"{action}: a message id is a text of 1 to {LONGEST_ID} characters")
        if not self._validators.knows(action):
            self._object(f"unknown action {action}")
            return False
        problem = self._validators.request(action, payload)
        if problem is not None:
            self._object(f"{action}: {problem.where} {problem.text}")
        return problem is None

    def _check_registration(self, action: str) -> None:
        if action == "BootNotification":
            return
        if self._status not in ("Accepted", "Pending"):
            self._object(f"{action} before the station was accepted")
        if self._status == "Pending" and not self._triggered:
            self._object(f"{action} while the registration is pending")

    def _check_times(self, action: str, payload: Payload) -> None:
        now = self._utc()
        for text in _stamps(payload):
            if not text.endswith("Z"):
                self._object(f"{action}: the time {text} is not UTC with Z")
                continue
            if self.on_time_s is None:
                continue
            at = parsed(text)
            if (at - now).total_seconds() > self.on_time_s:
                self._object(f"{action}: {text} lies in the future, it is {now.isoformat()}")
            could = max(at, self._free_since) if self._free_since is not None else at
            late_s = (now - could).total_seconds()
            if late_s > self.on_time_s:
                self._object(f"{action}: {text} was told {late_s:.1f} s late")

    def _check_open(self, message_id: str, action: str) -> None:
        now_s = self._monotonic_s()
        for other, (other_action, since_s) in list(self._open.items()):
            if other != message_id and now_s - since_s < self.patience_s:
                self._object(f"{action} sent while {other_action} is open")
        self._open[message_id] = (action, now_s)

    def _close(self, message_id: str) -> None:
        if self._open.pop(message_id, None) is not None:
            self._free_since = self._utc()

    def _answered(self, message_id: str) -> str | None:
        action, since_s = self._asked.pop(message_id, ("", 0.0))
        if not action:
            return None
        late_s = self._monotonic_s() - since_s
        if self.answered_s is not None and late_s > self.answered_s:
            self._object(f"{action} of the backend was answered after {late_s:.1f} s")
        return action

    def _never_answered(self) -> None:
        for action, since_s in self._asked.values():
            waited_s = self._monotonic_s() - since_s
            if self.answered_s is not None and waited_s > self.answered_s:
                self._object(f"{action} of the backend was never answered")

    def _object(self, text: str) -> None:
        self.violations.append(text)


def _stamps(payload: Payload) -> Iterator[str]:
    """The times that say when something happened; samples inside a stop are judged with their transaction."""
    if isinstance(payload.get("timestamp"), str):
        yield payload["timestamp"]
    for value in payload.get("meterValue", []):
        yield value["timestamp"]
