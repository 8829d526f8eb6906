"""What a strict backend objects to: schema, order and sums of everything a 1.6 station says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from controller.ocpp.validation import Validators

Payload = dict[str, Any]

REGISTER = "Energy.Active.Import.Register"


@dataclass(slots=True, kw_only=True)
class KnownTransaction:
    """A transaction as the backend knows it. `stop`: the payload of its StopTransaction."""

    id: int
    connector: int
    id_tag: str
    start: Payload
    stop: Payload | None = None
    meter_values: list[Payload] = field(default_factory=list)


class Rules:
    """Sees every frame of one station over all its connections; collects what is wrong in `violations`."""

    def __init__(
        self,
        validators: Validators,
        *,
        patience_s: float = 30.0,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.violations: list[str] = []
        self.transactions: dict[int, KnownTransaction] = {}
        self._running: dict[int, KnownTransaction] = {}
        self.patience_s = patience_s
        self._monotonic_s = monotonic_s
        self._validators = validators
        self._open: dict[str, tuple[str, float]] = {}
        self._asked: dict[str, str] = {}
        self._seen: dict[str, tuple[str, str]] = {}
        self._registers: dict[int, float] = {}
        self._status = ""
        self._triggered = False

    def connected(self) -> None:
        """A new connection: whatever was open is void."""
        self._open.clear()
        self._asked.clear()

    def station_calls(self, message_id: str, action: str, payload: Any) -> bool:
        """A CALL of the station; True when it repeats an earlier one."""
        self._check_open(message_id, action)
        problem = (
            self._validators.request(action, payload) if self._validators.knows(action) else None
        )
        if not self._validators.knows(action):
            self._object(f"unknown action {action}")
        elif problem is not None:
            self._object(f"{action}: {problem.where} {problem.text}")
        if self._status not in ("Accepted", "Pending") and action != "BootNotification":
            self._object(f"{action} before the station was accepted")
        if self._status == "Pending" and action != "BootNotification" and not self._triggered:
            self._object(f"{action} while the registration is pending")
        body = json.dumps(payload, sort_keys=True)
        before = self._seen.get(message_id)
        self._seen[message_id] = (action, body)
        if before is not None:
            if before != (action, body):
                self._object(f"message id {message_id} used again for something else")
            return True
        if not isinstance(payload, dict):
            return False
        for name in ("timestamp",):
            if name in payload and not str(payload[name]).endswith("Z"):
                self._object(f"{action}: {name} is not UTC with Z")
        return False

    def backend_answers(self, message_id: str, action: str, payload: Payload) -> None:
        """A CALLRESULT of ours: must be valid too, or the test lies."""
        self._open.pop(message_id, None)
        problem = self._validators.response(action, payload, tolerate_extra=False)
        if problem is not None:
            self._object(f"own answer to {action}: {problem.where} {problem.text}")
        if action == "BootNotification":
            self._status = str(payload.get("status"))

    def backend_fails(self, message_id: str) -> None:
        """A CALLERROR of ours."""
        self._open.pop(message_id, None)

    def backend_calls(self, message_id: str, action: str, payload: Any) -> None:
        """A CALL of ours (not checked: tests send nonsense on purpose)."""
        self._asked[message_id] = action
        if action == "TriggerMessage":
            self._triggered = True

    def station_answers(self, message_id: str, payload: Any) -> None:
        """A CALLRESULT of the station."""
        action = self._asked.pop(message_id, None)
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
        self._asked.pop(message_id, None)

    # --- transactions -----------------------------------------------------------------------------

    def started(self, transaction_id: int, payload: Payload) -> None:
        """A StartTransaction that was accepted into the books."""
        connector = payload["connectorId"]
        running = self._running.get(connector)
        if running is not None and running.stop is None:
            self._object(f"connector {connector} has started while {running.id} runs there")
        known = KnownTransaction(
            id=transaction_id, connector=connector, id_tag=payload["idTag"], start=payload
        )
        self.transactions[transaction_id] = self._running[connector] = known
        self._register(connector, payload["meterStart"], "meterStart")

    def stopped(self, payload: Payload) -> KnownTransaction | None:
        """A StopTransaction; None for one whose start was never told (-1)."""
        known = self.transactions.get(payload["transactionId"])
        if known is None:
            if payload["transactionId"] != -1:
                self._object(f"stop of the unknown transaction {payload['transactionId']}")
            return None
        if known.stop is not None:
            self._object(f"transaction {known.id} stopped twice")
            return known
        if payload["timestamp"] < known.start["timestamp"]:
            self._object(f"transaction {known.id} stops before it starts")
        known.stop = payload
        self._register(known.connector, payload["meterStop"], "meterStop")
        return known

    def metered(self, payload: Payload) -> None:
        """MeterValues; those of a transaction belong between its start and its stop."""
        transaction_id = payload.get("transactionId")
        known = self.transactions.get(transaction_id) if transaction_id is not None else None
        if transaction_id is not None and known is None and transaction_id != -1:
            self._object(f"meter values of the unknown transaction {transaction_id}")
        if known is not None:
            if known.stop is not None:
                self._object(f"meter values after the stop of {known.id}")
            if known.connector != payload["connectorId"]:
                self._object(f"meter values of {known.id} from another connector")
            known.meter_values.append(payload)
        for value in payload["meterValue"]:
            if known is not None and value["timestamp"] < known.start["timestamp"]:
                self._object(f"meter values from before the start of {known.id}")
            for sampled in value["sampledValue"]:
                if sampled.get("measurand", REGISTER) == REGISTER and "phase" not in sampled:
                    factor = 1000.0 if sampled.get("unit") == "kWh" else 1.0
                    self._register(
                        payload["connectorId"], float(sampled["value"]) * factor, "meter values"
                    )

    def _register(self, connector: int, wh: float, where: str) -> None:
        last = self._registers.get(connector)
        if last is not None and wh < last:
            self._object(f"{where}: the register of connector {connector} fell from {last} to {wh}")
        self._registers[connector] = wh

    def _check_open(self, message_id: str, action: str) -> None:
        now_s = self._monotonic_s()
        for other, (other_action, since_s) in list(self._open.items()):
            if other != message_id and now_s - since_s < self.patience_s:
                self._object(f"{action} sent while {other_action} is open")
        self._open[message_id] = (action, now_s)

    def _object(self, text: str) -> None:
        self.violations.append(text)
