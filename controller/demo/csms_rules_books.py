"""The strict backend's books: transactions, their order, their registers and their times."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Payload = dict[str, Any]

REGISTER = "Energy.Active.Import.Register"
NEVER_TOLD = -1
LIFE_S = 66.0


@dataclass(slots=True, kw_only=True)
class KnownTransaction:
    """A transaction as the backend knows it. `stop`: the payload of its StopTransaction."""

    id: int
    connector: int
    id_tag: str
    start: Payload
    stop: Payload | None = None
    meter_values: list[Payload] = field(default_factory=list)

    @property
    def energy_wh(self) -> int | None:
        """What is billed; None while it runs."""
        return None if self.stop is None else self.stop["meterStop"] - self.start["meterStart"]


class Books:
    """Objects to whatever does not add up. `gap_wh`: how much may flow outside transactions; None = any."""

    def __init__(self, object_to: Callable[[str], None]) -> None:
        self._object = object_to
        self.transactions: dict[int, KnownTransaction] = {}
        self.gap_wh: float | None = None
        self._newest: dict[int, KnownTransaction] = {}
        self._registers: dict[int, list[tuple[str, float]]] = {}

    def running(self, connector: int) -> KnownTransaction | None:
        """The transaction that runs there as far as was told."""
        newest = self._newest.get(connector)
        return newest if newest is not None and newest.stop is None else None

    def starts_from(self, connector: int, wh: float) -> None:
        """The register as it stood before the first transaction."""
        self._registers.setdefault(connector, []).insert(0, ("", wh))

    def started(self, transaction_id: int, payload: Payload) -> None:
        """A StartTransaction that was accepted into the books."""
        connector, at = payload["connectorId"], payload["timestamp"]
        if transaction_id in self.transactions:
            self._object(f"the id {transaction_id} was given twice")
        running = self.running(connector)
        if running is not None:
            self._object(f"connector {connector} has started while {running.id} runs there")
        before = self._newest.get(connector)
        if before is not None and before.start == payload:
            self._object(f"the start of {before.id} was told twice")
        if before is not None and before.stop is not None:
            if _moment(at) < _moment(before.stop["timestamp"]):
                self._object(f"transaction {transaction_id} starts before {before.id} has ended")
        self._gap(connector, payload["meterStart"], f"before {transaction_id}")
        known = KnownTransaction(
            id=transaction_id, connector=connector, id_tag=payload["idTag"], start=payload
        )
        self.transactions[transaction_id] = self._newest[connector] = known
        self._register(connector, at, payload["meterStart"], "meterStart")

    def stopped(self, payload: Payload) -> KnownTransaction | None:
        """A StopTransaction; None for one whose start was never told (-1)."""
        known = self.transactions.get(payload["transactionId"])
        if known is None:
            if payload["transactionId"] != NEVER_TOLD:
                self._object(f"stop of the unknown transaction {payload['transactionId']}")
            return None
        if known.stop is not None:
            self._object(f"transaction {known.id} stopped twice")
            return known
        at = payload["timestamp"]
        if _moment(at) < _moment(known.start["timestamp"]):
            self._object(f"transaction {known.id} stops before it starts")
        # After a power loss the end is the last stored moment of life: at most a minute old.
        spare_s = LIFE_S if payload.get("reason") in ("PowerLoss", "Reboot") else 0.0
        for values in known.meter_values:
            if any(_moment(v["timestamp"]) > _moment(at) + spare_s for v in values["meterValue"]):
                self._object(f"meter values of {known.id} from after its end")
                break
        known.stop = payload
        self._transaction_data(known, payload)
        # Its register was read after the boot, so it counts from the newest value on.
        times = [v["timestamp"] for values in known.meter_values for v in values["meterValue"]]
        newest = max([at, *times], key=_moment) if spare_s else at
        self._register(known.connector, newest, payload["meterStop"], "meterStop")
        return known

    def metered(self, payload: Payload) -> None:
        """MeterValues; those of a transaction belong between its start and its stop."""
        connector, transaction_id = payload["connectorId"], payload.get("transactionId")
        known = self.transactions.get(transaction_id) if transaction_id is not None else None
        if transaction_id is not None and known is None and transaction_id != NEVER_TOLD:
            self._object(f"meter values of the unknown transaction {transaction_id}")
        if known is not None:
            if known.stop is not None:
                self._object(f"meter values after the stop of {known.id}")
            if known.connector != connector:
                self._object(f"meter values of {known.id} from another connector")
            known.meter_values.append(payload)
        running = self.running(connector)
        for value in payload["meterValue"]:
            moment = _moment(value["timestamp"])
            if known is not None and moment < _moment(known.start["timestamp"]):
                self._object(f"meter values from before the start of {known.id}")
            if transaction_id is None and running is not None and not _triggered(value):
                if moment > _moment(running.start["timestamp"]):
                    self._object(f"meter values of {running.id} without its transactionId")
            for wh in _registers(value):
                self._register(connector, value["timestamp"], wh, "meter values")

    def finish(self, registers: dict[int, float]) -> None:
        """The day is over: nothing runs any more, and no energy flowed after the last stop."""
        for known in self.transactions.values():
            if known.stop is None:
                self._object(f"transaction {known.id} was never stopped")
        for connector, wh in registers.items():
            self._gap(connector, wh, "at the end")

    # --- inside -----------------------------------------------------------------------------------

    def _gap(self, connector: int, wh: float, where: str) -> None:
        """Since the stop of the transaction before."""
        before = self._newest.get(connector)
        first = self._registers.get(connector, [])[:1]
        last: float | None = None
        if before is not None and before.stop is not None:
            last = before.stop["meterStop"]
        elif before is None and first and not first[0][0]:
            last = first[0][1]
        if self.gap_wh is not None and last is not None and abs(wh - last) > self.gap_wh:
            self._object(
                f"energy outside transactions: {wh - last:.1f} Wh on connector {connector} {where}"
            )

    def _transaction_data(self, known: KnownTransaction, payload: Payload) -> None:
        first, last = _moment(known.start["timestamp"]), _moment(payload["timestamp"])
        for value in payload.get("transactionData", []):
            if not first <= _moment(value["timestamp"]) <= last:
                self._object(f"transactionData of {known.id} from outside the transaction")
            for wh in _registers(value):
                if not known.start["meterStart"] <= wh <= payload["meterStop"]:
                    self._object(f"transactionData of {known.id}: {wh} is no register of it")

    def _register(self, connector: int, at: str, wh: float, where: str) -> None:
        """Monotonic in the order of time: what was triggered may overtake what waits in the queue."""
        seen = self._registers.setdefault(connector, [])
        moment = _sortable(at)
        low = bisect_left(seen, (moment,))
        high = bisect_right(seen, (moment, float("inf")))
        if low > 0 and wh < seen[low - 1][1]:
            before = seen[low - 1][1]
            self._object(
                f"{where}: the register of connector {connector} fell from {before} to {wh}"
            )
        elif high < len(seen) and wh > seen[high][1]:
            after = seen[high][1]
            self._object(
                f"{where}: the register of connector {connector} fell from {wh} to {after}"
            )
        seen.insert(high, (moment, wh))


def parsed(text: str) -> datetime:
    """A time stamp as it came."""
    return datetime.fromisoformat(text)


def _moment(text: str) -> float:
    return parsed(text).timestamp()


def _sortable(text: str) -> str:
    return f"{_moment(text):017.6f}"


def _triggered(value: Payload) -> bool:
    return any(sampled.get("context") == "Trigger" for sampled in value["sampledValue"])


def _registers(value: Payload) -> list[float]:
    return [
        float(sampled["value"]) * (1000.0 if sampled.get("unit") == "kWh" else 1.0)
        for sampled in value["sampledValue"]
        if sampled.get("measurand", REGISTER) == REGISTER
        and "phase" not in sampled
        and sampled.get("format", "Raw") == "Raw"
    ]
